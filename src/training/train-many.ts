// Training several dictionaries from one pass over a store: sizes, sparsities, seeds side by side on the same batches.
//
// Each has its own engine, folder, checkpoints and record, and ends with the bytes it would have alone. Batches are shared, so
// what decides them must agree: batchRows, outlierFactor and the seed of the order of rows (dataSeed, else seed). All else may
// differ, the number of steps, too. Memory: the sum of the engines, and a copy of the batch for each distinct normaliser when
// there is more than one.
//
// The batch of the dictionary that is furthest behind comes next; those ahead of it wait. So a run that was killed while some
// were ahead, or that rolls one of them back, needs no other rule.

import { basename, join, resolve } from "node:path";
import type { Normaliser } from "../dictionary/dictionary.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, throwIfInterrupted } from "../errors.ts";
import { ensureFolder } from "../formats/disk.ts";
import { acquireLock, type Lock } from "../formats/lock.ts";
import type { ReportProgress } from "../progress.ts";
import type { Store } from "../store/store-contract.ts";
import type { RunIdentity } from "./checkpoint.ts";
import type { TrainConfig } from "./config.ts";
import { checkTrainConfig } from "./config-check.ts";
import { type FinishOptions, finishTraining, type Trained } from "./finish-training.ts";
import { createSharedBatches } from "./shared-batches.ts";
import { readTrainingRecord, requireSameTraining, storeHash } from "./training-record.ts";
import { prepareTrainingRows, type TrainingRows } from "./training-rows.ts";
import { openTrainingRun, type TrainingRun } from "./training-run.ts";
import { openWarmStart, runConfigHash } from "./warm-start.ts";

export interface TrainManyOptions {
  store: Store;
  /** A folder each, made when absent. */
  runs: { config: TrainConfig; folder: string }[];
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

interface Job {
  config: TrainConfig;
  folder: string;
  identity: RunIdentity;
  trained: Trained | undefined;
}

/**
 * Trains every run, calibrates its θ on held-out rows and writes its model.safetensors, config.json, metrics.jsonl and
 * training.json. Returned in the order of runs.
 *
 * A folder finished with the same configuration and store is returned as it is. Throws ConfigError, MismatchError (another
 * run's folder), StorageError (disk, or another process trains in a folder), NumericsError, InterruptedError (after a checkpoint of each); what one run throws stops all of them, and each
 * goes on from its own newest checkpoint.
 */
export async function trainMany(options: TrainManyOptions): Promise<Trained[]> {
  const { store, runs } = options;
  for (const { config } of runs) checkTrainConfig(config);
  requireSharedBatches(runs);
  const jobs: Job[] = [];
  for (const { config, folder } of runs) {
    const identity = { configHash: await runConfigHash(config), storeHash: storeHash(store) };
    jobs.push({ config, folder, identity, trained: await finishedBefore(folder, identity) });
  }
  const open = jobs.filter(({ trained }) => trained === undefined);
  if (open.length > 0) {
    const folders = open.map(({ folder }) => folder);
    await asOnlyWriter(folders, () => trainJobs(options, open));
  }
  return jobs.map(({ trained }) => trained as Trained);
}

/** Throws ConfigError naming the first field that must agree and does not. */
function requireSharedBatches(runs: TrainManyOptions["runs"]): void {
  const refuse = (field: string, values: unknown[]): never => {
    throw new ConfigError(
      `dictionary.${field}: expected one for all dictionaries of a pass, got ${values.join(" and ")}`,
      { hint: "give them the same, or train them one after another" },
    );
  };
  const [first, ...rest] = runs;
  for (const { config } of rest) {
    for (const field of ["batchRows", "outlierFactor"] as const) {
      if (config[field] !== first.config[field]) refuse(field, [first.config[field], config[field]]);
    }
    const [expected, got] = [dataSeedOf(first.config), dataSeedOf(config)];
    if (got !== expected) refuse("dataSeed (or seed, where there is none)", [expected, got]);
  }
  const folders = runs.map(({ folder }) => resolve(folder));
  const twice = folders.find((folder, i) => folders.indexOf(folder) < i);
  if (twice !== undefined)
    throw new ConfigError(`${twice}: expected a folder for each dictionary, got this one twice`);
}

const dataSeedOf = ({ seed, dataSeed = seed }: TrainConfig): number => dataSeed;

async function finishedBefore(folder: string, identity: RunIdentity): Promise<Trained | undefined> {
  const training = await readTrainingRecord(folder);
  if (training === undefined) return undefined;
  requireSameTraining(folder, training, identity);
  return { dictionary: await loadDictionary(folder), training };
}

/** Makes the folders and locks them while `work` goes on. Throws StorageError naming the process that trains in one. */
async function asOnlyWriter(folders: string[], work: () => Promise<void>): Promise<void> {
  const locks: Lock[] = [];
  try {
    for (const folder of folders) {
      await ensureFolder(folder);
      // An earlier training of this process that could not let go of its lock must not shut us out.
      locks.push(await acquireLock(join(folder, ".lock"), { takeOverOwn: true }));
    }
    await work();
  } finally {
    // What the work threw matters more than a lock that stays: the next run takes it over once this process is gone.
    for (const lock of locks) await lock.release().catch(() => {});
  }
}

/** A job while it has an engine. */
interface OpenJob {
  job: Job;
  options: FinishOptions;
  run: TrainingRun;
}

/** Fills in `trained` of every job. */
async function trainJobs(options: TrainManyOptions, jobs: Job[]): Promise<void> {
  const { store, signal } = options;
  const { config } = jobs[0];
  const started = performance.now();
  const secondsSoFar = (): number => (performance.now() - started) / 1000;
  const warmStarts = await Promise.all(jobs.map((job) => openWarmStart(job.config, store)));
  const rows = await prepareTrainingRows({ ...options, ...config });
  const spaceOf = createSpaces(rows);
  const prepare = secondsSoFar();
  const finishOptions = jobs.map(
    ({ config, folder, identity }, i): FinishOptions => ({
      ...options,
      config,
      folder,
      identity,
      rows,
      warmStart: warmStarts[i],
      normaliser: warmStarts[i] === undefined ? spaceOf(config) : warmStarts[i].normaliser,
      normLimits: rows.normLimits,
      warnings: [],
      stage: options.runs.length === 1 ? "train" : `train ${basename(folder)}`,
      seconds: { prepare, steps: 0 },
    }),
  );
  const batches = createSharedBatches({
    ...rows,
    store,
    batchRows: config.batchRows,
    seed: dataSeedOf(config),
    normalisers: finishOptions.map(({ normaliser }) => normaliser),
  });

  let open: OpenJob[] = [];
  /** Those that have had their last step leave their engine's memory to the others. */
  const finishDone = async (): Promise<void> => {
    for (const { job, options, run } of open.filter(isDone)) {
      const finished = await run.finished();
      open = open.filter((other) => other.run !== run);
      await run.dispose();
      const seconds = { prepare, steps: secondsSoFar() - prepare };
      job.trained = await finishTraining({ ...options, seconds }, finished);
    }
  };
  try {
    for (const [i, options] of finishOptions.entries())
      open.push({ job: jobs[i], options, run: await openTrainingRun(options) });
    for (await finishDone(); open.length > 0; await finishDone()) {
      const runs = open.map(({ run }) => run);
      const step = Math.min(...runs.map((run) => run.completedSteps()));
      const batch = await batches.read(step, Math.max(...runs.map((run) => run.config.steps)));
      for (const run of runs) {
        if (run.completedSteps() === step && !signal?.aborted) await run.takeStep(batch(run.normaliser));
      }
      if (signal?.aborted) {
        for (const run of runs) await run.save();
        throwIfInterrupted(signal);
      }
    }
  } finally {
    for (const { run } of open) await run.dispose();
  }
}

const isDone = ({ run }: OpenJob): boolean => run.completedSteps() >= run.config.steps;

/** Equal spaces are one object, so that batches are normalised once for all that share them. */
function createSpaces(rows: TrainingRows): (config: TrainConfig) => Normaliser | undefined {
  const made = new Map<number, Normaliser>();
  return ({ normalise = true, targetRms }) => {
    if (!normalise) return undefined;
    const normaliser = made.get(targetRms) ?? rows.normaliserFor(targetRms);
    made.set(targetRms, normaliser);
    return normaliser;
  };
}
