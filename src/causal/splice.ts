// What a dictionary's reconstruction costs each model: its residual replaced by it, its later layers run on, its predictions held against
// its own.
//
// The usual loss-recovered figures of sparse dictionaries, over text and chats alike. Each model is spliced by itself with its own later
// layers: the other is needed only for the codes, so the two may differ in width. BOS and norm outliers stay as they are unless
// asked otherwise: the dictionary was not trained on them. splice-reference.ts is the same, a document and row at a time. Short
// enough to be made again from the start: nothing is kept of an interrupted run.

import { setImmediate as nextTurn } from "node:timers/promises";
import { decode } from "../dictionary/decode.ts";
import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { denormaliseInPlace, normaliseInPlace } from "../dictionary/normaliser.ts";
import { ConfigError, MismatchError, NumericsError, ShapeError, throwIfInterrupted } from "../errors.ts";
import { SIDES } from "../harvest/open-pair.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass, type ResidualBatch, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { createPrefix, type ExecutionDevice, type Prefix } from "../lm/runner.ts";
import type { ReportProgress } from "../progress.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { SpliceOutcome } from "./causal-contract.ts";
import type { SpliceDocument } from "./splice-documents.ts";
import { openSpliceTail, type SpliceSums, type SpliceTail, type TailBatch } from "./splice-tail.ts";

export const SPLICE_SETTINGS = {
  /** Padded rows of one forward; fastest on the CPU, where they stay in cache. */
  batchTokens: 1536,
  /** Rows encoded at a time. */
  encoderRows: 1024,
} as const;

export interface SpliceOptions {
  checkpoints: Record<ModelSide, Checkpoint>;
  /** The compared layer of each model. */
  layers: Record<ModelSide, number>;
  /** As trained, normaliser included; one site of each model. */
  dictionary: Dictionary;
  /** Held-out text and chats. */
  documents: readonly SpliceDocument[];
  /** Largest ordinary ‖h‖₂ of every site of the dictionary, raw activation units: normLimits of the store it was trained on. */
  normLimits: readonly number[];
  /** BOS, skipped leading tokens and norm outliers are replaced like any other row. Default false: they stay as they are. */
  spliceAll?: boolean;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface SpliceResult {
  outcomes: Record<ModelSide, SpliceOutcome>;
  documents: number;
  /** Measured rows at norm outliers (of either model), whose residual stays unless spliceAll. */
  outliers: number;
  spliceAll: boolean;
}

/**
 * Cross-entropy and KL of each model with its residual replaced by its reconstruction, by the mean residual and by zeros.
 *
 * Measured: every row that is not BOS nor skipped and has a next token, outliers among them. Replaced: every row of a document but those that
 * stay, so later layers attend to replaced rows. The mean is over measured rows that are no outliers. KL is KL(p_model ‖ p_spliced).
 * Loss recovered = (CE_ablated − CE_spliced) / (CE_ablated − CE_model), not clamped; NaN where the ablation costs nothing.
 * Throws MismatchError (dictionary of other models or layers), ShapeError (arrays of different length), ConfigError (no row to measure,
 * more tokens than positions), NumericsError for a residual or logit that is not finite (document, position), InterruptedError.
 */
export async function spliceMetrics(options: SpliceOptions): Promise<SpliceResult> {
  const { checkpoints, layers, dictionary, documents, spliceAll = false } = options;
  requireBelonging(options);
  for (const document of documents) requireWhole(document);
  const run = runOptions(options);
  const opened: { dispose(): Promise<void> }[] = [];
  const keep = async <T extends { dispose(): Promise<void> }>(piece: Promise<T>): Promise<T> => {
    opened.push(await piece);
    return piece;
  };
  try {
    const openPrefix = (side: ModelSide): Promise<Prefix> =>
      keep(createPrefix(checkpoints[side], { layers: [layers[side]], ...run }));
    const prefixes = { base: await openPrefix("base"), finetuned: await openPrefix("finetuned") };
    const { means, outliers } = await meanResiduals(options, prefixes);

    const { encoderRows } = SPLICE_SETTINGS;
    const encoder = await keep(createEncoder(dictionary, { maxRows: encoderRows, threads: run.threads }));
    const openTail = (side: ModelSide): Promise<SpliceTail> =>
      keep(openSpliceTail(checkpoints[side], { layer: layers[side], ...run }));
    const tails = { base: await openTail("base"), finetuned: await openTail("finetuned") };
    for await (const batch of pairBatches(options, { prefixes, stage: "splice" })) {
      const reconstruction = await reconstruct(dictionary, encoder, batch);
      for (const side of SIDES) {
        await tails[side].add(tailBatch(options, { batch, side, reconstruction, mean: means[side] }));
      }
    }
    return {
      outcomes: { base: outcomeOf(tails.base.sums), finetuned: outcomeOf(tails.finetuned.sums) },
      ...{ documents: documents.length, outliers, spliceAll },
    };
  } finally {
    for (const piece of opened) await piece.dispose();
  }
}

/** Real rows of some documents, one document after another. */
interface PairBatch {
  documents: SpliceDocument[];
  /** Padded residuals as the models made them. */
  padded: Record<ModelSide, ResidualBatch>;
  nRows: number;
  /** [nRows, width] f32, sites side by side in the dictionary's order, raw activation units. */
  x: Float32Array;
  /** [nRows] 1 for norm outliers that are not left out anyway. */
  isOutlier: Uint8Array;
}

/** Residuals of both models, batches of like length. */
async function* pairBatches(
  options: SpliceOptions,
  { prefixes, stage }: { prefixes: Record<ModelSide, Prefix>; stage: string },
): AsyncGenerator<PairBatch> {
  const { documents, checkpoints, dictionary, normLimits, reportProgress, signal } = options;
  const { sites, width } = dictionary;
  const offsets = siteOffsets(sites);
  const items = documents.map((document, rowStart) => ({
    ...{ document, rowStart, rowEnd: rowStart + document.tokenBase.length },
  }));
  const classOf = (length: number): number =>
    2 * batchClass(checkpoints.base.architecture, length) +
    batchClass(checkpoints.finetuned.architecture, length);
  const total = items.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0);
  let done = 0;
  reportProgress?.({ stage, done, total, unit: "tokens" });
  for (const planned of planBatches(items, { batchTokens: SPLICE_SETTINGS.batchTokens, classOf })) {
    throwIfInterrupted(signal);
    const batch = planned.map(({ document }) => document);
    const forward = async (side: ModelSide): Promise<ResidualBatch> => {
      const tokens = rightPad(batch.map((document) => tokensOf(document, side)));
      const [residual] = await prefixes[side].run(tokens);
      await nextTurn();
      return { residual, batch: tokens.batch, length: tokens.length, lengths: tokens.lengths };
    };
    const padded = { base: await forward("base"), finetuned: await forward("finetuned") };
    const nRows = batch.reduce((sum, { tokenBase }) => sum + tokenBase.length, 0);
    const x = new Float32Array(nRows * width);
    const isOutlier = new Uint8Array(nRows);
    for (const { row, source, document, position } of realRows(batch, padded.base.length)) {
      for (const [site, { model, width: dModel }] of sites.entries()) {
        const h = padded[model].residual.subarray(source * dModel, (source + 1) * dModel);
        requireFinite(h, { model, document, position });
        x.set(h, row * width + offsets[site]);
      }
      const isOver = document.isLeft[position] === 0 && isNormOutlier(x, row, { sites, limits: normLimits });
      isOutlier[row] = Number(isOver);
    }
    yield { documents: batch, padded, nRows, x, isOutlier };
    done += nRows;
    reportProgress?.({ stage, done, total, unit: "tokens" });
    await nextTurn();
  }
}

/** Every real row: its index among them and among the padded ones. */
function* realRows(
  documents: readonly SpliceDocument[],
  length: number,
): Generator<{ row: number; source: number; document: SpliceDocument; position: number }> {
  let row = 0;
  for (const [i, document] of documents.entries()) {
    for (let position = 0; position < document.tokenBase.length; position += 1) {
      yield { row, source: i * length + position, document, position };
      row += 1;
    }
  }
}

const isMeasured = ({ isLeft }: SpliceDocument, position: number): boolean =>
  isLeft[position] === 0 && position + 1 < isLeft.length;

/** Mean residual of each model over measured rows that are no outliers, [dModel] f32; and how many measured rows are outliers. */
async function meanResiduals(
  options: SpliceOptions,
  prefixes: Record<ModelSide, Prefix>,
): Promise<{ means: Record<ModelSide, Float32Array>; outliers: number }> {
  const { sites, width } = options.dictionary;
  const sum = new Float64Array(width);
  let [nMean, outliers] = [0, 0];
  for await (const { documents, padded, x, isOutlier } of pairBatches(options, {
    prefixes,
    stage: "splice mean",
  })) {
    for (const { row, document, position } of realRows(documents, padded.base.length)) {
      if (!isMeasured(document, position)) continue;
      if (isOutlier[row] === 1) {
        outliers += 1;
        continue;
      }
      nMean += 1;
      for (let i = 0; i < width; i += 1) sum[i] += x[row * width + i];
    }
  }
  if (nMean === 0) {
    throw new ConfigError(
      `splice: expected a row to replace (not BOS, no norm outlier, with a next token), got none in ${options.documents.length} documents`,
      { hint: "give longer texts, or the norm limits of the store that the dictionary was trained on" },
    );
  }
  const offsets = siteOffsets(sites);
  const meanOf = (side: ModelSide): Float32Array => {
    const site = sites.findIndex(({ model }) => model === side);
    return Float32Array.from(sum.subarray(offsets[site], offsets[site + 1]), (value) => value / nMean);
  };
  return { means: { base: meanOf("base"), finetuned: meanOf("finetuned") }, outliers };
}

/** [nRows, width] f32 in raw activation units. */
async function reconstruct(
  dictionary: Dictionary,
  encoder: Encoder,
  { x, nRows }: PairBatch,
): Promise<Float32Array> {
  const { width } = dictionary;
  const reconstruction = new Float32Array(nRows * width);
  for (let first = 0; first < nRows; first += encoder.maxRows) {
    const n = Math.min(encoder.maxRows, nRows - first);
    const rows = normaliseInPlace(x.slice(first * width, (first + n) * width), n, dictionary);
    const target = reconstruction.subarray(first * width, (first + n) * width);
    denormaliseInPlace(decode(dictionary, await encoder.encode(rows, n), target), n, dictionary);
  }
  return reconstruction;
}

/** The batch of one model with its rows replaced in three ways. */
function tailBatch(
  { dictionary, spliceAll = false, signal }: SpliceOptions,
  work: { batch: PairBatch; side: ModelSide; reconstruction: Float32Array; mean: Float32Array },
): TailBatch {
  const { batch, side, reconstruction, mean } = work;
  const own = batch.padded[side];
  const site = dictionary.sites.findIndex(({ model }) => model === side);
  const column = siteOffsets(dictionary.sites)[site];
  const dModel = mean.length;
  const replaced = {
    spliced: own.residual.slice(),
    mean: own.residual.slice(),
    zero: own.residual.slice(),
  };
  const rows: TailBatch["rows"] = [];
  for (const { row, source, document, position } of realRows(batch.documents, own.length)) {
    if (isMeasured(document, position)) {
      const next = tokensOf(document, side)[position + 1];
      rows.push({ row: source, next, place: () => placeOf({ model: side, document, position }) });
    }
    if (!spliceAll && (document.isLeft[position] === 1 || batch.isOutlier[row] === 1)) continue;
    const start = row * dictionary.width + column;
    replaced.spliced.set(reconstruction.subarray(start, start + dModel), source * dModel);
    replaced.mean.set(mean, source * dModel);
    replaced.zero.fill(0, source * dModel, (source + 1) * dModel);
  }
  return { own, replaced, rows, signal };
}

function outcomeOf({ tokens, nll, kl }: SpliceSums): SpliceOutcome {
  const ce = {
    model: nll.model / tokens,
    spliced: nll.spliced / tokens,
    mean: nll.mean / tokens,
    zero: nll.zero / tokens,
  };
  const recovered = (ablated: number): number => (ablated - ce.spliced) / (ablated - ce.model);
  return {
    ...{ tokens, ce, kl: kl / tokens },
    lossRecoveredZero: recovered(ce.zero),
    lossRecoveredMean: recovered(ce.mean),
  };
}

function tokensOf(document: SpliceDocument, side: ModelSide): Uint32Array {
  return side === "base" ? document.tokenBase : document.tokenFinetuned;
}

interface Place {
  model: ModelSide;
  document: SpliceDocument;
  position: number;
}

function placeOf({ model, document, position }: Place): string {
  return `splice: ${model}, document "${document.id}", position ${position}`;
}

/** A NaN would not fire any latent and so be lost in the reconstruction. */
function requireFinite(h: Float32Array, place: Place): void {
  const bad = h.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return;
  throw new NumericsError(
    `${placeOf(place)}: expected a finite residual, got ${h[bad]} at coordinate ${bad}`,
    {
      hint: "the model overflows on this text: check its weights and dtype, or leave that document out",
    },
  );
}

function requireWhole({ id, tokenBase, tokenFinetuned, isLeft }: SpliceDocument): void {
  const { length } = tokenBase;
  if (length > 0 && tokenFinetuned.length === length && isLeft.length === length) return;
  throw new ShapeError(
    `document "${id}": expected arrays of one length from 1, got ${length}, ${tokenFinetuned.length} and ${isLeft.length}`,
  );
}

/** Layer −1 is a dictionary's that does not say (files of others). */
function requireBelonging({ checkpoints, layers, dictionary, normLimits }: SpliceOptions): void {
  const { sites } = dictionary;
  if (sites.length !== 2 || SIDES.some((side) => !sites.some(({ model }) => model === side))) {
    throw new MismatchError(
      `dictionary: expected one site of the base and one of the fine-tune, got ${sites.map(({ name }) => name).join(", ")}`,
      { hint: "give a crosscoder of two models at one layer each" },
    );
  }
  for (const { model, layer, width, name } of sites) {
    const { dModel } = checkpoints[model].config;
    if (width === dModel && (layer === -1 || layer === layers[model])) continue;
    throw new MismatchError(
      `${checkpoints[model].folder}: expected the ${model} model of the dictionary's site ${name} (layer ${layer}, width ${width}), got layer ${layers[model]}, width ${dModel}`,
      { hint: "give the models and the layer that the dictionary was trained on" },
    );
  }
  if (normLimits.length === sites.length) return;
  throw new ShapeError(`normLimits: expected a number a site, ${sites.length}, got ${normLimits.length}`);
}

function runOptions({ threads, device }: SpliceOptions): { threads?: number; device?: ExecutionDevice } {
  return { ...(threads === undefined ? {} : { threads }), ...(device === undefined ? {} : { device }) };
}
