// What a training configuration must satisfy before anything is computed: ranges, known names, fields that belong together.
//
// Values come from study.yaml, flags or a library's caller, so nothing is taken for granted. Whether the data can serve the
// configuration (batch larger than the store, a warm start of another shape) is seen where the data is read.

import { CODE_NORMALISATIONS } from "../dictionary/dictionary.ts";
import { ConfigError } from "../errors.ts";
import { resolveConstants, type TrainConfig } from "./config.ts";

type Field = keyof TrainConfig;

const COUNTS = [
  "nLatents",
  "steps",
  "batchRows",
  "checkpointEverySteps",
  "logEverySteps",
  "calibrationRows",
] as const;
const OPTIONAL_COUNTS = ["auxLatents", "threads", "shards", "validateEverySteps", "deadAfterRows"] as const;
const OPTIONAL_COUNTS_FROM_0 = ["dataSeed", "warmupSteps", "decaySteps", "thresholdStartStep"] as const;
const POSITIVE = ["learningRate", "initNorm", "targetRms", "maxGradientNorm"] as const;
const SHARES = ["warmupFraction", "decayFraction", "deadAfterFraction", "thresholdMemoryFraction"] as const;
const NON_FINITE_POLICIES = ["stop", "skip", "rollBack"] as const;

/** Throws ConfigError that names the first field at fault, as it is called in study.yaml. */
export function checkTrainConfig(config: TrainConfig): void {
  for (const field of COUNTS) requireWhole(config, field, 1);
  requireWhole(config, "seed", 0);
  requireWhole(config, "kAnnealingSteps", 0);
  if (config.kAnnealingSteps > 0 && config.kAnnealingSteps >= config.steps) {
    refuse(config, "kAnnealingSteps", `less than steps (${config.steps}), or k is never reached`);
  }
  checkVariant(config);
  for (const field of OPTIONAL_COUNTS) if (config[field] !== undefined) requireWhole(config, field, 1);
  for (const field of OPTIONAL_COUNTS_FROM_0) if (config[field] !== undefined) requireWhole(config, field, 0);
  for (const field of POSITIVE) {
    if (!(config[field] > 0 && Number.isFinite(config[field]))) refuse(config, field, "a number above 0");
  }
  if (!(config.outlierFactor > 1)) refuse(config, "outlierFactor", "a number above 1");
  if (!(config.auxAlpha >= 0 && Number.isFinite(config.auxAlpha)))
    refuse(config, "auxAlpha", "a number of at least 0");
  for (const field of SHARES) {
    if (!(config[field] >= 0 && config[field] <= 1)) refuse(config, field, "a share from 0 to 1");
  }
  const bothShares = config.warmupSteps === undefined && config.decaySteps === undefined;
  if (bothShares && config.warmupFraction + config.decayFraction > 1)
    refuse(config, "decayFraction", "at most 1 together with warmupFraction");
  for (const field of ["k", "kStart"] as const) {
    const k = config[field] ?? config.k;
    if (!(Number.isSafeInteger(k) && k >= 1 && k <= config.nLatents)) {
      refuse(config, field, `a whole number from 1 to nLatents (${config.nLatents})`);
    }
  }
  checkOverrides(config);
  checkHandling(config);
}

function refuse(config: TrainConfig, field: Field, expected: string, hint?: string): never {
  const got = config[field];
  throw new ConfigError(
    `dictionary.${field}: expected ${expected}, got ${typeof got === "number" ? got : JSON.stringify(got)}`,
    { hint: hint ?? "change it in study.yaml or on the command line" },
  );
}

function requireWhole(config: TrainConfig, field: Field, least: number): void {
  const value = config[field];
  if (!(Number.isSafeInteger(value) && (value as number) >= least))
    refuse(config, field, `a whole number of at least ${least}`);
}

/** What replaces a share must fit the length of the run, which the share does by itself. */
function checkOverrides(config: TrainConfig): void {
  const { thresholdBeta: beta } = config;
  if (beta !== undefined && !(beta >= 0 && beta < 1)) refuse(config, "thresholdBeta", "from 0 to below 1");
  if (config.normalise !== undefined && typeof config.normalise !== "boolean")
    refuse(config, "normalise", "true or false");
  if (config.warmupSteps === undefined && config.decaySteps === undefined) return;
  // Neither depends on the width.
  const { warmupSteps, decayStartStep } = resolveConstants(config, { width: 2, nSites: 1 });
  if (warmupSteps <= decayStartStep) return;
  const field = config.warmupSteps === undefined ? "decaySteps" : "warmupSteps";
  const other =
    field === "decaySteps" ? `warm-up (${warmupSteps})` : `decay (${config.steps - decayStartStep})`;
  refuse(
    config,
    field,
    `at most the run's steps (${config.steps}) together with its ${other}`,
    "for a short run give warmupFraction and decayFraction, or fewer steps of each",
  );
}

/** Shards, warm start, and what happens to a step that is not finite. */
function checkHandling(config: TrainConfig): void {
  const { shards, nLatents, warmStart, nonFinite } = config;
  if (shards !== undefined && shards > nLatents)
    refuse(config, "shards", `at most nLatents (${nLatents}): a shard holds a latent at least`);
  if (warmStart !== undefined && !(typeof warmStart === "string" && warmStart.length > 0))
    refuse(config, "warmStart", "the folder of a dictionary");
  if (nonFinite === undefined) return;
  oneOf("nonFinite.policy", nonFinite?.policy ?? null, NON_FINITE_POLICIES);
  if (nonFinite.policy === "stop") return;
  const { most } = nonFinite;
  if (!(Number.isSafeInteger(most) && most >= 1)) {
    throw new ConfigError(`dictionary.nonFinite.most: expected a whole number of at least 1, got ${most}`);
  }
}

function oneOf(field: string, got: unknown, allowed: readonly string[]): void {
  if (got === undefined || allowed.includes(got as string)) return;
  throw new ConfigError(`dictionary.${field}: expected ${allowed.join(", ")}, got ${JSON.stringify(got)}`);
}

/** Sparsity, normalisation, reconstruction and engine, which come from a file as any text. */
function checkVariant({ sparsity, codeNormalisation, reconstruction, engine }: TrainConfig): void {
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
