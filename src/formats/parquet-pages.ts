// Numbers of one column chunk taken straight from its pages, where they lie there as plain values: the usual form of a measured quantity.
//
// A general reader makes an array of definition levels and one of values on the way; here decompressed bytes are the values. Anything else (nulls,
// dictionaries, other encodings and compressions) is undefined: the general reader of parquet-columns.ts reads it. Read-only.

import { type ColumnMetaData, snappyUncompress } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";

/** bytes: of the whole chunk, from its first page on. Throws what a damaged chunk makes the decompression throw. */
export function plainNumbers(
  bytes: ArrayBuffer,
  { type, codec, num_values }: Pick<ColumnMetaData, "type" | "codec" | "num_values">,
): Float64Array | undefined {
  if (codec !== "SNAPPY" || (type !== "DOUBLE" && type !== "INT32")) return undefined;
  const values = new Float64Array(Number(num_values));
  const reader = { view: new DataView(bytes), offset: 0 };
  let n = 0;
  while (n < values.length && reader.offset < bytes.byteLength) {
    const { type: kind, data_page_header_v2: page, ...sizes } = parquetHeader(reader);
    if (kind !== "DATA_PAGE_V2" || page === undefined) return undefined;
    const levels = page.definition_levels_byte_length + page.repetition_levels_byte_length;
    const isPlain = page.encoding === "PLAIN" && page.num_nulls === 0 && page.is_compressed === true;
    if (!isPlain || page.repetition_levels_byte_length !== 0 || page.num_rows !== page.num_values)
      return undefined;
    const compressed = new Uint8Array(bytes, reader.offset + levels, sizes.compressed_page_size - levels);
    const plain = new Uint8Array(sizes.uncompressed_page_size - levels);
    snappyUncompress(compressed, plain);
    const width = type === "DOUBLE" ? 8 : 4;
    if (plain.length !== width * page.num_values || n + page.num_values > values.length) return undefined;
    values.set(type === "DOUBLE" ? new Float64Array(plain.buffer) : new Int32Array(plain.buffer), n);
    n += page.num_values;
    reader.offset += sizes.compressed_page_size;
  }
  return n === values.length ? values : undefined;
}
