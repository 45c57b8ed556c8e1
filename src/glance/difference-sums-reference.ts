// The sums over activation differences as their formulas read, all rows at hand: the twin that difference-sums.ts must agree with.

import type { DifferenceRows } from "./difference-sums.ts";

export interface DifferenceReference {
  /** Of the rows that `takes` chose. */
  rows: number;
  /** [dModel] mean δ. */
  mean: number[];
  /** ‖mean δ‖ / mean ‖h_base‖, and ‖mean δ‖ / mean ‖δ‖. */
  relativeNorm: number;
  consistency: number;
  /** Mean of ‖δ‖² / ‖h_base‖². */
  changeRatio: number;
  /** n‖mean δ‖² / Σ‖δ‖². */
  meanShare: number;
  /** [dModel][dModel] Σ(δ − mean)(δ − mean)ᵀ. */
  scatter: number[][];
}

/** takes: whether a row counts. At least one must, with h_base and δ that are not zero. */
export function differenceReference(
  { hBase, hFinetuned, document }: DifferenceRows,
  dModel: number,
  takes: (row: number) => boolean,
): DifferenceReference {
  const chosen = Array.from(document, (_, row) => row).filter(takes);
  const rowOf = (all: Float32Array, row: number): number[] => [
    ...all.subarray(row * dModel, (row + 1) * dModel),
  ];
  const base = chosen.map((row) => rowOf(hBase, row));
  const delta = chosen.map((row, i) => rowOf(hFinetuned, row).map((value, c) => value - base[i][c]));
  const n = chosen.length;
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  const squares = (vector: number[]): number => sum(vector.map((value) => value * value));
  const norm = (vector: number[]): number => Math.sqrt(squares(vector));
  const mean = Array.from({ length: dModel }, (_, c) => sum(delta.map((row) => row[c])) / n);
  const centred = delta.map((row) => row.map((value, c) => value - mean[c]));
  return {
    rows: n,
    mean,
    relativeNorm: norm(mean) / (sum(base.map(norm)) / n),
    consistency: norm(mean) / (sum(delta.map(norm)) / n),
    changeRatio: sum(delta.map((row, i) => squares(row) / squares(base[i]))) / n,
    meanShare: (n * squares(mean)) / sum(delta.map(squares)),
    scatter: mean.map((_, a) => mean.map((__, b) => sum(centred.map((row) => row[a] * row[b])))),
  };
}
