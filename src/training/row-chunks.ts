// How the rows of a large parameter are moved or looked at a piece at a time, so that no second copy of it is needed.

import type { RowRange } from "./engine-contract.ts";

/** Values moved between engine and file at a time. */
const CHUNK_VALUES = 2 ** 22;

/** Ranges that cover [0, nRows) in order, each of at most 4 Mi values or of one row. */
export function chunksOf(nRows: number, rowLength: number): RowRange[] {
  const most = Math.max(1, Math.floor(CHUNK_VALUES / rowLength));
  return Array.from({ length: Math.ceil(nRows / most) }, (_, i) => ({
    from: i * most,
    to: Math.min(nRows, (i + 1) * most),
  }));
}

/** Index of the first value that is NaN or infinite, −1 when there is none. */
export function firstNonFinite(data: ArrayLike<number>): number {
  // v − v is 0 but for NaN and infinities: one pass without a branch tells that all is well, which is nearly always so.
  let differences = 0;
  for (let i = 0; i < data.length; i += 1) differences += data[i] - data[i];
  if (differences === 0) return -1;
  for (let i = 0; i < data.length; i += 1) if (!Number.isFinite(data[i])) return i;
  return -1;
}
