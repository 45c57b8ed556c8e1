import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError, ShapeError } from "../errors.ts";
import {
  type ParquetColumn,
  readParquet,
  readParquetMetadata,
  readParquetRows,
  writeParquet,
} from "./parquet.ts";

const folder = mkdtempSync(join(tmpdir(), "parquet-"));
afterAll(() => rmSync(folder, { recursive: true }));

const columns: ParquetColumn[] = [
  { name: "latent", type: "INT32", data: Int32Array.of(0, 1, -7) },
  { name: "nu", type: "DOUBLE", data: Float64Array.of(0.1, Number.NaN, Number.NEGATIVE_INFINITY) },
  { name: "perhaps", type: "DOUBLE", data: [null, 2 ** -1074, -0.5] },
  { name: "fired", type: "BOOLEAN", data: Uint8Array.of(1, 0, 1) },
  { name: "sure", type: "BOOLEAN", data: [true, null, false] },
  { name: "claim", type: "STRING", data: ["finetuned-specific", null, "ünï\u{1f600}"] },
];

test("the four column types come back exactly, NaN, null and infinities included", async () => {
  const path = join(folder, "t.parquet");
  await writeParquet(path, columns, { schemaVersion: "1" });
  const table = await readParquet(path);
  expect(Object.keys(table)).toEqual(columns.map(({ name }) => name));
  expect(table).toEqual({
    latent: [0, 1, -7],
    nu: [0.1, Number.NaN, Number.NEGATIVE_INFINITY],
    perhaps: [null, 2 ** -1074, -0.5],
    fired: [true, false, true],
    sure: [true, null, false],
    claim: ["finetuned-specific", null, "ünï\u{1f600}"],
  });
  expect((await readParquetRows(path))[2]).toMatchObject({ latent: -7, sure: false });
  expect((await readParquetMetadata(path)).get("schemaVersion")).toBe("1");
  expect(readdirSync(folder)).toEqual(["t.parquet"]);
});

test("a table of many row groups keeps its order, and an empty one its columns", async () => {
  const path = join(folder, "long.parquet");
  const n = 120_001;
  await writeParquet(path, [
    { name: "i", type: "INT32", data: Int32Array.from({ length: n }, (_, i) => i * 3) },
  ]);
  const { i } = await readParquet(path);
  expect(i.length).toBe(n);
  expect(i.every((value, row) => value === row * 3)).toBe(true);
  await writeParquet(path, [{ name: "i", type: "INT32", data: new Int32Array(0) }]);
  expect(await readParquet(path)).toEqual({ i: [] });
});

test("columns of different length or of one name are refused", async () => {
  const path = join(folder, "x.parquet");
  const one: ParquetColumn = { name: "a", type: "DOUBLE", data: [1] };
  await expect(writeParquet(path, [one, { ...one, name: "b", data: [1, 2] }])).rejects.toThrow(
    'column "b", got 2',
  );
  await expect(writeParquet(path, [one, one])).rejects.toThrow(ShapeError);
  await expect(writeParquet(path, [])).rejects.toThrow(ShapeError);
});

test("missing, foreign and cut files are FormatErrors", async () => {
  const path = join(folder, "bad.parquet");
  await expect(readParquet(join(folder, "nowhere.parquet"))).rejects.toThrow("found none");
  writeFileSync(path, "no parquet here, only words");
  await expect(readParquet(path)).rejects.toThrow(FormatError);
  await writeParquet(path, columns);
  const whole = readFileSync(path);
  for (const bytes of [0, 4, 12, whole.length >> 1, whole.length - 1]) {
    writeFileSync(path, whole.subarray(0, bytes));
    await expect(readParquet(path), `${bytes} bytes`).rejects.toThrow(FormatError);
  }
});
