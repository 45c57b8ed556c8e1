// How often every latent fires by kind of row: role, dataset, template slot, and decile of the position in its document.
//
// Counts of rows, per latent and over all measured rows (the denominators). Memory: 4 bytes a latent and category; nothing
// grows with rows. Counting is exact, so parts can be merged in any order.

import { ROLES } from "../store/rows.ts";
import type { StoreManifest } from "../store/store-contract.ts";
import { CATEGORY_KINDS, type CategoryKind, type CategoryNames } from "./measure-contract.ts";
import { type Accumulator, partArray } from "./part-arrays.ts";

export const N_POSITION_DECILES = 10;

export function categoryNames(manifest: Pick<StoreManifest, "datasets" | "slots">): CategoryNames {
  return {
    role: ROLES,
    dataset: manifest.datasets,
    slot: manifest.slots,
    positionDecile: Array.from({ length: N_POSITION_DECILES }, (_, i) => String(i)),
  };
}

/** A row's category of every kind, as indices into CategoryNames. */
export interface RowCategories {
  role: number;
  dataset: number;
  slot: number;
  positionDecile: number;
}

/** 0 … 9: the tenth of its document that a row lies in. */
export function positionDecile(
  row: number,
  { rowStart, rowEnd }: { rowStart: number; rowEnd: number },
): number {
  return Math.floor((N_POSITION_DECILES * (row - rowStart)) / (rowEnd - rowStart));
}

export interface CategoryCounts extends Accumulator {
  /** Counts one row and the latents [from, to) of `latent` that fired in it. */
  add(row: RowCategories, latent: Uint32Array, from: number, to: number): void;
  /** Share of the rows of each category in which the latent fired; NaN for a category without rows. */
  frequencies(latent: number, kind: CategoryKind): number[];
  /** Rows counted in each category. */
  rows(kind: CategoryKind): number[];
}

/** Parts: "categories.fired" u32 [nLatents, nCategories], "categories.rows" f64 [nCategories]. */
export function createCategoryCounts(nLatents: number, names: CategoryNames): CategoryCounts {
  const offsets: Record<CategoryKind, number> = { role: 0, dataset: 0, slot: 0, positionDecile: 0 };
  let nCategories = 0;
  for (const kind of CATEGORY_KINDS) {
    offsets[kind] = nCategories;
    nCategories += names[kind].length;
  }
  let fired = new Uint32Array(nLatents * nCategories);
  let rows = new Float64Array(nCategories);
  const slice = (kind: CategoryKind): [number, number] => [offsets[kind], offsets[kind] + names[kind].length];
  return {
    add({ role, dataset, slot, positionDecile }, latent, from, to) {
      const a = offsets.role + role;
      const b = offsets.dataset + dataset;
      const c = offsets.slot + slot;
      const d = offsets.positionDecile + positionDecile;
      rows[a] += 1;
      rows[b] += 1;
      rows[c] += 1;
      rows[d] += 1;
      for (let entry = from; entry < to; entry += 1) {
        const at = latent[entry] * nCategories;
        fired[at + a] += 1;
        fired[at + b] += 1;
        fired[at + c] += 1;
        fired[at + d] += 1;
      }
    },
    frequencies(latent, kind) {
      const [from, to] = slice(kind);
      const at = latent * nCategories;
      return Array.from(fired.subarray(at + from, at + to), (count, i) => count / rows[from + i]);
    },
    rows: (kind) => Array.from(rows.subarray(...slice(kind))),
    takeArrays() {
      const part = { "categories.fired": fired, "categories.rows": rows };
      fired = new Uint32Array(nLatents * nCategories);
      rows = new Float64Array(nCategories);
      return part;
    },
    merge(part) {
      const moreFired = partArray(part, "categories.fired", Uint32Array, fired.length);
      const moreRows = partArray(part, "categories.rows", Float64Array, rows.length);
      for (let i = 0; i < fired.length; i += 1) fired[i] += moreFired[i];
      for (let i = 0; i < rows.length; i += 1) rows[i] += moreRows[i];
    },
  };
}
