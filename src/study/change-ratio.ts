// How far a model's residuals are from the base's: mean over rows of ‖Δh‖²/‖h_base‖², on a fixed sample of a store's documents.
//
// The pair's own figure comes from its stored rows. For another model the same documents are run, rounded as the store rounds.
// BOS rows and norm outliers are left out. Not here: what is done with it (noise-scale.ts).

import { setImmediate as nextTurn } from "node:timers/promises";
import { MismatchError, NumericsError, throwIfInterrupted } from "../errors.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createPrefix } from "../lm/runner.ts";
import { bf16ToF32, f32ToBf16 } from "../numerics/dtypes.ts";
import { createRng, keyedPermutation } from "../numerics/rng.ts";
import type { ReportProgress } from "../progress.ts";
import { isNormOutlier, normLimits } from "../store/norm-outliers.ts";
import { type DocumentRecord, ROLES } from "../store/rows.ts";
import type { Store, StoreDtype } from "../store/store-contract.ts";

/** Rows of the sample, BOS rows and outliers among them. */
export const CHANGE_SAMPLE = { rows: 8192, batchTokens: 1024 } as const;

export interface ChangeSample {
  /** Whole documents in store order, with the ids that the base reads. */
  documents: (DocumentRecord & { ids: Uint32Array })[];
  /** [nRows] into the documents' rows laid end to end: those that count. */
  rows: Uint32Array;
  width: number;
  dtype: StoreDtype;
  /** [nRows, width] f32 of the base, as stored, raw activation units. */
  base: Float32Array;
  /** Of the store's pair. */
  pairRatio: number;
}

/**
 * A sample of a pair's store: documents in an order of their own while they fit into 8,192 rows, at least one.
 *
 * Throws MismatchError for sites of different width, which have no difference, or when no row is left; NumericsError.
 */
export async function sampleChange(store: Store): Promise<ChangeSample> {
  const [base, finetuned] = store.manifest.sites;
  if (finetuned === undefined || base.width !== finetuned.width) {
    throw new MismatchError(
      `${store.folder}: expected two sites of one width, got ${store.manifest.sites.map((site) => `${site.name} of width ${site.width}`).join(", ")}`,
      { hint: "residuals of different width have no difference that noise could be scaled to" },
    );
  }
  const { width } = base;
  const limits = await normLimits(store);
  const documents = chooseDocuments(store.documents).map((document) => ({
    ...document,
    ids: store.rows.tokenBase.slice(document.rowStart, document.rowEnd),
  }));
  const rows: number[] = [];
  const parts: Record<"base" | "finetuned", Float32Array[]> = { base: [], finetuned: [] };
  let offset = 0;
  for (const { rowStart, rowEnd } of documents) {
    const x = await store.read(rowStart, rowEnd);
    for (let i = 0; i < rowEnd - rowStart; i += 1) {
      if (ROLES[store.rows.role[rowStart + i]] === "bos") continue;
      if (isNormOutlier(x, i, { sites: store.manifest.sites, limits })) continue;
      rows.push(offset + i);
      parts.base.push(x.subarray(i * 2 * width, (i * 2 + 1) * width));
      parts.finetuned.push(x.subarray((i * 2 + 1) * width, (i * 2 + 2) * width));
    }
    offset += rowEnd - rowStart;
  }
  if (rows.length === 0) {
    throw new MismatchError(
      `${store.folder}: expected rows that are neither BOS nor norm outliers, got none`,
    );
  }
  const stored = joinRows(parts.base, width);
  return {
    documents,
    rows: Uint32Array.from(rows),
    width,
    dtype: finetuned.dtype,
    base: stored,
    pairRatio: changeRatio(joinRows(parts.finetuned, width), stored, width),
  };
}

/** In the order of a permutation that every run draws alike; returned in store order. */
function chooseDocuments(all: readonly DocumentRecord[]): DocumentRecord[] {
  const order = keyedPermutation(createRng(0, "change sample"), 0, all.length);
  const chosen: DocumentRecord[] = [];
  let room: number = CHANGE_SAMPLE.rows;
  for (let i = 0; i < all.length && room > 0; i += 1) {
    const document = all[order(i)];
    const nRows = document.rowEnd - document.rowStart;
    if (nRows === 0 || (nRows > room && chosen.length > 0)) continue;
    chosen.push(document);
    room -= nRows;
  }
  return chosen.sort((a, b) => a.rowStart - b.rowStart);
}

function joinRows(rows: Float32Array[], width: number): Float32Array {
  const all = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) all.set(row, i * width);
  return all;
}

/** changed, base: [nRows, width]. Summed in f64. Throws NumericsError for a base row of norm 0. */
export function changeRatio(changed: Float32Array, base: Float32Array, width: number): number {
  let sum = 0;
  for (let start = 0; start < base.length; start += width) {
    let change = 0;
    let size = 0;
    for (let i = start; i < start + width; i += 1) {
      change += (changed[i] - base[i]) ** 2;
      size += base[i] ** 2;
    }
    if (size === 0) {
      throw new NumericsError(
        `row ${start / width} of the sample: expected a residual of the base, got zeros`,
      );
    }
    sum += change / size;
  }
  return sum / (base.length / width);
}

export interface RunSampleOptions {
  sample: ChangeSample;
  /** 0-based. */
  layer: number;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  /** As progress names it. */
  stage: string;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Residuals of a model over the sample's rows, rounded to the store's dtype: [nRows, width] f32. */
export async function runSample(checkpoint: Checkpoint, options: RunSampleOptions): Promise<Float32Array> {
  const { sample, layer, stage, threads, device, reportProgress, signal } = options;
  const { documents, width } = sample;
  const starts = new Map<number, number>();
  let total = 0;
  for (const { index, ids } of documents) {
    starts.set(index, total);
    total += ids.length;
  }
  const all = new Float32Array(total * width);
  const prefix = await createPrefix(checkpoint, {
    layers: [layer],
    ...(threads !== undefined && { threads }),
    ...(device !== undefined && { device }),
  });
  try {
    let done = 0;
    const classOf = (length: number): number => batchClass(checkpoint.architecture, length);
    for (const batch of planBatches(documents, { batchTokens: CHANGE_SAMPLE.batchTokens, classOf })) {
      throwIfInterrupted(signal);
      const padded = rightPad(batch.map(({ ids }) => ids));
      const [residual] = await prefix.run(padded);
      for (const [i, { index, ids }] of batch.entries()) {
        const from = i * padded.length * width;
        all.set(residual.subarray(from, from + ids.length * width), (starts.get(index) as number) * width);
        done += ids.length;
      }
      reportProgress?.({ stage, done, total, unit: "tokens" });
      await nextTurn(); // the forward runs on this thread
    }
  } finally {
    await prefix.dispose();
  }
  const kept = new Float32Array(sample.rows.length * width);
  for (const [i, row] of sample.rows.entries())
    kept.set(all.subarray(row * width, (row + 1) * width), i * width);
  return sample.dtype === "bf16" ? bf16ToF32(f32ToBf16(kept), kept) : kept;
}
