// One dictionary's training: everything a step changes, step by step, from the newest checkpoint to the last step.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B.2; the order of a step is the reference's: bias median at the first batch, loss,
// gradients, clipping, Adam. It is given its batches (train-many.ts), so that several dictionaries can share them. A step that
// is not finite is the business of step-guard.ts; after the last step finish-training.ts takes over.

import type { Dictionary, Normaliser } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import type { Store } from "../store/store-contract.ts";
import { backendOf } from "./backend.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { resolveConstants, type TrainConfig, type TrainConstants } from "./config.ts";
import type { Engine, StepResult } from "./engine-contract.ts";
import { columnMeans, fveOf, varianceSums } from "./fve.ts";
import {
  biasComesFromBatch,
  clearEngine,
  writeDecoderBias,
  writeInitialParameters,
} from "./initial-parameters.ts";
import { type MetricsLine, type MetricsLog, openMetricsLog, type PassedStep } from "./metrics.ts";
import { openEngine, readDictionary } from "./open-engine.ts";
import type { RunOptions } from "./run-options.ts";
import { kAt, learningRateAt, penaltyAt } from "./schedule.ts";
import type { Batch } from "./shared-batches.ts";
import { createStepGuard } from "./step-guard.ts";
import { createValidator, type Validator } from "./validation.ts";

export interface TrainingRun {
  config: TrainConfig;
  normaliser: Normaliser | undefined;
  /** Steps done = the batch it wants next. Falls back when the run rolls back. */
  completedSteps(): number;
  /** Trains on the batch of step completedSteps(). Throws NumericsError, StorageError. */
  takeStep(batch: Batch): Promise<void>;
  /** Commits a checkpoint, unless the newest is of this step or nothing was done yet. */
  save(): Promise<void>;
  /** After the last step. Copies the parameters. */
  finished(): Promise<FinishedSteps>;
  dispose(): Promise<void>;
}

export interface FinishedSteps {
  /** With θ as the running mean left it. */
  dictionary: Dictionary;
  constants: TrainConstants;
  lastMetrics: MetricsLine | undefined;
  resumedFromStep: number;
  passedSteps: PassedStep[];
  nShards: number;
  validator: Validator;
  metrics: MetricsLog;
}

/** Makes the engine and loads the newest checkpoint, or the initial parameters where there is none. */
export async function openTrainingRun(options: RunOptions): Promise<TrainingRun> {
  const { store, config } = options;
  const constants = resolveConstants(config, { width: store.width, nSites: store.manifest.sites.length });
  const engine = await openEngine({ ...options, constants });
  try {
    return await createTrainingRun(options, { engine, constants });
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

async function createTrainingRun(
  options: RunOptions,
  { engine, constants }: { engine: Engine; constants: TrainConstants },
): Promise<TrainingRun> {
  const { store, config, folder, identity, normaliser, warnings, stage, reportProgress } = options;
  const shape = { nLatents: config.nLatents, width: store.width };
  const backend = backendOf(config);
  const penalised = config.sparsity?.kind === "reluL1" ? config.sparsity : undefined;
  const maxGradientNorm = penalised === undefined ? config.maxGradientNorm : Number.POSITIVE_INFINITY;
  const guard = createStepGuard(options, { engine, backward });
  let completedSteps = 0;
  let threshold = -1;
  let checkpoint: { path: string; completedSteps: number } | undefined;
  let metrics: MetricsLog;
  let speed: ReturnType<typeof createSpeed>;
  let validator: Validator | undefined;
  let facts: Record<string, number> = {};

  /** To the newest checkpoint, or to the very start. The engine's state is all zero. */
  async function restore(): Promise<void> {
    const loaded = await loadNewestCheckpoint(folder, { engine, shape, identity, backend, warnings });
    if (loaded === undefined) await writeInitialParameters(engine, options);
    completedSteps = loaded?.completedSteps ?? 0;
    threshold = loaded?.threshold ?? -1;
    checkpoint = loaded;
    for (const step of loaded?.passedSteps ?? []) guard.passed.set(step.batchStep, step);
    metrics = await openMetricsLog(folder, completedSteps);
    speed = createSpeed(completedSteps);
  }

  async function takeStep(batch: Batch): Promise<void> {
    const { step } = batch; // completed so far
    const learningRate = learningRateAt(step, config, constants);
    const k = penalised === undefined ? kAt(step, config) : 0;
    const penalty = penalised && penaltyAt(step, penalised.penalty, constants.penaltyWarmupSteps ?? 0);
    const lastGoodCheckpoint = checkpoint?.path ?? null;
    const tried = { learningRate, level: penalty ?? k, threshold, lastGoodCheckpoint };

    const result = await guard.attempt(batch, tried); // losses, gradients in their shards; all finite
    if (result === "rollBack") return rollBack();
    if (result !== "passed") {
      const { gradientNorm, smallestActivation } = result;
      await engine.update({ learningRate, maxGradientNorm, gradientNorm });
      if (step >= constants.thresholdStartStep)
        threshold = nextThreshold(threshold, smallestActivation, constants.thresholdBeta);
    }
    completedSteps = step + 1;
    if (result === "passed") await logPassed(step);
    else if (isDue(config.logEverySteps) || completedSteps === config.steps)
      await log(result, { learningRate, k, penalty });
    if (isDue(config.validateEverySteps) && completedSteps < config.steps) await validate();
    reportProgress?.({ stage, done: completedSteps, total: config.steps, unit: "steps", facts });
    if (isDue(config.checkpointEverySteps)) await save();
  }

  const isDue = (everySteps: number | undefined): boolean =>
    everySteps !== undefined && completedSteps % everySteps === 0;

  async function backward({ x }: Batch, level: number): Promise<StepResult> {
    if (engine.updates === 0 && biasComesFromBatch(options)) await writeDecoderBias(engine, options, x);
    return engine.backward(x, level);
  }

  async function rollBack(): Promise<void> {
    await clearEngine(engine, shape);
    await restore();
  }

  async function log(
    { loss, auxLoss, penaltyLoss, gradientNorm, l0, nDead: dead }: StepResult,
    schedule: Pick<MetricsLine, "learningRate" | "k" | "penalty">,
  ): Promise<void> {
    const fve = await batchFve(engine, store);
    const rowsPerSecond = speed.lap(completedSteps) * config.batchRows;
    const figures = { loss, auxLoss, penaltyLoss, fve, l0, dead, threshold, gradientNorm };
    metrics.last = { step: completedSteps, ...figures, ...schedule, rowsPerSecond };
    await metrics.append(metrics.last);
    facts = { fve: fve.total, l0, dead: dead / config.nLatents };
    if (guard.passed.size > 0) facts.passed = guard.passed.size;
  }

  async function logPassed(batchStep: number): Promise<void> {
    const why = guard.passed.get(batchStep) as PassedStep;
    await metrics.append({ kind: "nonFinite", step: completedSteps, policy: guard.policy, ...why });
  }

  async function validate(): Promise<void> {
    const figures = await (await ownValidator()).measure(await dictionary());
    await metrics.append({ kind: "validation", step: completedSteps, calibrated: false, ...figures });
  }

  async function ownValidator(): Promise<Validator> {
    const { calibrationRows: mostRows, threads } = config;
    // An interruption waits for the few seconds of a validation, so that its line and the checkpoint after it are not lost.
    validator ??= await createValidator({ ...options, mostRows, threads, signal: undefined });
    return validator;
  }

  const dictionary = (): Promise<Dictionary> =>
    readDictionary(engine, { store, config, normaliser, threshold });

  async function save(): Promise<void> {
    if (completedSteps === 0 || checkpoint?.completedSteps === completedSteps) return;
    const passedSteps = guard.passed.size === 0 ? undefined : [...guard.passed.values()];
    await metrics.sync(); // lines up to here must outlive whatever the checkpoint outlives
    const path = await saveCheckpoint(folder, {
      engine,
      shape,
      facts: { ...identity, completedSteps, threshold, nShards: engine.nShards, backend, passedSteps },
    });
    checkpoint = { path, completedSteps };
  }

  await restore();
  const resumedFromStep = completedSteps;
  return {
    config,
    normaliser,
    completedSteps: () => completedSteps,
    takeStep,
    save,
    finished: async () => ({
      dictionary: await dictionary(),
      constants,
      lastMetrics: metrics.last,
      resumedFromStep,
      passedSteps: [...guard.passed.values()],
      nShards: engine.nShards,
      validator: await ownValidator(),
      metrics,
    }),
    dispose: () => engine.dispose(),
  };
}

/** Running mean of the smallest selected activation; the first one sets it. */
export function nextThreshold(threshold: number, smallestActivation: number, beta: number): number {
  return threshold < 0 ? smallestActivation : beta * threshold + (1 - beta) * smallestActivation;
}

/** Of the last batch, by site name and pooled. */
async function batchFve(engine: Engine, { width, manifest }: Store): Promise<Record<string, number>> {
  const { nRows, x, residual } = await engine.lastBatch();
  const mean = columnMeans(x, { nRows, width });
  const sums = varianceSums({ x, residual, mean, nRows, siteOffsets: siteOffsets(manifest.sites) });
  return fveOf(
    sums,
    manifest.sites.map(({ name }) => name),
  );
}

/** Steps a second since the lap before. */
function createSpeed(fromStep: number): { lap(step: number): number } {
  let last = { step: fromStep, time: performance.now() };
  return {
    lap(step) {
      const time = performance.now();
      const perSecond = ((step - last.step) * 1000) / (time - last.time);
      last = { step, time };
      return perSecond;
    },
  };
}
