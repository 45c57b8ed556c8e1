import { parquetMetadata } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { plainNumbers } from "./parquet-pages.ts";

/** The second row group's chunk of a column, as openParquetColumns hands it over. */
function read(name: string) {
  const n = 3000;
  const values = Array.from({ length: n }, (_, i) => Math.sin(i) * 1000 + (i % 11 === 0 ? Number.NaN : 0));
  const file = parquetWriteBuffer({
    columnData: [
      { name: "double", type: "DOUBLE", data: values },
      { name: "integer", type: "INT32", data: values.map((_, i) => i * 7919) },
      { name: "gap", type: "DOUBLE", data: values.map((value, i) => (i % 3 === 0 ? null : value)) },
      { name: "few", type: "INT32", data: values.map((_, i) => i % 4) },
    ],
    rowGroupSize: [1000, 2000],
    pageSize: 4000, // many pages a chunk
  });
  const group = parquetMetadata(file).row_groups[1];
  const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)?.meta_data;
  if (chunk === undefined) throw new Error(name);
  const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset);
  const bytes = file.slice(start, start + Number(chunk.total_compressed_size));
  return { bytes, chunk, values: values.slice(1000) };
}

test("plain pages give the numbers that were written", () => {
  const { bytes, chunk, values } = read("double");
  expect(Array.from(plainNumbers(bytes, chunk) ?? [])).toEqual(values);
  const integers = read("integer");
  expect(Array.from(plainNumbers(integers.bytes, integers.chunk) ?? [])).toEqual(
    values.map((_, i) => (i + 1000) * 7919),
  );
});

test("a column with nulls or with a dictionary is left to the general reader", () => {
  for (const name of ["gap", "few"]) {
    const { bytes, chunk } = read(name);
    expect(plainNumbers(bytes, chunk)).toBeUndefined();
  }
});
