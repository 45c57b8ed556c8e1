// Order of the claims: by the sum of their ranks in nuError and in nuReconstruction, most specific first.
//
// Minder et al. 2025 (arXiv:2504.02922) call it rank_sum. Ranks are taken among the claims of the same side; ties share
// the mean rank and fall back on the latent's number, so the order never depends on the order of the input.

import type { LatentMeasure, LatentScaling } from "../measure/measure-contract.ts";

export type Side = "base" | "finetuned";

export interface RankedClaim {
  /** 1 = most specific. */
  rank: number;
  rankSum: number;
  side: Side;
  measure: LatentMeasure;
  /** Latent Scaling along this side's own decoder direction. */
  scaling: LatentScaling;
}

/** The scaling that judges a claim of this side. */
export function scalingOf(measure: LatentMeasure, side: Side): LatentScaling {
  return side === "finetuned" ? measure.scalingFinetuned : measure.scalingBase;
}

/** Claims of one side, ranked. Does not change the input. */
export function rankClaims(latents: readonly LatentMeasure[], side: Side): RankedClaim[] {
  const claims = latents.filter((measure) => measure.claim === `${side}-specific`);
  const errorRanks = meanRanks(claims.map((measure) => scalingOf(measure, side).nuError));
  const reconstructionRanks = meanRanks(claims.map((measure) => scalingOf(measure, side).nuReconstruction));
  return claims
    .map((measure, i) => ({
      measure,
      side,
      scaling: scalingOf(measure, side),
      rankSum: errorRanks[i] + reconstructionRanks[i],
    }))
    .sort((a, b) => a.rankSum - b.rankSum || a.measure.latent - b.measure.latent)
    .map((claim, i) => ({ ...claim, rank: i + 1 }));
}

/** Ascending ranks from 1; equal values share the mean of their places. */
export function meanRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    end = Math.max(end, start + 1); // NaN equals nothing, itself included
    for (let i = start; i < end; i += 1) ranks[order[i]] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

/** Where the card of a claim stands in the page. */
export function cardId(claim: { side: Side; measure: { latent: number } }): string {
  return `${claim.side}-${claim.measure.latent}`;
}
