// The measurement of one document group: its rows are read, encoded and decoded once, and everything is summed on the way.
//
// A group is the unit of work: groups share nothing, each is a pure function of the store, the dictionary and the options, and
// its result is a handful of arrays (part-arrays.ts). So the number of workers, their order, or a stop between two groups cannot
// change a bit of the whole, which merge-groups.ts puts together. Memory does not grow with rows.
//
// Batches are cut inside a group, and the dense product has one thread: then its rounding is the same wherever it runs.

import {
  createKernels,
  type KernelArena,
  type MeasureRowsArrays,
  N_FIT_SUMS,
  N_ROW_CLASSES,
  ROW_CLASS,
} from "../compute/kernels.ts";
import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { NumericsError, throwIfInterrupted } from "../errors.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import { documentsOfGroup, type RowSource } from "../store/row-source.ts";
import { ROLES, type Split } from "../store/rows.ts";
import { createActivationHistogram } from "./activation-histogram.ts";
import { categoryNames, createCategoryCounts, positionDecile } from "./category-counts.ts";
import { createDocumentCodes } from "./document-codes.ts";
import { createExampleSample } from "./example-sample.ts";
import { createFrequentTokens } from "./frequent-tokens.ts";
import { N_SUMS, SUM } from "./latent-scaling.ts";
import { measureRowsReference } from "./measure-rows-reference.ts";
import type { Accumulator, PartArrays } from "./part-arrays.ts";
import { createTopExamples } from "./top-examples.ts";

const BOS = ROLES.indexOf("bos");
const TEMPLATE = ROLES.indexOf("template");

/** Rows encoded at a time: large enough for the dense product, small enough for the caches that follow. */
export const BATCH_ROWS = 2048;
/** Codes handed to the kernel at a time; a batch of more (a dense dictionary) goes in several calls. */
const ENTRY_CAPACITY = 2 ** 20;
/** A decoder of more than this does not fit into the kernels' memory: the readable twin takes its place. */
const MAX_KERNEL_DECODER_BYTES = 3.5 * 2 ** 30;

export interface GroupOptions {
  split: Split;
  examplesPerLatent: number;
  /** Documents kept in each fine bin of the sample. */
  examplesPerBin: number;
  /** Of the sample of examples. */
  seed: number;
  /** Largest ordinary norm of every site, raw activation units. */
  normLimits: readonly number[];
}

/** What is summed beside the named accumulators; all of a group. */
export interface GroupCounts {
  /** [N_ROW_CLASSES] rows: ordinary, norm outliers, BOS. */
  rows: Float64Array;
  nDocuments: number;
  nNonZero: number;
}

/**
 * Arrays of one group: "sums" f64 [nLatents, N_SUMS], "documents" u32 [nLatents], "maxCode" f32 [nLatents], "columnSums" f64
 * [N_ROW_CLASSES, width], "squares" f64 [N_ROW_CLASSES, N_FIT_SUMS], "counts" f64 (rows by class, documents, non-zero codes), and the
 * accumulators' own.
 */
export type GroupPart = PartArrays;

/** The accumulators of a pass, the same for a group and for the whole. */
export function createAccumulators(
  { nLatents }: Pick<Dictionary, "nLatents">,
  { manifest }: Pick<RowSource, "manifest">,
  { examplesPerLatent, examplesPerBin, seed }: GroupOptions,
) {
  return {
    categories: createCategoryCounts(nLatents, categoryNames(manifest)),
    histogram: createActivationHistogram({ nLatents }),
    tokensAtPeak: createFrequentTokens({ name: "tokensAtPeak", nLatents }),
    tokensBeforePeak: createFrequentTokens({ name: "tokensBeforePeak", nLatents }),
    top: createTopExamples({ nLatents, perLatent: examplesPerLatent }),
    sample: createExampleSample({ nLatents, perFineBin: examplesPerBin, seed }),
  };
}
export type Accumulators = ReturnType<typeof createAccumulators>;

export interface GroupMeasurer {
  /** Throws NumericsError naming the first row with a number that is not finite, InterruptedError between batches. */
  measureGroup(
    group: number,
    hooks?: { onRows?: ((nRows: number) => void) | undefined; signal?: AbortSignal | undefined },
  ): Promise<GroupPart>;
  dispose(): Promise<void>;
}

/** The dictionary must not change while the measurer lives. encoder: used instead of one made here, and not disposed. */
export async function createGroupMeasurer({
  source,
  dictionary,
  options,
  encoder: given,
}: {
  source: RowSource;
  dictionary: Dictionary;
  options: GroupOptions;
  encoder?: Encoder | undefined;
}): Promise<GroupMeasurer> {
  const encoder =
    given ?? (await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads: 1, reuse: true }));
  const batch = createBatchArrays(dictionary, encoder.maxRows);
  const accumulators = createAccumulators(dictionary, source, options);
  const activationWeight = latentWeights(dictionary);
  return {
    async measureGroup(group, hooks = {}) {
      const work = { source, dictionary, options, encoder, batch, accumulators, activationWeight, group };
      return measureGroup({ ...work, ...hooks });
    },
    dispose: async () => {
      if (given === undefined) await encoder.dispose();
    },
  };
}

/** What a batch needs, allocated once; in the kernels' memory where the decoder fits into it. */
interface BatchArrays
  extends Omit<MeasureRowsArrays, "nRows" | "nLatents" | "widthBase" | "width" | "stride"> {
  measureRows: KernelArena["measureRows"];
}

function createBatchArrays(dictionary: Dictionary, maxRows: number): BatchArrays {
  const { nLatents, width, decoderWeight, decoderBias } = dictionary;
  const isSmall = decoderWeight.byteLength <= MAX_KERNEL_DECODER_BYTES;
  const nEntries = Math.max(ENTRY_CAPACITY, nLatents);
  const bytes =
    4 * (nLatents * width + maxRows * (width + 2) + 2 * nEntries + width) +
    8 * (nLatents * N_SUMS + (N_ROW_CLASSES + 2) * width + N_ROW_CLASSES * N_FIT_SUMS) +
    4096;
  const arena = isSmall ? createKernels({ bytes }) : undefined;
  const f32 = (n: number): Float32Array => arena?.f32(n) ?? new Float32Array(n);
  const f64 = (n: number): Float64Array => arena?.f64(n) ?? new Float64Array(n);
  const u32 = (n: number): Uint32Array => arena?.u32(n) ?? new Uint32Array(n);
  const copy = (values: Float32Array): Float32Array => {
    if (arena === undefined) return values;
    const own = f32(values.length);
    own.set(values);
    return own;
  };
  return {
    measureRows: arena?.measureRows ?? measureRowsReference,
    x: f32(maxRows * width),
    flags: arena?.u8(maxRows) ?? new Uint8Array(maxRows),
    rowStart: u32(maxRows + 1),
    latent: u32(nEntries),
    code: f32(nEntries),
    decoder: copy(decoderWeight),
    bias: copy(decoderBias),
    sums: f64(nLatents * N_SUMS),
    columnSums: f64(N_ROW_CLASSES * width),
    squares: f64(N_ROW_CLASSES * N_FIT_SUMS),
    scratch: f64(2 * width),
  };
}

interface GroupWork {
  source: RowSource;
  dictionary: Dictionary;
  options: GroupOptions;
  encoder: Encoder;
  batch: BatchArrays;
  accumulators: Accumulators;
  /** [nLatents] f32 W: activation = code × W. */
  activationWeight: Float32Array;
  group: number;
  onRows?: ((nRows: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** The rows of a batch: where they come from and what is known of them. */
interface BatchRows {
  nRows: number;
  /** [nRows] store row, document, role, slot, token. */
  row: Float64Array;
  document: Uint32Array;
  role: Uint8Array;
  slot: Uint8Array;
  token: Uint32Array;
}

async function measureGroup(work: GroupWork): Promise<GroupPart> {
  const { source, dictionary, encoder, batch, accumulators, activationWeight } = work;
  const { documents } = source;
  const { nLatents, width } = dictionary;
  batch.sums.fill(0);
  batch.columnSums.fill(0);
  batch.squares.fill(0);
  const counts: GroupCounts = { rows: new Float64Array(N_ROW_CLASSES), nDocuments: 0, nNonZero: 0 };
  const documentCount = new Uint32Array(nLatents);
  const maxCode = new Float32Array(nLatents);

  const codesOfDocument = createDocumentCodes(nLatents);
  let tokens = new Uint32Array(1024);
  let current = { index: -1, rowStart: 0, rowEnd: 0, tokens: new Uint32Array(0) };
  let measuredRows = 0;
  const closeDocument = (): void => {
    if (measuredRows > 0) counts.nDocuments += 1;
    measuredRows = 0;
    codesOfDocument.flush((latent, firings) => {
      documentCount[latent] += 1;
      let mass = 0;
      let peak = 0;
      for (let i = 0; i < firings.rows.length; i += 1) {
        accumulators.histogram.add(latent, firings.activations[i]);
        mass += firings.activations[i];
        if (firings.activations[i] > firings.activations[peak]) peak = i;
      }
      batch.sums[latent * N_SUMS + SUM.documentMassLogMass] += mass * Math.log(mass);
      batch.sums[latent * N_SUMS + SUM.documentMass] += mass;
      const at = firings.rows[peak] - current.rowStart;
      accumulators.tokensAtPeak.add(latent, current.tokens[at]);
      if (at > 0) accumulators.tokensBeforePeak.add(latent, current.tokens[at - 1]);
      accumulators.top.offer(latent, firings, current);
      accumulators.sample.offer(latent, firings, current);
    });
  };

  for await (const rows of groupBatches(work)) {
    const { nRows } = rows;
    const codes = await encoder.encode(batch.x.subarray(0, nRows * width), nRows);
    for (let from = 0; from < nRows; ) {
      const to = lastRowThatFits(codes.rowStart, from, batch.latent.length);
      const first = codes.rowStart[from];
      batch.latent.set(codes.latent.subarray(first, codes.rowStart[to]));
      batch.code.set(codes.code.subarray(first, codes.rowStart[to]));
      for (let i = from; i <= to; i += 1) batch.rowStart[i - from] = codes.rowStart[i] - first;
      const bad = batch.measureRows({
        ...batch,
        nRows: to - from,
        nLatents,
        widthBase: dictionary.sites[0].width,
        width,
        x: batch.x.subarray(from * width, to * width),
        flags: batch.flags.subarray(from, to),
        stride: N_SUMS,
      });
      if (bad >= 0) throw await notFinite(source, rows, from + bad);
      from = to;
    }
    for (let i = 0; i < nRows; i += 1) {
      if (rows.document[i] !== current.index) {
        closeDocument();
        const index = rows.document[i];
        const [rowStart, rowEnd] = [documents.rowStart[index], documents.rowStart[index + 1]];
        if (tokens.length < rowEnd - rowStart) tokens = new Uint32Array(2 * (rowEnd - rowStart));
        current = { index, rowStart, rowEnd, tokens: tokens.subarray(0, rowEnd - rowStart) };
      }
      const row = rows.row[i];
      current.tokens[row - current.rowStart] = rows.token[i];
      const kind = batch.flags[i] & ~ROW_CLASS.templateBit;
      counts.rows[kind] += 1;
      if (kind !== ROW_CLASS.ordinary) continue;
      measuredRows += 1;
      const from = codes.rowStart[i];
      const to = codes.rowStart[i + 1];
      counts.nNonZero += to - from;
      const categories = {
        role: rows.role[i],
        slot: rows.slot[i],
        dataset: documents.dataset[current.index],
        positionDecile: positionDecile(row, current),
      };
      accumulators.categories.add(categories, codes.latent, from, to);
      for (let entry = from; entry < to; entry += 1) {
        const j = codes.latent[entry];
        const f = codes.code[entry];
        if (f > maxCode[j]) maxCode[j] = f;
        codesOfDocument.add(j, row, Math.fround(f * activationWeight[j]));
      }
    }
    work.onRows?.(nRows);
  }
  closeDocument();
  const part: GroupPart = {
    sums: batch.sums.slice(),
    documents: documentCount,
    maxCode,
    columnSums: batch.columnSums.slice(),
    squares: batch.squares.slice(),
    counts: Float64Array.of(...counts.rows, counts.nDocuments, counts.nNonZero),
  };
  for (const accumulator of Object.values(accumulators) as Accumulator[])
    Object.assign(part, accumulator.takeArrays());
  return part;
}

/** Largest `to` with at most `capacity` entries in rows [from, to); one row always fits (the capacity is at least nLatents). */
function lastRowThatFits(rowStart: Uint32Array, from: number, capacity: number): number {
  let to = from + 1;
  while (to + 1 < rowStart.length && rowStart[to + 1] - rowStart[from] <= capacity) to += 1;
  return to;
}

/** Fills batch.x (normalised) and batch.flags with the group's rows, a batch at a time, documents in store order. */
async function* groupBatches({
  source,
  dictionary,
  options,
  encoder,
  batch,
  group,
  signal,
}: GroupWork): AsyncGenerator<BatchRows> {
  const { width, documents, manifest } = source;
  const { split, normLimits: limits } = options;
  const n = encoder.maxRows;
  const rows: BatchRows = {
    nRows: 0,
    row: new Float64Array(n),
    document: new Uint32Array(n),
    role: new Uint8Array(n),
    slot: new Uint8Array(n),
    token: new Uint32Array(n),
  };
  const readInto = createRowReader(source, n);
  const finish = (): BatchRows => {
    for (let i = 0; i < rows.nRows; i += 1) {
      const isOutlier = isNormOutlier(batch.x, i, { sites: manifest.sites, limits });
      const kind =
        rows.role[i] === BOS ? ROW_CLASS.bos : isOutlier ? ROW_CLASS.normOutlier : ROW_CLASS.ordinary;
      batch.flags[i] = kind | (rows.role[i] === TEMPLATE ? ROW_CLASS.templateBit : 0);
    }
    normaliseInPlace(batch.x.subarray(0, rows.nRows * width), rows.nRows, dictionary);
    return rows;
  };
  for (const index of documentsOfGroup(documents, { group, split })) {
    const end = documents.rowStart[index + 1];
    for (let at = documents.rowStart[index]; at < end; ) {
      throwIfInterrupted(signal);
      const take = Math.min(n - rows.nRows, end - at);
      const start = rows.nRows * width;
      await readInto(batch.x.subarray(start, start + take * width), at, at + take);
      const place = <A extends Uint8Array | Uint32Array>(column: A): A =>
        column.subarray(rows.nRows, rows.nRows + take) as A;
      await source.readFacts(at, at + take, {
        role: place(rows.role),
        slot: place(rows.slot),
        tokenFinetuned: place(rows.token),
      });
      for (let i = 0; i < take; i += 1) {
        rows.row[rows.nRows + i] = at + i;
        rows.document[rows.nRows + i] = index;
      }
      rows.nRows += take;
      at += take;
      if (rows.nRows < n) continue;
      yield finish();
      rows.nRows = 0;
    }
  }
  if (rows.nRows > 0) yield finish();
}

/** Reads rows as source.read does, from stored bf16 without leaving anything for the garbage collector. */
function createRowReader(
  { manifest, width, read, readBits }: RowSource,
  maxRows: number,
): (target: Float32Array, rowStart: number, rowEnd: number) => Promise<void> {
  if (readBits === undefined) {
    return async (target, rowStart, rowEnd) => {
      await read(rowStart, rowEnd, target);
    };
  }
  const widest = Math.max(...manifest.sites.map((site) => site.width));
  const bits = new Uint16Array(maxRows * widest);
  return async (target, rowStart, rowEnd) => {
    const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
    let offset = 0;
    for (const [site, { width: siteWidth }] of manifest.sites.entries()) {
      const n = (rowEnd - rowStart) * siteWidth;
      await readBits(site, rowStart, rowEnd, bits.subarray(0, n));
      for (let i = 0, to = offset; i < n; i += siteWidth, to += width) {
        for (let c = 0; c < siteWidth; c += 1) words[to + c] = bits[i + c] << 16; // bf16 is the upper half of an f32
      }
      offset += siteWidth;
    }
  };
}

async function notFinite(source: RowSource, rows: BatchRows, i: number): Promise<NumericsError> {
  const index = rows.document[i];
  const id = (await source.documentIds(new Set([index]))).get(index);
  const position = rows.row[i] - source.documents.rowStart[index];
  return new NumericsError(
    `${source.folder}: row ${rows.row[i]} (document ${id}, position ${position}): expected finite activations and codes`,
    {
      hint: "run `tunediff verify` on the store and on the dictionary; harvest or train again what is damaged",
    },
  );
}
