// tables/causal.json of a dictionary: the paper's experiment, what the per-latent table stands on, splice metrics and behaviour rates.
//
// A part that was never asked for is null. The rows of single latents are tables/causal.parquet (effects-table.ts). The file says which
// dictionary and store it is of and what was asked of each part, so that a reader can tell one of another day (findDone). NaN is written as null.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { FormatError, NumericsError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { asStorageError, ensureFolder, errorCode } from "../formats/disk.ts";
import {
  BEHAVIOUR_ARMS,
  type BehaviourRate,
  type Estimate,
  PATCH_FORMS,
  type PatchingResult,
  type SetOutcome,
  type SpliceOutcome,
} from "./causal-contract.ts";
import { effectsPath } from "./effects-table.ts";

export const CAUSAL_SCHEMA = 1;
const HINT = "run `tunediff causal` again to write it anew";

export const CAUSAL_PARTS = ["patching", "effects", "splice", "behaviours"] as const;
export type CausalPart = (typeof CAUSAL_PARTS)[number];

/** Every option of a part that can change a number, defaults filled in; plain JSON. Null: the part was never asked for. */
export type CausalAsked = Record<CausalPart, Record<string, unknown> | null>;

/** How tables/causal.parquet was made. */
export interface EffectsSummary {
  /** Rows of each role. */
  candidates: number;
  controls: number;
  /** Matched controls of a candidate, at most. */
  controlsEach: number;
  conversations: number;
  /** Predicted tokens. */
  tokens: number;
  /** Candidates that fired in none of the conversations. */
  silent: number;
  bootstrap: PatchingResult["bootstrap"];
}

/** tables/causal.json. */
export interface CausalRecord {
  schemaVersion: typeof CAUSAL_SCHEMA;
  /** Of model.safetensors. */
  dictionarySha256: string;
  /** Of the store's manifest: which rows and conversations there were. */
  storeId: string;
  asked: CausalAsked;
  patching: PatchingResult | null;
  effects: EffectsSummary | null;
  splice: Record<"base" | "finetuned", SpliceOutcome> | null;
  behaviours: BehaviourRate[] | null;
  /** Of the run that wrote the file. */
  seconds: number;
}

/** What a record depends on; equal inputs mean that it need not be made again. */
export type CausalInputs = Pick<CausalRecord, "dictionarySha256" | "storeId" | "asked">;

const count = z.int().min(0);
const text = z.string();
/** null stands for NaN: a mean over no tokens. */
const figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const limits = z.strictObject({ low: figure, high: figure });
const estimate: z.ZodType<Estimate> = z.strictObject({ mean: figure, interval: limits });
const setOutcome: z.ZodType<SetOutcome> = z.strictObject({
  tokens: count,
  kl: estimate,
  klPublished: limits,
  nll: estimate,
  nllArgmax: estimate,
  klBase: estimate,
  gapClosed: estimate.nullable(),
  klAgainstNone: estimate,
});
const ofSets = <T extends z.ZodType>(each: T) => z.strictObject({ all: each, firstNine: each, rest: each });
const bootstrap = z.strictObject({ draws: count, level: z.number().min(0).max(1), seed: count });

const patching: z.ZodType<PatchingResult> = z.strictObject({
  choices: z.strictObject({
    klDirection: z.enum(["finetuned-from-hybrid", "hybrid-from-finetuned"]),
    decoderBias: z.enum(["omit", "swap"]),
    restOf: z.enum(["all-but-nine", "after-nine"]),
    leading: z.enum(["finetuned", "base"]),
    nuRank: z.enum(["signed", "absolute"]),
  }),
  conversations: z.strictObject({
    source: z.enum(["stored", "file"]),
    answers: z.enum(["written", "finetuned"]),
    split: text,
    count,
    tokens: count,
    excluded: z.record(text, count),
    unedited: count,
  }),
  poolCounts: z.strictObject({
    pool: count,
    dead: count,
    nuMissing: count,
    nuReconstructionOutOfRange: count,
    nuErrorOutOfRange: count,
    kept: count,
  }),
  outcomes: z.array(
    z.strictObject({
      name: text,
      kind: z.enum(["none", "all", "error", "template", "finetuned", "subset"]),
      form: z.enum(PATCH_FORMS).nullable(),
      nLatents: count,
      selection: text,
      controlOf: text,
      sets: ofSets(setOutcome),
    }),
  ),
  comparisons: z.array(z.strictObject({ first: text, second: text, sets: ofSets(estimate) })),
  controls: z.array(
    z.strictObject({
      selection: text,
      nLatents: count,
      silent: count,
      missing: z.array(count),
      rateRatio: z.array(figure),
      energyRatio: z.array(figure),
      kl: z.strictObject({ additive: ofSets(z.array(figure)), replacing: ofSets(z.array(figure)) }),
    }),
  ),
  bootstrap,
});

const effects: z.ZodType<EffectsSummary> = z.strictObject({
  candidates: count,
  controls: count,
  controlsEach: count,
  conversations: count,
  tokens: count,
  silent: count,
  bootstrap,
});

const splice: z.ZodType<SpliceOutcome> = z.strictObject({
  tokens: count,
  ce: z.strictObject({ model: figure, spliced: figure, mean: figure, zero: figure }),
  kl: figure,
  lossRecoveredZero: figure,
  lossRecoveredMean: figure,
});

const shown = z.strictObject({ shown: count, prompts: count });
const behaviour: z.ZodType<BehaviourRate> = z.strictObject({
  behaviour: text,
  latent: count,
  factor: z.number(),
  removalFactor: z.number(),
  pushFactor: z.number(),
  arms: z.array(
    z.strictObject({
      arm: z.enum(BEHAVIOUR_ARMS),
      controls: count,
      called: shown,
      notCalled: shown,
      degenerate: count,
    }),
  ),
});

const given = z.record(text, z.unknown()).nullable();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const record: z.ZodType<CausalRecord> = z.strictObject({
  schemaVersion: z.literal(CAUSAL_SCHEMA),
  dictionarySha256: sha256,
  storeId: z.string().min(1),
  asked: z.strictObject({ patching: given, effects: given, splice: given, behaviours: given }),
  patching: patching.nullable(),
  effects: effects.nullable(),
  splice: z.strictObject({ base: splice, finetuned: splice }).nullable(),
  behaviours: z.array(behaviour).nullable(),
  seconds: z.number().min(0),
});

export function causalPath(dictionaryFolder: string): string {
  return join(dictionaryFolder, "tables", "causal.json");
}

/**
 * Replaces the file. Throws NumericsError for an infinite number, FormatError for a record that could not be read again, StorageError
 * from the disk; the old file then stays.
 */
export async function writeCausal(dictionaryFolder: string, value: CausalRecord): Promise<void> {
  const path = causalPath(dictionaryFolder);
  const source = JSON.stringify(value, refuseInfinite(path), 2);
  checked(JSON.parse(source), path);
  await ensureFolder(dirname(path));
  await writeFileAtomic(path, `${source}\n`);
}

/** undefined when there is none. Throws FormatError naming the first field that is wrong, StorageError. */
export async function readCausal(dictionaryFolder: string): Promise<CausalRecord | undefined> {
  const path = causalPath(dictionaryFolder);
  let source: string;
  try {
    source = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw asStorageError(error, { path });
  }
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, { hint: HINT, cause });
  }
  return checked(value, path);
}

/**
 * What a record holds that need not be made again: its parts of the same options, if it is of the same dictionary and store. record:
 * undefined when there is none of them, or none that can be read: derived data, which making it again makes whole.
 */
export async function findDone(
  dictionaryFolder: string,
  { dictionarySha256, storeId, asked }: CausalInputs,
): Promise<{ record: CausalRecord | undefined; done: CausalPart[] }> {
  let record: CausalRecord | undefined;
  try {
    record = await readCausal(dictionaryFolder);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  if (record?.dictionarySha256 !== dictionarySha256 || record.storeId !== storeId) {
    return { record: undefined, done: [] };
  }
  const { asked: before } = record;
  const done = CAUSAL_PARTS.filter(
    (part) =>
      before[part] !== null &&
      canonicalJson(before[part]) === canonicalJson(asked[part]) &&
      (part !== "effects" || existsSync(effectsPath(dictionaryFolder))),
  );
  return { record, done };
}

/** JSON has neither NaN, which becomes null as in JSON.stringify, nor infinities, which would be read back as NaN. */
function refuseInfinite(path: string): (key: string, value: unknown) => unknown {
  return (key, value) => {
    if (value !== Number.POSITIVE_INFINITY && value !== Number.NEGATIVE_INFINITY) return value;
    throw new NumericsError(`${path}: ${key}: expected a finite number or NaN, got ${value}`);
  };
}

function checked(value: unknown, path: string): CausalRecord {
  const parsed = record.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FormatError(`${path}: ${issue.path.join(".") || "(top level)"}: ${issue.message}`, {
    hint: HINT,
    cause: parsed.error,
  });
}
