// One model over the rows: residuals of every shard that is not committed yet, in the row order of the store.
//
// The model is loaded only when a shard is missing, and let go before the next model comes.

import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfInterrupted } from "../errors.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createPrefix, type Prefix } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import type { DocumentRecord } from "../store/rows.ts";
import type { Site } from "../store/store-contract.ts";
import type { StoreWriter } from "../store/store-writer.ts";
import { documentsInRange, planBatches } from "./plan-batches.ts";

/** Where shards go: a store's writer, or what stands in for one. */
export type ShardSink = Pick<StoreWriter, "nShards" | "shardRange" | "hasShard" | "writeShard">;

export interface HarvestSiteOptions {
  site: Site;
  checkpoint: Checkpoint;
  writer: ShardSink;
  /** Ids fed to this model, [nRows] u32. */
  tokens: Uint32Array;
  documents: DocumentRecord[];
  /** Ids that this model reads before the first row of each document, by document index; default: none. */
  skipped?: Uint32Array[] | undefined;
  /** Padded tokens a forward. */
  batchTokens: number;
  threads?: number | undefined;
  /** Default: cpu. */
  device?: ExecutionDevice | undefined;
  /** Called once, when the model is in memory. */
  onLoaded?: (() => void) | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

interface ShardWork extends HarvestSiteOptions {
  prefix: Prefix;
  rowStart: number;
  rowEnd: number;
  reportRows: (nRows: number) => void;
}

/** Rows that both ranges hold. */
function overlap(document: DocumentRecord, rowStart: number, rowEnd: number): { from: number; to: number } {
  return { from: Math.max(document.rowStart, rowStart), to: Math.min(document.rowEnd, rowEnd) };
}

/** Token ids of a document, after what is skipped of it. */
function idsOf({ index, rowStart, rowEnd }: DocumentRecord, { tokens, skipped }: ShardWork): Uint32Array {
  const rows = tokens.subarray(rowStart, rowEnd);
  const before = skipped?.[index];
  if (before === undefined) return rows;
  const ids = new Uint32Array(before.length + rows.length);
  ids.set(before);
  ids.set(rows, before.length);
  return ids;
}

/** Residuals of rows [rowStart, rowEnd): [row, width] f32. */
async function computeShard(work: ShardWork): Promise<Float32Array> {
  const { site, prefix, checkpoint, documents, skipped, batchTokens, rowStart, rowEnd, reportRows, signal } =
    work;
  const { width } = site;
  const shard = new Float32Array((rowEnd - rowStart) * width);
  const classOf = (length: number): number => batchClass(checkpoint.architecture, length);
  const lengthOf = (document: DocumentRecord): number =>
    document.rowEnd - document.rowStart + (skipped?.[document.index]?.length ?? 0);
  const inRange = documentsInRange(documents, rowStart, rowEnd);
  for (const batch of planBatches(inRange, { batchTokens, lengthOf, classOf })) {
    throwIfInterrupted(signal);
    const padded = rightPad(batch.map((document) => idsOf(document, work)));
    const [residual] = await prefix.run(padded);
    let nRows = 0;
    for (const [i, document] of batch.entries()) {
      const { from, to } = overlap(document, rowStart, rowEnd);
      const nBefore = skipped?.[document.index]?.length ?? 0;
      const source = (i * padded.length + nBefore + from - document.rowStart) * width;
      shard.set(residual.subarray(source, source + (to - from) * width), (from - rowStart) * width);
      nRows += to - from;
    }
    reportRows(nRows);
    // The forward runs on this thread: without a turn of the event loop no Ctrl-C would ever be seen.
    await nextTurn();
  }
  return shard;
}

/** Throws InterruptedError between batches; shards written before stay committed. */
export async function harvestSite(options: HarvestSiteOptions): Promise<void> {
  const { site, checkpoint, writer, tokens, threads, device, reportProgress, signal } = options;
  const shards = Array.from({ length: writer.nShards }, (_, i) => i);
  const missing = shards.filter((i) => !writer.hasShard(site.name, i));
  const sizeOf = (i: number): number => writer.shardRange(i).rowEnd - writer.shardRange(i).rowStart;
  let done = tokens.length - missing.reduce((sum, i) => sum + sizeOf(i), 0);
  const reportRows = (nRows: number): void => {
    done += nRows;
    reportProgress?.({ stage: `harvest ${site.model}`, done, total: tokens.length, unit: "tokens" });
  };
  if (missing.length === 0) return;
  reportRows(0);
  const prefix = await createPrefix(checkpoint, {
    layers: [site.layer],
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  });
  options.onLoaded?.();
  try {
    for (const i of missing) {
      throwIfInterrupted(signal);
      const { rowStart, rowEnd } = writer.shardRange(i);
      const shard = await computeShard({ ...options, prefix, rowStart, rowEnd, reportRows });
      await writer.writeShard(site.name, i, shard);
    }
  } finally {
    await prefix.dispose();
  }
}
