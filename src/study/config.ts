// study.yaml: what was asked. One schema with its defaults; unknown keys are refused, every message carries the path.

import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, resolve } from "node:path";
import { parseDocument, stringify } from "yaml";
import { z } from "zod";
import { ConfigError, FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { EXECUTION_DEVICES } from "../lm/device.ts";
import { checkTrainConfig } from "../training/config-check.ts";
import { DictionarySchema, trainConfigOf } from "./dictionary-config.ts";

const LayerSchema = z.union([
  z.int().min(0),
  z.strictObject({ base: z.int().min(0), finetuned: z.int().min(0) }),
]);

const StudySchema = z.strictObject({
  schemaVersion: z.literal(1).default(1),
  /** Folder of a Hugging Face checkpoint; relative paths are relative to study.yaml. */
  base: z.string().min(1),
  finetuned: z.string().min(1),
  /** JSONL file: one {"text"} or {"messages"} a line. */
  data: z.string().min(1),
  /** 0-based block whose output is compared; absent: the middle of the base model. */
  layer: LayerSchema.optional(),
  seed: z.int().min(0).default(0),
  threads: z.int().min(1).max(256).optional(),
  /** Where the models run; the dictionary is trained on the CPU. */
  device: z.enum(EXECUTION_DEVICES).default("cpu"),
  store: z
    .strictObject({
      name: z
        .string()
        .regex(/^[\w.-]+$/)
        .default("main"),
      dtype: z.enum(["bf16", "f32"]).default("bf16"),
      /** Longer documents are cut, in tokens. */
      maxTokens: z.int().min(2).max(65_535).default(512),
      /** Tokens, by their strings, that the base reads as others: "<|eot_id|>": "####". */
      baseReplacements: z.record(z.string().min(1), z.string().min(1)).default({}),
      /** Tokens at the start of each document that are read but not stored, such as a fixed system prompt. */
      skipFirst: z.int().min(0).max(65_535).default(0),
      /** Also harvest what both models predict next at held-out and test rows. Changes no key of a stage but the harvest's. */
      outputs: z.boolean().default(false),
    })
    .prefault({}),
  dictionary: DictionarySchema.prefault({}),
  report: z.strictObject({ examplesPerLatent: z.int().min(1).max(100).default(12) }).prefault({}),
});

export type StudyConfig = z.infer<typeof StudySchema>;
export type StudyConfigInput = z.input<typeof StudySchema>;

/** Fills defaults and checks. `place` names the source in errors. Throws ConfigError with the path of the first fault. */
export function parseStudyConfig(value: unknown, place: string): StudyConfig {
  const result = StudySchema.safeParse(value);
  if (result.success) {
    checkDictionary(result.data, place);
    return result.data;
  }
  const issue = result.error.issues[0];
  const path = issue.path.length > 0 ? issue.path.join(".") : "(top level)";
  throw new ConfigError(`${place}: ${path}: ${issue.message}`, { hint: "see docs/formats.md, study.yaml" });
}

/** What the schema cannot say, before the first model is opened and not after the harvest. */
function checkDictionary({ dictionary, seed, threads }: StudyConfig, place: string): void {
  try {
    checkTrainConfig(trainConfigOf(dictionary, { seed, threads }));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${place}: ${error.message}`, {
      hint: "see docs/formats.md, study.yaml",
      cause: error,
    });
  }
}

/** Reads study.yaml. Paths in it become absolute, seen from the file. Throws ConfigError or FormatError. */
export async function readStudyConfig(path: string): Promise<StudyConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new FormatError(`${path}: expected a study file, found none that can be read`, {
      hint: "make one with `tunediff compare BASE FINETUNED --data FILE.jsonl --out FOLDER`",
      cause,
    });
  }
  const document = parseDocument(text);
  if (document.errors.length > 0) {
    throw new ConfigError(`${path}: not YAML: ${document.errors[0].message.split("\n")[0]}`, {
      hint: "mend the file at that line",
    });
  }
  const config = parseStudyConfig(document.toJS(), path);
  const seenFrom = (file: string): string => (isAbsolute(file) ? file : resolve(dirname(path), file));
  const { warmStart } = config.dictionary;
  return {
    ...config,
    base: seenFrom(config.base),
    finetuned: seenFrom(config.finetuned),
    data: seenFrom(config.data),
    ...(warmStart !== undefined && {
      dictionary: { ...config.dictionary, warmStart: seenFrom(warmStart) },
    }),
  };
}

/** Writes study.yaml, replacing an older one in one step. */
export async function writeStudyConfig(path: string, config: StudyConfig): Promise<void> {
  await writeFileAtomic(path, stringify(config));
}
