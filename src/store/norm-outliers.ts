// Rows whose activation norm is far above the ordinary at any site: attention sinks that are not at BOS.
//
// A few such rows carry most of the variance and would decide a normaliser, a loss and an FVE. Each site has its own limit,
// a multiple of its median norm; the median comes from a fixed sample, so that it is the same whoever asks.

import type { RowSource } from "./row-source.ts";
import { ROLES } from "./rows.ts";
import type { Site, Store } from "./store-contract.ts";

/** A row is an outlier when its norm at any site is above this many medians. */
export const NORM_OUTLIER_FACTOR = 10;

const SAMPLE_BLOCKS = 64;
const SAMPLE_BLOCK_ROWS = 256;

/**
 * Largest ordinary ‖h‖₂ of every site: factor × the median over up to 16,384 rows (64 blocks of 256, evenly spread over the
 * store, BOS left out). Returns [nSites], raw activation units; 0 for a store of BOS rows only. Even counts take the upper median.
 */
export async function normLimits(
  store: Store | RowSource,
  factor: number = NORM_OUTLIER_FACTOR,
): Promise<number[]> {
  const { sites, nRows } = store.manifest;
  const norms: number[][] = sites.map(() => []);
  const nBlocks = Math.min(SAMPLE_BLOCKS, Math.ceil(nRows / SAMPLE_BLOCK_ROWS));
  for (let block = 0; block < nBlocks; block += 1) {
    const rowStart = Math.floor((block * nRows) / nBlocks);
    const rowEnd = Math.min(rowStart + SAMPLE_BLOCK_ROWS, Math.floor(((block + 1) * nRows) / nBlocks));
    const x = await store.read(rowStart, rowEnd);
    const role =
      "rows" in store
        ? store.rows.role.subarray(rowStart, rowEnd)
        : (await store.readFacts(rowStart, rowEnd)).role;
    for (let row = rowStart; row < rowEnd; row += 1) {
      if (ROLES[role[row - rowStart]] === "bos") continue;
      for (const [site, norm] of siteNorms(x, row - rowStart, sites).entries()) norms[site].push(norm);
    }
  }
  return norms.map((ofSite) => factor * (Float64Array.from(ofSite).sort()[ofSite.length >> 1] ?? 0));
}

/**
 * True when row `row` of x [rows, Σ widths] (raw activation units) is above its limit at any site. limits: [nSites].
 * A NaN norm is no outlier: it must surface as what it is.
 */
export function isNormOutlier(
  x: Float32Array,
  row: number,
  { sites, limits }: { sites: readonly Site[]; limits: readonly number[] },
): boolean {
  return siteNorms(x, row, sites).some((norm, site) => norm > limits[site]);
}

/** ‖h‖₂ of row `row` of x [rows, Σ widths] at every site. */
function siteNorms(x: Float32Array, row: number, sites: readonly Site[]): number[] {
  let at = row * sites.reduce((sum, { width }) => sum + width, 0);
  return sites.map(({ width }) => {
    let sum = 0;
    for (const end = at + width; at < end; at += 1) sum += x[at] * x[at];
    return Math.sqrt(sum);
  });
}
