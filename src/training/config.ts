// What a training run is told, and the constants that follow from it and from the run's length.
//
// The equations are the paper's; warm-up, dead-latent age and the threshold's memory are shares of the run, because runs
// here are 10^3 steps where the paper's are 10^5. Everything resolved is stored in training.json. `paper` constants as a
// preset belong beside DEFAULT_TRAIN_CONFIG.

import { createHash } from "node:crypto";
import { CODE_NORMALISATIONS, type CodeNormalisation } from "../dictionary/dictionary.ts";
import { ConfigError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import type { Reconstruction } from "./loss.ts";
import type { Sparsity } from "./sparsity.ts";

export interface TrainConfig {
  nLatents: number;
  /** What keeps codes few; undefined: BatchTopK. */
  sparsity?: Sparsity;
  /** What codes are multiplied by where they are compared or penalised; undefined: "crosscoder". */
  codeNormalisation?: CodeNormalisation;
  /** Undefined: "norm", un-squared as in the paper. */
  reconstruction?: Reconstruction;
  /** "reference": dense and slow, knows every variant; undefined: "fast", which knows BatchTopK as the paper has it. */
  engine?: "fast" | "reference";
  /** Mean number of latents a row may use; not looked at under ReLU + L1. */
  k: number;
  /** k at step 0, going linearly to k over kAnnealingSteps; undefined: k. Without annealing steps it is not looked at. */
  kStart?: number;
  /** Less than steps. */
  kAnnealingSteps: number;
  steps: number;
  batchRows: number;
  learningRate: number;
  /** Norm of every encoder row and decoder row, per site, at the start; normalised units. */
  initNorm: number;
  /** Root of the mean squared norm of a site's normalised activations. */
  targetRms: number;
  /** Share of the steps over which the learning rate rises from 0. */
  warmupFraction: number;
  /** Share of the steps over which it falls to 0 at the end. */
  decayFraction: number;
  /** Gradients of a larger global L2 norm are scaled down to it. */
  maxGradientNorm: number;
  /** Weight α of the auxiliary loss. */
  auxAlpha: number;
  /** Most dead latents a row may use in it; undefined: half the sites' mean width, as the reference. */
  auxLatents?: number;
  /** Share of the run's rows after which a silent latent is dead. */
  deadAfterFraction: number;
  /** Share of the steps that the running mean of the threshold remembers. */
  thresholdMemoryFraction: number;
  /** Rows whose norm at any site exceeds this multiple of the median are left out, as BOS rows are. */
  outlierFactor: number;
  /** Held-out rows on which θ is set at the end. */
  calibrationRows: number;
  seed: number;
  /** Threads of what follows training (calibration) and of a single shard's dense product; does not change any result. */
  threads?: number;
  /**
   * Latent shards, each on a thread of its own with its own memory. Another number rounds sums in another order. Undefined: one
   * a core, or the number of the checkpoint that is gone on from.
   */
  shards?: number;
  /** Held-out figures in threshold mode every so many steps, as val lines of metrics.jsonl; undefined: at the end alone. */
  validateEverySteps?: number;
  /** What is done about a step whose loss or gradient is not finite; undefined: stop. */
  nonFinite?: NonFinitePolicy;
  /** Folder of a dictionary of the same sites and nLatents whose parameters are the start; undefined: random rows. */
  warmStart?: string;
  checkpointEverySteps: number;
  logEverySteps: number;
}

/** A forensic bundle is written whatever the policy. A run that meets more than `most` such steps stops. */
export type NonFinitePolicy =
  | { policy: "stop" }
  /** Leave the batch out: no update. */
  | { policy: "skip"; most: number }
  /** Back to the newest checkpoint, and past the bad step's batch without an update when it comes again. */
  | { policy: "rollBack"; most: number };

/** Tuned for the bundled pair: two sites of width 128, some 10^5 to 10^6 rows. */
export const DEFAULT_TRAIN_CONFIG: TrainConfig = {
  nLatents: 2048,
  k: 16,
  kAnnealingSteps: 0,
  steps: 1200,
  batchRows: 1024,
  learningRate: 3e-3,
  initNorm: 0.3,
  targetRms: 1,
  warmupFraction: 0.05,
  decayFraction: 0.2,
  maxGradientNorm: 1,
  auxAlpha: 1 / 32,
  deadAfterFraction: 0.1,
  thresholdMemoryFraction: 0.02,
  outlierFactor: 10,
  calibrationRows: 16_384,
  seed: 0,
  checkpointEverySteps: 250,
  logEverySteps: 25,
};

/** Counts that follow from a config; the names of the reference's arguments stand beside. */
export interface TrainConstants {
  /** warmup_steps */
  warmupSteps: number;
  /** decay_start; equal to steps: none. */
  decayStartStep: number;
  /** dead_feature_threshold */
  deadAfterRows: number;
  /** threshold_beta */
  thresholdBeta: number;
  /** top_k_aux */
  auxLatents: number;
  /** Largest k of the run. */
  largestK: number;
  /** Of ReLU + L1 alone: 0, in place of the config's. */
  auxAlpha?: number;
  /** Of ReLU + L1 alone: steps over which the penalty rises. */
  penaltyWarmupSteps?: number;
}

/** width, nSites: of the store. The config must have passed checkTrainConfig. */
export function resolveConstants(
  config: TrainConfig,
  { width, nSites }: { width: number; nSites: number },
): TrainConstants {
  const { steps, sparsity } = config;
  const ofPenalty =
    sparsity?.kind === "reluL1"
      ? { auxAlpha: 0, penaltyWarmupSteps: Math.round((sparsity.penaltyWarmupFraction ?? 0) * steps) }
      : {};
  return {
    warmupSteps: Math.round(config.warmupFraction * steps),
    decayStartStep: steps - Math.round(config.decayFraction * steps),
    deadAfterRows: Math.max(1, Math.round(config.deadAfterFraction * steps * config.batchRows)),
    thresholdBeta: 1 - 1 / Math.max(1, config.thresholdMemoryFraction * steps),
    auxLatents: config.auxLatents ?? Math.max(1, Math.floor(width / nSites / 2)),
    largestK: config.kAnnealingSteps > 0 ? Math.max(config.k, config.kStart ?? config.k) : config.k,
    ...ofPenalty,
  };
}

/** Throws ConfigError that names the field. */
export function checkTrainConfig(config: TrainConfig): void {
  const refuse = (field: keyof TrainConfig, expected: string): never => {
    throw new ConfigError(`dictionary.${field}: expected ${expected}, got ${config[field]}`, {
      hint: "change it in study.yaml or on the command line",
    });
  };
  const counts = [
    "nLatents",
    "steps",
    "batchRows",
    "checkpointEverySteps",
    "logEverySteps",
    "calibrationRows",
  ] as const;
  for (const field of counts) {
    if (!Number.isSafeInteger(config[field]) || config[field] < 1)
      refuse(field, "a whole number of at least 1");
  }
  if (!Number.isSafeInteger(config.seed) || config.seed < 0) refuse("seed", "a whole number of at least 0");
  if (!Number.isSafeInteger(config.kAnnealingSteps) || config.kAnnealingSteps < 0) {
    refuse("kAnnealingSteps", "a whole number of at least 0");
  }
  if (config.kAnnealingSteps > 0 && config.kAnnealingSteps >= config.steps) {
    refuse("kAnnealingSteps", `less than steps (${config.steps}), or k is never reached`);
  }
  checkVariant(config);
  if (
    config.auxLatents !== undefined &&
    !(Number.isSafeInteger(config.auxLatents) && config.auxLatents > 0)
  ) {
    refuse("auxLatents", "a whole number of at least 1");
  }
  for (const field of ["learningRate", "initNorm", "targetRms", "maxGradientNorm"] as const) {
    if (!(config[field] > 0 && Number.isFinite(config[field]))) refuse(field, "a number above 0");
  }
  if (!(config.outlierFactor > 1)) refuse("outlierFactor", "a number above 1");
  if (!(config.auxAlpha >= 0 && Number.isFinite(config.auxAlpha)))
    refuse("auxAlpha", "a number of at least 0");
  for (const field of [
    "warmupFraction",
    "decayFraction",
    "deadAfterFraction",
    "thresholdMemoryFraction",
  ] as const) {
    if (!(config[field] >= 0 && config[field] <= 1)) refuse(field, "a share from 0 to 1");
  }
  if (config.warmupFraction + config.decayFraction > 1)
    refuse("decayFraction", "at most 1 together with warmupFraction");
  for (const field of ["k", "kStart"] as const) {
    const k = config[field] ?? config.k;
    if (!(Number.isSafeInteger(k) && k >= 1 && k <= config.nLatents)) {
      refuse(field, `a whole number from 1 to nLatents (${config.nLatents})`);
    }
  }
}

/** Sparsity, normalisation, reconstruction and engine, which come from a file as any text. */
function checkVariant({ sparsity, codeNormalisation, reconstruction, engine }: TrainConfig): void {
  const oneOf = (field: string, got: unknown, allowed: readonly string[]): void => {
    if (got === undefined || allowed.includes(got as string)) return;
    throw new ConfigError(`dictionary.${field}: expected ${allowed.join(", ")}, got ${JSON.stringify(got)}`);
  };
  oneOf("codeNormalisation", codeNormalisation, CODE_NORMALISATIONS);
  oneOf("reconstruction", reconstruction, ["norm", "squared"]);
  oneOf("engine", engine, ["fast", "reference"]);
  if (sparsity === undefined) return;
  oneOf("sparsity.kind", sparsity?.kind ?? null, ["batchTopK", "topK", "reluL1"]);
  if (sparsity.kind !== "reluL1") return;
  const { penalty, penaltyWarmupFraction: share = 0 } = sparsity;
  if (!(penalty >= 0 && Number.isFinite(penalty))) {
    throw new ConfigError(`dictionary.sparsity.penalty: expected a number of at least 0, got ${penalty}`);
  }
  if (!(share >= 0 && share <= 1)) {
    throw new ConfigError(
      `dictionary.sparsity.penaltyWarmupFraction: expected a share from 0 to 1, got ${share}`,
    );
  }
}

/** SHA-256 hex of everything that decides the result; threads and the intervals of saving and logging do not. */
export function configHash({
  threads: _t,
  shards: _s,
  validateEverySteps: _v,
  checkpointEverySteps: _c,
  logEverySteps: _l,
  ...rest
}: TrainConfig): string {
  return createHash("sha256").update(canonicalJson(rest)).digest("hex");
}
