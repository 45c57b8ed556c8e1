// Checkpoints: everything a run needs to go on bit for bit, committed as one folder, the two newest kept.
//
// dictionaries/NAME/checkpoints/step-00000250/state.safetensors holds the arrays, the folder's manifest the rest.
// Randomness is counter-based and schedules are functions of the step, so there is no generator to save. Same bytes are
// promised on one machine and build of onnxruntime, whatever the number of threads.

import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError } from "../errors.ts";
import { commitFolder, removeStaleTemporaries, verifyFolder } from "../formats/atomic.ts";
import { disk } from "../formats/disk.ts";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import type { EngineState } from "./engine-contract.ts";

const STATE_FILE = "state.safetensors";
const KEPT = 2;

/** What a checkpoint belongs to; see configHash and storeHash. */
export interface RunIdentity {
  configHash: string;
  storeHash: string;
}

export interface CheckpointFacts extends RunIdentity {
  completedSteps: number;
  /** Running θ, −1 before the first update. */
  threshold: number;
}

export interface LoadedCheckpoint extends CheckpointFacts {
  path: string;
}

const checkpointsFolder = (folder: string): string => join(folder, "checkpoints");

/** Commits the state after `completedSteps` steps and removes all but the two newest. Returns its path. */
export async function saveCheckpoint(
  folder: string,
  state: EngineState,
  facts: CheckpointFacts,
): Promise<string> {
  const path = join(checkpointsFolder(folder), `step-${String(facts.completedSteps).padStart(8, "0")}`);
  await commitFolder(
    path,
    (temporary) =>
      writeSafetensors(join(temporary, STATE_FILE), [
        ...arraysOf(state).map(([name, data]) => ({
          name,
          dtype: "F32" as const,
          shape: [data.length],
          data,
        })),
        {
          name: "rowsSinceFired",
          dtype: "F64",
          shape: [state.rowsSinceFired.length],
          data: state.rowsSinceFired,
        },
      ]),
    { ...facts },
  );
  for (const old of (await checkpointNames(folder)).slice(KEPT))
    await disk.remove(join(checkpointsFolder(folder), old));
  return path;
}

function arraysOf({ parameters, firstMoment, secondMoment }: EngineState): [string, Float32Array][] {
  return [
    ["parameters", parameters],
    ["firstMoment", firstMoment],
    ["secondMoment", secondMoment],
  ];
}

/** Newest first. */
async function checkpointNames(folder: string): Promise<string[]> {
  try {
    const names = await readdir(checkpointsFolder(folder));
    return names
      .filter((name) => /^step-\d{8,}$/.test(name))
      .sort()
      .reverse();
  } catch {
    return []; // No checkpoint was ever committed here.
  }
}

/**
 * Loads the newest checkpoint that is whole into `state` (its arrays must have the run's sizes).
 *
 * A damaged one is set aside under another name and the one before it is taken; warnings say so. Returns undefined when
 * there is none. Throws MismatchError when the checkpoint is of another configuration or store.
 */
export async function loadNewestCheckpoint(
  folder: string,
  { state, identity, warnings }: { state: EngineState; identity: RunIdentity; warnings: string[] },
): Promise<LoadedCheckpoint | undefined> {
  await removeStaleTemporaries(checkpointsFolder(folder));
  for (const name of await checkpointNames(folder)) {
    const path = join(checkpointsFolder(folder), name);
    let facts: CheckpointFacts;
    try {
      facts = (await verifyFolder(path)).details as unknown as CheckpointFacts;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      await rename(path, `${path}.bad-${process.pid}`);
      warnings.push(`${path}: damaged, set aside and the checkpoint before it used (${error.message})`);
      continue;
    }
    requireSameRun(path, facts, identity);
    await readState(path, state);
    state.updates = facts.completedSteps;
    return { ...facts, path };
  }
  return undefined;
}

function requireSameRun(path: string, got: RunIdentity, expected: RunIdentity): void {
  for (const [field, what] of [
    ["configHash", "configuration"],
    ["storeHash", "store"],
  ] as const) {
    if (got[field] === expected[field]) continue;
    throw new MismatchError(
      `${path}: ${what} hash is ${short(got[field])}, this run expects ${short(expected[field])}`,
      {
        hint: "give the dictionary another name, or remove its folder to train it anew",
      },
    );
  }
}

export const short = (hash: string): string => `${String(hash).slice(0, 12)}…`;

async function readState(path: string, state: EngineState): Promise<void> {
  const file = await openSafetensors(join(path, STATE_FILE));
  try {
    for (const [name, target] of arraysOf(state)) await file.readRows(name, 0, target.length, target);
    const bytes = await file.readBytes("rowsSinceFired");
    state.rowsSinceFired.set(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8));
  } finally {
    await file.close();
  }
}
