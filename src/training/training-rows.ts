// Which rows are trained on and how they are normalised: one pass over the training split before the first step.
//
// Left out: BOS rows and norm outliers. A normaliser is fitted on the rest, all of it. At 10^8 rows this pass should become statistics that the harvest writes; its result would be the same.

import type { Normaliser } from "../dictionary/dictionary.ts";
import { createNormaliserFit } from "../dictionary/normaliser.ts";
import { rowBatches, rowsOfSplit } from "../dictionary/row-batches.ts";
import { ConfigError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import { isNormOutlier, normLimits } from "../store/norm-outliers.ts";
import { SPLITS } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";

const BATCH_ROWS = 4096;

export interface TrainingRows {
  /** [store rows] 1 where a row is trained on. */
  included: Uint8Array;
  nIncluded: number;
  nBos: number;
  nOutliers: number;
  /** Largest ordinary norm a site, raw units. */
  normLimits: number[];
  /** The normaliser that brings these rows to a root mean square norm of targetRms a site. */
  normaliserFor: (targetRms: number) => Normaliser;
}

export interface TrainingRowsOptions {
  store: Store;
  outlierFactor: number;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/** Throws ConfigError when no row is left, NumericsError when activations are not finite or constant. */
export async function prepareTrainingRows(options: TrainingRowsOptions): Promise<TrainingRows> {
  const { store, outlierFactor, reportProgress, signal } = options;
  const { sites } = store.manifest;
  const rows = rowsOfSplit(store, "train");
  const limits = await normLimits(store, outlierFactor);
  const fit = createNormaliserFit(sites);
  const included = new Uint8Array(store.rows.nRows);
  let done = 0;
  for await (const batch of rowBatches({ store, rows, batchRows: BATCH_ROWS, signal })) {
    let kept = 0;
    for (let i = 0; i < batch.nRows; i += 1) {
      if (isNormOutlier(batch.x, i, { sites, limits })) continue;
      included[batch.rows[i]] = 1;
      batch.x.copyWithin(kept * store.width, i * store.width, (i + 1) * store.width);
      kept += 1;
    }
    fit.add(batch.x, kept);
    done += batch.nRows;
    reportProgress?.({ stage: "prepare training", done, total: rows.length, unit: "rows" });
  }
  if (fit.rows() === 0) {
    throw new ConfigError(`${store.folder}: expected rows of split "train" to learn from, got none`, {
      hint: "give more text: documents are split 8 : 1 : 1 or as the data file says",
    });
  }
  // For its check alone: this is what finds activations that are not finite, or constant, before the first step.
  fit.finish(1);
  const inSplit = store.rows.split.reduce((n, split) => n + (SPLITS[split] === "train" ? 1 : 0), 0);
  return {
    included,
    nIncluded: fit.rows(),
    nBos: inSplit - rows.length,
    nOutliers: rows.length - fit.rows(),
    normLimits: limits,
    normaliserFor: fit.finish,
  };
}
