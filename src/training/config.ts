// What a training run is told, and the constants that follow from it and from the run's length.
//
// The equations are the paper's; warm-up, dead-latent age and the threshold's memory are shares of the run, because runs
// here are 10^3 steps where the paper's are 10^5. Each share has an absolute twin that replaces it, so that the paper's
// constants can be said exactly: presets.ts. Everything resolved is stored in training.json. Checks: config-check.ts.

import { createHash } from "node:crypto";
import type { CodeNormalisation } from "../dictionary/dictionary.ts";
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
  /** false: train on raw activations, as the paper did; targetRms is not looked at. Undefined: true. */
  normalise?: boolean;
  /** Share of the steps over which the learning rate rises from 0. */
  warmupFraction: number;
  /** The same in steps. */
  warmupSteps?: number;
  /** Share of the steps over which it falls to 0 at the end. */
  decayFraction: number;
  /** The same in steps; 0: none. */
  decaySteps?: number;
  /** Gradients of a larger global L2 norm are scaled down to it. */
  maxGradientNorm: number;
  /** Weight α of the auxiliary loss. */
  auxAlpha: number;
  /** Most dead latents a row may use in it; undefined: half the sites' mean width, as the reference. */
  auxLatents?: number;
  /** Share of the run's rows after which a silent latent is dead. */
  deadAfterFraction: number;
  /** The same in rows. */
  deadAfterRows?: number;
  /** Share of the steps that the running mean of the threshold remembers. */
  thresholdMemoryFraction: number;
  /** Weight of the old mean in the new one, from 0 to below 1: the same as a number. */
  thresholdBeta?: number;
  /** First step, counted from 0, whose batch moves that mean; until then nothing is known of θ. Undefined: 0. */
  thresholdStartStep?: number;
  /** Rows whose norm at any site exceeds this multiple of the median are left out, as BOS rows are. */
  outlierFactor: number;
  /** Held-out rows on which θ is set at the end. */
  calibrationRows: number;
  seed: number;
  /** Seed of the order of rows alone, so that runs of several seeds can share their batches; undefined: seed. */
  dataSeed?: number;
  /** Threads to compute with; undefined: all cores. Without `shards` it is also the most shards a new run has. */
  threads?: number;
  /**
   * Latent shards, each on a thread of its own with its own memory. Another number rounds sums in another order. Undefined: one
   * a thread for large dictionaries, or the number of the checkpoint that is gone on from.
   */
  shards?: number;
  /** Held-out figures in threshold mode every so many steps, as lines of metrics.jsonl; undefined: in training.json, at the end. */
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
  /** threshold_start_step + 1: the reference compares with >. */
  thresholdStartStep: number;
  /** top_k_aux */
  auxLatents: number;
  /** Largest k of the run. */
  largestK: number;
  /** Of ReLU + L1 alone: 0, in place of the config's. */
  auxAlpha?: number;
  /** Of ReLU + L1 alone: steps over which the penalty rises. */
  penaltyWarmupSteps?: number;
}

/** Absolute values before shares. width, nSites: of the store. The config must have passed checkTrainConfig. */
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
    warmupSteps: config.warmupSteps ?? Math.round(config.warmupFraction * steps),
    decayStartStep: steps - (config.decaySteps ?? Math.round(config.decayFraction * steps)),
    deadAfterRows:
      config.deadAfterRows ?? Math.max(1, Math.round(config.deadAfterFraction * steps * config.batchRows)),
    thresholdBeta: config.thresholdBeta ?? 1 - 1 / Math.max(1, config.thresholdMemoryFraction * steps),
    thresholdStartStep: config.thresholdStartStep ?? 0,
    auxLatents: config.auxLatents ?? Math.max(1, Math.floor(width / nSites / 2)),
    largestK: config.kAnnealingSteps > 0 ? Math.max(config.k, config.kStart ?? config.k) : config.k,
    ...ofPenalty,
  };
}

/**
 * SHA-256 hex of everything that decides the result. Threads, shards and the intervals of saving and logging do not, nor does
 * the policy for steps that are not finite: what it decided stands in the checkpoint, so a run that stopped may go on with another.
 */
export function configHash({
  threads: _t,
  shards: _s,
  validateEverySteps: _v,
  checkpointEverySteps: _c,
  logEverySteps: _l,
  nonFinite: _n,
  engine,
  ...rest
}: TrainConfig): string {
  const decides = engine === undefined || engine === "fast" ? rest : { ...rest, engine };
  return createHash("sha256").update(canonicalJson(decides)).digest("hex");
}
