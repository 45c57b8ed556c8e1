// stores/NAME/rows/: the token rows and documents of a store as one committed folder.
//
// rows.safetensors holds one tensor a column of RowTable, documents.jsonl one document a line. The folder's manifest
// keeps the plan of the store, so that a half-written store knows what it was going to be.

import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { FormatError, ShapeError } from "../errors.ts";
import { commitFolder, verifyFolder, writeFileAtomic } from "../formats/atomic.ts";
import {
  openSafetensors,
  type SafetensorsDtype,
  type SafetensorsFile,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { DocumentRecord, RowTable } from "./rows.ts";

export type ColumnName = Exclude<keyof RowTable, "nRows">;
type Column = Uint32Array | Uint16Array | Int16Array | Uint8Array;

interface ColumnType {
  dtype: SafetensorsDtype;
  /** A column over a buffer that holds exactly its bytes. */
  make: (buffer: ArrayBufferLike) => Column;
}

const U8: ColumnType = { dtype: "U8", make: (buffer) => new Uint8Array(buffer) };
const U16: ColumnType = { dtype: "U16", make: (buffer) => new Uint16Array(buffer) };
const I16: ColumnType = { dtype: "I16", make: (buffer) => new Int16Array(buffer) };
const U32: ColumnType = { dtype: "U32", make: (buffer) => new Uint32Array(buffer) };

export const ROW_COLUMNS: Record<ColumnName, ColumnType> = {
  document: U32,
  turn: I16,
  position: U16,
  split: U8,
  role: U8,
  slot: U8,
  dataset: U8,
  charStart: U32,
  charEnd: U32,
  tokenBase: U32,
  tokenFinetuned: U32,
};
const COLUMN_NAMES = Object.keys(ROW_COLUMNS) as ColumnName[];

/** Throws ShapeError when a column's length is not nRows or the documents do not tile the rows in order. */
export function checkRows(rows: RowTable, documents: DocumentRecord[]): void {
  for (const name of COLUMN_NAMES) {
    if (rows[name].length !== rows.nRows) {
      throw new ShapeError(`rows.${name}: expected ${rows.nRows} values, got ${rows[name].length}`);
    }
  }
  let next = 0;
  for (const [i, { index, rowStart, rowEnd }] of documents.entries()) {
    if (index !== i || rowStart !== next || rowEnd < rowStart) {
      throw new ShapeError(
        `documents[${i}]: expected index ${i} and rows from ${next}, got index ${index}, rows [${rowStart}, ${rowEnd})`,
      );
    }
    next = rowEnd;
  }
  if (next !== rows.nRows)
    throw new ShapeError(`documents: expected to cover ${rows.nRows} rows, got ${next}`);
}

/** Commits the folder. details: plain JSON kept in its manifest. */
export async function writeRows(
  folder: string,
  {
    rows,
    documents,
    details,
  }: { rows: RowTable; documents: DocumentRecord[]; details: Record<string, unknown> },
): Promise<void> {
  checkRows(rows, documents);
  await commitFolder(
    folder,
    async (temporary) => {
      await writeSafetensors(
        join(temporary, "rows.safetensors"),
        COLUMN_NAMES.map((name) => ({
          name,
          dtype: ROW_COLUMNS[name].dtype,
          shape: [rows.nRows],
          data: rows[name],
        })),
      );
      const lines = documents.map((document) => Buffer.from(`${JSON.stringify(document)}\n`));
      await writeFileAtomic(join(temporary, "documents.jsonl"), [Buffer.concat(lines)]);
    },
    details,
  );
}

export interface StoredRows {
  rows: RowTable;
  documents: DocumentRecord[];
  details: Record<string, unknown>;
}

/** Verifies and reads the folder. Throws FormatError naming the file and what is wrong with it. */
export async function readRows(folder: string): Promise<StoredRows> {
  const { details } = await verifyFolder(folder);
  const path = join(folder, "rows.safetensors");
  const file = await openSafetensors(path);
  let rows: RowTable;
  try {
    rows = await readColumns(file);
  } finally {
    await file.close();
  }
  const documents: DocumentRecord[] = [];
  // Verified above and written by us: parsed without further caps.
  const lines = createInterface({ input: createReadStream(join(folder, "documents.jsonl")) });
  for await (const line of lines) documents.push(JSON.parse(line));
  try {
    checkRows(rows, documents);
  } catch (cause) {
    throw new FormatError(`${folder}: ${cause instanceof Error ? cause.message : cause}`, {
      hint: "run `tunediff harvest` again to write the rows anew",
      cause,
    });
  }
  return { rows, documents, details };
}

async function readColumns(file: SafetensorsFile): Promise<RowTable> {
  const columns: [string, Column][] = [];
  for (const name of COLUMN_NAMES) {
    requireColumn(file, name);
    columns.push([name, ROW_COLUMNS[name].make((await file.readBytes(name)).buffer)]);
  }
  return { nRows: columns[0][1].length, ...Object.fromEntries(columns) } as RowTable;
}

/** Number of rows of a column of rows.safetensors. Throws FormatError when it is missing or of another type. */
export function requireColumn(file: SafetensorsFile, name: ColumnName): number {
  const { dtype } = ROW_COLUMNS[name];
  const info = file.tensors.get(name);
  if (info?.dtype === dtype && info.shape.length === 1) return info.shape[0];
  throw new FormatError(`${file.path}: expected a column ${name} of ${dtype}, got ${info?.dtype ?? "none"}`);
}
