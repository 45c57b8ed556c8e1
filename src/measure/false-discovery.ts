// How many claims are false: one score a candidate, and its q-value against pairs in which nothing was learned.
//
// s = max(νᵋ/0.2, νʳ/0.5): a candidate is claimed exactly when s < 1. The numbers go in as they are: a ν slightly below 0,
// which the filters let through, gives s below 0. FDR(t) = (1 + mean null candidates with s ≤ t) / (real ones with s ≤ t),
// the one added as in the knockoff+ estimate (Barber & Candès 2015, arXiv:1404.5609); q = min FDR(t) over t ≥ s (Storey 2002).
// Not here: the null pairs themselves, which are study/null-study.ts.

import { ConfigError, ShapeError } from "../errors.ts";
import { judgeBase, judgeFinetuned } from "./claims.ts";
import {
  CLAIM_THRESHOLDS,
  type ClaimThresholds,
  type LatentMeasure,
  type LatentScaling,
} from "./measure-contract.ts";

/** Fewer null draws say too little of a rate. */
export const MINIMUM_NULL_DRAWS = 3;

/** [nLatents] f64 each; NaN: not a candidate of that side. */
export interface CandidateScores {
  finetuned: Float64Array;
  base: Float64Array;
}

/** The larger of both ratios to their thresholds; below 1 where both are below. */
export function scoreOf(
  { nuError, nuReconstruction }: Pick<LatentScaling, "nuError" | "nuReconstruction">,
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): number {
  return Math.max(nuError / thresholds.nuErrorBelow, nuReconstruction / thresholds.nuReconstructionBelow);
}

/** Scores of the candidates of either side: what claims.ts does not leave out. */
export function candidateScores(
  latents: readonly LatentMeasure[],
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): CandidateScores {
  const scores = {
    finetuned: new Float64Array(latents.length).fill(Number.NaN),
    base: new Float64Array(latents.length).fill(Number.NaN),
  };
  for (const [i, latent] of latents.entries()) {
    const evidence = { ...latent, fired: latent.frequency }; // only whether it fired at all is asked
    if (judgeFinetuned(evidence, thresholds).exclusion === "") {
      scores.finetuned[i] = scoreOf(latent.scalingFinetuned, thresholds);
    }
    if (judgeBase(evidence, thresholds).exclusion === "") {
      scores.base[i] = scoreOf(latent.scalingBase, thresholds);
    }
  }
  return scores;
}

export interface SideCounts {
  candidates: number;
  claims: number;
}

/** scores: NaN where there is no candidate. */
export function countSide(scores: Float64Array): SideCounts {
  const candidates = scores.filter((score) => !Number.isNaN(score));
  return { candidates: candidates.length, claims: candidates.filter((score) => score < 1).length };
}

/**
 * q-value of every real candidate; NaN where real is NaN.
 *
 * real, nulls: scores of one side, NaN where there is no candidate; each null draw by itself. Without any null candidate every
 * q is 1/(number of real candidates). Throws ConfigError for fewer than three draws, ShapeError for an infinite score.
 */
export function qValues(real: Float64Array, nulls: readonly Float64Array[]): Float64Array {
  requireDraws(nulls.length);
  const sorted = ascending(real);
  const pooled = ascending(Float64Array.from(nulls.flatMap((scores) => [...scores])));
  // Of the candidates in order of score, the smallest FDR at or above each: one sweep from the right.
  const lowest = new Float64Array(sorted.length);
  let nNull = pooled.length;
  let q = 1;
  for (let end = sorted.length; end > 0; ) {
    const score = sorted[end - 1];
    while (nNull > 0 && pooled[nNull - 1] > score) nNull -= 1;
    q = Math.min(q, falseDiscoveryRate(nNull / nulls.length, end));
    for (; end > 0 && sorted[end - 1] === score; end -= 1) lowest[end - 1] = q;
  }
  return real.map((score) => (Number.isNaN(score) ? Number.NaN : lowest[firstIndexOf(sorted, score)]));
}

/** Of nReal candidates up to a score, where the null has nNull on average: at most 1. */
export function falseDiscoveryRate(nNull: number, nReal: number): number {
  return Math.min(1, (1 + nNull) / nReal);
}

/** Throws ConfigError. */
export function requireDraws(draws: number): void {
  if (Number.isInteger(draws) && draws >= MINIMUM_NULL_DRAWS) return;
  throw new ConfigError(
    `draws: expected a whole number of null draws from ${MINIMUM_NULL_DRAWS}, got ${draws}`,
    {
      hint: "fewer draws say too little of how many claims a pair makes that learned nothing",
    },
  );
}

/** The candidates' scores in order. */
function ascending(scores: Float64Array): Float64Array {
  const infinite = scores.findIndex((score) => !Number.isFinite(score) && !Number.isNaN(score));
  if (infinite >= 0) {
    throw new ShapeError(`score ${infinite}: expected a finite number or NaN, got ${scores[infinite]}`);
  }
  return scores.filter((score) => !Number.isNaN(score)).sort();
}

/** Of an ascending array that holds `value`. */
function firstIndexOf(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
