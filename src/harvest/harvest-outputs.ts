// What both models predict next at every held-out and test row, into a finished store's outputs/.
//
// The models pass one after the other, never both at once: the base's last residuals wait on disk (dModel numbers a row, not
// the vocabulary's), then the fine-tune runs and both heads turn residuals into logits, a slice of rows at a time. Whole
// forwards of the documents' own tokens; the stored residuals are not used: bf16 rounding would move every logit.
// The arithmetic is next-token.ts, the files are store/outputs-writer.ts.

import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FormatError, MismatchError, throwIfInterrupted } from "../errors.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createSuffix, type Suffix } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import {
  makeOutputColumns,
  OUTPUT_SPLITS,
  type OutputsManifest,
  outputShardFolder,
  readOutputsManifest,
} from "../store/outputs.ts";
import { createOutputsWriter, type OutputsWriter } from "../store/outputs-writer.ts";
import { ROW_COLUMNS, readRows } from "../store/row-file.ts";
import type { DocumentRecord } from "../store/rows.ts";
import { isCommitted } from "../store/store.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { compareTokenizers } from "../text/compare-tokenizers.ts";
import { readTokenizerJson } from "../text/tokenizer-file.ts";
import type { BuiltRows } from "./build-rows.ts";
import { harvestSite, type ShardSink } from "./harvest-site.ts";
import { type CommonIds, compareNextTokens, countCommon } from "./next-token.ts";
import type { Pair } from "./open-pair.ts";

export interface HarvestOutputsOptions {
  /** A finished store, made from `built`. */
  storeFolder: string;
  pair: Pair;
  /** Folder of the base model: its tokenizer. */
  base: string;
  built: BuiltRows;
  /** The finetuned side is a stand-in for the base: it reads the base's tokens and means the same by every id. Default false. */
  readsBase?: boolean;
  /** Padded tokens a forward. */
  batchTokens: number;
  /** Default: at most 32,768 and 64 MiB of last residuals. */
  rowsPerShard?: number | undefined;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Logits of both models that are held at a time, together. */
const MAX_LOGIT_BYTES = 64e6;

/** The manifest of outputs that need not be made again; undefined when there is anything to do. */
export async function findFinishedOutputs(storeFolder: string): Promise<OutputsManifest | undefined> {
  let manifest: OutputsManifest | undefined;
  try {
    manifest = await readOutputsManifest(storeFolder);
  } catch (error) {
    // Damaged or another store's: made anew over it.
    if (error instanceof FormatError || error instanceof MismatchError) return undefined;
    throw error;
  }
  for (const shard of manifest?.firstRows.keys() ?? []) {
    if (!(await isCommitted(outputShardFolder(storeFolder, shard)))) return undefined;
  }
  return manifest;
}

/** What a user should know of finished outputs, one sentence each. */
export function describeOutputs({ vocabulary, meanOutside }: OutputsManifest): string[] {
  const { base, finetuned, common } = vocabulary;
  if (common === base && common === finetuned) return [];
  const percent = (share: number): string => `${(100 * share).toPrecision(2)} %`;
  return [
    `outputs: KL goes over the ${common} token ids that mean the same in both models, of ${base} in the base and ${finetuned} in the ` +
      `fine-tune; to the others the base gives ${percent(meanOutside.base)} of its probability, the fine-tune ${percent(meanOutside.finetuned)}`,
  ];
}

/**
 * Makes outputs/ or what is missing of it. Run again after a stop it goes on with the next shard.
 *
 * Throws MismatchError when the store holds other rows than `built`, NumericsError for logits that are not finite,
 * ConfigError, FormatError, StorageError, InterruptedError.
 */
export async function harvestOutputs(
  options: HarvestOutputsOptions,
): Promise<{ manifest: OutputsManifest; warnings: string[] }> {
  const { storeFolder, pair, built, rowsPerShard } = options;
  await requireSameRows(storeFolder, built);
  const covered = coveredRows(built, options.readsBase === true);
  const ids = await commonIds(options);
  const { base, finetuned } = pair.checkpoints;
  const vocabulary = { base: base.config.vocabSize, finetuned: finetuned.config.vocabSize };
  const writer = await createOutputsWriter({
    storeFolder,
    rows: covered.rows,
    rowsPerShard,
    scratchWidth: base.config.dModel,
    vocabulary: { ...vocabulary, common: countCommon(ids) },
  });
  try {
    const missing = Array.from({ length: writer.nShards }, (_, shard) => shard).filter(
      (shard) => !writer.hasShard(shard),
    );
    if (missing.length > 0) {
      await passModel(options, covered, {
        side: "base",
        sink: {
          ...{ nShards: writer.nShards, shardRange: writer.shardRange },
          hasShard: (_, shard) => writer.hasShard(shard) || writer.hasScratch(shard),
          writeShard: (_, shard, residuals) => writer.writeScratch(shard, residuals),
        },
      });
      await passFinetuned(options, { covered, writer, ids });
    }
    const manifest = await writer.finish();
    return { manifest, warnings: [...writer.warnings, ...describeOutputs(manifest)] };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** Rows of the covered splits, one entry each, and the documents they make up. */
interface Covered {
  /** [n] row of the store, ascending. */
  rows: Uint32Array;
  /** rowStart and rowEnd count entries; index is that of the store. */
  documents: DocumentRecord[];
  /** [n] id that the model reads at the entry. */
  tokens: Record<ModelSide, Uint32Array>;
  /** [n] id that it reads next, −1 at the end of a document. */
  next: Record<ModelSide, Int32Array>;
}

function coveredRows({ rows, documents }: BuiltRows, readsBase: boolean): Covered {
  const kept = documents.filter(({ split }) => OUTPUT_SPLITS.includes(split));
  const n = kept.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0);
  const covered: Covered = {
    rows: new Uint32Array(n),
    documents: [],
    tokens: { base: new Uint32Array(n), finetuned: new Uint32Array(n) },
    next: { base: new Int32Array(n).fill(-1), finetuned: new Int32Array(n).fill(-1) },
  };
  const columns = { base: rows.tokenBase, finetuned: readsBase ? rows.tokenBase : rows.tokenFinetuned };
  let entry = 0;
  for (const document of kept) {
    const { rowStart, rowEnd } = document;
    const end = entry + rowEnd - rowStart;
    covered.documents.push({ ...document, rowStart: entry, rowEnd: end });
    for (const side of ["base", "finetuned"] as const) {
      covered.tokens[side].set(columns[side].subarray(rowStart, rowEnd), entry);
      covered.next[side].set(columns[side].subarray(rowStart + 1, rowEnd), entry);
    }
    for (let row = rowStart; row < rowEnd; row += 1) covered.rows[entry + row - rowStart] = row;
    entry = end;
  }
  return covered;
}

/** Throws MismatchError naming the first column and row that the store has otherwise. */
export async function requireSameRows(storeFolder: string, built: Pick<BuiltRows, "rows">): Promise<void> {
  const { rows } = await readRows(join(storeFolder, "rows"));
  for (const name of Object.keys(ROW_COLUMNS) as (keyof typeof ROW_COLUMNS)[]) {
    const [stored, made] = [rows[name], built.rows[name]];
    let row = 0;
    while (row < Math.max(stored.length, made.length) && stored[row] === made[row]) row += 1;
    if (row === Math.max(stored.length, made.length)) continue;
    throw new MismatchError(
      `${storeFolder}: ${name} of row ${row} is ${stored[row] ?? "absent"}, this harvest has ${made[row] ?? "none"}`,
      { hint: `harvest into another store (--store NAME), or remove ${storeFolder} to make this one anew` },
    );
  }
}

/** Ids below both vocabularies' ends, but for those that stand for another token in the base (only legal when replaced). */
export async function commonIds({
  pair,
  base,
  readsBase,
}: Pick<HarvestOutputsOptions, "pair" | "base" | "readsBase">): Promise<CommonIds> {
  const { checkpoints, tokenizer } = pair;
  const vocabulary = {
    base: checkpoints.base.config.vocabSize,
    finetuned: checkpoints.finetuned.config.vocabSize,
  };
  if (readsBase === true || pair.baseReplacements.size === 0) return { vocabulary };
  const [jsonBase, jsonFinetuned] = [
    await readTokenizerJson(base),
    await readTokenizerJson(tokenizer.folder),
  ];
  const { conflicts } = compareTokenizers(jsonBase, jsonFinetuned);
  const excluded = new Uint8Array(Math.min(vocabulary.base, vocabulary.finetuned));
  for (const { id } of conflicts) if (id < excluded.length) excluded[id] = 1;
  return conflicts.length === 0 ? { vocabulary } : { vocabulary, excluded };
}

/** Last residuals of one model, shard by shard, into the sink. */
async function passModel(
  options: HarvestOutputsOptions,
  { documents, tokens }: Covered,
  { side, sink }: { side: ModelSide; sink: ShardSink },
): Promise<void> {
  const { pair, built, readsBase, batchTokens, threads, device, signal } = options;
  const reads = readsBase === true ? "base" : side;
  const checkpoint = pair.checkpoints[side];
  const layer = lastLayer(checkpoint);
  await harvestSite({
    site: { name: `${side}-L${layer}`, model: side, layer, width: checkpoint.config.dModel },
    checkpoint,
    writer: sink,
    tokens: tokens[side],
    documents,
    skipped: built.skipped.map((ids) => ids[reads]),
    ...{ batchTokens, threads, device, signal },
    reportProgress: (progress) => options.reportProgress?.({ ...progress, stage: `outputs ${side}` }),
  });
}

function lastLayer({ config }: { config: { nLayers: number } }): number {
  return config.nLayers - 1;
}

/** The fine-tune's pass: its residuals as they come, the base's from scratch, both heads, a finished shard. */
async function passFinetuned(
  options: HarvestOutputsOptions,
  work: { covered: Covered; writer: OutputsWriter; ids: CommonIds },
): Promise<void> {
  const { pair, threads, device } = options;
  const { covered, writer } = work;
  const openHead = (side: ModelSide): Promise<Suffix> =>
    createSuffix(pair.checkpoints[side], {
      layer: lastLayer(pair.checkpoints[side]),
      ...(threads === undefined ? {} : { threads }),
      ...(device === undefined ? {} : { device }),
    });
  const base = await openHead("base");
  try {
    const finetuned = await openHead("finetuned");
    try {
      await passModel(options, covered, {
        side: "finetuned",
        sink: {
          ...{ nShards: writer.nShards, shardRange: writer.shardRange },
          hasShard: (_, shard) => writer.hasShard(shard),
          writeShard: async (_, shard, residuals) => {
            const both = { base: await writer.readScratch(shard), finetuned: residuals };
            await compareShard(options, { ...work, shard, residuals: both, heads: { base, finetuned } });
          },
        },
      });
    } finally {
      await finetuned.dispose();
    }
  } finally {
    await base.dispose();
  }
}

interface ShardWork {
  shard: number;
  covered: Covered;
  writer: OutputsWriter;
  ids: CommonIds;
  /** [entries of the shard, dModel] f32, raw activation units, after the last block. */
  residuals: Record<ModelSide, Float32Array>;
  heads: Record<ModelSide, Suffix>;
}

async function compareShard({ built, signal }: HarvestOutputsOptions, work: ShardWork): Promise<void> {
  const { shard, covered, writer, ids, residuals, heads } = work;
  const { rowStart, rowEnd } = writer.shardRange(shard);
  const n = rowEnd - rowStart;
  const columns = makeOutputColumns(n);
  columns.row.set(covered.rows.subarray(rowStart, rowEnd));
  const outside = { base: 0, finetuned: 0 };
  const place = (entry: number): string => {
    const row = columns.row[entry];
    const document = built.documents[built.rows.document[row]];
    return `row ${row} (document "${document.id}", position ${built.rows.position[row]})`;
  };
  const logitBytes = 4 * (ids.vocabulary.base + ids.vocabulary.finetuned);
  const sliceRows = Math.max(1, Math.floor(MAX_LOGIT_BYTES / logitBytes));
  for (let from = 0; from < n; from += sliceRows) {
    throwIfInterrupted(signal);
    const to = Math.min(n, from + sliceRows);
    const slice = async (side: ModelSide): Promise<Float32Array> => {
      const width = residuals[side].length / n;
      const residual = residuals[side].slice(from * width, to * width);
      // Rows are independent from here on: each is a sequence of its own.
      const lengths = new Int32Array(to - from).fill(1);
      return heads[side].run({ residual, batch: to - from, length: 1, lengths });
    };
    const nextOf = (side: ModelSide): Int32Array =>
      covered.next[side].subarray(rowStart + from, rowStart + to);
    const sums = compareNextTokens({
      ...ids,
      logits: { base: await slice("base"), finetuned: await slice("finetuned") },
      next: { base: nextOf("base"), finetuned: nextOf("finetuned") },
      into: columns,
      at: from,
      place,
    });
    outside.base += sums.base;
    outside.finetuned += sums.finetuned;
    // All of this runs on the main thread: without a turn of the event loop no Ctrl-C would ever be seen.
    await nextTurn();
  }
  await writer.writeShard(shard, columns, outside);
}
