// A Parquet table read by column and by range of rows, for readers that never want the whole of it in memory.
//
// The file is held open, so that a table which is replaced meanwhile is still read as one. Whole tables: parquet.ts.

import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetReadObjects,
} from "hyparquet";
import { FormatError, ShapeError } from "../errors.ts";
import { errorCode, readFully } from "./disk.ts";
import { plainNumbers } from "./parquet-pages.ts";

export type ParquetColumnType = "DOUBLE" | "INT32" | "BOOLEAN" | "STRING";

export interface ParquetColumns {
  nRows: number;
  /** In file order. */
  columns: readonly { name: string; type: ParquetColumnType }[];
  metadata: ReadonlyMap<string, string>;
  /** [nRows] f64 of a column of numbers or booleans; NaN for "no value". */
  numbers(name: string): Promise<Float64Array>;
  /** The same column as codes into its different strings, in order of first appearance; "" for "no value". Throws ShapeError for more than 65,536. */
  words(name: string): Promise<{ words: string[]; codes: Uint16Array }>;
  /** Strings of rows [rowStart, rowEnd) of a text column; "" for "no value". Reads the pages that hold them. */
  strings(name: string, rowStart?: number, rowEnd?: number): Promise<string[]>;
  close(): Promise<void>;
}

const HINT = "run the stage that writes it again";

/** Throws FormatError for a missing or damaged file; so do its reads, which also throw ShapeError for a column of another type. */
export async function openParquetColumns(path: string): Promise<ParquetColumns> {
  const handle = await refusing(path, () => open(path, "r"));
  try {
    const file = await refusing(path, () => bufferOf(handle));
    const metadata = await refusing(path, () => parquetMetadataAsync(file));
    const columns = metadata.schema.slice(1).map(({ name, type }) => ({ name, type: typeOf(type) }));
    const nRows = Number(metadata.num_rows);
    const expect = (name: string, isText: boolean): void => {
      const found = columns.find((column) => column.name === name);
      if (found === undefined) {
        throw new FormatError(
          `${path}: expected a column "${name}", got ${columns.map((column) => column.name).join(", ")}`,
          { hint: HINT },
        );
      }
      if ((found.type === "STRING") !== isText)
        throw new ShapeError(`${path}: ${name}: expected ${isText ? "text" : "numbers"}, got ${found.type}`);
    };
    return {
      nRows,
      columns,
      metadata: new Map((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ""])),
      async numbers(name) {
        expect(name, false);
        const plain = await refusing(path, () => readPlain(file, metadata, name));
        if (plain !== undefined) return plain;
        const values = new Float64Array(nRows).fill(Number.NaN);
        const onChunk = ({ columnData, rowStart }: { columnData: ArrayLike<unknown>; rowStart: number }) => {
          for (let i = 0; i < columnData.length; i += 1)
            values[rowStart + i] = Number(columnData[i] ?? Number.NaN);
        };
        await refusing(path, () => parquetRead({ file, metadata, columns: [name], onChunk }));
        return values;
      },
      async words(name) {
        expect(name, true);
        const codes = new Uint16Array(nRows);
        const codeOf = new Map<string, number>();
        const onPage = ({ columnData, rowStart }: { columnData: ArrayLike<unknown>; rowStart: number }) => {
          for (let i = 0; i < columnData.length; i += 1) {
            const text = String(columnData[i] ?? "");
            const code = codeOf.get(text) ?? codeOf.size;
            codeOf.set(text, code);
            codes[rowStart + i] = code;
          }
        };
        await refusing(path, () => parquetRead({ file, metadata, columns: [name], onPage }));
        if (codeOf.size > 2 ** 16)
          throw new ShapeError(`${path}: ${name}: expected few different words, got ${codeOf.size}`);
        return { words: [...codeOf.keys()], codes };
      },
      async strings(name, rowStart = 0, rowEnd = nRows) {
        expect(name, true);
        const range = { rowStart, rowEnd: Math.min(rowEnd, nRows), useOffsetIndex: true };
        if (range.rowEnd <= rowStart) return [];
        const rows = await refusing(path, () =>
          parquetReadObjects({ file, metadata, columns: [name], ...range }),
        );
        return rows.map((row) => String(row[name] ?? ""));
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The column, when every chunk of it holds plain values; else undefined. */
async function readPlain(
  file: AsyncBuffer,
  metadata: FileMetaData,
  name: string,
): Promise<Float64Array | undefined> {
  const values = new Float64Array(Number(metadata.num_rows));
  let row = 0;
  for (const { columns } of metadata.row_groups) {
    const chunk = columns.find(({ meta_data }) => meta_data?.path_in_schema.join(".") === name)?.meta_data;
    if (chunk === undefined || chunk.dictionary_page_offset !== undefined) return undefined;
    const start = Number(chunk.data_page_offset);
    const bytes = await file.slice(start, start + Number(chunk.total_compressed_size));
    const part = plainNumbers(bytes, chunk);
    if (part === undefined || row + part.length > values.length) return undefined;
    values.set(part, row);
    row += part.length;
  }
  return row === values.length ? values : undefined;
}

async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const from = start < 0 ? size + start : start;
      const bytes = new Uint8Array(Math.max(0, end - from));
      const read = await readFully(handle, bytes, from);
      // Short only behind the end of the file: a copy of every column would be memory that is only freed late.
      return read === bytes.length ? bytes.buffer : bytes.buffer.slice(0, read);
    },
  };
}

function typeOf(type: string | undefined): ParquetColumnType {
  return type === "DOUBLE" || type === "INT32" || type === "BOOLEAN" ? type : "STRING";
}

async function refusing<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const missing = errorCode(cause) === "ENOENT";
    const got = missing ? "found none" : cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${path}: expected a Parquet file, ${got}`, { hint: HINT, cause });
  }
}
