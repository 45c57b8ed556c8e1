// The dictionary section of study.yaml: every field of a training run, by the trainer's own names, and how it becomes one.
//
// The schema fixes types; ranges and what belongs together are the trainer's checks (training/config-check.ts), made as soon
// as a study is read. A field that is absent stays absent: the hashes of older studies stand on that.

import { z } from "zod";
import { CODE_NORMALISATIONS } from "../dictionary/dictionary.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "../training/config.ts";
import { overPreset, PRESET_NAMES, resolvePreset } from "../training/presets.ts";

const SparsitySchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("batchTopK") }),
  z.strictObject({ kind: z.literal("topK") }),
  z.strictObject({
    kind: z.literal("reluL1"),
    penalty: z.number().positive(),
    penaltyWarmupFraction: z.number().min(0).max(1).optional(),
  }),
]);

const NonFiniteSchema = z.discriminatedUnion("policy", [
  z.strictObject({ policy: z.literal("stop") }),
  z.strictObject({ policy: z.literal("skip"), most: z.int().min(1) }),
  z.strictObject({ policy: z.literal("rollBack"), most: z.int().min(1) }),
]);

const share = z.number().min(0).max(1).optional();
const positive = z.number().positive().optional();
const count = z.int().min(1).optional();
const countFrom0 = z.int().min(0).optional();

const FieldsSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]+$/)
    .default("main"),
  /** Constants that hold where a field is not given. */
  preset: z.enum(PRESET_NAMES).optional(),
  nLatents: count,
  k: count,
  kStart: count,
  kAnnealingSteps: countFrom0,
  steps: count,
  batchRows: count,
  learningRate: positive,
  initNorm: positive,
  targetRms: positive,
  normalise: z.boolean().optional(),
  warmupFraction: share,
  warmupSteps: countFrom0,
  decayFraction: share,
  decaySteps: countFrom0,
  maxGradientNorm: positive,
  auxAlpha: z.number().min(0).optional(),
  auxLatents: count,
  deadAfterFraction: share,
  deadAfterRows: count,
  thresholdMemoryFraction: share,
  thresholdBeta: z.number().min(0).lt(1).optional(),
  thresholdStartStep: countFrom0,
  outlierFactor: z.number().gt(1).optional(),
  calibrationRows: count,
  /** Absent: the study's. */
  seed: countFrom0,
  dataSeed: countFrom0,
  shards: count,
  validateEverySteps: count,
  checkpointEverySteps: count,
  logEverySteps: count,
  nonFinite: NonFiniteSchema.optional(),
  /** Folder of a dictionary; relative paths are relative to study.yaml. */
  warmStart: z.string().min(1).optional(),
  /** Absent: batchTopK. */
  sparsity: SparsitySchema.optional(),
  codeNormalisation: z.enum(CODE_NORMALISATIONS).optional(),
  reconstruction: z.enum(["norm", "squared"]).optional(),
  engine: z.enum(["fast", "reference"]).optional(),
});

/** The size of a run is always said, in the study's own record, too. */
export const DictionarySchema = FieldsSchema.transform((given) => {
  const { nLatents, k, steps, batchRows } = trainFields(given);
  const { name, preset, ...rest } = given;
  const size = { nLatents, k, steps, batchRows };
  // The size twice: first for its place in the file, last because a rest may hold undefined.
  return { name, ...(preset !== undefined && { preset }), ...size, ...rest, ...size };
});

export type DictionaryConfig = z.infer<typeof DictionarySchema>;

/** Defaults, then the preset, then what is given. */
function trainFields({ name: _name, preset, ...given }: z.infer<typeof FieldsSchema>): TrainConfig {
  const fields: Partial<TrainConfig> = overPreset(preset === undefined ? {} : resolvePreset(preset), given);
  return { ...DEFAULT_TRAIN_CONFIG, ...fields };
}

/** What train() is told. seed: the study's; the dictionary's own wins. */
export function trainConfigOf(
  dictionary: DictionaryConfig,
  { seed, threads }: { seed: number; threads?: number },
): TrainConfig {
  const fields = trainFields(dictionary);
  // The order of the keys is part of a stage's key: kStart behind the fields.
  return { ...fields, kStart: fields.kStart ?? fields.k, seed: dictionary.seed ?? seed, threads };
}

/** The part of a run that decides its outcome, for the key of its stage: threads, shards and intervals do not. */
export function outcomeOf(config: TrainConfig): object {
  const { checkpointEverySteps, logEverySteps } = DEFAULT_TRAIN_CONFIG;
  return {
    ...config,
    // The defaults, and not left out: keys of studies made before the intervals could be chosen have them.
    checkpointEverySteps,
    logEverySteps,
    threads: undefined,
    shards: undefined,
    validateEverySteps: undefined,
  };
}
