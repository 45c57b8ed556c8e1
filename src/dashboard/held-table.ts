// A table with a row a latent, of which the columns that were asked for stay in memory; long text stays in the file.
//
// 8 bytes a latent and column of numbers. Words from a short list (claim, verdict, class) are kept as codes of 2 bytes.

import type { ParquetColumns } from "../formats/parquet-columns.ts";

export interface HeldTable {
  file: ParquetColumns;
  /** [nRows] f64, shared: not to be changed. */
  numbers(name: string): Promise<Float64Array>;
  /** A column of few words: [nRows] codes into `words`, in order of first appearance. Shared. */
  words(name: string): Promise<{ words: readonly string[]; codes: Uint16Array }>;
  /** As strings, made anew at every call. */
  strings(name: string): Promise<string[]>;
  /** Of one row; reads the page that holds it. */
  stringAt(name: string, row: number): Promise<string>;
}

/** Rows of text read at a time. */
const ROWS_AT_A_TIME = 4096;

export function createHeldTable(file: ParquetColumns): HeldTable {
  const numbers = new Map<string, Promise<Float64Array>>();
  const words = new Map<string, ReturnType<HeldTable["words"]>>();
  const table: HeldTable = {
    file,
    numbers: (name) => remembered(numbers, name, () => file.numbers(name)),
    words: (name) => remembered(words, name, () => file.words(name)),
    async strings(name) {
      const { words: list, codes } = await table.words(name);
      return Array.from(codes, (code) => list[code]);
    },
    stringAt: async (name, row) => (await file.strings(name, row, row + 1))[0] ?? "",
  };
  return table;
}

/** Texts of a column, a stretch of rows at a time, so that long ones are never all in memory. */
export async function* eachText(file: ParquetColumns, name: string): AsyncGenerator<string[]> {
  for (let row = 0; row < file.nRows; row += ROWS_AT_A_TIME)
    yield await file.strings(name, row, row + ROWS_AT_A_TIME);
}

function remembered<T>(kept: Map<string, Promise<T>>, name: string, read: () => Promise<T>): Promise<T> {
  const known = kept.get(name);
  if (known !== undefined) return known;
  const made = read();
  kept.set(name, made);
  made.catch(() => kept.delete(name));
  return made;
}
