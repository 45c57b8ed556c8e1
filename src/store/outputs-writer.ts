// Writes stores/NAME/outputs/ so that a crash costs one shard: shards in any order, the manifest last.
//
// KL needs both models' distributions at once, and both models need not be in memory at once: a last residual of dModel
// numbers stands for a distribution over the vocabulary. The base's are kept in scratch/ (f32, exact) until the fine-tune
// has passed the same rows; finishing removes them. What is damaged or not ours is set aside, never deleted.

import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError, ShapeError, StorageError } from "../errors.ts";
import {
  acquireLock,
  commitFolder,
  removeStaleTemporaries,
  requireFreeSpace,
  sealJson,
  verifyFolder,
  writeFileAtomic,
} from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import {
  columnShape,
  OUTPUT_COLUMNS,
  OUTPUT_SPLITS,
  type OutputColumnName,
  type OutputColumns,
  type OutputsManifest,
  outputShardFolder,
  outputsFolder,
  TOP_TOKENS,
} from "./outputs.ts";
import { readStoreId, type ShardRange, shardRange } from "./store-plan.ts";

export interface OutputsWriterOptions {
  /** A finished store. */
  storeFolder: string;
  /** Covered rows, ascending. */
  rows: Uint32Array;
  /** Default: at most 32,768 and 64 MiB of scratch. */
  rowsPerShard?: number | undefined;
  /** Width of the base's last residual. */
  scratchWidth: number;
  vocabulary: OutputsManifest["vocabulary"];
}

/** Probability given to ids that the KL leaves out, summed over entries. */
export interface OutsideSums {
  base: number;
  finetuned: number;
}

export interface OutputsWriter {
  nShards: number;
  /** Sentences for the user: damaged shards set aside. */
  warnings: string[];
  /** Entries [rowStart, rowEnd) of a shard. */
  shardRange(shard: number): ShardRange;
  /** Committed and verified. */
  hasShard(shard: number): boolean;
  hasScratch(shard: number): boolean;
  /** residuals: [entries of the shard, scratchWidth] f32. Throws ShapeError, StorageError. */
  writeScratch(shard: number, residuals: Float32Array): Promise<void>;
  readScratch(shard: number): Promise<Float32Array>;
  /** Commits one shard and removes its scratch. Throws ShapeError, StorageError. */
  writeShard(shard: number, columns: OutputColumns, outside: OutsideSums): Promise<void>;
  /** Writes manifest.json when every shard is there (else StorageError), removes scratch/ and lets go of the lock. */
  finish(): Promise<OutputsManifest>;
  /** Lets go of the lock without finishing. */
  close(): Promise<void>;
}

const MAX_SHARD_ENTRIES = 32_768;
const MAX_SCRATCH_BYTES = 2 ** 26;

interface WriterState extends OutputsWriterOptions {
  storeId: string;
  rowsPerShard: number;
  /** Sums of verified shards. */
  committed: Map<number, OutsideSums>;
  scratch: Set<number>;
  warnings: string[];
}

/** Opens outputs for writing, new or partly written. Throws StorageError when another process writes to them. */
export async function createOutputsWriter(options: OutputsWriterOptions): Promise<OutputsWriter> {
  const { storeFolder, scratchWidth } = options;
  const rowsPerShard =
    options.rowsPerShard ??
    Math.max(1, Math.min(MAX_SHARD_ENTRIES, Math.floor(MAX_SCRATCH_BYTES / (4 * scratchWidth))));
  const folder = outputsFolder(storeFolder);
  await ensureFolder(folder);
  const lock = await acquireLock(join(folder, ".lock"), { takeOverOwn: true });
  try {
    const storeId = await readStoreId(storeFolder);
    const state: WriterState = {
      ...options,
      ...{ storeId, rowsPerShard, committed: new Map(), scratch: new Set(), warnings: [] },
    };
    await findCommitted(state);
    return {
      nShards: countShards(state),
      warnings: state.warnings,
      shardRange: (shard) => rangeOf(state, shard),
      hasShard: (shard) => state.committed.has(shard),
      hasScratch: (shard) => state.scratch.has(shard),
      writeScratch: (shard, residuals) => writeScratch(state, shard, residuals),
      readScratch: (shard) => readScratch(state, shard),
      writeShard: (shard, columns, outside) => writeShard(state, { shard, columns, outside }),
      async finish() {
        const manifest = await finish(state);
        await lock.release();
        return manifest;
      },
      close: lock.release,
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function countShards({ rows, rowsPerShard }: WriterState): number {
  return Math.ceil(rows.length / rowsPerShard);
}

function rangeOf(state: WriterState, shard: number): ShardRange {
  const { rows, rowsPerShard } = state;
  const nShards = countShards(state);
  if (Number.isInteger(shard) && shard >= 0 && shard < nShards) {
    return shardRange(shard, { nRows: rows.length, rowsPerShard });
  }
  throw new ShapeError(`outputs: expected a shard from 0 to ${nShards - 1}, got ${shard}`);
}

function scratchFolder({ storeFolder }: WriterState, shard: number): string {
  return join(outputsFolder(storeFolder), "scratch", `shard-${String(shard).padStart(5, "0")}`);
}

/** What must be equal for a shard or its scratch to be the one of this place. */
function identityOf(state: WriterState, shard: number): Record<string, unknown> {
  const { rowStart: entryStart, rowEnd: entryEnd } = rangeOf(state, shard);
  const { storeId, vocabulary, scratchWidth } = state;
  return { storeId, shard, entryStart, entryEnd, vocabulary: { ...vocabulary }, scratchWidth };
}

async function findCommitted(state: WriterState): Promise<void> {
  const { storeFolder, committed, scratch } = state;
  await removeStaleTemporaries(outputsFolder(storeFolder));
  await removeStaleTemporaries(join(outputsFolder(storeFolder), "scratch"));
  for (let shard = 0; shard < countShards(state); shard += 1) {
    const details = await findOurs(state, { shard, path: outputShardFolder(storeFolder, shard) });
    if (details) committed.set(shard, details.outside as OutsideSums);
    else if (await findOurs(state, { shard, path: scratchFolder(state, shard) })) scratch.add(shard);
  }
}

/** The details of a verified folder of this place; one that is damaged or not ours is renamed. */
async function findOurs(
  state: WriterState,
  { shard, path }: { shard: number; path: string },
): Promise<Record<string, unknown> | undefined> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  try {
    const { details } = await verifyFolder(path);
    for (const [key, value] of Object.entries(identityOf(state, shard))) {
      const [expected, got] = [JSON.stringify(value), JSON.stringify(details[key])];
      if (expected !== got) throw new MismatchError(`${path}: expected ${key} ${expected}, got ${got}`);
    }
    return details;
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof MismatchError)) throw error;
    const aside = `${path}.bad-${Date.now().toString(36)}`;
    await rename(path, aside);
    state.warnings.push(`${error.message}; set aside as ${aside}, it will be harvested again`);
    return undefined;
  }
}

async function writeScratch(state: WriterState, shard: number, residuals: Float32Array): Promise<void> {
  const { rowStart, rowEnd } = rangeOf(state, shard);
  const shape = [rowEnd - rowStart, state.scratchWidth];
  if (residuals.length !== shape[0] * shape[1]) {
    throw new ShapeError(
      `outputs, shard ${shard}: expected [${shape}] last residuals, got ${residuals.length}`,
    );
  }
  const path = scratchFolder(state, shard);
  await requireFreeSpace(outputsFolder(state.storeFolder), 2 * residuals.byteLength);
  await commitFolder(
    path,
    (temporary) =>
      writeSafetensors(join(temporary, "residual.safetensors"), [
        { name: "residual", dtype: "F32", shape, data: residuals },
      ]),
    identityOf(state, shard),
  );
  state.scratch.add(shard);
}

/** Verified when the writer was opened, or written by it. */
async function readScratch(state: WriterState, shard: number): Promise<Float32Array> {
  const file = await openSafetensors(join(scratchFolder(state, shard), "residual.safetensors"));
  try {
    return await file.readFloat32("residual");
  } finally {
    await file.close();
  }
}

async function writeShard(
  state: WriterState,
  { shard, columns, outside }: { shard: number; columns: OutputColumns; outside: OutsideSums },
): Promise<void> {
  const { rowStart, rowEnd } = rangeOf(state, shard);
  const n = rowEnd - rowStart;
  const names = Object.keys(OUTPUT_COLUMNS) as OutputColumnName[];
  for (const name of names) {
    const expected = n * OUTPUT_COLUMNS[name].perEntry;
    if (columns[name].length === expected) continue;
    throw new ShapeError(
      `outputs, shard ${shard}: expected ${expected} of ${name}, got ${columns[name].length}`,
    );
  }
  const wrong = columns.row.findIndex((row, i) => row !== state.rows[rowStart + i]);
  if (wrong !== -1) {
    throw new ShapeError(
      `outputs, shard ${shard}, entry ${wrong}: expected row ${state.rows[rowStart + wrong]}, got ${columns.row[wrong]}`,
    );
  }
  const bytes = names.reduce((sum, name) => sum + columns[name].byteLength, 0);
  await requireFreeSpace(outputsFolder(state.storeFolder), 2 * bytes);
  await commitFolder(
    outputShardFolder(state.storeFolder, shard),
    (temporary) =>
      writeSafetensors(
        join(temporary, "outputs.safetensors"),
        names.map((name) => ({
          name,
          dtype: OUTPUT_COLUMNS[name].dtype,
          shape: columnShape(name, n),
          data: columns[name],
        })),
      ),
    { ...identityOf(state, shard), outside },
  );
  state.committed.set(shard, outside);
  state.scratch.delete(shard);
  await rm(scratchFolder(state, shard), { recursive: true, force: true });
}

async function finish(state: WriterState): Promise<OutputsManifest> {
  const { storeFolder, storeId, rows, rowsPerShard, committed, vocabulary } = state;
  const [firstRows, sums]: [number[], OutsideSums] = [[], { base: 0, finetuned: 0 }];
  for (let shard = 0; shard < countShards(state); shard += 1) {
    const outside = committed.get(shard);
    if (outside === undefined) {
      throw new StorageError(
        `${outputShardFolder(storeFolder, shard)}: expected every shard before the outputs are finished`,
        { hint: "run `tunediff harvest` again: it writes the missing shards" },
      );
    }
    firstRows.push(rows[shard * rowsPerShard]);
    sums.base += outside.base;
    sums.finetuned += outside.finetuned;
  }
  const nEntries = rows.length;
  const meanOf = (sum: number): number => (nEntries === 0 ? 0 : sum / nEntries);
  const manifest: OutputsManifest = {
    schemaVersion: 1,
    storeId,
    splits: [...OUTPUT_SPLITS],
    topTokens: TOP_TOKENS,
    nEntries,
    rowsPerShard,
    firstRows,
    vocabulary,
    meanOutside: { base: meanOf(sums.base), finetuned: meanOf(sums.finetuned) },
  };
  await writeFileAtomic(join(outputsFolder(storeFolder), "manifest.json"), sealJson(manifest));
  await rm(join(outputsFolder(storeFolder), "scratch"), { recursive: true, force: true });
  return manifest;
}
