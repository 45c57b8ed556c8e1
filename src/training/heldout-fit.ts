// How well a dictionary, as it encodes at inference, reconstructs chosen rows of a store: what calibration and validation share.
//
// Reads the store and a copy of the parameters, nothing of a training run. Rows are read once a pass, in order.

import { decode } from "../dictionary/decode.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { rowBatches, rowsOfSplit } from "../dictionary/row-batches.ts";
import { NumericsError } from "../errors.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import { ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import {
  addSums,
  centredSums,
  columnMeans,
  emptySums,
  fveOf,
  type VarianceSums,
  varianceSums,
} from "./fve.ts";
import { firstNonFinite } from "./row-chunks.ts";

/** Rows encoded at a time; also the batch of fveBatchCentred, whose value depends on it a little. */
export const BATCH_ROWS = 1024;

export interface ReadOptions {
  store: Store;
  signal?: AbortSignal;
}

export interface FitOptions extends ReadOptions {
  dictionary: Dictionary;
  threads?: number;
}

/** "heldout", or "train" for a store that has no held-out rows. */
export function judgedSplit(store: Store): Split {
  return rowsOfSplit(store, "heldout").length > 0 ? "heldout" : "train";
}

/**
 * Rows (ascending) parted into those that training would take and the rest: BOS rows and norm outliers.
 * Throws NumericsError naming document and position of an ordinary row that is not finite.
 */
export async function partRows(
  { store, signal }: ReadOptions,
  { rows, normLimits: limits }: { rows: Uint32Array; normLimits: readonly number[] },
): Promise<{ ordinary: Uint32Array; leftOut: Uint32Array }> {
  const { sites } = store.manifest;
  const isOrdinary = new Uint8Array(rows.length);
  let done = 0;
  for await (const batch of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) {
    batch.rows.forEach((row, i) => {
      const isBos = ROLES[store.rows.role[row]] === "bos";
      if (isBos || isNormOutlier(batch.x, i, { sites, limits })) return;
      requireFiniteRow(store, row, batch.x.subarray(i * store.width, (i + 1) * store.width));
      isOrdinary[done + i] = 1;
    });
    done += batch.nRows;
  }
  return {
    ordinary: rows.filter((_, i) => isOrdinary[i] === 1),
    leftOut: rows.filter((_, i) => isOrdinary[i] === 0),
  };
}

function requireFiniteRow(store: Store, row: number, x: Float32Array): void {
  const at = firstNonFinite(x);
  if (at < 0) return;
  const { sites } = store.manifest;
  const site = sites.findLastIndex((_, i) => siteOffsets(sites)[i] <= at);
  const document = store.documents[store.rows.document[row]];
  throw new NumericsError(
    `${store.folder}: document ${document?.id ?? "?"}, position ${store.rows.position[row]}, site ${sites[site].name}, coordinate ${at - siteOffsets(sites)[site]}: expected a finite activation, got ${x[at]}`,
    { hint: "the store holds activations that are not finite: harvest it again" },
  );
}

/** Normalised batches of the rows with their codes as the dictionary encodes. x is valid until the next. */
export async function* encodedBatches({ store, dictionary, threads, signal }: FitOptions, rows: Uint32Array) {
  const encoder = await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads });
  try {
    for await (const { x, nRows } of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) {
      normaliseInPlace(x, nRows, dictionary);
      yield { x, nRows, codes: await encoder.encode(x, nRows) };
    }
  } finally {
    await encoder.dispose();
  }
}

export interface Fit {
  /** One for each of the means that were given. */
  sums: VarianceSums[];
  /** Of every batch of at least two rows, in the reference's way. */
  batchCentred: Record<string, number>[];
  /** Codes that are not 0. */
  nonZero: number;
  /** [nLatents] 1 where a latent fired at least once. */
  fired: Uint8Array;
}

/** One pass over the rows. means: [width] each, what Σ‖x − x̄‖² is taken about. */
export async function fitOfRows(
  options: FitOptions,
  { rows, means }: { rows: Uint32Array; means: readonly Float64Array[] },
): Promise<Fit> {
  const { dictionary } = options;
  const { width, nLatents, sites } = dictionary;
  const offsets = siteOffsets(sites);
  const names = options.store.manifest.sites.map(({ name }) => name);
  const fit: Fit = {
    sums: means.map(() => emptySums(sites.length)),
    batchCentred: [],
    nonZero: 0,
    fired: new Uint8Array(nLatents),
  };
  const residual = new Float32Array(Math.min(BATCH_ROWS, rows.length) * width);
  for await (const { x, nRows, codes } of encodedBatches(options, rows)) {
    decode(dictionary, codes, residual);
    for (let i = 0; i < nRows * width; i += 1) residual[i] = x[i] - residual[i];
    const batch = { x, residual, nRows, siteOffsets: offsets };
    means.forEach((mean, i) => {
      addSums(fit.sums[i], varianceSums({ ...batch, mean }));
    });
    if (nRows > 1) fit.batchCentred.push(fveOf(centredSums(batch), names));
    for (const latent of codes.latent) fit.fired[latent] = 1;
    fit.nonZero += codes.latent.length;
  }
  return fit;
}

/** Share of latents that did not fire. */
export function deadFractionOf({ fired }: Pick<Fit, "fired">): number {
  return 1 - fired.reduce((sum, value) => sum + value, 0) / fired.length;
}

/** Mean of the rows in the given space, [width] f64. */
export async function meanOfRows(
  { store, signal }: ReadOptions,
  { rows, space }: { rows: Uint32Array; space: Pick<Dictionary, "sites" | "normaliser"> },
): Promise<Float64Array> {
  const { width } = store;
  const mean = new Float64Array(width);
  for await (const { x, nRows } of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) {
    normaliseInPlace(x, nRows, space);
    columnMeans(x, { nRows, width }).forEach((value, i) => {
      mean[i] += (value * nRows) / rows.length;
    });
  }
  return mean;
}
