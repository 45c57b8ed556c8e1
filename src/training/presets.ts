// Named sets of constants: what the paper trained its crosscoders with, field by field.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B.2 and K, and the code that made its figures (dictionary_learning, CrossCoder
// and BatchTopKCrossCoder trainers); where the two differ, the code. What the paper does not fix keeps its default: rows left
// out (it kept BOS), the recalibration of θ at the end (it had none), the seed. Presets are no tuned settings of ours.

import { ConfigError } from "../errors.ts";
import type { TrainConfig } from "./config.ts";

export const PRESET_NAMES = ["paper-batchtopk", "paper-batchtopk-llama-8b", "paper-l1"] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** What all of the paper's runs share. */
const PAPER = {
  // Gemma-2-2B's size, 32 × d, and length: 10^8 rows twice in batches of 2048. Others give their own.
  nLatents: 73_728,
  steps: 97_656,
  batchRows: 2048,
  learningRate: 1e-4,
  warmupSteps: 1000,
  decaySteps: 0,
  normalise: false,
  codeNormalisation: "crosscoder",
  reconstruction: "norm",
  validateEverySteps: 20_000,
  logEverySteps: 50,
  // The paper's 20,000 would lose hours to a power cut; no result depends on it.
  checkpointEverySteps: 2000,
} as const satisfies Partial<TrainConfig>;

const PAPER_BATCH_TOP_K = {
  ...PAPER,
  sparsity: { kind: "batchTopK" },
  k: 100,
  kAnnealingSteps: 0,
  initNorm: 1,
  maxGradientNorm: 1,
  // k_aux is left to its default, half a model's width, as in the code; the text says 512.
  auxAlpha: 1 / 32,
  deadAfterRows: 10_000_000,
  thresholdBeta: 0.999,
  // threshold_start_step 1000, compared with >.
  thresholdStartStep: 1001,
} as const satisfies Partial<TrainConfig>;

const PRESETS: Record<PresetName, Partial<TrainConfig>> = {
  /** Gemma-2-2B; Llama-3.2-1B and the narrow fine-tunes but for nLatents and steps. */
  "paper-batchtopk": PAPER_BATCH_TOP_K,
  /** Llama-3.1-8B: k 200, annealed. */
  "paper-batchtopk-llama-8b": {
    ...PAPER_BATCH_TOP_K,
    nLatents: 131_072,
    k: 200,
    kStart: 1000,
    kAnnealingSteps: 5000,
    initNorm: 0.3,
  },
  /** Gemma-2-2B; others differ in μ. No clipping, no auxiliary loss: the trainer leaves both out under this sparsity. */
  "paper-l1": {
    ...PAPER,
    sparsity: { kind: "reluL1", penalty: 0.041 },
    initNorm: 0.05,
    // Only counted: nothing is done about a dead latent.
    deadAfterRows: 10_000_000,
  },
};

/** The fields a preset fixes, as a fresh object. Throws ConfigError for an unknown name. */
export function resolvePreset(name: string): Partial<TrainConfig> {
  if (!(PRESET_NAMES as readonly string[]).includes(name)) {
    throw new ConfigError(
      `dictionary.preset: expected ${PRESET_NAMES.join(", ")}, got ${JSON.stringify(name)}`,
    );
  }
  return structuredClone(PRESETS[name as PresetName]);
}

/** A share and the absolute value that replaces it. */
const ABSOLUTE_OF_SHARE = {
  warmupFraction: "warmupSteps",
  decayFraction: "decaySteps",
  deadAfterFraction: "deadAfterRows",
  thresholdMemoryFraction: "thresholdBeta",
} as const;

/**
 * `given` over a preset's fields; undefined entries of `given` count as not given. A share that is given removes the preset's
 * absolute value, which would otherwise win over it in resolveConstants.
 */
export function overPreset(preset: Partial<TrainConfig>, given: Partial<TrainConfig>): Partial<TrainConfig> {
  const said = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as Partial<TrainConfig>;
  const base = { ...preset };
  for (const [share, absolute] of Object.entries(ABSOLUTE_OF_SHARE)) {
    if (share in said) delete base[absolute];
  }
  return { ...base, ...said };
}
