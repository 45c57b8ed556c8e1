// Pooled fraction of variance explained, from f64 sums kept apart by document group.
//
// fve = 1 − Σ‖h − ĥ‖² / Σ‖h − h̄‖², pooled over every row added, h̄ the mean over the same rows; never a mean of
// ratios. The reference's batch-centred figure is another quantity.

import { pooledSquaredDeviation } from "../numerics/statistics.ts";
import type { MeasureSummary } from "./measure-contract.ts";

export type Fve = MeasureSummary["fve"];

/** Width of the two models' activations, base first. */
export interface Widths {
  base: number;
  finetuned: number;
}

export interface FveSums {
  nGroups: number;
  widths: Widths;
  /** [nGroups] rows added. */
  count: Float64Array;
  /** [nGroups, 2] Σ‖h − ĥ‖² and Σ‖h‖² of base, then of finetuned. */
  errorBase: Float64Array;
  errorFinetuned: Float64Array;
  squareBase: Float64Array;
  squareFinetuned: Float64Array;
  /** [nGroups, width] Σh. */
  sum: Float64Array;
}

export function createFveSums(nGroups: number, widths: Widths): FveSums {
  const perGroup = (): Float64Array => new Float64Array(nGroups);
  return {
    nGroups,
    widths,
    count: perGroup(),
    errorBase: perGroup(),
    errorFinetuned: perGroup(),
    squareBase: perGroup(),
    squareFinetuned: perGroup(),
    sum: new Float64Array(nGroups * (widths.base + widths.finetuned)),
  };
}

/** Adds one row. h, reconstruction: [width] f64, base first. Returns Σh², NaN or infinite when the row is. */
export function addFveRow(
  sums: FveSums,
  group: number,
  h: Float64Array,
  reconstruction: Float64Array,
): number {
  const { base, finetuned } = sums.widths;
  const sumStart = group * (base + finetuned);
  let error = 0;
  let square = 0;
  for (let c = 0; c < base; c += 1) {
    const difference = h[c] - reconstruction[c];
    error += difference * difference;
    square += h[c] * h[c];
    sums.sum[sumStart + c] += h[c];
  }
  sums.errorBase[group] += error;
  sums.squareBase[group] += square;
  let total = square;
  error = 0;
  square = 0;
  for (let c = base; c < base + finetuned; c += 1) {
    const difference = h[c] - reconstruction[c];
    error += difference * difference;
    square += h[c] * h[c];
    sums.sum[sumStart + c] += h[c];
  }
  sums.errorFinetuned[group] += error;
  sums.squareFinetuned[group] += square;
  sums.count[group] += 1;
  total += square;
  return total;
}

/**
 * fve of base, of finetuned and of both together (numerators and denominators added). Several sets of sums are pooled
 * as if their rows had been added to one. NaN when there is no row or no variance.
 */
export function fveOf(...sets: FveSums[]): Fve {
  const { base, finetuned } = sets[0].widths;
  const sum = new Float64Array(base + finetuned);
  let count = 0;
  let [errorBase, errorFinetuned, squareBase, squareFinetuned] = [0, 0, 0, 0];
  for (const set of sets) {
    for (let group = 0; group < set.nGroups; group += 1) {
      count += set.count[group];
      errorBase += set.errorBase[group];
      errorFinetuned += set.errorFinetuned[group];
      squareBase += set.squareBase[group];
      squareFinetuned += set.squareFinetuned[group];
      for (let c = 0; c < sum.length; c += 1) sum[c] += set.sum[group * sum.length + c];
    }
  }
  const varianceBase = pooledSquaredDeviation(count, sum.subarray(0, base), squareBase);
  const varianceFinetuned = pooledSquaredDeviation(count, sum.subarray(base), squareFinetuned);
  return {
    base: 1 - errorBase / varianceBase,
    finetuned: 1 - errorFinetuned / varianceFinetuned,
    total: 1 - (errorBase + errorFinetuned) / (varianceBase + varianceFinetuned),
  };
}
