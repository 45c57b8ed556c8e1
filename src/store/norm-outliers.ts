// Rows whose activation norm is far above the median of their site (attention sinks away from BOS), as one flag a row.
//
// The median comes from a fixed sample, so that it is the same whoever asks; the flags take one pass over the store.
// Reported figures are given with and without these rows (design: fve); BOS rows are not looked at specially for flags.

import { ShapeError } from "../errors.ts";
import { ROLES } from "./rows.ts";
import type { Store } from "./store-contract.ts";

/** A row is an outlier when its norm at any site is above this many medians. */
export const NORM_OUTLIER_MULTIPLE = 10;

const SAMPLE_BLOCKS = 64;
const SAMPLE_BLOCK_ROWS = 256;
const PASS_ROWS = 4096;

/**
 * Median ‖h‖₂ of every site over up to 16,384 rows: 64 blocks of 256, evenly spread over the store, BOS left out.
 * Returns [nSites], raw activation units; 0 for a store without other rows. Even counts take the upper of the two.
 */
export async function medianNorms(store: Store): Promise<number[]> {
  const { nRows, role } = store.rows;
  const norms: number[][] = store.manifest.sites.map(() => []);
  const nBlocks = Math.min(SAMPLE_BLOCKS, Math.ceil(nRows / SAMPLE_BLOCK_ROWS));
  for (let block = 0; block < nBlocks; block += 1) {
    const rowStart = Math.floor((block * nRows) / nBlocks);
    const rowEnd = Math.min(rowStart + SAMPLE_BLOCK_ROWS, Math.floor(((block + 1) * nRows) / nBlocks));
    const x = await store.read(rowStart, rowEnd);
    for (let row = rowStart; row < rowEnd; row += 1) {
      if (ROLES[role[row]] === "bos") continue;
      for (const [site, norm] of siteNorms(store, x, row - rowStart).entries()) norms[site].push(norm);
    }
  }
  return norms.map((ofSite) => Float64Array.from(ofSite).sort()[ofSite.length >> 1] ?? 0);
}

/**
 * One flag a row of the store, 1 where the norm at any site is above its limit. limits: [nSites], raw units; by default
 * NORM_OUTLIER_MULTIPLE × medianNorms. Throws ShapeError when limits and sites differ in number.
 */
export async function flagNormOutliers(store: Store, limits?: readonly number[]): Promise<Uint8Array> {
  const { nRows } = store.rows;
  const bounds = limits ?? (await medianNorms(store)).map((median) => NORM_OUTLIER_MULTIPLE * median);
  if (bounds.length !== store.manifest.sites.length) {
    throw new ShapeError(
      `norm limits: expected one for each of ${store.manifest.sites.length} sites, got ${bounds.length}`,
    );
  }
  const flags = new Uint8Array(nRows);
  const scratch = new Float32Array(Math.min(PASS_ROWS, nRows) * store.width);
  for (let rowStart = 0; rowStart < nRows; rowStart += PASS_ROWS) {
    const rowEnd = Math.min(nRows, rowStart + PASS_ROWS);
    const x = await store.read(rowStart, rowEnd, scratch.subarray(0, (rowEnd - rowStart) * store.width));
    for (let row = rowStart; row < rowEnd; row += 1) {
      if (siteNorms(store, x, row - rowStart).some((norm, site) => norm > bounds[site])) flags[row] = 1;
    }
  }
  return flags;
}

/** ‖h‖₂ of row `row` of x [rows, width] at every site. */
function siteNorms(store: Store, x: Float32Array, row: number): number[] {
  let at = row * store.width;
  return store.manifest.sites.map(({ width }) => {
    let sum = 0;
    for (const end = at + width; at < end; at += 1) sum += x[at] * x[at];
    return Math.sqrt(sum);
  });
}
