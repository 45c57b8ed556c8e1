// Seeded residuals of two models that differ by a known vector along known directions, for the tests of the difference.

import { createRng } from "../numerics/rng.ts";
import type { DifferenceRows } from "./difference-sums.ts";

export interface MadeRows {
  documents: number;
  tokens: number;
  dModel: number;
  /** Added to every row of the fine-tune. */
  shift?: readonly number[];
  /** Deviation of the difference along each coordinate; default 0. */
  spread?: (coordinate: number) => number;
  /** Factor on both residuals of BOS. */
  bosScale?: number;
}

/** documents × tokens rows, document after document; token 0 is BOS; every second document is unrelated. */
export function makeRows({
  documents,
  tokens,
  dModel,
  shift,
  spread,
  bosScale = 1,
}: MadeRows): DifferenceRows {
  const n = documents * tokens;
  const rng = createRng(11, "rows");
  const rows: DifferenceRows = {
    hBase: new Float32Array(n * dModel),
    hFinetuned: new Float32Array(n * dModel),
    document: Uint32Array.from({ length: n }, (_, row) => Math.floor(row / tokens)),
    position: Uint16Array.from({ length: n }, (_, row) => row % tokens),
    isUnrelated: Uint8Array.from({ length: n }, (_, row) => (Math.floor(row / tokens) % 2 === 0 ? 1 : 0)),
    isBos: Uint8Array.from({ length: n }, (_, row) => (row % tokens === 0 ? 1 : 0)),
  };
  for (let row = 0; row < n; row += 1) {
    for (let i = 0; i < dModel; i += 1) {
      const at = row * dModel + i;
      const scale = rows.isBos[row] === 1 ? bosScale : 1;
      const change = (shift?.[i] ?? 0) + (spread?.(i) ?? 0) * rng.normal(1, at);
      rows.hBase[at] = scale * rng.normal(0, at);
      rows.hFinetuned[at] = rows.hBase[at] + scale * change;
    }
  }
  return rows;
}

/** Rows [from, to). */
export function sliceRows(
  rows: DifferenceRows,
  [from, to]: [number, number],
  dModel: number,
): DifferenceRows {
  return {
    hBase: rows.hBase.slice(from * dModel, to * dModel),
    hFinetuned: rows.hFinetuned.slice(from * dModel, to * dModel),
    document: rows.document.slice(from, to),
    position: rows.position.slice(from, to),
    isUnrelated: rows.isUnrelated.slice(from, to),
    isBos: rows.isBos.slice(from, to),
  };
}
