// After training: θ set on held-out rows so that the mean number of firing latents is k there, and the fit measured.
//
// The running θ of training is a mean of batch minima; what a user meets is threshold mode on new text. The exact
// quantile over a sample of held-out activations: θ is the (rows · k + 1)-th largest, so rows · k lie above it. A TopK
// dictionary gets one, too, for readers that know thresholds alone; its fit is measured as it encodes. ReLU + L1: θ = 0.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { rowsOfSplit, spreadSample } from "../dictionary/row-batches.ts";
import type { Split } from "../store/rows.ts";
import { fveOf } from "./fve.ts";
import {
  deadFractionOf,
  encodedBatches,
  type FitOptions,
  fitOfRows,
  judgedSplit,
  meanOfRows,
  partRows,
} from "./heldout-fit.ts";

export interface CalibrationOptions extends FitOptions {
  /** Largest ordinary norms, as in training. */
  normLimits: readonly number[];
  /** Most rows to look at. */
  calibrationRows: number;
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

/**
 * The dictionary's own inferenceThreshold (≥ 0: a first guess) is not changed. Throws NumericsError for rows that are not
 * finite, and what the store throws.
 */
export async function calibrateThreshold(options: CalibrationOptions): Promise<Calibration> {
  const { store, dictionary, calibrationRows } = options;
  const split = judgedSplit(store);
  const sample = spreadSample(rowsOfSplit(store, split), calibrationRows);
  const rows = (await partRows(options, { ...options, rows: sample })).ordinary;
  const threshold = dictionary.k === 0 ? 0 : await thresholdFor(options, rows, rows.length * dictionary.k);
  const calibrated = { ...options, dictionary: { ...dictionary, inferenceThreshold: threshold } };
  const mean = await meanOfRows(options, { rows, space: dictionary });
  const fit = await fitOfRows(calibrated, { rows, means: [mean] });
  return {
    threshold,
    split,
    nRows: rows.length,
    fve: fveOf(
      fit.sums[0],
      store.manifest.sites.map(({ name }) => name),
    ),
    l0: fit.nonZero / rows.length,
    deadFraction: deadFractionOf(fit),
  };
}

/** The (wanted + 1)-th largest activation over the rows; 0 when no more than `wanted` are positive. */
async function thresholdFor(options: FitOptions, rows: Uint32Array, wanted: number): Promise<number> {
  const { dictionary } = options;
  const weight = latentWeights(dictionary);
  // Only activations above a guess are gathered, to save memory; a guess that is too high is halved, at last 0.
  for (let bound = Math.max(0, dictionary.inferenceThreshold) / 2; ; bound = bound < 1e-6 ? 0 : bound / 4) {
    const parts: Float32Array[] = [];
    let found = 0;
    const lowered: Dictionary = { ...dictionary, selection: "threshold", inferenceThreshold: bound };
    for await (const { codes } of encodedBatches({ ...options, dictionary: lowered }, rows)) {
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
