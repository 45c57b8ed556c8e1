// Pooled fraction of variance explained, from the f64 sums of the pass by class of row.
//
// fve = 1 − Σ‖h − ĥ‖² / Σ‖h − h̄‖², pooled over every row taken in, h̄ the mean over the same rows; never a mean of
// ratios. The reference's batch-centred figure is another quantity.

import { N_FIT_SUMS } from "../compute/kernel-contract.ts";
import { pooledSquaredDeviation } from "../numerics/statistics.ts";
import type { MeasureSummary } from "./measure-contract.ts";

export type Fve = MeasureSummary["fve"];

/** Sums by class of row; see ROW_CLASS. */
export interface FitSums {
  widths: { base: number; finetuned: number };
  /** [N_ROW_CLASSES] rows. */
  rows: Float64Array;
  /** [N_ROW_CLASSES, width] Σh. */
  columnSums: Float64Array;
  /** [N_ROW_CLASSES, N_FIT_SUMS] Σ‖h − ĥ‖², Σ‖h‖², Σ‖ĥ‖² of base, then of finetuned. */
  squares: Float64Array;
}

/** Σ‖h − ĥ‖², Σ‖h‖², Σ‖ĥ‖² of one model. */
export interface ModelSquares {
  error: number;
  activation: number;
  reconstruction: number;
}

/** The squares of the given classes of rows, added in their order. */
export function squaresOf(
  { squares }: Pick<FitSums, "squares">,
  classes: readonly number[],
): { base: ModelSquares; finetuned: ModelSquares } {
  const sum = (index: number): number =>
    classes.reduce((total, kind) => total + squares[kind * N_FIT_SUMS + index], 0);
  return {
    base: { error: sum(0), activation: sum(1), reconstruction: sum(2) },
    finetuned: { error: sum(3), activation: sum(4), reconstruction: sum(5) },
  };
}

/** fve of base, of finetuned and of both together (numerators and denominators added), over the given classes of rows. NaN without rows or variance. */
export function fveOf(sums: FitSums, classes: readonly number[]): Fve {
  const { base, finetuned } = sums.widths;
  const width = base + finetuned;
  const sum = new Float64Array(width);
  let count = 0;
  for (const kind of classes) {
    count += sums.rows[kind];
    for (let c = 0; c < width; c += 1) sum[c] += sums.columnSums[kind * width + c];
  }
  const squares = squaresOf(sums, classes);
  const varianceBase = pooledSquaredDeviation(count, sum.subarray(0, base), squares.base.activation);
  const varianceFinetuned = pooledSquaredDeviation(count, sum.subarray(base), squares.finetuned.activation);
  return {
    base: 1 - squares.base.error / varianceBase,
    finetuned: 1 - squares.finetuned.error / varianceFinetuned,
    total: 1 - (squares.base.error + squares.finetuned.error) / (varianceBase + varianceFinetuned),
  };
}
