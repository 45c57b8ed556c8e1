// Training a crosscoder on a store, from the first row to a finished dictionary folder.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B.2; the order of a step is the reference's: bias median at step 0, loss,
// gradients, clipping, Adam. Interrupted runs go on from the newest checkpoint and end with the same bytes. One process,
// one shard: sharding and several dictionaries a pass come in behind Engine and around this loop.

import { join } from "node:path";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { loadDictionary, MODEL_FILE, saveDictionary } from "../dictionary/dictionary-file.ts";
import { initialDictionary } from "../dictionary/init.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { throwIfInterrupted } from "../errors.ts";
import { disk } from "../formats/disk.ts";
import { packageVersion } from "../package-root.ts";
import type { ReportProgress } from "../progress.ts";
import { createBatchReader } from "../store/batch-reader.ts";
import { createSampler } from "../store/sampler.ts";
import type { Store } from "../store/store-contract.ts";
import { type Calibration, calibrateThreshold } from "./calibrate.ts";
import { loadNewestCheckpoint, type RunIdentity, saveCheckpoint } from "./checkpoint.ts";
import {
  checkTrainConfig,
  configHash,
  resolveConstants,
  type TrainConfig,
  type TrainConstants,
} from "./config.ts";
import { createEngine, requireFastVariant } from "./engine.ts";
import type { Engine, EngineOptions, StepResult } from "./engine-contract.ts";
import { requireFinite } from "./finite.ts";
import { geometricMedian } from "./geometric-median.ts";
import { columnMeans, fveOf, type MetricsLine, openMetricsLog, varianceSums } from "./metrics.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { kAt, learningRateAt, penaltyAt } from "./schedule.ts";
import {
  fileSha256,
  readTrainingRecord,
  requireSameTraining,
  storeHash,
  type TrainingRecord,
  writeTrainingRecord,
} from "./training-record.ts";
import { prepareTrainingRows, type TrainingRows } from "./training-rows.ts";

const BACKENDS = { fast: "onnxruntime-node cpu + WASM SIMD", reference: "readable reference, float32" };

export interface TrainOptions {
  store: Store;
  config: TrainConfig;
  /** dictionaries/NAME of the study; made when absent. */
  folder: string;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface Trained {
  dictionary: Dictionary;
  training: TrainingRecord;
}

/**
 * Trains, calibrates θ on held-out rows and writes model.safetensors, config.json, metrics.jsonl and training.json.
 *
 * A folder finished with the same configuration and store is returned as it is. Throws ConfigError, MismatchError (another
 * run's folder), NumericsError (nothing of the bad step is kept), InterruptedError (after a checkpoint).
 */
export async function train(options: TrainOptions): Promise<Trained> {
  const { store, config, folder, signal } = options;
  checkTrainConfig(config);
  if (config.engine !== "reference") requireFastVariant(config);
  const identity: RunIdentity = { configHash: configHash(config), storeHash: storeHash(store) };
  const finished = await readTrainingRecord(folder);
  if (finished !== undefined) {
    requireSameTraining(folder, finished, identity);
    return { dictionary: await loadDictionary(folder), training: finished };
  }

  await disk.makeFolder(folder);
  const clock = createClock();
  const warnings: string[] = [];
  const rows = await prepareTrainingRows({ ...options, ...config });
  const seconds = { prepare: clock.lap(), steps: 0, calibrate: 0, total: 0 };

  const run = await runSteps({ ...options, identity, rows, warnings });
  seconds.steps = clock.lap();
  throwIfInterrupted(signal);

  const { dictionary, constants, lastMetrics, resumedFromStep } = run;
  const runningThreshold = dictionary.inferenceThreshold;
  const calibration: Calibration = await calibrateThreshold({
    ...options,
    ...config,
    dictionary,
    normLimits: rows.normLimits,
  });
  dictionary.inferenceThreshold = calibration.threshold;
  seconds.calibrate = clock.lap();
  seconds.total = clock.total();

  await saveDictionary(folder, dictionary, { ...identity, version: packageVersion(), seed: config.seed });
  const training: TrainingRecord = {
    schemaVersion: 1,
    version: packageVersion(),
    backend: BACKENDS[config.engine ?? "fast"],
    ...identity,
    config,
    constants,
    store: store.manifest.name,
    rows: {
      trained: rows.nIncluded,
      bosLeftOut: rows.nBos,
      outliersLeftOut: rows.nOutliers,
      normLimits: rows.normLimits,
    },
    lastMetrics,
    calibration,
    runningThreshold,
    seconds,
    resumedFromStep,
    modelSha256: await fileSha256(join(folder, MODEL_FILE)),
    warnings,
  };
  await writeTrainingRecord(folder, training);
  return { dictionary, training };
}

interface RunOptions extends TrainOptions {
  identity: RunIdentity;
  rows: TrainingRows;
  /** Receives what the user should know. */
  warnings: string[];
}

interface FinishedSteps {
  /** With θ as the running mean left it. */
  dictionary: Dictionary;
  constants: TrainConstants;
  lastMetrics: MetricsLine | undefined;
  resumedFromStep: number;
}

async function runSteps(options: RunOptions): Promise<FinishedSteps> {
  const { store, config, folder, identity, rows, warnings, reportProgress, signal } = options;
  const { width } = store;
  const shape = { nLatents: config.nLatents, width };
  const { sites } = store.manifest;
  const offsets = siteOffsets(sites);
  const constants = resolveConstants(config, { width, nSites: sites.length });
  const engineOptions: EngineOptions = { ...config, ...constants, width, siteOffsets: offsets };
  const engine =
    config.engine === "reference"
      ? createReferenceEngine(engineOptions, new Float32Array(0))
      : await createEngine(engineOptions);
  const penalised = config.sparsity?.kind === "reluL1" ? config.sparsity : undefined;
  const maxGradientNorm = penalised === undefined ? config.maxGradientNorm : Number.POSITIVE_INFINITY;
  try {
    const loaded = await loadNewestCheckpoint(folder, { engine, shape, identity, warnings });
    const startStep = loaded?.completedSteps ?? 0;
    let threshold = loaded?.threshold ?? -1;
    let checkpoint = loaded?.path;
    const space = { sites, normaliser: rows.normaliser };
    const sampler = createSampler({
      rows: store.rows,
      include: (row) => rows.included[row] === 1,
      batchRows: config.batchRows,
      seed: config.seed,
    });
    const reader = createBatchReader({ store, sampler });
    const readBatch = async (step: number): Promise<Float32Array> =>
      normaliseInPlace(await reader.batch(step), config.batchRows, space);
    const metrics = await openMetricsLog(folder, startStep);
    const speed = createClock();
    let lastMetrics = metrics.last;
    let facts: Record<string, number> = {};

    const save = async (completedSteps: number): Promise<void> => {
      checkpoint = await saveCheckpoint(folder, {
        engine,
        shape,
        facts: { ...identity, completedSteps, threshold, nShards: engine.nShards },
      });
    };

    let next = startStep < config.steps ? readBatch(startStep) : undefined;
    if (startStep === 0 && next !== undefined)
      await setInitialParameters(engine, options, await next, offsets);
    for (let step = startStep; next !== undefined; ) {
      const batch = await next;
      // Asked for now, so that the disk works during this step; a failure surfaces when it is awaited.
      next = step + 1 < config.steps ? readBatch(step + 1) : undefined;
      next?.catch(() => {});

      const penalty = penalised && penaltyAt(step, penalised.penalty, constants.penaltyWarmupSteps ?? 0);
      const k = penalised === undefined ? kAt(step, config) : 0;
      const result = await engine.backward(batch, penalty ?? k);
      await requireFinite(result, { engine, step, checkpoint });
      const learningRate = learningRateAt(step, config, constants);
      await engine.update({
        learningRate,
        maxGradientNorm,
        gradientNorm: result.gradientNorm,
      });
      threshold = nextThreshold(threshold, result.smallestActivation, constants.thresholdBeta);
      step += 1; // completed steps

      if (step % config.logEverySteps === 0 || step === config.steps) {
        const rowsPerSecond =
          (Math.min(step - startStep, config.logEverySteps) * config.batchRows) / speed.lap();
        const fve = await batchFve(engine, { offsets, names: sites.map(({ name }) => name) });
        lastMetrics = metricsLine({ step, result, fve, threshold, learningRate, k, penalty, rowsPerSecond });
        await metrics.append(lastMetrics);
        facts = { fve: fve.total, l0: result.l0, dead: result.nDead / config.nLatents };
      }
      reportProgress?.({ stage: "train", done: step, total: config.steps, unit: "steps", facts });
      if (step % config.checkpointEverySteps === 0 || signal?.aborted) await save(step);
      throwIfInterrupted(signal);
    }
    const dictionary: Dictionary = {
      sites,
      nLatents: config.nLatents,
      width,
      encoderWeight: await engine.read("parameter", "encoderWeight"),
      encoderBias: await engine.read("parameter", "encoderBias"),
      decoderWeight: await engine.read("parameter", "decoderWeight"),
      decoderBias: await engine.read("parameter", "decoderBias"),
      k: penalised === undefined ? config.k : 0,
      codeNormalisation: config.codeNormalisation,
      selection: config.sparsity?.kind === "topK" ? "topK" : undefined,
      inferenceThreshold: penalised === undefined ? threshold : 0,
      normaliser: rows.normaliser,
    };
    return { dictionary, constants, lastMetrics, resumedFromStep: startStep };
  } finally {
    await engine.dispose();
  }
}

/** Random rows, and the geometric median of the first batch as decoder bias (ReLU + L1: 0, as its reference). */
async function setInitialParameters(
  engine: Engine,
  { store, config }: RunOptions,
  batch: Float32Array,
  offsets: number[],
): Promise<void> {
  const { sites } = store.manifest;
  const initial = initialDictionary({ ...config, sites });
  await engine.write("parameter", "encoderWeight", initial.encoderWeight);
  await engine.write("parameter", "decoderWeight", initial.decoderWeight);
  if (config.sparsity?.kind === "reluL1") return;
  const median = geometricMedian(batch, {
    nRows: config.batchRows,
    width: store.width,
    siteOffsets: offsets,
  });
  await engine.write("parameter", "decoderBias", median);
}

/** Running mean of the smallest selected activation; the first one sets it. */
export function nextThreshold(threshold: number, smallestActivation: number, beta: number): number {
  return threshold < 0 ? smallestActivation : beta * threshold + (1 - beta) * smallestActivation;
}

async function batchFve(
  engine: Engine,
  { offsets, names }: { offsets: number[]; names: string[] },
): Promise<Record<string, number>> {
  const { nRows, x, residual } = await engine.lastBatch();
  const mean = columnMeans(x, { nRows, width: offsets[names.length] });
  return fveOf(varianceSums({ x, residual, mean, nRows, siteOffsets: offsets }), names);
}

function metricsLine({
  result,
  ...line
}: { result: StepResult } & Omit<
  MetricsLine,
  "loss" | "auxLoss" | "penaltyLoss" | "l0" | "dead" | "gradientNorm"
>): MetricsLine {
  const { loss, auxLoss, penaltyLoss, gradientNorm, l0, nDead } = result;
  return { ...line, loss, auxLoss, penaltyLoss, l0, dead: nDead, gradientNorm };
}

function createClock(): { lap(): number; total(): number } {
  const start = performance.now();
  let last = start;
  return {
    lap() {
      const now = performance.now();
      const seconds = (now - last) / 1000;
      last = now;
      return seconds;
    },
    total: () => (performance.now() - start) / 1000,
  };
}
