// Relative error improvement: how much of each target the best multiple of one latent explains.
//
// Minder et al. 2025 (arXiv:2504.02922, App. E.3) use it to check nu by a second pass; none is needed. The least-squares β of
// latent-scaling.ts lowers Σ‖y‖² by exactly β²·Σf²·‖d‖², so relative to Σ‖y‖² it follows from the sums at hand. The error
// target, ε + f·d_m, is another one for each latent, and its square follows too:
//     Σ‖ε + f·d_m‖² = Σ‖ε‖² + 2·Σf<ε, d_m> + Σf²·‖d_m‖²      Σf<ε, d_m>: own activation sum − own reconstruction sum.
// An improvement grows with how often a latent fires; the ratio other/own does not: it is nu² times Σ‖y_own‖²/Σ‖y_other‖².

import { type RowGeometry, SUM, scalingOfLatent } from "./latent-scaling.ts";
import type { ErrorImprovement } from "./measure-contract.ts";

/** Σ over the rows that the latent sums were collected from, no more and no fewer; squared activation units. */
export interface SquaredTotals {
  /** Σ‖h‖². */
  squaredActivation: { base: number; finetuned: number };
  /** Σ‖ĥ‖², decoder bias included. */
  squaredReconstruction: { base: number; finetuned: number };
  /** Σ‖h − ĥ‖². */
  squaredError: { base: number; finetuned: number };
}

type Model = "base" | "finetuned";

/**
 * Improvements of one latent along the finetuned direction and along the base direction (the mirror).
 *
 * sums: [N_SUMS] of that latent. NaN where the quantity does not exist: a latent that never fired, a decoder row of norm 0
 * along its direction, a target that is 0 on every row; a ratio is infinite where only the other model is explained. With
 * models of different width the direction in the other model is that model's own row, as in scalingOfLatent.
 */
export function errorImprovementOfLatent(
  sums: ArrayLike<number>,
  geometry: RowGeometry,
  totals: SquaredTotals,
): { finetuned: ErrorImprovement; base: ErrorImprovement } {
  const scaling = scalingOfLatent(sums, geometry);
  const squaredOwnError = {
    base: squaredErrorWithoutLatent(sums, { model: "base", geometry, totals }),
    finetuned: squaredErrorWithoutLatent(sums, { model: "finetuned", geometry, totals }),
  };
  const along = (direction: Model): ErrorImprovement => {
    const betas = scaling[direction];
    const squaredNorm = direction === "base" ? geometry.squaredBase : geometry.squaredFinetuned;
    const regressor = sums[SUM.codeSquared] * squaredNorm;
    const improvement = (beta: number, squaredTarget: number): number =>
      (beta * beta * regressor) / squaredTarget;
    const ratio = (base: number, finetuned: number): number =>
      direction === "base" ? finetuned / base : base / finetuned;
    const activationBase = improvement(betas.betaActivationBase, totals.squaredActivation.base);
    const activationFinetuned = improvement(
      betas.betaActivationFinetuned,
      totals.squaredActivation.finetuned,
    );
    const reconstructionBase = improvement(betas.betaReconstructionBase, totals.squaredReconstruction.base);
    const reconstructionFinetuned = improvement(
      betas.betaReconstructionFinetuned,
      totals.squaredReconstruction.finetuned,
    );
    const errorBase = improvement(betas.betaErrorBase, squaredOwnError.base);
    const errorFinetuned = improvement(betas.betaErrorFinetuned, squaredOwnError.finetuned);
    return {
      activationBase,
      activationFinetuned,
      reconstructionBase,
      reconstructionFinetuned,
      errorBase,
      errorFinetuned,
      activationRatio: ratio(activationBase, activationFinetuned),
      reconstructionRatio: ratio(reconstructionBase, reconstructionFinetuned),
      errorRatio: ratio(errorBase, errorFinetuned),
    };
  };
  return { finetuned: along("finetuned"), base: along("base") };
}

/** Σ‖ε + f·d_m‖²: the error target of model m, from which only this latent's contribution is missing. */
function squaredErrorWithoutLatent(
  sums: ArrayLike<number>,
  { model, geometry, totals }: { model: Model; geometry: RowGeometry; totals: SquaredTotals },
): number {
  const [activation, reconstruction, squaredNorm] =
    model === "base"
      ? [SUM.alongBaseActivationBase, SUM.alongBaseReconstructionBase, geometry.squaredBase]
      : [
          SUM.alongFinetunedActivationFinetuned,
          SUM.alongFinetunedReconstructionFinetuned,
          geometry.squaredFinetuned,
        ];
  const errorAlong = sums[activation] - sums[reconstruction];
  return totals.squaredError[model] + 2 * errorAlong + sums[SUM.codeSquared] * squaredNorm;
}
