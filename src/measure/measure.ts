// The measurement of a dictionary: every number of every latent from one pass over held-out rows, and its files.
//
// Everything is in the space the dictionary was trained in. Rows of one split, BOS rows and norm outliers left out: a few rows of
// huge norm would decide every beta (docs/log.md). Not here: nulls and stability, which measure other dictionaries.

import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { FormatError, InterruptedError, MismatchError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import { normLimits } from "../store/norm-outliers.ts";
import { type RowSource, rowsByGroup, sourceOfStore } from "../store/row-source.ts";
import { N_DOCUMENT_GROUPS, type Split } from "../store/rows.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import { categoryNames } from "./category-counts.ts";
import { assertBelongTogether } from "./encoded-rows.ts";
import { SAMPLE_BINS } from "./example-sample.ts";
import { type ExamplesReader, joinOutputs, openExamplesFile, writeExamples } from "./examples-file.ts";
import type { GroupOptions, GroupPart } from "./group-pass.ts";
import { createResampling } from "./intervals.ts";
import { latentRows, summarise } from "./latent-rows.ts";
import type { LatentMeasure, LatentTwin, MeasureSummary } from "./measure-contract.ts";
import {
  isMeasured,
  measureInputs,
  measurePaths,
  partsFolder,
  readSummaryFile,
  writeSummary,
} from "./measure-files.ts";
import { measureGroups, workersFor } from "./measure-groups.ts";
import { readMeasureTable, writeMeasureTable } from "./measure-table.ts";
import { createGroupMerger, type PassResult } from "./merge-groups.ts";
import { crossPairs, nearestLatents } from "./nearest-latents.ts";
import { openPassParts } from "./pass-parts.ts";
import { findTwins, TWIN_THRESHOLDS, twinSides } from "./twins.ts";

export type { ExamplesReader } from "./examples-file.ts";

/** Finished groups are committed this often: what a stop costs at most, beside the groups under way. */
const COMMIT_INTERVAL_MS = 20_000;
/** … or when they hold this much: they wait in memory until then. */
const COMMIT_BYTES = 2 ** 26;

export interface MeasureOptions {
  /** A source opened from a folder is read by range, and by several threads. */
  store: Store | RowSource;
  dictionary: Dictionary;
  /** dictionaries/NAME, which holds model.safetensors; tables/ and examples.sqlite are written into it. */
  folder: string;
  /** Default "heldout". */
  split?: Split;
  /** String of a token id, control tokens by name. */
  tokenString: (id: number) => string;
  /** The strongest; default 16. */
  examplesPerLatent?: number;
  /** Drawn from each of the paper's activation bins; default 3. */
  examplesPerBin?: number;
  /** Of the drawn examples and of the intervals; default 0. */
  seed?: number;
  /** Most worker threads; default: all cores. The result is the same for any number. */
  threads?: number | undefined;
  /** Used instead of encoders made here, on this thread, and not disposed. */
  encoder?: Encoder;
  /** How often finished groups are committed, default 20,000. */
  commitIntervalMs?: number;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface Measurement {
  latents: LatentMeasure[];
  summary: MeasureSummary;
}

/**
 * Measures every latent and writes tables/measure.parquet, examples.sqlite and, last, tables/measure.json.
 *
 * When these exist and were made from the same dictionary file, store and options, they are read back instead; a pass that was
 * stopped goes on. Outputs that the store gained since are joined to the examples. Throws MismatchError (store and dictionary do
 * not belong together, threshold not calibrated, no rows in the split), NumericsError (a row that is not finite),
 * InterruptedError.
 */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { dictionary, folder, split = "heldout", examplesPerLatent = 16, seed = 0 } = options;
  const { examplesPerBin = SAMPLE_BINS.perFineBin } = options;
  const source = "rows" in options.store ? await sourceOfStore(options.store) : options.store;
  assertBelongTogether(source, dictionary);
  const groups = [...rowsByGroup(source.documents, split).entries()].filter(([, nRows]) => nRows > 0);
  if (groups.length === 0) {
    throw new MismatchError(`${source.folder}: expected rows in split "${split}", got none`, {
      hint: "harvest more documents: a tenth of them goes to held-out splits",
    });
  }
  const { manifest } = source;
  const inputs = await measureInputs({ folder, manifest, split, examplesPerLatent, examplesPerBin, seed });
  const earlier = (await isMeasured(folder, inputs)) ? await readUndamaged(folder) : undefined;
  if (earlier !== undefined) {
    await joinOutputs({ path: measurePaths(folder).examples, source, tokenString: options.tokenString });
    return earlier;
  }

  const groupOptions: GroupOptions = {
    ...{ split, examplesPerLatent, examplesPerBin, seed },
    normLimits: await normLimits(source),
  };
  const pass = await runPass({
    ...options,
    source,
    groupOptions,
    groups,
    identity: { inputs, groupOptions },
  });
  const paths = measurePaths(folder);
  await mkdir(dirname(paths.table), { recursive: true });
  await rm(paths.summary, { force: true }); // an old summary must not vouch for new tables
  const resampling = createResampling({ nGroups: N_DOCUMENT_GROUPS, seed });
  const { threads, signal } = options;
  const neighbours = await nearestLatents(dictionary, { threads, signal });
  const latents = latentRows({ dictionary, pass, resampling, neighbours, tokenString: options.tokenString });
  const categories = categoryNames(manifest);
  const twins = await twinsOf({ ...options, source, normLimits: groupOptions.normLimits });
  const summary = summarise({ dictionary, pass, resampling }, { latents, twins, categories });
  await writeMeasureTable(paths.table, latents, categories);
  await writeExamples({
    path: paths.examples,
    source,
    nLatents: dictionary.nLatents,
    examples: pass.accumulators,
    maxActivation: (latent) => latents[latent].maxActivation,
    perBin: examplesPerBin,
    tokenString: options.tokenString,
    dictionarySha256: inputs.dictionarySha256,
  });
  await writeSummary(folder, summary, inputs);
  await rm(partsFolder(folder), { recursive: true, force: true });
  return { latents, summary };
}

/** Undefined when a file is damaged: it is derived data, measuring again makes it whole. */
async function readUndamaged(folder: string): Promise<Measurement | undefined> {
  try {
    openExamples(folder).close();
    return await readMeasure(folder);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Twins need their rows again: a store read by range is opened whole for them, and only when there are any. */
async function twinsOf(
  options: MeasureOptions & { source: RowSource; normLimits: readonly number[] },
): Promise<LatentTwin[]> {
  const { dictionary, source, split, normLimits, threads, reportProgress, signal } = options;
  const { minimumCosine } = TWIN_THRESHOLDS;
  const sides = twinSides(dictionary, "leaning");
  const pairs = await crossPairs(dictionary, { minimumCosine, ...sides, threads, signal });
  if (pairs.length === 0) return [];
  const store = "rows" in options.store ? options.store : await openStore(source.folder);
  try {
    return await findTwins({ store, dictionary, pairs, split, normLimits, threads, reportProgress, signal });
  } finally {
    if (store !== options.store) await store.close();
  }
}

interface Pass extends MeasureOptions {
  source: RowSource;
  groupOptions: GroupOptions;
  /** [group, its rows]. */
  groups: [number, number][];
  /** All that the parts depend on. */
  identity: object;
}

/** Measures the groups that no earlier run has finished, and merges all. */
async function runPass(options: Pass): Promise<PassResult> {
  const { source, dictionary, folder, groups, groupOptions, threads, encoder, reportProgress, signal } =
    options;
  const { commitIntervalMs = COMMIT_INTERVAL_MS } = options;
  const merger = createGroupMerger({
    dictionary,
    source,
    groupOptions,
    groups: groups.map(([group]) => group),
  });
  const parts = await openPassParts(partsFolder(folder), options.identity);
  for await (const { group, part } of parts.read()) merger.add(group, part);
  const missing = groups.filter(([group]) => !parts.groups.includes(group));
  const total = groups.reduce((sum, [, nRows]) => sum + nRows, 0);
  const left = missing.reduce((sum, [, nRows]) => sum + nRows, 0);
  let done = total - left;
  let pending = new Map<number, GroupPart>();
  let pendingBytes = 0;
  let lastCommit = performance.now();
  const commit = async (): Promise<void> => {
    if (pending.size === 0) return;
    const finished = pending;
    pending = new Map();
    pendingBytes = 0;
    await parts.write(finished);
    lastCommit = performance.now();
  };
  try {
    await measureGroups({
      ...{ source, dictionary, dictionaryFolder: folder, options: groupOptions, encoder, signal },
      groups: missing.map(([group]) => group),
      workers: source.isOnDisk ? workersFor(dictionary, { nRows: left, threads }) : 1,
      onPart: async (group, part) => {
        merger.add(group, part);
        pending.set(group, part);
        for (const { byteLength } of Object.values(part)) pendingBytes += byteLength;
        const isDue = performance.now() - lastCommit >= commitIntervalMs || pendingBytes >= COMMIT_BYTES;
        if (isDue) await commit();
      },
      onRows: (nRows) => {
        done += nRows;
        reportProgress?.({ stage: "measure", done, total, unit: "rows" });
      },
    });
  } catch (error) {
    if (error instanceof InterruptedError) await commit();
    throw error;
  }
  return merger.result();
}

/** Table and summary of a measured dictionary folder. Throws StorageError or FormatError naming the file. */
export async function readMeasure(folder: string): Promise<Measurement> {
  const summary = await readSummary(folder);
  const path = measurePaths(folder).table;
  const latents = await readMeasureTable(path);
  if (latents.length !== summary.nLatents) {
    throw new FormatError(`${path}: expected ${summary.nLatents} latents, got ${latents.length}`, {
      hint: "run `tunediff measure` again to write the table anew",
    });
  }
  return { latents, summary };
}

/** tables/measure.json of a dictionary folder. */
export async function readSummary(folder: string): Promise<MeasureSummary> {
  return (await readSummaryFile(folder)).summary;
}

/** The strongest examples of a measured dictionary folder; close it when done. */
export function openExamples(folder: string): ExamplesReader {
  return openExamplesFile(measurePaths(folder).examples);
}
