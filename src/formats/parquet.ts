// Parquet tables of plain columns, for researchers to load elsewhere: written by hyparquet-writer, read by hyparquet.
//
// Four column types, whole tables in memory, Snappy. Tables here have one row a latent; activations never live in Parquet.

import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { FormatError, ShapeError } from "../errors.ts";
import { writeFileAtomic } from "./atomic.ts";
import { errorCode } from "./disk.ts";

/** A column; null stands for "no value", NaN stays NaN. All columns of a table are equally long. */
export type ParquetColumn =
  | { name: string; type: "DOUBLE"; data: Float64Array | Float32Array | (number | null)[] }
  | { name: string; type: "INT32"; data: Int32Array | (number | null)[] }
  | { name: string; type: "BOOLEAN"; data: Uint8Array | (boolean | null)[] }
  | { name: string; type: "STRING"; data: (string | null)[] };

/** Columns by name, in the file's order; values are number, boolean, string or null. */
export type ParquetTable = Record<string, unknown[]>;

/**
 * Writes a table in one step (temporary, fsync, rename). `metadata` becomes key-value metadata of the file.
 * Throws ShapeError when columns differ in length or share a name, StorageError from the disk.
 */
export async function writeParquet(
  path: string,
  columns: ParquetColumn[],
  metadata: Record<string, string> = {},
): Promise<void> {
  const names = new Set(columns.map(({ name }) => name));
  if (columns.length === 0 || names.size !== columns.length) {
    throw new ShapeError(
      `${path}: expected columns with unique names, got ${columns.map(({ name }) => name)}`,
    );
  }
  const nRows = columns[0].data.length;
  const odd = columns.find(({ data }) => data.length !== nRows);
  if (odd)
    throw new ShapeError(`${path}: expected ${nRows} rows in column "${odd.name}", got ${odd.data.length}`);
  const entries = Object.entries(metadata);
  const buffer = parquetWriteBuffer({
    columnData: columns.map(({ name, type, data }) => ({ name, type, data: plainValues(type, data) })),
    // An empty list gets no element type from the writer, which strict readers (arrow-rs) refuse.
    kvMetadata: entries.length === 0 ? undefined : entries.map(([key, value]) => ({ key, value })),
    createdBy: "tunediff",
  });
  await writeFileAtomic(path, new Uint8Array(buffer));
}

function plainValues(type: ParquetColumn["type"], data: ParquetColumn["data"]): unknown[] {
  const values: unknown[] = Array.from(data as ArrayLike<unknown>);
  return type === "BOOLEAN" ? values.map((value) => (value === null ? null : Boolean(value))) : values;
}

/** Reads a whole table as columns. Throws FormatError for a missing or damaged file. */
export async function readParquet(path: string): Promise<ParquetTable> {
  return refusing(path, async () => {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const rows = await parquetReadObjects({ file, metadata });
    const names = metadata.schema.slice(1).map(({ name }) => name);
    return Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name] ?? null)]));
  });
}

/** Reads a whole table as rows. Throws FormatError for a missing or damaged file. */
export async function readParquetRows(path: string): Promise<Record<string, unknown>[]> {
  return refusing(path, async () => parquetReadObjects({ file: await asyncBufferFromFile(path) }));
}

/** Key-value metadata of a file. Throws FormatError for a missing or damaged file. */
export async function readParquetMetadata(path: string): Promise<Map<string, string>> {
  return refusing(path, async () => {
    const { key_value_metadata = [] } = await parquetMetadataAsync(await asyncBufferFromFile(path));
    return new Map(key_value_metadata.map(({ key, value }) => [key, value ?? ""]));
  });
}

async function refusing<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const missing = errorCode(cause) === "ENOENT";
    const got = missing ? "found none" : cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${path}: expected a Parquet file, ${got}`, {
      hint: "run the stage that writes it again",
      cause,
    });
  }
}
