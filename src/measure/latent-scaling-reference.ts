// Slow twin of latent-scaling.ts: every beta as its own least-squares problem over dense arrays, in f64.
//
// Written as the definition reads (Minder et al. 2025, arXiv:2504.02922, §2.3 and App. E): build the regressor f·d and
// the target y of every row, then take their inner product over the regressor's. O(rows · width) a latent and target,
// the error target built anew for each. For tests and for readers; never called by the product.

import type { LatentScaling } from "./measure-contract.ts";

/** Dense inputs, f64. Base and finetuned: [row][coordinate]; decoder rows: [latent][coordinate]. */
export interface DenseCase {
  activation: { base: number[][]; finetuned: number[][] };
  decoder: { base: number[][]; finetuned: number[][] };
  decoderBias: { base: number[]; finetuned: number[] };
  /** [row][latent], 0 where silent. */
  code: number[][];
}

type Side = "base" | "finetuned";

/** ĥ of every row: Σ_j f_j d_j + bias. */
function reconstruct(problem: DenseCase, side: Side): number[][] {
  return problem.code.map((codes) =>
    problem.decoderBias[side].map((bias, c) =>
      codes.reduce((sum, f, j) => sum + f * problem.decoder[side][j][c], bias),
    ),
  );
}

/** argmin over β of Σ_i ‖β·f_i·d − y_i‖². */
function bestMultiple(code: number[], direction: number[], target: number[][]): number {
  let withTarget = 0;
  let withItself = 0;
  for (let i = 0; i < code.length; i += 1) {
    for (let c = 0; c < direction.length; c += 1) {
      const regressor = code[i] * direction[c];
      withTarget += regressor * target[i][c];
      withItself += regressor * regressor;
    }
  }
  return withTarget / withItself;
}

/** What stands for the row `along` in the model `side`: itself, or, of another width, that model's own row at its length. */
function directionIn(
  problem: DenseCase,
  latent: number,
  { along, side }: { along: Side; side: Side },
): number[] {
  const direction = problem.decoder[along][latent];
  const own = problem.decoder[side][latent];
  if (direction.length === own.length) return direction;
  const factor = Math.hypot(...direction) / Math.hypot(...own);
  return own.map((value) => value * factor);
}

/** Scaling of one latent along the decoder direction of `along`; nu divides by the model `along`. */
export function latentScalingReference(problem: DenseCase, latent: number, along: Side): LatentScaling {
  const code = problem.code.map((codes) => codes[latent]);
  const of = (side: Side): { activation: number; reconstruction: number; error: number } => {
    const direction = directionIn(problem, latent, { along, side });
    const activation = problem.activation[side];
    const reconstruction = reconstruct(problem, side);
    const withoutOwn = activation.map((h, i) =>
      h.map((value, c) => value - (reconstruction[i][c] - code[i] * problem.decoder[side][latent][c])),
    );
    return {
      activation: bestMultiple(code, direction, activation),
      reconstruction: bestMultiple(code, direction, reconstruction),
      error: bestMultiple(code, direction, withoutOwn),
    };
  };
  const base = of("base");
  const finetuned = of("finetuned");
  const [other, own] = along === "finetuned" ? [base, finetuned] : [finetuned, base];
  return {
    betaActivationBase: base.activation,
    betaActivationFinetuned: finetuned.activation,
    betaReconstructionBase: base.reconstruction,
    betaReconstructionFinetuned: finetuned.reconstruction,
    betaErrorBase: base.error,
    betaErrorFinetuned: finetuned.error,
    nuActivation: other.activation / own.activation,
    nuReconstruction: other.reconstruction / own.reconstruction,
    nuError: other.error / own.error,
  };
}
