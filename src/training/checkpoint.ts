// Checkpoints: everything a run needs to go on bit for bit, committed as one folder, the two newest kept.
//
// dictionaries/NAME/checkpoints/step-00000250/state.safetensors holds the arrays, the folder's manifest the rest.
// Randomness is counter-based and schedules are functions of the step, so there is no generator to save. Same bytes are
// promised on one machine and build of onnxruntime for one number of shards, whatever the number of threads. The file does
// not depend on the shards: rows are latents, and any number of shards can load it.

import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError } from "../errors.ts";
import { commitFolder, readManifest, removeStaleTemporaries, verifyFolder } from "../formats/atomic.ts";
import { disk } from "../formats/disk.ts";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import {
  type Engine,
  PARAMETER_NAMES,
  type ParameterName,
  type RowRange,
  STATE_KINDS,
  type StateKind,
  shapeOf,
} from "./engine-contract.ts";

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
  /** Latent shards of the engine: sums are rounded in their order, so a resumed run keeps their number. */
  nShards: number;
}

export interface LoadedCheckpoint extends CheckpointFacts {
  path: string;
}

interface EngineShape {
  nLatents: number;
  width: number;
}

const checkpointsFolder = (folder: string): string => join(folder, "checkpoints");

/** Values moved between engine and file at a time. */
const CHUNK_VALUES = 2 ** 22;

/** Commits the engine's state after facts.completedSteps steps and removes all but the two newest. Returns its path. */
export async function saveCheckpoint(
  folder: string,
  { engine, shape, facts }: { engine: Engine; shape: EngineShape; facts: CheckpointFacts },
): Promise<string> {
  const path = join(checkpointsFolder(folder), `step-${String(facts.completedSteps).padStart(8, "0")}`);
  const rowsSinceFired = await engine.readRowsSinceFired();
  await commitFolder(
    path,
    (temporary) =>
      writeSafetensors(join(temporary, STATE_FILE), [
        ...stateTensors(shape).map(({ kind, name, nRows, rowLength }) => ({
          name: tensorName(kind, name),
          dtype: "F32" as const,
          shape: rowLength === 1 || nRows === 1 ? [nRows * rowLength] : [nRows, rowLength],
          data: {
            byteLength: 4 * nRows * rowLength,
            async *chunks() {
              for (const rows of chunksOf(nRows, rowLength)) yield await engine.read(kind, name, rows);
            },
          },
        })),
        { name: "rowsSinceFired", dtype: "F64", shape: [rowsSinceFired.length], data: rowsSinceFired },
      ]),
    { ...facts },
  );
  for (const old of (await checkpointNames(folder)).slice(KEPT))
    await disk.remove(join(checkpointsFolder(folder), old));
  return path;
}

/** "firstMoment.encoderWeight"; the parameters themselves by their bare names. */
const tensorName = (kind: StateKind, name: ParameterName): string =>
  kind === "parameter" ? name : `${kind}.${name}`;

function stateTensors(shape: EngineShape) {
  return STATE_KINDS.flatMap((kind) =>
    PARAMETER_NAMES.map((name) => ({ kind, name, ...shapeOf(name, shape) })),
  );
}

function chunksOf(nRows: number, rowLength: number): RowRange[] {
  const most = Math.max(1, Math.floor(CHUNK_VALUES / rowLength));
  return Array.from({ length: Math.ceil(nRows / most) }, (_, i) => ({
    from: i * most,
    to: Math.min(nRows, (i + 1) * most),
  }));
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

/** The newest checkpoint's number of shards, undefined when there is none that can be read; it is verified when loaded. */
export async function checkpointShards(folder: string): Promise<number | undefined> {
  for (const name of await checkpointNames(folder)) {
    try {
      const { details } = await readManifest(join(checkpointsFolder(folder), name));
      return (details as unknown as CheckpointFacts).nShards;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return undefined;
}

/**
 * Loads the newest checkpoint that is whole into the engine, which must have the run's shape.
 *
 * A damaged one is set aside under another name and the one before it is taken; warnings say so. Returns undefined when
 * there is none. Throws MismatchError when the checkpoint is of another configuration or store.
 */
export async function loadNewestCheckpoint(
  folder: string,
  options: { engine: Engine; shape: EngineShape; identity: RunIdentity; warnings: string[] },
): Promise<LoadedCheckpoint | undefined> {
  const { engine, shape, identity, warnings } = options;
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
    await readState(path, { engine, shape });
    engine.updates = facts.completedSteps;
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

async function readState(
  path: string,
  { engine, shape }: { engine: Engine; shape: EngineShape },
): Promise<void> {
  const file = await openSafetensors(join(path, STATE_FILE));
  try {
    for (const { kind, name, nRows, rowLength } of stateTensors(shape)) {
      const isFlat = rowLength === 1 || nRows === 1;
      for (const { from, to } of chunksOf(nRows, rowLength)) {
        const [first, end] = isFlat ? [from * rowLength, to * rowLength] : [from, to];
        await engine.write(kind, name, await file.readRows(tensorName(kind, name), first, end), from);
      }
    }
    const bytes = await file.readBytes("rowsSinceFired");
    await engine.writeRowsSinceFired(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8));
  } finally {
    await file.close();
  }
}
