// Both models over the same text: token rows first, then the residuals of one model after the other, into a store.
//
// Everything is a pure function of the inputs named in the store's identity, so a harvest that was stopped goes on with
// the shards that are missing, and one that is finished is recognised and not repeated. Rows are not read back on a
// resume but made again: tokenising takes seconds where a forward takes minutes.
// Reading activations is store/; what runs a model is lm/.

import { ConfigError, FormatError, throwIfInterrupted } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { openModel } from "../lm/adapter.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import type { ReportProgress } from "../progress.ts";
import { isCommitted, readStoreManifest } from "../store/store.ts";
import type { ModelSide, StoreDtype, StoreManifest } from "../store/store-contract.ts";
import { createStoreWriter } from "../store/store-writer.ts";
import { checkUsedIds } from "../text/check-pair.ts";
import type { InputDocument, TokenizedDocument } from "../text/document.ts";
import {
  createDocumentTokenizer,
  DEFAULT_MAX_TOKENS,
  type Refusal,
  type TokenizeCounts,
} from "../text/tokenize-document.ts";
import { type BuiltRows, buildRows } from "./build-rows.ts";
import { type CollectedDocuments, collectDocuments } from "./collect-documents.ts";
import { describeCounts, describeSplits } from "./describe-warnings.ts";
import { describeOutputs, findFinishedOutputs, harvestOutputs } from "./harvest-outputs.ts";
import { type HarvestCounts, readHarvestRecord, writeHarvestRecord } from "./harvest-record.ts";
import { harvestSite } from "./harvest-site.ts";
import { inspectPair } from "./inspect-pair.ts";
import { openPair, type Pair, SIDES } from "./open-pair.ts";

export interface HarvestOptions {
  /** Folders of the two checkpoints. */
  base: string;
  finetuned: string;
  /** Read once, to the end. */
  documents: AsyncIterable<InputDocument> | Iterable<InputDocument>;
  /** 0-based; residuals after this block. One number for both, or one each; default: the middle block of each. */
  layer?: number | Record<ModelSide, number> | undefined;
  /** Tokens, by their strings, that the base reads as others: from → to. Default: none. */
  baseReplacements?: Readonly<Record<string, string>> | undefined;
  /** Tokens at the start of each document that the models read but that are not stored, default 0. */
  skipFirst?: number | undefined;
  storeFolder: string;
  storeName: string;
  /** Default bf16. */
  dtype?: StoreDtype;
  /** Padded tokens a forward, default 1024: what stays in cache is fastest. */
  batchTokens?: number;
  /** Longest document in tokens, BOS included, default 512; longer ones are cut. */
  maxTokens?: number;
  /** Default: all cores. */
  threads?: number | undefined;
  /** Default: cpu. */
  device?: ExecutionDevice | undefined;
  /** Default: at most 32,768 rows and 64 MiB. */
  rowsPerShard?: number;
  /** Also what both models predict next at held-out and test rows (store/outputs.ts), default false. No part of the identity. */
  outputs?: boolean | undefined;
  /** Further facts that must be equal for a store to be reused. */
  identity?: Record<string, unknown>;
  /** Runs in the place of `finetuned`, whose tokenizer and template still make the rows. */
  standIn?: StandIn | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** Another model on the finetuned side: it reads the tokens that the base reads. */
export interface StandIn {
  /** 0-based. */
  layer: number;
  /** Closed by the harvest. */
  open(): Promise<Checkpoint>;
}

export interface HarvestResult {
  manifest: StoreManifest;
  /** One sentence each. */
  warnings: string[];
  counts: HarvestCounts;
}

const DEFAULT_BATCH_TOKENS = 1024;
const DEFAULT_DTYPE: StoreDtype = "bf16";
const TOKENIZE_BATCH_DOCUMENTS = 256;
/** Raised whenever the same chat would give other rows, so that a store of the older kind is not gone on with. */
const TEXT_FORMAT = 2;

/** What must be equal for rows and shards to be the same bytes (threads and batch size are left out: last-bit only). */
function buildIdentity(options: HarvestOptions, pair: Pair, facts: { dataHash: string; maxTokens: number }) {
  const { checkpoints, sites, tokenizer, template } = pair;
  return {
    ...options.identity,
    harvest: {
      modelBase: checkpoints.base.hash,
      modelFinetuned: checkpoints.finetuned.hash,
      sites: sites.map(({ name }) => name),
      tokenizer: tokenizer.hash,
      bos: tokenizer.bosId ?? null,
      template: template?.hash ?? null,
      documents: facts.dataHash,
      maxTokens: facts.maxTokens,
      textFormat: TEXT_FORMAT,
      baseReplacements: [...pair.baseReplacements],
      skipFirst: options.skipFirst ?? 0,
      dtype: options.dtype ?? DEFAULT_DTYPE,
      ...(options.standIn && { standIn: true }),
    },
  };
}

/** What an earlier harvest of exactly this left behind; undefined when there is anything to do. */
async function findFinished(
  storeFolder: string,
  identity: Record<string, unknown>,
): Promise<HarvestResult | undefined> {
  const record = await readHarvestRecord(storeFolder);
  if (record === undefined || !(await isCommitted(storeFolder))) return undefined;
  const { storeId: _, ...manifest } = await readStoreManifest(storeFolder);
  if (canonicalJson(manifest.identity) !== canonicalJson(identity)) return undefined;
  return { manifest, ...record };
}

async function tokenizeAll(
  { documents }: CollectedDocuments,
  options: { pair: Pair; maxTokens: number } & Pick<
    HarvestOptions,
    "skipFirst" | "reportProgress" | "signal"
  >,
): Promise<{ tokenized: TokenizedDocument[]; counts: TokenizeCounts; refusals: Refusal[] }> {
  const { pair, maxTokens, skipFirst = 0, reportProgress, signal } = options;
  const { tokenizer, template } = pair;
  const { tokenize, counts, refusals } = createDocumentTokenizer({
    tokenizer,
    template,
    maxTokens,
    baseReplacements: pair.baseReplacements,
    skipFirst,
  });
  const tokenized: TokenizedDocument[] = [];
  for (let at = 0; at < documents.length; at += TOKENIZE_BATCH_DOCUMENTS) {
    throwIfInterrupted(signal);
    tokenized.push(...(await tokenize(documents.slice(at, at + TOKENIZE_BATCH_DOCUMENTS))));
    const done = Math.min(documents.length, at + TOKENIZE_BATCH_DOCUMENTS);
    reportProgress?.({ stage: "tokenize", done, total: documents.length, unit: "documents" });
  }
  return { tokenized, counts, refusals };
}

/**
 * Harvests both models and finishes the store. Run again after a stop it goes on with the next shard.
 *
 * Throws ConfigError (layer, options), MismatchError (the models do not fit), FormatError (a document or file is bad),
 * NumericsError (a residual is not finite), StorageError, InterruptedError.
 */
export async function harvest(options: HarvestOptions): Promise<HarvestResult> {
  const { batchTokens = DEFAULT_BATCH_TOKENS } = options;
  if (!Number.isInteger(batchTokens) || batchTokens < 1) {
    throw new ConfigError(`batchTokens: expected a whole number above 0, got ${batchTokens}`);
  }
  const inspected = await inspectPair(options);
  const base = await openCheckpoint(options.base);
  try {
    const { standIn } = options;
    const finetuned = await (standIn?.open() ?? openModel(options.finetuned, { base: options.base }));
    try {
      const layer = standIn ? { ...inspected.layer, finetuned: standIn.layer } : inspected.layer;
      const pair = await openPair(options, { base, finetuned }, { ...inspected, layer });
      return await harvestPair({ ...options, batchTokens }, pair);
    } finally {
      await finetuned.close();
    }
  } finally {
    await base.close();
  }
}

async function harvestPair(
  options: HarvestOptions & { batchTokens: number },
  pair: Pair,
): Promise<HarvestResult> {
  const { storeFolder } = options;
  const { checkpoints } = pair;
  const wanted = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  const maxTokens = Math.min(wanted, ...SIDES.map((side) => checkpoints[side].config.maxPositions));
  const collected = await collectDocuments(options.documents, options.signal);
  const identity = buildIdentity(options, pair, { dataHash: collected.hash, maxTokens });
  const finished = await findFinished(storeFolder, identity);
  if (finished !== undefined && options.outputs !== true) return finished;
  const outputs = finished && (await findFinishedOutputs(storeFolder));
  if (finished && outputs) {
    return { ...finished, warnings: [...finished.warnings, ...describeOutputs(outputs)] };
  }

  const {
    tokenized,
    counts: tokenizeCounts,
    refusals,
  } = await tokenizeAll(collected, { ...options, pair, maxTokens });
  const built = buildRows(tokenized);
  const { nRows } = built.rows;
  if (nRows === 0 && refusals.length > 0) {
    throw new FormatError(
      `documents: expected at least one that the chat template accepts, got ${tokenizeCounts.refused} refused; ${refusals[0].id}: ${refusals[0].reason}`,
      { hint: "use a chat template for these messages, or give plain text" },
    );
  }
  if (nRows === 0) {
    throw new FormatError(
      `documents: expected at least one token, got none in ${tokenizeCounts.empty} documents`,
      { hint: "the tokenizer drops everything in them: check the data file" },
    );
  }
  checkIds(built, pair, options);
  const counts = { ...tokenizeCounts, duplicates: collected.nDuplicates, rows: nRows };
  const notes = describeCounts(counts, { maxTokens, isOfModels: maxTokens < wanted }, refusals);
  const result = finished ?? (await writeRecordedStore(options, { pair, built, identity, counts, notes }));
  if (options.outputs !== true) return result;
  const readsBase = options.standIn !== undefined;
  const { warnings } = await harvestOutputs({ ...options, pair, built, readsBase });
  return { ...result, warnings: [...result.warnings, ...warnings] };
}

interface StoreWork {
  pair: Pair;
  built: BuiltRows;
  identity: Record<string, unknown>;
}

/** The store and, last, its record; notes: what tokenising warned of. */
async function writeRecordedStore(
  options: HarvestOptions & { batchTokens: number },
  work: StoreWork & { counts: HarvestCounts; notes: string[] },
): Promise<HarvestResult> {
  const { counts, notes, pair } = work;
  const { manifest, warnings } = await writeStore(options, work);
  const record = {
    counts,
    warnings: [...pair.warnings, ...notes, ...describeSplits(manifest), ...warnings],
  };
  await writeHarvestRecord(options.storeFolder, record);
  return { manifest, ...record };
}

/** Every id has an embedding row in the model that reads it. Throws MismatchError naming document and position. */
function checkIds(
  { rows, documents }: BuiltRows,
  { checkpoints }: Pair,
  { standIn }: Pick<HarvestOptions, "standIn">,
): void {
  for (const side of SIDES) {
    const { folder, config } = checkpoints[side];
    checkUsedIds(side === "base" || standIn ? rows.tokenBase : rows.tokenFinetuned, {
      side,
      member: { folder, vocabSize: config.vocabSize },
      place: (row) => `document ${documents[rows.document[row]].id}, position ${rows.position[row]}`,
    });
  }
}

/** Rows, then every missing shard of one model after the other, then the manifest. */
async function writeStore(
  options: HarvestOptions & { batchTokens: number },
  { pair, built, identity }: StoreWork,
): Promise<{ manifest: StoreManifest; warnings: string[] }> {
  const { storeFolder, storeName, dtype = DEFAULT_DTYPE, rowsPerShard } = options;
  const { tokenizer, sites, checkpoints } = pair;
  const { rows, documents, skipped } = built;
  const writer = await createStoreWriter({
    ...built,
    folder: storeFolder,
    name: storeName,
    tokenizerHash: tokenizer.hash,
    sites: sites.map((site) => ({ site, dtype })),
    ...(rowsPerShard === undefined ? {} : { rowsPerShard }),
    identity,
  });
  try {
    for (const site of sites) {
      const reads = options.standIn ? "base" : site.model;
      await harvestSite({
        ...options,
        site,
        writer,
        documents,
        checkpoint: checkpoints[site.model],
        tokens: reads === "base" ? rows.tokenBase : rows.tokenFinetuned,
        skipped: skipped.map((ids) => ids[reads]),
      });
    }
    return { manifest: await writer.finish(), warnings: writer.warnings };
  } catch (error) {
    await writer.close();
    throw error;
  }
}
