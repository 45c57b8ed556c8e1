// The kinds of sparsity a crosscoder can be trained with: which codes are kept, and what the kept ones cost.
//
// BatchTopK and TopK keep codes by number (dictionary/select.ts) and add no term to the loss. ReLU + L1 keeps every positive
// code and adds μ · mean over rows of Σ_j f_j W_j (Minder et al. 2025, arXiv:2504.02922, Eq. 8). W is differentiated there:
// a smaller decoder row is a smaller penalty. It is not where it only decides what is selected. DECOUPLED selection, MIXED
// weights and the resampling of dead latents are not here.

import type { CodeNormalisation } from "../dictionary/dictionary.ts";
import { selectBatchTopKReference, selectTopKReference } from "../dictionary/select.ts";
import { type BatchShape, type Floats, like, type Parameters } from "./loss.ts";

export type Sparsity =
  /** The batch · k largest activations of a batch. */
  | { kind: "batchTopK" }
  /** The k largest activations of every row, in training and at inference. */
  | { kind: "topK" }
  /**
   * Every positive code, penalised. As in the reference's trainer for it there is no auxiliary loss and no clipping, and the
   * decoder bias starts at 0; k is not used.
   */
  | {
      kind: "reluL1";
      /** μ. */
      penalty: number;
      /** Share of the steps over which μ rises from 0; undefined: 0, as in the paper and its reference. */
      penaltyWarmupFraction?: number;
    };

export const DEFAULT_SPARSITY: Sparsity = { kind: "batchTopK" };

/**
 * Codes [nRows, nLatents] that one step decodes, 0 where silent. level: the step's k; not used by reluL1.
 * pre [nRows, nLatents], weight [nLatents] W.
 */
export function sparseCodes<A extends Floats>(
  pre: A,
  weight: A,
  { kind, level }: { kind: Sparsity["kind"]; level: number },
): A {
  if (kind === "reluL1") return pre.map((value) => Math.max(value, 0)) as A;
  if (kind === "topK") return selectTopKReference(pre, weight, level);
  return selectBatchTopKReference(pre, weight, (pre.length / weight.length) * level);
}

/** mean over rows of Σ_j f_j W_j, without μ. codes [nRows, nLatents] ≥ 0, weight [nLatents]. */
export function codePenalty(codes: Floats, weight: Floats, { nRows, nLatents }: BatchShape): number {
  let sum = 0;
  for (let i = 0; i < nRows * nLatents; i += 1) sum += codes[i] * weight[i % nLatents];
  return sum / nRows;
}

/**
 * Adds factor × the gradients of codePenalty: through f (gate open where f > 0) to the encoder, through W to the decoder.
 * A decoder row of norm 0 gets none, as torch's norm has it. x [nRows, width]; weight: of the same normalisation.
 */
export function addPenaltyGradients<A extends Floats>(
  gradients: Parameters<A>,
  options: {
    x: A;
    codes: A;
    weight: A;
    parameters: Parameters<A>;
    normalisation: CodeNormalisation;
    factor: number;
  },
  shape: BatchShape,
): void {
  const { x, codes, weight, parameters, normalisation, factor } = options;
  const { nRows, nLatents, width } = shape;
  const direction = weightDirection(parameters.decoderWeight, normalisation, shape);
  for (let row = 0; row < nRows; row += 1) {
    for (let j = 0; j < nLatents; j += 1) {
      const f = codes[row * nLatents + j];
      if (f === 0) continue;
      const codeGradient = (factor * weight[j]) / nRows;
      gradients.encoderBias[j] += codeGradient;
      for (let i = 0; i < width; i += 1) {
        gradients.encoderWeight[j * width + i] += codeGradient * x[row * width + i];
        gradients.decoderWeight[j * width + i] += ((factor * f) / nRows) * direction[j * width + i];
      }
    }
  }
}

/** d W_j / d d_j: each site's unit vector (crosscoder), the whole row's (sae), 0 (none). [nLatents, width]. */
function weightDirection<A extends Floats>(
  decoderWeight: A,
  normalisation: CodeNormalisation,
  { nLatents, width, siteOffsets }: BatchShape,
): A {
  const direction = like(decoderWeight, nLatents * width);
  if (normalisation === "none") return direction;
  const parts = normalisation === "sae" ? [0, width] : siteOffsets;
  for (let j = 0; j < nLatents; j += 1) {
    for (let part = 0; part + 1 < parts.length; part += 1) {
      const [from, to] = [j * width + parts[part], j * width + parts[part + 1]];
      let squares = 0;
      for (let i = from; i < to; i += 1) squares += decoderWeight[i] ** 2;
      if (squares === 0) continue;
      const norm = Math.sqrt(squares);
      for (let i = from; i < to; i += 1) direction[i] = decoderWeight[i] / norm;
    }
  }
  return direction;
}
