// What a dictionary's training was asked, what followed from it, and how it ended, as names and values that stand side by side.
//
// The training record flattened; hours and throughput worked out from it. Before there is a record: what study.yaml asked, and which
// checkpoints are kept.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { TrainingRecord } from "../training/training-record.ts";
import type { TrainingFact, TrainingFacts } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { withoutPaths } from "./errors-out.ts";

const CHECKPOINT = /^step-(\d{8,12})$/;
/** Hex digits of a hash that are shown. */
const HASH_DIGITS = 12;
const SECONDS_OF_HOUR = 3600;

export async function readTrainingFacts(view: DictionaryView): Promise<TrainingFacts> {
  const record = await view.part("training", (value) => ({
    facts: factsOf(value),
    warnings: value.warnings.map(withoutPaths),
    plan: { steps: value.config.steps, batchRows: value.config.batchRows },
  }));
  if (record.state !== "made") {
    return { plan: await askedPlan(view), checkpoints: await readCheckpoints(view.folder), record };
  }
  const { plan, facts, warnings } = record.value;
  return {
    ...{ plan, checkpoints: await readCheckpoints(view.folder) },
    record: { state: "made", value: { facts, warnings } },
  };
}

/** What study.yaml asks of the study's own dictionary; of another one nothing is known before its record. */
async function askedPlan(view: DictionaryView): Promise<TrainingFacts["plan"]> {
  const { mainDictionary } = await view.study.facts();
  if (view.name !== mainDictionary) return { steps: null, batchRows: null };
  try {
    const { dictionary } = parse(await readFile(join(view.study.folder, "study.yaml"), "utf8"));
    const count = (value: unknown): number | null =>
      Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : null;
    return { steps: count(dictionary?.steps), batchRows: count(dictionary?.batchRows) };
  } catch {
    return { steps: null, batchRows: null }; // not there, or no YAML: unknown
  }
}

async function readCheckpoints(folder: string): Promise<TrainingFacts["checkpoints"]> {
  const root = join(folder, "checkpoints");
  const names = (await readdir(root).catch(() => [])).filter((name) => CHECKPOINT.test(name)).sort();
  const found = names.map(async (name) => {
    const committed = await stat(join(root, name, "manifest.json")).catch(() => undefined);
    if (committed === undefined) return [];
    return [{ step: Number(name.slice("step-".length)), made: committed.mtime.toISOString() }];
  });
  return (await Promise.all(found)).flat();
}

function factsOf(record: TrainingRecord): TrainingFact[] {
  const { config, constants, rows, seconds, calibration, validation, resumedFromStep } = record;
  const steps = config.steps - resumedFromStep;
  const list = (group: string, value: unknown): TrainingFact[] =>
    flatten(value).map((fact) => ({ group, ...fact }));
  return [
    ...list("result", validation ?? calibration),
    ...list("time", {
      hours: seconds.total / SECONDS_OF_HOUR,
      tokensPerSecond:
        seconds.steps > 0 && steps > 0 ? (steps * config.batchRows) / seconds.steps : undefined,
      tokensTrained: config.steps * config.batchRows,
      resumedFromStep,
      stepsPassed: record.passedSteps?.length ?? 0,
    }),
    ...list("rows", { store: record.store, ...rows }),
    ...list("configuration", config),
    ...list("constants", constants),
    ...list("made by", {
      ...{ version: record.version, backend: record.backend, shards: record.shards },
      ...{ warmStart: record.warmStart?.sha256.slice(0, HASH_DIGITS) },
      ...{ storeHash: record.storeHash.slice(0, HASH_DIGITS) },
      ...{ configHash: record.configHash.slice(0, HASH_DIGITS) },
      ...{ modelSha256: record.modelSha256.slice(0, HASH_DIGITS) },
    }),
  ];
}

/** Scalars by dotted name; nothing for what is undefined. */
function flatten(value: unknown, name = ""): Omit<TrainingFact, "group">[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return [{ name, value: value.map((one) => String(rounded(one))).join(", ") }];
  if (typeof value !== "object") return [{ name, value: shown(value) }];
  return Object.entries(value).flatMap(([key, inner]) =>
    flatten(inner, name === "" ? key : `${name}.${key}`),
  );
}

/** In a list: six digits of a number are enough. */
function rounded(value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : shown(value);
}

/** No path of the disk among the words. */
function shown(value: unknown): TrainingFact["value"] {
  if (typeof value === "number" || typeof value === "boolean") return value;
  return withoutPaths(String(value));
}
