// The stability of a study's dictionary: others trained from one pass over its store, measured as it was, and matched with it.
//
// The others have another seed, some of them another size, and everything else as in study.yaml. They read their batches in the
// study's own order (dataSeed), so that one pass serves all: what varies is where the parameters start. No other has the study's
// seed, not even those of another size, because a latent's start does not depend on their number. What a match is: measure/stability.ts.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { MODEL_FILE } from "../dictionary/dictionary-file.ts";
import { ConfigError } from "../errors.ts";
import { acquireLock } from "../formats/atomic.ts";
import { type Measurement, measure, readMeasure } from "../measure/measure.ts";
import {
  type MeasuredDictionary,
  STABILITY_THRESHOLDS,
  stability,
  summariseStability,
} from "../measure/stability.ts";
import {
  type ComparedDictionary,
  claimsHash,
  isStabilityDone,
  readStabilityRecord,
  type StabilityInputs,
  type StabilityRecord,
  writeStability,
} from "../measure/stability-file.ts";
import type { Progress, ReportProgress } from "../progress.ts";
import { openRowSource } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { TrainConfig } from "../training/config.ts";
import { checkTrainConfig } from "../training/config-check.ts";
import { trainMany } from "../training/train-many.ts";
import { fileSha256, RECORD_FILE, storeHash } from "../training/training-record.ts";
import type { StudyConfig } from "./config.ts";
import { trainConfigOf } from "./dictionary-config.ts";
import { runStudy, studyPaths } from "./run-study.ts";

export interface StabilityStudyOptions {
  folder: string;
  config: StudyConfig;
  /** Dictionaries of the study's size besides its own, with the seeds after its own; default 3. */
  seeds?: number | undefined;
  /** Sizes of further ones, one each. */
  latents?: readonly number[] | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface StabilityStudy {
  record: StabilityRecord;
  /** dictionaries/NAME, whose tables/ hold stability.parquet and stability.json. */
  dictionaryFolder: string;
  /** The table was there already, made from the same dictionaries. */
  reused: boolean;
  warnings: string[];
}

/** A dictionary besides the study's own. */
export interface OtherRun {
  /** Folder below dictionaries/. */
  name: string;
  config: TrainConfig;
}

const DEFAULT_SEEDS = 3;
const SPLIT = "heldout";

/**
 * Runs what the study lacks up to its measurement, trains and measures the others, and writes the tables of the study's dictionary.
 * What is finished is not repeated; a stopped run goes on from the last checkpoint.
 *
 * Throws ConfigError (nothing to compare with, a warm start), MismatchError (a folder of that name holds another dictionary),
 * StorageError (the study is in use), and what the stages throw.
 */
export async function runStabilityStudy(options: StabilityStudyOptions): Promise<StabilityStudy> {
  const { folder, config, reportProgress, signal } = options;
  const runs = otherRuns(config, options);
  const { lock, warnings } = await runStudy({
    folder,
    config,
    until: "measure",
    commands: [],
    reportProgress,
    signal,
  });
  const paths = studyPaths(config);
  const guard = await acquireLock(join(folder, ".lock"));
  try {
    const store = await openStore(join(folder, paths.store));
    try {
      const { tokenString } = await loadTokenizer(lock.tokenizer.path);
      const own = { name: config.dictionary.name, config: trainConfigOf(config.dictionary, config) };
      const [reference, ...others] = await makeDictionaries(
        { ...options, store, tokenString },
        { own, others: runs },
      );
      const dictionaryFolder = join(folder, paths.dictionary);
      const inputs: StabilityInputs = {
        reference: reference.identity,
        others: others.map(({ identity }) => identity),
        storeSha256: storeHash(store),
        split: SPLIT,
        thresholds: STABILITY_THRESHOLDS,
      };
      const done = (await isStabilityDone(dictionaryFolder, inputs))
        ? await readStabilityRecord(dictionaryFolder)
        : undefined;
      const record =
        done ?? (await compare({ ...options, store, reference, others, inputs, dictionaryFolder }));
      return { record, dictionaryFolder, reused: done !== undefined, warnings };
    } finally {
      await store.close();
    }
  } finally {
    await guard.release();
  }
}

/** Which dictionaries are trained. Throws ConfigError. */
export function otherRuns(
  config: StudyConfig,
  { seeds = DEFAULT_SEEDS, latents = [] }: Pick<StabilityStudyOptions, "seeds" | "latents">,
): OtherRun[] {
  if (!Number.isInteger(seeds) || seeds < 0 || seeds + latents.length === 0) {
    throw new ConfigError(`seeds: expected a count of dictionaries to compare with, got ${seeds}`, {
      hint: "three or more say how much chance there is in a claim",
    });
  }
  const own = trainConfigOf(config.dictionary, config);
  if (own.warmStart !== undefined) {
    throw new ConfigError(`dictionary.warmStart: expected none, got ${own.warmStart}`, {
      hint: "dictionaries of all seeds would start from the same parameters, and agree for that reason",
    });
  }
  const odd = latents.find(
    (size, i) => !Number.isInteger(size) || size < 1 || size === own.nLatents || latents.indexOf(size) < i,
  );
  if (odd !== undefined) {
    throw new ConfigError(
      `latents: expected different sizes, none of them the study's own ${own.nLatents}, got ${latents.join(", ")}`,
      { hint: "for more dictionaries of the study's size raise the number of seeds" },
    );
  }
  const dataSeed = own.dataSeed ?? own.seed;
  const { name } = config.dictionary;
  const nextSeed = (i: number): number => own.seed + 1 + i;
  const runs: OtherRun[] = [
    ...Array.from({ length: seeds }, (_, i) => ({
      name: `${name}-seed${nextSeed(i)}`,
      config: { ...own, dataSeed, seed: nextSeed(i) },
    })),
    // Named by the size alone: when more seeds are asked for later, they keep folder and seed.
    ...latents.map((nLatents) => ({
      name: `${name}-latents${nLatents}`,
      config: { ...own, dataSeed, seed: own.seed + SIZE_SEEDS + nLatents, nLatents },
    })),
  ];
  for (const run of runs) checkTrainConfig(run.config);
  return runs;
}

/** Seeds of dictionaries of another size begin this far from the study's: none of them is a neighbour's. */
const SIZE_SEEDS = 1_000_000;

/** A trained and measured dictionary, and what it is known by. */
interface Compared extends MeasuredDictionary {
  identity: ComparedDictionary;
}

interface Making extends StabilityStudyOptions {
  store: Store;
  tokenString: (id: number) => string;
}

/** Trains and measures those that are not yet. own: trained and measured as stages of the study. */
async function makeDictionaries(
  making: Making,
  { own, others }: { own: OtherRun; others: readonly OtherRun[] },
): Promise<Compared[]> {
  const { folder, store, reportProgress, signal } = making;
  const runs = [own, ...others];
  const places = runs.map(({ name, config }) => ({ config, folder: join(folder, "dictionaries", name) }));
  const trained = await trainMany({
    store,
    runs: places,
    reportProgress: reportProgress && joinTraining(places, reportProgress),
    signal,
  });
  const compared: Compared[] = [];
  for (const [i, run] of runs.entries()) {
    const { dictionary } = trained[i];
    const place = places[i].folder;
    const { latents } =
      run === own
        ? await readMeasure(place)
        : await measureOther(making, { name: run.name, place, dictionary });
    const identity: ComparedDictionary = {
      name: run.name,
      nLatents: dictionary.nLatents,
      seed: run.config.seed,
      dictionarySha256: await fileSha256(join(place, MODEL_FILE)),
      claimsSha256: claimsHash(latents),
    };
    compared.push({
      name: run.name,
      dictionary,
      latents: latents.map(({ deltaNorm, claim }) => ({ deltaNorm, claim })),
      identity,
    });
  }
  return compared;
}

async function measureOther(
  { store, config, tokenString, reportProgress, signal }: Making,
  { name, place, dictionary }: { name: string; place: string; dictionary: Dictionary },
): Promise<Measurement> {
  // By range, so that several threads can read it; its rows were verified when the store was opened.
  const source = await openRowSource(store.folder, { verify: false });
  try {
    return await measure({
      store: source,
      dictionary,
      folder: place,
      tokenString,
      examplesPerLatent: config.report.examplesPerLatent,
      threads: config.threads,
      reportProgress:
        reportProgress && ((progress) => reportProgress({ ...progress, stage: `${progress.stage} ${name}` })),
      signal,
    });
  } finally {
    await source.close();
  }
}

/** Several trainings side by side as one line: their reports take turns, and each would end the other's. */
function joinTraining(
  places: { config: TrainConfig; folder: string }[],
  reportProgress: ReportProgress,
): ReportProgress {
  const open = places.filter(({ folder }) => !existsSync(join(folder, RECORD_FILE)));
  const total = open.reduce((sum, { config }) => sum + config.steps, 0);
  const done = new Map<string, number>();
  return (progress: Progress) => {
    if (open.length < 2 || progress.unit !== "steps") return reportProgress(progress);
    done.set(progress.stage, progress.done);
    const sum = [...done.values()].reduce((a, b) => a + b, 0);
    reportProgress({ stage: `train ${open.length} others`, done: sum, total, unit: "steps" });
  };
}

async function compare({
  store,
  reference,
  others,
  inputs,
  dictionaryFolder,
  config,
  reportProgress,
  signal,
}: StabilityStudyOptions & {
  store: Store;
  reference: Compared;
  others: Compared[];
  inputs: StabilityInputs;
  dictionaryFolder: string;
}): Promise<StabilityRecord> {
  const { latents, nRows } = await stability({
    store,
    reference,
    others,
    split: inputs.split,
    threads: config.threads,
    reportProgress,
    signal,
  });
  const record: StabilityRecord = {
    schemaVersion: 1,
    ...inputs,
    nRows,
    counts: summariseStability(latents, reference.latents),
  };
  await writeStability(dictionaryFolder, record, latents);
  return record;
}
