// Rows whose activation norm is far above the ordinary at any site: attention sinks that are not at BOS.
//
// A few such rows carry most of the variance and would decide a normaliser, a loss and an FVE. The limit is a multiple of
// the median norm over training rows without BOS; each site has its own.

import type { Store } from "../store/store-contract.ts";
import { siteOffsets } from "./latent-norms.ts";
import { rowBatches, rowsOfSplit, spreadSample } from "./row-batches.ts";

export const NORM_OUTLIER_FACTOR = 10;
const SAMPLE_ROWS = 16_384;
const BATCH_ROWS = 2048;

/** Largest ordinary norm of every site, raw activation units: [nSites]. factor: multiple of the median. */
export async function normLimits(
  store: Store,
  { factor = NORM_OUTLIER_FACTOR, signal }: { factor?: number; signal?: AbortSignal } = {},
): Promise<number[]> {
  const sample = spreadSample(rowsOfSplit(store, "train"), SAMPLE_ROWS);
  const offsets = siteOffsets(store.manifest.sites);
  const norms = store.manifest.sites.map(() => new Float64Array(sample.length));
  let seen = 0;
  for await (const { x, nRows } of rowBatches({ store, rows: sample, batchRows: BATCH_ROWS, signal })) {
    for (let row = 0; row < nRows; row += 1) {
      norms.forEach((ofSite, site) => {
        ofSite[seen + row] = norm(
          x,
          row * store.width + offsets[site],
          row * store.width + offsets[site + 1],
        );
      });
    }
    seen += nRows;
  }
  return norms.map((ofSite) => (seen === 0 ? Number.POSITIVE_INFINITY : factor * ofSite.sort()[seen >> 1]));
}

/** True when row `row` of x [rows, width] (raw units) is above its limit at any site. NaN is not: it must surface elsewhere. */
export function isNormOutlier(
  x: Float32Array,
  row: number,
  { offsets, limits }: { offsets: readonly number[]; limits: readonly number[] },
): boolean {
  const start = row * offsets[offsets.length - 1];
  return limits.some((limit, site) => norm(x, start + offsets[site], start + offsets[site + 1]) > limit);
}

function norm(x: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i += 1) sum += x[i] * x[i];
  return Math.sqrt(sum);
}
