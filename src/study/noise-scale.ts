// The scale of weight noise at which a model changes as much as the fine-tune did: a search in one number.
//
// The change grows with the square of a small scale, so the search goes by that law until it has the target between two
// scales, then by the straight line between them in logarithms, never nearer than a tenth to either end. What is measured
// at a scale is the caller's business (change-ratio.ts).

import { NumericsError } from "../errors.ts";

export const NOISE_SEARCH = {
  /** Largest relative distance of the ratio reached from the target. */
  tolerance: 0.02,
  start: 0.02,
  smallest: 1e-9,
  largest: 1e3,
  /** The first step past the target that the law predicts goes this much further, so that two scales hold it. */
  overshoot: 1.5,
  /** One step while only one side is known. */
  largestStep: 8,
  /** Share of the bracket, in logarithms, that a step leaves at either end. */
  margin: 0.1,
  mostEvaluations: 60,
} as const;

export interface NoiseScale {
  scale: number;
  /** What it reached. */
  ratio: number;
}

export interface NoiseScaleQuestion {
  /** Grows with the scale; not finite: far too much noise. */
  ratioAt: (scale: number) => Promise<number>;
  /** From 0. */
  target: number;
  /** The first scale looked at. */
  start?: number | undefined;
}

/**
 * A scale whose ratio is within 2 % of the target; scale 0, without a look, for target 0. A pure function of `start` and ratioAt's answers.
 *
 * Throws NumericsError when the target is no number from 0, or when no scale reaches it.
 */
export async function findNoiseScale({
  ratioAt,
  target,
  start = NOISE_SEARCH.start,
}: NoiseScaleQuestion): Promise<NoiseScale> {
  if (!(Number.isFinite(target) && target >= 0)) {
    throw new NumericsError(`change ratio: expected a finite number from 0, got ${target}`);
  }
  if (target === 0) return { scale: 0, ratio: 0 };
  let low: NoiseScale | undefined;
  let high: NoiseScale | undefined;
  let scale = start;
  let nearest = { scale: Number.NaN, ratio: Number.NaN };
  for (let evaluation = 0; evaluation < NOISE_SEARCH.mostEvaluations; evaluation += 1) {
    const ratio = await ratioAt(scale);
    if (Math.abs(ratio / target - 1) <= NOISE_SEARCH.tolerance) return { scale, ratio };
    if (!(Math.abs(ratio - target) > Math.abs(nearest.ratio - target))) nearest = { scale, ratio };
    if (ratio < target) low = { scale, ratio };
    else high = { scale, ratio };
    scale = nextScale({ low, high, target });
    if (scale < NOISE_SEARCH.smallest || scale > NOISE_SEARCH.largest) break;
  }
  throw new NumericsError(
    `noise scale: expected one that changes the residuals by ${target} (mean ‖Δh‖²/‖h‖²), got no nearer than ${nearest.ratio} at scale ${nearest.scale}`,
    { hint: "the pair's difference is not one that weight noise can make: compare another layer" },
  );
}

interface Bracket {
  low: NoiseScale | undefined;
  high: NoiseScale | undefined;
  target: number;
}

function nextScale({ low, high, target }: Bracket): number {
  const { overshoot, largestStep, margin } = NOISE_SEARCH;
  if (low !== undefined && high !== undefined) {
    const share = Math.log(target / low.ratio) / Math.log(high.ratio / low.ratio);
    const isLine = low.ratio > 0 && Number.isFinite(high.ratio);
    const at = isLine ? Math.min(1 - margin, Math.max(margin, share)) : 0.5;
    return low.scale * (high.scale / low.scale) ** at;
  }
  if (low !== undefined) {
    return low.scale * Math.min(largestStep, overshoot * Math.sqrt(target / low.ratio));
  }
  const { scale, ratio } = high as NoiseScale;
  const step = Number.isFinite(ratio) ? overshoot * Math.sqrt(ratio / target) : largestStep;
  return scale / Math.min(largestStep, step);
}
