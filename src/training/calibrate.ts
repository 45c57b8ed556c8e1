// After training: θ set on held-out rows so that the mean number of firing latents is k there, and the fit measured.
//
// The running θ of training is a mean of batch minima; what a user meets is threshold mode on new text. The exact
// quantile over a sample of held-out activations: θ is the (rows · k + 1)-th largest, so rows · k lie above it. A TopK
// dictionary gets one, too, for readers that know thresholds alone; its fit is measured as it encodes. ReLU + L1: θ = 0.

import { decode } from "../dictionary/decode.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { latentWeights, siteOffsets } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { type RowBatch, rowBatches, rowsOfSplit, spreadSample } from "../dictionary/row-batches.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { columnMeans, fveOf, varianceSums } from "./metrics.ts";

const BATCH_ROWS = 1024;

export interface CalibrationOptions {
  store: Store;
  dictionary: Dictionary;
  /** Largest ordinary norms, as in training. */
  normLimits: readonly number[];
  /** Most rows to look at. */
  calibrationRows: number;
  threads?: number;
  signal?: AbortSignal;
}

export interface Calibration {
  /** θ, a number that f32 holds exactly. */
  threshold: number;
  /** "heldout", or "train" when the store has no held-out rows. */
  split: Split;
  nRows: number;
  /** As the dictionary encodes, with this θ, pooled over these rows. */
  fve: Record<string, number>;
  l0: number;
  /** Share of latents that never fired on these rows. */
  deadFraction: number;
}

/** The dictionary's own inferenceThreshold (≥ 0: a first guess) is not changed. Throws what the store throws. */
export async function calibrateThreshold(options: CalibrationOptions): Promise<Calibration> {
  const { store, dictionary, calibrationRows } = options;
  const heldout = rowsOfSplit(store, "heldout");
  const split: Split = heldout.length > 0 ? "heldout" : "train";
  const rows = spreadSample(split === "heldout" ? heldout : rowsOfSplit(store, "train"), calibrationRows);
  const kept = await ordinaryRows(options, rows);
  const threshold = dictionary.k === 0 ? 0 : await thresholdFor(options, kept, kept.length * dictionary.k);
  return {
    threshold,
    split,
    nRows: kept.length,
    ...(await measureFit({ ...options, dictionary: { ...dictionary, inferenceThreshold: threshold } }, kept)),
  };
}

/** Without norm outliers. */
async function ordinaryRows(
  { store, normLimits: limits, signal }: CalibrationOptions,
  rows: Uint32Array,
): Promise<Uint32Array> {
  const { sites } = store.manifest;
  const kept: number[] = [];
  for await (const batch of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) {
    batch.rows.forEach((row, i) => {
      if (!isNormOutlier(batch.x, i, { sites, limits })) kept.push(row);
    });
  }
  return Uint32Array.from(kept);
}

/** Normalised batches of the rows with their codes at the dictionary's threshold. */
async function* encoded({ store, dictionary, threads, signal }: CalibrationOptions, rows: Uint32Array) {
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

/** The (wanted + 1)-th largest activation over the rows; 0 when no more than `wanted` are positive. */
async function thresholdFor(options: CalibrationOptions, rows: Uint32Array, wanted: number): Promise<number> {
  const { dictionary } = options;
  const weight = latentWeights(dictionary);
  // Only activations above a guess are gathered, to save memory; a guess that is too high is halved, at last 0.
  for (let bound = Math.max(0, dictionary.inferenceThreshold) / 2; ; bound = bound < 1e-6 ? 0 : bound / 4) {
    const parts: Float32Array[] = [];
    let found = 0;
    const lowered: Dictionary = { ...dictionary, selection: "threshold", inferenceThreshold: bound };
    for await (const { codes } of encoded({ ...options, dictionary: lowered }, rows)) {
      parts.push(codes.code.map((code, entry) => code * weight[codes.latent[entry]]));
      found += codes.code.length;
    }
    if (found > wanted) {
      const all = new Float32Array(found);
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all.sort()[found - 1 - wanted];
    }
    if (bound === 0) return 0;
  }
}

async function measureFit(
  options: CalibrationOptions,
  rows: Uint32Array,
): Promise<Pick<Calibration, "fve" | "l0" | "deadFraction">> {
  const { dictionary, store } = options;
  const { width, nLatents, sites } = dictionary;
  const offsets = siteOffsets(sites);
  const mean = await meanOf(options, rows);
  const fired = new Uint8Array(nLatents);
  const sums = { residual: sites.map(() => 0), total: sites.map(() => 0) };
  let nonZero = 0;
  const residual = new Float32Array(BATCH_ROWS * width);
  for await (const { x, nRows, codes } of encoded(options, rows)) {
    decode(dictionary, codes, residual);
    for (let i = 0; i < nRows * width; i += 1) residual[i] = x[i] - residual[i];
    const part = varianceSums({ x, residual, mean, nRows, siteOffsets: offsets });
    sites.forEach((_, site) => {
      sums.residual[site] += part.residual[site];
      sums.total[site] += part.total[site];
    });
    for (const latent of codes.latent) fired[latent] = 1;
    nonZero += codes.latent.length;
  }
  return {
    fve: fveOf(
      sums,
      store.manifest.sites.map(({ name }) => name),
    ),
    l0: nonZero / rows.length,
    deadFraction: 1 - fired.reduce((sum, value) => sum + value, 0) / nLatents,
  };
}

/** Mean of the normalised rows, [width] f64. */
async function meanOf(
  { store, dictionary, signal }: CalibrationOptions,
  rows: Uint32Array,
): Promise<Float64Array> {
  const mean = new Float64Array(dictionary.width);
  const add = ({ x, nRows }: RowBatch): void => {
    normaliseInPlace(x, nRows, dictionary);
    columnMeans(x, { nRows, width: dictionary.width }).forEach((value, i) => {
      mean[i] += (value * nRows) / rows.length;
    });
  };
  for await (const batch of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) add(batch);
  return mean;
}
