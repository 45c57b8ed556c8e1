import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError, ShapeError } from "../errors.ts";
import { readParquet, writeParquet } from "./parquet.ts";
import { openParquetColumns, type ParquetColumns } from "./parquet-columns.ts";

const N_ROWS = 2500; // more than one row group: the first has 1000
let root: string;
let path: string;
let table: ParquetColumns;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-columns-"));
  path = join(root, "t.parquet");
  const rows = Array.from({ length: N_ROWS }, (_, i) => i);
  await writeParquet(
    path,
    [
      { name: "id", type: "INT32", data: Int32Array.from(rows) },
      { name: "x", type: "DOUBLE", data: Float64Array.from(rows, (i) => (i % 7 === 0 ? Number.NaN : i / 3)) },
      { name: "gap", type: "DOUBLE", data: rows.map((i) => (i % 5 === 0 ? null : -i)) },
      { name: "word", type: "STRING", data: rows.map((i) => `${"é".repeat(i % 900)}${i}`) },
    ],
    { about: "nothing" },
  );
  table = await openParquetColumns(path);
});

afterAll(async () => {
  await table.close();
  await rm(root, { recursive: true, force: true });
});

test("a column and any range of rows read as the whole table does", async () => {
  const whole = await readParquet(path);
  expect(table.nRows).toBe(N_ROWS);
  expect(table.metadata.get("about")).toBe("nothing");
  expect(table.columns).toEqual([
    { name: "id", type: "INT32" },
    { name: "x", type: "DOUBLE" },
    { name: "gap", type: "DOUBLE" },
    { name: "word", type: "STRING" },
  ]);
  for (const name of ["id", "x", "gap"])
    expect(Array.from(await table.numbers(name))).toEqual(whole[name].map((value) => value ?? Number.NaN));
  expect(await table.strings("word")).toEqual(whole.word);
  for (const [from, to] of [
    [0, 1],
    [999, 1001],
    [1700, 1701],
    [2499, 2600],
    [30, 30],
  ])
    expect(await table.strings("word", from, to)).toEqual(whole.word.slice(from, to));
});

test("a column of few words reads as codes into them, in order of first appearance", async () => {
  const few = join(root, "few.parquet");
  const data = Array.from({ length: N_ROWS }, (_, i) =>
    i % 9 === 4 ? null : ["none", "finetuned-only", "é"][i % 3],
  );
  await writeParquet(few, [
    { name: "word", type: "STRING", data },
    { name: "x", type: "INT32", data: Int32Array.from(data, (_, i) => i) },
  ]);
  const file = await openParquetColumns(few);
  try {
    const { words, codes } = await file.words("word");
    expect(words).toEqual(["none", "finetuned-only", "é", ""]);
    expect(Array.from(codes, (code) => words[code])).toEqual(data.map((text) => text ?? ""));
    await expect(file.words("x")).rejects.toThrow(ShapeError);
  } finally {
    await file.close();
  }
});

test("a table that is replaced while it is open is still read as the old one", async () => {
  const old = await openParquetColumns(path);
  await writeParquet(path, [{ name: "id", type: "INT32", data: Int32Array.of(1) }]);
  expect((await old.numbers("x")).length).toBe(N_ROWS);
  await old.close();
});

test("a missing file, a foreign one, and a column that is not there or of another type are refused", async () => {
  await expect(openParquetColumns(join(root, "none"))).rejects.toThrow(FormatError);
  await writeFile(join(root, "bad.parquet"), "not a table at all");
  await expect(openParquetColumns(join(root, "bad.parquet"))).rejects.toThrow(FormatError);
  await expect(table.numbers("y")).rejects.toThrow(FormatError);
  await expect(table.strings("x")).rejects.toThrow(ShapeError);
});
