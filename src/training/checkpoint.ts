// Checkpoints: everything a run needs to go on bit for bit, committed as one folder, the two newest kept.
//
// dictionaries/NAME/checkpoints/step-00000250/state.safetensors holds the arrays, the folder's manifest the rest.
// Randomness is counter-based and schedules are functions of the step, so there is no generator to save. Same bytes are
// promised on one machine and build of onnxruntime for one number of shards, whatever the number of threads. The file does
// not depend on the shards: rows are latents, and any number of shards can load it.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { FormatError, MismatchError, NumericsError } from "../errors.ts";
import { commitFolder, readManifest, removeStaleTemporaries, verifyFolder } from "../formats/atomic.ts";
import { asStorageError, disk, errorCode } from "../formats/disk.ts";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import {
  type Engine,
  PARAMETER_NAMES,
  type ParameterName,
  STATE_KINDS,
  type StateKind,
  shapeOf,
} from "./engine-contract.ts";
import type { PassedStep } from "./metrics.ts";
import { chunksOf, firstNonFinite } from "./row-chunks.ts";

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
  /** What computed it; going on with another is allowed, with a warning. */
  backend: string;
  /** Steps gone past without an update, and those that will be when they come; undefined: none. */
  passedSteps?: PassedStep[];
}

export interface LoadedCheckpoint extends CheckpointFacts {
  path: string;
}

interface EngineShape {
  nLatents: number;
  width: number;
}

const nameOf = ({ completedSteps }: CheckpointFacts): string =>
  `step-${String(completedSteps).padStart(8, "0")}`;

const checkpointsFolder = (folder: string): string => join(folder, "checkpoints");

/** Commits the engine's state after facts.completedSteps steps and removes all but the two newest. Returns its path. */
export async function saveCheckpoint(
  folder: string,
  { engine, shape, facts }: { engine: Engine; shape: EngineShape; facts: CheckpointFacts },
): Promise<string> {
  const path = join(checkpointsFolder(folder), nameOf(facts));
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
              for (const rows of chunksOf(nRows, rowLength)) {
                const data = await engine.read(kind, name, rows);
                requireFiniteState(data, {
                  path,
                  tensor: tensorName(kind, name),
                  first: rows.from * rowLength,
                });
                yield data;
              }
            },
          },
        })),
        { name: "rowsSinceFired", dtype: "F64", shape: [rowsSinceFired.length], data: rowsSinceFired },
      ]),
    { ...facts },
  );
  await removeOld(folder);
  return path;
}

/** A state that is not finite never becomes the last good one. */
function requireFiniteState(
  data: Float32Array,
  { path, tensor, first }: { path: string; tensor: string; first: number },
): void {
  const index = firstNonFinite(data);
  if (index < 0) return;
  throw new NumericsError(
    `${path}: ${tensor}: expected finite numbers, got ${data[index]} at index ${first + index}; not saved`,
    { hint: "run the same command again to go on from the checkpoint before; lower the learning rate" },
  );
}

async function removeOld(folder: string): Promise<void> {
  for (const old of (await checkpointNames(folder)).slice(KEPT)) {
    const path = join(checkpointsFolder(folder), old);
    await disk.remove(path).catch((error: unknown) => {
      throw asStorageError(error, { path });
    });
  }
}

/** "firstMoment.encoderWeight"; the parameters themselves by their bare names. */
const tensorName = (kind: StateKind, name: ParameterName): string =>
  kind === "parameter" ? name : `${kind}.${name}`;

function stateTensors(shape: EngineShape) {
  return STATE_KINDS.flatMap((kind) =>
    PARAMETER_NAMES.map((name) => ({ kind, name, ...shapeOf(name, shape) })),
  );
}

/** Newest first. */
async function checkpointNames(folder: string): Promise<string[]> {
  const path = checkpointsFolder(folder);
  try {
    const names = (await disk.list(path)).map(({ name }) => name);
    return names
      .filter((name) => /^step-\d{8,}$/.test(name))
      .sort()
      .reverse();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return []; // No checkpoint was ever committed here.
    throw asStorageError(error, { path });
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
 * there is none. What a killed process left unfinished in the folder is cleared first, and an old checkpoint that it did not
 * get to removing afterwards. Throws MismatchError when the checkpoint is of another configuration or store, StorageError.
 */
export async function loadNewestCheckpoint(
  folder: string,
  options: { engine: Engine; shape: EngineShape; identity: RunIdentity; backend: string; warnings: string[] },
): Promise<LoadedCheckpoint | undefined> {
  const { engine, shape, identity, backend, warnings } = options;
  await removeStaleTemporaries(folder);
  await removeStaleTemporaries(checkpointsFolder(folder));
  for (const name of await checkpointNames(folder)) {
    const path = join(checkpointsFolder(folder), name);
    let facts: CheckpointFacts;
    try {
      facts = (await verifyFolder(path)).details as unknown as CheckpointFacts;
      if (nameOf(facts) !== name) throw new FormatError(`${path}: expected ${name}, got ${nameOf(facts)}`);
    } catch (error) {
      if (!isDamage(error)) throw asStorageError(error, { path });
      await setAside(path);
      warnings.push(`${path}: damaged, set aside and the checkpoint before it used (${error.message})`);
      continue;
    }
    requireSameRun(path, facts, identity);
    if (facts.backend !== backend) {
      warnings.push(
        `${path}: computed by ${facts.backend}, this run goes on with ${backend}: it ends close to, not on, the bytes of a run never stopped`,
      );
    }
    await readState(path, { engine, shape }).catch((error: unknown) => {
      throw asStorageError(error, { path });
    });
    engine.updates = updatesAfter(facts);
    await removeOld(folder);
    return { ...facts, path };
  }
  return undefined;
}

/** Every completed step but those gone past. */
function updatesAfter({ completedSteps, passedSteps = [] }: CheckpointFacts): number {
  return completedSteps - passedSteps.filter(({ batchStep }) => batchStep < completedSteps).length;
}

/** Bytes that are not as written or that the disk cannot read; not a process out of file handles or without permission. */
function isDamage(error: unknown): error is Error {
  const passing = ["EMFILE", "ENFILE", "EACCES", "EPERM", "ENOMEM"];
  if (error instanceof FormatError) return !passing.includes(errorCode(error.cause));
  return errorCode(error) === "EIO";
}

async function setAside(path: string): Promise<void> {
  try {
    await disk.rename(path, `${path}.bad-${randomBytes(4).toString("hex")}`);
  } catch (error) {
    throw asStorageError(error, { path });
  }
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
