// The measurement of a dictionary: every number of every latent from one pass over held-out rows, and its files.
//
// Everything is in the space the dictionary was trained in. Rows of one split, BOS rows left out; norm outliers count
// for latents but not for fve. Not here: intervals, nulls and stability, which resample the pass's group sums.

import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { FormatError, MismatchError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import { normLimits } from "../store/norm-outliers.ts";
import type { Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { assertBelongTogether, countRows } from "./encoded-rows.ts";
import { type ExamplesReader, openExamplesFile, writeExamples } from "./examples-file.ts";
import { latentRows, summarise } from "./latent-rows.ts";
import type { LatentMeasure, MeasureSummary } from "./measure-contract.ts";
import { isMeasured, measureInputs, measurePaths, readSummaryFile, writeSummary } from "./measure-files.ts";
import { measurePass } from "./measure-pass.ts";
import { readMeasureTable, writeMeasureTable } from "./measure-table.ts";

export type { ExamplesReader } from "./examples-file.ts";

/** Rows encoded at a time: large enough for the dense product, small enough to stay in memory many times over. */
const BATCH_ROWS = 2048;

export interface MeasureOptions {
  store: Store;
  dictionary: Dictionary;
  /** dictionaries/NAME, which holds model.safetensors; tables/ and examples.sqlite are written into it. */
  folder: string;
  /** Default "heldout". */
  split?: Split;
  /** String of a token id, control tokens by name. */
  tokenString: (id: number) => string;
  /** Default 16. */
  examplesPerLatent?: number;
  /** Threads of the dense product; default: the device's choice. */
  threads?: number;
  /** Used instead of an encoder made here, and not disposed. */
  encoder?: Encoder;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface Measurement {
  latents: LatentMeasure[];
  summary: MeasureSummary;
}

/**
 * Measures every latent and writes tables/measure.parquet, examples.sqlite and, last, tables/measure.json.
 *
 * When these exist and were made from the same dictionary file, store, split and number of examples, they are read
 * back instead. Throws MismatchError (store and dictionary do not belong together, threshold not calibrated, no rows
 * in the split), NumericsError (a row that is not finite), InterruptedError.
 */
export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { store, dictionary, folder, split = "heldout", examplesPerLatent = 16 } = options;
  assertBelongTogether(store, dictionary);
  if (countRows(store, [split]) === 0) {
    throw new MismatchError(`${store.folder}: expected rows in split "${split}", got none`, {
      hint: "harvest more documents: a tenth of them goes to held-out splits",
    });
  }
  const inputs = await measureInputs({ folder, store, split, examplesPerLatent });
  if (await isMeasured(folder, inputs)) {
    try {
      openExamples(folder).close();
      return await readMeasure(folder);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error; // a damaged table is derived data: measure again
    }
  }

  const encoder =
    options.encoder ?? (await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads: options.threads }));
  try {
    const pass = await measurePass({
      store,
      dictionary,
      encoder,
      normalise: (x, nRows) => normaliseInPlace(x, nRows, dictionary),
      activationWeight: latentWeights(dictionary),
      split,
      normLimits: await normLimits(store),
      examplesPerLatent,
      reportProgress: options.reportProgress,
      signal: options.signal,
    });
    const latents = latentRows(dictionary, pass);
    const summary = summarise(dictionary, pass, latents);
    const paths = measurePaths(folder);
    await mkdir(dirname(paths.table), { recursive: true });
    await rm(paths.summary, { force: true }); // an old summary must not vouch for new tables
    await writeMeasureTable(paths.table, latents);
    await writeExamples({
      path: paths.examples,
      store,
      nLatents: dictionary.nLatents,
      examples: pass.examples,
      tokenString: options.tokenString,
      dictionarySha256: inputs.dictionarySha256,
    });
    await writeSummary(folder, summary, inputs);
    return { latents, summary };
  } finally {
    if (options.encoder === undefined) await encoder.dispose();
  }
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
