// A Parquet file made a stretch of rows at a time, for tables that are sent and not kept: nothing but one stretch is in memory.
//
// Written by hyparquet-writer, a row group a stretch. Whole tables on the disk: parquet.ts.

import { ByteWriter, ParquetWriter, schemaFromColumnData } from "hyparquet-writer";
import { ShapeError } from "../errors.ts";
import type { ParquetColumn } from "./parquet.ts";

/** Names and types first: they are those of every stretch. */
export interface StreamedTable {
  columns: readonly Pick<ParquetColumn, "name" | "type">[];
  metadata?: Record<string, string>;
  /** Columns as named, in that order, of equal length within a stretch. */
  groups: AsyncIterable<ParquetColumn[]> | Iterable<ParquetColumn[]>;
}

/** The file's bytes in order. Throws ShapeError when a stretch has other columns, or columns of different length. */
export async function* streamParquet({
  columns,
  metadata = {},
  groups,
}: StreamedTable): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const writer = new ByteWriter();
  const take = (): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(writer.buffer.slice(0, writer.index));
    writer.index = 0; // `offset`, from which the file's positions are, goes on
    return bytes;
  };
  const entries = Object.entries(metadata);
  const file = new ParquetWriter({
    writer,
    schema: schemaFromColumnData({
      columnData: columns.map(({ name, type }) => ({ name, type, data: [] })),
    }),
    kvMetadata: entries.length === 0 ? undefined : entries.map(([key, value]) => ({ key, value })),
    createdBy: "tunediff",
  });
  for await (const group of groups) {
    const nRows = group[0]?.data.length ?? 0;
    for (const [i, { name, type }] of columns.entries()) {
      const found = group[i];
      if (found?.name === name && found.type === type && found.data.length === nRows) continue;
      throw new ShapeError(
        `parquet: expected ${nRows} rows of ${type} column "${name}", got ${found?.data.length} of "${found?.name}"`,
      );
    }
    if (nRows === 0) continue;
    file.write({
      columnData: group.map(({ name, data }) => ({ name, data: Array.from(data as ArrayLike<unknown>) })),
      rowGroupSize: nRows,
    });
    yield take();
  }
  file.finish();
  yield take();
}
