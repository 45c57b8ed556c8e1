// Rows of chosen splits in store order, normalised and encoded, a batch at a time.
//
// The next batch is read and handed to the encoder before the caller gets the current one, so that a device which
// computes beside this thread overlaps with it (onnxruntime's CPU provider does not yet: it runs on the calling thread).
// Nothing is kept: memory is two batches. BOS rows are included; callers drop them.

import type { Dictionary, Encoder, SparseCodes } from "../dictionary/dictionary.ts";
import { MismatchError, throwIfInterrupted } from "../errors.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";

/** Valid until the next batch is asked for. */
export interface EncodedBatch {
  nRows: number;
  /** [nRows] index into the store's rows, ascending. */
  rows: Uint32Array;
  /** [nRows, width] f32, the dictionary's own space. */
  x: Float32Array;
  codes: SparseCodes;
  /** [nRows] 1 where the raw norm at some site is above its limit; all 0 without limits. */
  normOutlier: Uint8Array;
}

/** Turns raw activations [nRows, width] into the dictionary's space, in place. */
export type NormaliseInPlace = (x: Float32Array, nRows: number) => void;

export interface EncodedRowsOptions {
  store: Store;
  splits: readonly Split[];
  encoder: Encoder;
  normalise: NormaliseInPlace;
  /** Largest ordinary norm of every site, raw activation units. */
  normLimits?: readonly number[];
  signal?: AbortSignal;
}

/** Row ranges of documents in the given splits, neighbours joined: [start, end) pairs, ascending. */
export function rowRanges(store: Store, splits: readonly Split[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const document of store.documents) {
    if (!splits.includes(document.split) || document.rowStart === document.rowEnd) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === document.rowStart) last[1] = document.rowEnd;
    else ranges.push([document.rowStart, document.rowEnd]);
  }
  return ranges;
}

/** Rows that encodedRows will give for these splits. */
export function countRows(store: Store, splits: readonly Split[]): number {
  return rowRanges(store, splits).reduce((sum, [start, end]) => sum + end - start, 0);
}

/** Throws InterruptedError between batches when the signal fires, and what the store and the encoder throw. */
export async function* encodedRows(options: EncodedRowsOptions): AsyncGenerator<EncodedBatch> {
  const { store, encoder, normalise, signal } = options;
  const pieces = cutIntoBatches(rowRanges(store, options.splits), encoder.maxRows);
  const buffers = [0, 1].map(() => ({
    x: new Float32Array(encoder.maxRows * store.width),
    rows: new Uint32Array(encoder.maxRows),
  }));

  /** Reads batch number b and starts its encoding. */
  const start = async (b: number): Promise<{ codes: Promise<SparseCodes>; batch: EncodedBatch }> => {
    throwIfInterrupted(signal);
    const { x, rows } = buffers[b % 2];
    let nRows = 0;
    for (const [from, to] of pieces[b]) {
      const at = nRows * store.width;
      await store.read(from, to, x.subarray(at, at + (to - from) * store.width));
      for (let row = from; row < to; row += 1) rows[nRows++] = row;
    }
    const used = x.subarray(0, nRows * store.width);
    const normOutlier = flagNormOutliers(used, nRows, { store, normLimits: options.normLimits });
    normalise(used, nRows);
    const codes = encoder.encode(used, nRows);
    codes.catch(() => {}); // awaited below; a caller that stops early must not leave a rejection nobody hears
    const batch = { nRows, rows: rows.subarray(0, nRows), x: used, normOutlier };
    return { codes, batch: batch as EncodedBatch };
  };

  let next = pieces.length > 0 ? await start(0) : undefined;
  for (let b = 0; next !== undefined; b += 1) {
    const { batch, codes }: Awaited<ReturnType<typeof start>> = next;
    batch.codes = await codes;
    next = b + 1 < pieces.length ? await start(b + 1) : undefined;
    yield batch;
  }
}

/** One flag a row of x [nRows, width], raw activation units. */
function flagNormOutliers(
  x: Float32Array,
  nRows: number,
  { store, normLimits: limits }: { store: Store; normLimits: readonly number[] | undefined },
): Uint8Array {
  const flags = new Uint8Array(nRows);
  if (limits === undefined) return flags;
  const { sites } = store.manifest;
  for (let row = 0; row < nRows; row += 1) flags[row] = isNormOutlier(x, row, { sites, limits }) ? 1 : 0;
  return flags;
}

/** Lists of [start, end) pieces, each list at most maxRows rows. */
function cutIntoBatches(ranges: [number, number][], maxRows: number): [number, number][][] {
  const batches: [number, number][][] = [];
  let room = 0;
  for (const [start, end] of ranges) {
    for (let at = start; at < end; ) {
      if (room === 0) {
        batches.push([]);
        room = maxRows;
      }
      const taken = Math.min(room, end - at);
      batches.at(-1)!.push([at, at + taken]);
      at += taken;
      room -= taken;
    }
  }
  return batches;
}

/** Throws MismatchError unless the store holds the two sites, base then finetuned, that the dictionary was made for. */
export function assertBelongTogether(
  store: Pick<Store, "folder" | "manifest">,
  dictionary: Dictionary,
): void {
  const describe = (sites: readonly { model: string; layer: number; width: number }[]): string =>
    sites.map((site) => `${site.model} layer ${site.layer} width ${site.width}`).join(", ") || "none";
  const expected = describe(dictionary.sites);
  const got = describe(store.manifest.sites);
  if (expected !== got) {
    throw new MismatchError(`${store.folder}: the dictionary was made for sites ${expected}, got ${got}`, {
      hint: "measure the dictionary on the store it was trained on, or on one harvested at the same layers",
    });
  }
  const [base, finetuned] = dictionary.sites;
  if (dictionary.sites.length !== 2 || base.model !== "base" || finetuned.model !== "finetuned") {
    throw new MismatchError(`dictionary: expected two sites, base then finetuned, got ${expected}`, {
      hint: "Latent Scaling compares a base model with its fine-tune: train on a store that holds both",
    });
  }
  if (!(dictionary.inferenceThreshold >= 0)) {
    throw new MismatchError(
      `dictionary: expected a calibrated inference threshold (≥ 0), got ${dictionary.inferenceThreshold}`,
      { hint: "finish the training, which calibrates the threshold on held-out rows" },
    );
  }
}
