// training.json: what a finished training was asked, what followed from it, and how it ended. Written last: its presence
// with the right hashes is what makes a dictionary folder finished.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { asStorageError, errorCode } from "../formats/disk.ts";
import type { Store } from "../store/store-contract.ts";
import type { Calibration } from "./calibrate.ts";
import { type RunIdentity, short } from "./checkpoint.ts";
import type { TrainConfig, TrainConstants } from "./config.ts";
import {
  type HeldoutFigures,
  jsonWithNames,
  type MetricsLine,
  type NoHeldoutFigures,
  type PassedStep,
} from "./metrics.ts";

export const RECORD_FILE = "training.json";

export interface TrainingRecord extends RunIdentity {
  schemaVersion: 1;
  /** Version of tunediff. */
  version: string;
  /** What computed it; bit-identical results are promised for one backend on one machine. */
  backend: string;
  config: TrainConfig;
  constants: TrainConstants;
  store: string;
  rows: { trained: number; bosLeftOut: number; outliersLeftOut: number; normLimits: number[] };
  /** The last line of metrics.jsonl, of a training batch. */
  lastMetrics: MetricsLine | undefined;
  /** Held-out figures in threshold mode with the calibrated θ; `threshold` stands in the dictionary, too. */
  calibration: Calibration;
  /** Of the finished dictionary on the validation rows, BOS rows and norm outliers among them; absent in older records. */
  validation?: HeldoutFigures | NoHeldoutFigures;
  /** Steps that were not finite and gone past without an update; absent: none. */
  passedSteps?: PassedStep[];
  /** The dictionary whose parameters were the start; absent: random rows. */
  warmStart?: { path: string; sha256: string };
  /** Latent shards; absent in older records. */
  shards?: number;
  /** θ as the running mean of batch minima left it. */
  runningThreshold: number;
  /** Of this process: a resumed run counts its own part. */
  seconds: { prepare: number; steps: number; calibrate: number; total: number };
  resumedFromStep: number;
  /** SHA-256 of model.safetensors. */
  modelSha256: string;
  warnings: string[];
}

/** SHA-256 hex of what decides a store's content: its identity, size, sites. Equal stores have equal hashes. */
export function storeHash({ manifest }: Pick<Store, "manifest">): string {
  const { identity, nRows, sites, rowsBySplit, tokenizerHash } = manifest;
  return createHash("sha256")
    .update(canonicalJson({ identity, nRows, sites, rowsBySplit, tokenizerHash }))
    .digest("hex");
}

export async function fileSha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

export async function writeTrainingRecord(folder: string, record: TrainingRecord): Promise<void> {
  await writeFileAtomic(join(folder, RECORD_FILE), `${jsonWithNames(record, 2)}\n`);
}

/** The record of a finished folder, undefined when there is none. Throws FormatError for one that is no record. */
export async function readTrainingRecord(folder: string): Promise<TrainingRecord | undefined> {
  const path = join(folder, RECORD_FILE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw asStorageError(error, { path });
  }
  try {
    const record = JSON.parse(text) as TrainingRecord;
    if (record.schemaVersion === 1 && typeof record.configHash === "string") return record;
  } catch {
    // Falls through to the one error below.
  }
  throw new FormatError(`${path}: expected a training record, found something else`, {
    hint: "move the dictionary's folder away and train again",
  });
}

/** Throws MismatchError when a finished folder was made with another configuration or store. */
export function requireSameTraining(folder: string, record: RunIdentity, expected: RunIdentity): void {
  for (const [field, what] of [
    ["configHash", "configuration"],
    ["storeHash", "store"],
  ] as const) {
    if (record[field] === expected[field]) continue;
    throw new MismatchError(
      `${join(folder, RECORD_FILE)}: ${what} hash is ${short(record[field])}, this run expects ${short(expected[field])}`,
      { hint: "give the dictionary another name, or remove its folder to train it anew" },
    );
  }
}
