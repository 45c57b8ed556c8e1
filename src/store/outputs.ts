// stores/NAME/outputs/: what both models predict next at every held-out and test row, read back in bounded memory.
//
// Optional, and apart from the store's identity: a store without it is a whole store and may gain it later. Shards are
// committed folders of at most rowsPerShard entries, tied to the store by its id; manifest.json is written last. An entry is
// one covered row. Writing is outputs-writer.ts; the numbers come from harvest/next-token.ts.

import { join } from "node:path";
import { z } from "zod";
import { FormatError, MismatchError, ShapeError } from "../errors.ts";
import { readSealedJson, verifyFolder } from "../formats/atomic.ts";
import { openSafetensors, type SafetensorsDtype, type SafetensorsFile } from "../formats/safetensors.ts";
import { SPLITS, type Split } from "./rows.ts";
import { isCommitted } from "./store.ts";
import { firstDifference, readStoreId, shardRange } from "./store-plan.ts";

/** Next tokens kept of each model, most probable first. */
export const TOP_TOKENS = 5;

/** Rows of documents in these splits are covered. */
export const OUTPUT_SPLITS: readonly Split[] = ["heldout", "test"];

/** Columns of equal length n, one entry a covered row. Natural logarithms; each model over its own whole vocabulary. */
export interface OutputColumns {
  /** [n] row of the store, ascending. */
  row: Uint32Array;
  /** [n] 1 where the document goes on; 0 at its last row, which predicts nothing known: both nll are 0 there. */
  hasNext: Uint8Array;
  /** [n] nats, ≥ 0: Σ p_finetuned · ln(p_finetuned / p_base) over the ids that mean the same in both, each model renormalised to them. */
  klFinetunedBase: Float32Array;
  /** [n] nats: −ln p of the token that this model reads next (token replacement makes the two differ). */
  nllBase: Float32Array;
  nllFinetuned: Float32Array;
  /** [n, TOP_TOKENS] ids, most probable first; of equal ones the lower id. */
  topTokenBase: Uint32Array;
  /** [n, TOP_TOKENS] */
  topProbabilityBase: Float32Array;
  topTokenFinetuned: Uint32Array;
  topProbabilityFinetuned: Float32Array;
}

export type OutputColumnName = keyof OutputColumns;

interface ColumnType {
  dtype: SafetensorsDtype;
  /** A column over a buffer that holds exactly its bytes. */
  make: (buffer: ArrayBufferLike) => Uint32Array | Float32Array | Uint8Array;
  elementBytes: number;
}

const U8: ColumnType = { dtype: "U8", elementBytes: 1, make: (buffer) => new Uint8Array(buffer) };
const U32: ColumnType = { dtype: "U32", elementBytes: 4, make: (buffer) => new Uint32Array(buffer) };
const F32: ColumnType = { dtype: "F32", elementBytes: 4, make: (buffer) => new Float32Array(buffer) };

/** Type and numbers an entry. */
export const OUTPUT_COLUMNS: Record<OutputColumnName, ColumnType & { perEntry: number }> = {
  row: { ...U32, perEntry: 1 },
  hasNext: { ...U8, perEntry: 1 },
  klFinetunedBase: { ...F32, perEntry: 1 },
  nllBase: { ...F32, perEntry: 1 },
  nllFinetuned: { ...F32, perEntry: 1 },
  topTokenBase: { ...U32, perEntry: TOP_TOKENS },
  topProbabilityBase: { ...F32, perEntry: TOP_TOKENS },
  topTokenFinetuned: { ...U32, perEntry: TOP_TOKENS },
  topProbabilityFinetuned: { ...F32, perEntry: TOP_TOKENS },
};
const COLUMN_NAMES = Object.keys(OUTPUT_COLUMNS) as OutputColumnName[];

const count = z.int().nonnegative();
const perModel = z.object({ base: z.number(), finetuned: z.number() });
const manifestSchema = z.object({
  schemaVersion: z.literal(1),
  /** SHA-256 of the store's rows/manifest.json. */
  storeId: z.string(),
  splits: z.array(z.enum(SPLITS)),
  topTokens: z.literal(TOP_TOKENS),
  nEntries: count,
  rowsPerShard: z.int().positive(),
  /** Row of each shard's first entry, ascending. */
  firstRows: z.array(count),
  /** Ids of each model, and those that the KL goes over. */
  vocabulary: z.object({ base: count, finetuned: count, common: count }),
  /** Mean probability that a model gives to ids that the KL leaves out; 0 when it leaves none out. */
  meanOutside: perModel,
});

export type OutputsManifest = z.infer<typeof manifestSchema>;

export interface Outputs {
  manifest: OutputsManifest;
  /** Entries of the covered rows in [rowStart, rowEnd), fresh arrays; none for rows of the train split. */
  rowsOf(rowStart: number, rowEnd: number): Promise<OutputColumns>;
  /** The entry of one row, undefined for a row that is not covered. */
  at(row: number): Promise<OutputColumns | undefined>;
}

/** Whole shards held at a time, some 100 bytes an entry. */
const MAX_HELD_SHARDS = 4;

export function outputsFolder(storeFolder: string): string {
  return join(storeFolder, "outputs");
}

export function outputShardFolder(storeFolder: string, shard: number): string {
  return join(outputsFolder(storeFolder), `shard-${String(shard).padStart(5, "0")}`);
}

/** Zeroed columns of n entries. */
export function makeOutputColumns(n: number): OutputColumns {
  const columns = COLUMN_NAMES.map((name) => {
    const { make, elementBytes, perEntry } = OUTPUT_COLUMNS[name];
    return [name, make(new ArrayBuffer(n * perEntry * elementBytes))];
  });
  return Object.fromEntries(columns) as OutputColumns;
}

/**
 * The manifest of finished outputs, undefined when there are none. Throws FormatError when it is damaged or of another
 * version, MismatchError when it belongs to another store.
 */
export async function readOutputsManifest(storeFolder: string): Promise<OutputsManifest | undefined> {
  const folder = outputsFolder(storeFolder);
  if (!(await isCommitted(folder))) return undefined;
  const path = join(folder, "manifest.json");
  const parsed = manifestSchema.safeParse(await readSealedJson(path));
  const hint = `move ${folder} away and run \`tunediff harvest\` again: outputs are made anew`;
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FormatError(`${path}: ${issue.path.join(".")}: ${issue.message}`, { hint });
  }
  const storeId = await readStoreId(storeFolder);
  if (parsed.data.storeId === storeId) return parsed.data;
  throw new MismatchError(`${path}: expected storeId ${storeId}, got ${parsed.data.storeId}`, { hint });
}

/**
 * Opens a store's outputs; undefined when it has none (or they are unfinished). Shards are verified the first time they are
 * touched; reads throw FormatError naming the file and block, MismatchError for a shard of another store or place.
 * Nothing stays open.
 */
export async function openOutputs(storeFolder: string): Promise<Outputs | undefined> {
  const manifest = await readOutputsManifest(storeFolder);
  if (manifest === undefined) return undefined;
  const { firstRows } = manifest;
  const readShard = createShardReader(storeFolder, manifest);

  const rowsOf = async (rowStart: number, rowEnd: number): Promise<OutputColumns> => {
    if (!(Number.isInteger(rowStart) && Number.isInteger(rowEnd) && 0 <= rowStart && rowStart <= rowEnd)) {
      throw new ShapeError(`${storeFolder}: expected a range of rows, got [${rowStart}, ${rowEnd})`);
    }
    const parts: OutputColumns[] = [];
    // The last shard that begins at or before rowStart may hold it; shards that begin at rowEnd or later hold nothing of it.
    const first = Math.max(0, lowerBound(firstRows, rowStart + 1) - 1);
    for (let shard = first; shard < lowerBound(firstRows, rowEnd); shard += 1) {
      const columns = await readShard(shard);
      const [from, to] = [lowerBound(columns.row, rowStart), lowerBound(columns.row, rowEnd)];
      if (to > from) parts.push(sliceColumns(columns, from, to));
    }
    return joinColumns(parts);
  };
  return {
    manifest,
    rowsOf,
    async at(row) {
      const columns = await rowsOf(row, row + 1);
      return columns.row.length === 0 ? undefined : columns;
    },
  };
}

/** Reads whole shards and keeps those used last. */
function createShardReader(
  storeFolder: string,
  manifest: OutputsManifest,
): (shard: number) => Promise<OutputColumns> {
  const held = new Map<number, Promise<OutputColumns>>();
  return async (shard) => {
    const columns = held.get(shard) ?? readOne(storeFolder, { shard, manifest });
    held.delete(shard); // To the end: the map is in order of last use.
    held.set(shard, columns);
    for (const oldest of held.keys()) {
      if (held.size <= MAX_HELD_SHARDS) break;
      held.delete(oldest);
    }
    try {
      return await columns;
    } catch (error) {
      // A shard that was not read must not be remembered: it may be mended meanwhile.
      if (held.get(shard) === columns) held.delete(shard);
      throw error;
    }
  };
}

async function readOne(
  storeFolder: string,
  { shard, manifest }: { shard: number; manifest: OutputsManifest },
): Promise<OutputColumns> {
  const { storeId, nEntries, rowsPerShard } = manifest;
  const folder = outputShardFolder(storeFolder, shard);
  const { details } = await verifyFolder(folder);
  const { rowStart: entryStart, rowEnd: entryEnd } = shardRange(shard, { nRows: nEntries, rowsPerShard });
  const hint = "the shard belongs to another store or place: move it away and run `tunediff harvest` again";
  for (const [key, value] of Object.entries({ storeId, shard, entryStart, entryEnd })) {
    if (details[key] === value) continue;
    throw new MismatchError(`${folder}: expected ${key} ${value}, got ${details[key]}`, { hint });
  }
  const file = await openSafetensors(join(folder, "outputs.safetensors"));
  try {
    const columns = [];
    for (const name of COLUMN_NAMES)
      columns.push([name, await readColumn(file, name, entryEnd - entryStart)]);
    return Object.fromEntries(columns) as OutputColumns;
  } finally {
    await file.close();
  }
}

async function readColumn(
  file: SafetensorsFile,
  name: OutputColumnName,
  n: number,
): Promise<ReturnType<ColumnType["make"]>> {
  const { dtype, make } = OUTPUT_COLUMNS[name];
  const expected = { dtype, shape: columnShape(name, n) };
  const info = file.tensors.get(name);
  if (info === undefined || firstDifference(expected, { dtype: info.dtype, shape: info.shape })) {
    throw new FormatError(
      `${file.path}: expected ${name} ${dtype} [${expected.shape}], got ${info?.dtype ?? "none"} [${info?.shape ?? ""}]`,
      {
        hint: "the outputs were written by another version: move them away and run `tunediff harvest` again",
      },
    );
  }
  return make((await file.readBytes(name)).buffer);
}

/** [n] or [n, TOP_TOKENS]. */
export function columnShape(name: OutputColumnName, n: number): number[] {
  const { perEntry } = OUTPUT_COLUMNS[name];
  return perEntry === 1 ? [n] : [n, perEntry];
}

/** Entries [from, to) as views. */
function sliceColumns(columns: OutputColumns, from: number, to: number): OutputColumns {
  const parts = COLUMN_NAMES.map((name) => {
    const { perEntry } = OUTPUT_COLUMNS[name];
    return [name, columns[name].subarray(from * perEntry, to * perEntry)];
  });
  return Object.fromEntries(parts) as OutputColumns;
}

/** Entries one after another, copied. */
function joinColumns(parts: OutputColumns[]): OutputColumns {
  const joined = makeOutputColumns(parts.reduce((sum, { row }) => sum + row.length, 0));
  let entry = 0;
  for (const part of parts) {
    for (const name of COLUMN_NAMES) joined[name].set(part[name], entry * OUTPUT_COLUMNS[name].perEntry);
    entry += part.row.length;
  }
  return joined;
}

/** First index whose value is at least `value`. values: ascending. */
function lowerBound(values: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
