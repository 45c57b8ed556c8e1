// null.parquet and null.json: what is written is read back, and what is damaged is refused by name.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { writeParquet } from "../formats/parquet.ts";
import { CLAIM_THRESHOLDS } from "./measure-contract.ts";
import { type NullRecord, nullPaths, readNullRecord, readNullRows, writeNull } from "./null-file.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-null-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const { NaN: none } = Number;
const rows = [
  { latent: 0, scoreFinetuned: -0.02, qFinetuned: 0.1, scoreBase: none, qBase: none, q: 0.1 },
  { latent: 1, scoreFinetuned: none, qFinetuned: none, scoreBase: 1.5, qBase: 1, q: none },
];
const counts = { finetuned: { candidates: 1, claims: 1 }, base: { candidates: 1, claims: 0 } };
const draw = { name: "null-1", dictionarySha256: "cd", changeRatio: 0.099, counts, seed: 1, scale: 0.03 };
const record: NullRecord = {
  schemaVersion: 1,
  dictionarySha256: "ab",
  thresholds: { ...CLAIM_THRESHOLDS },
  settings: { draws: 1, includeControl: false, sampleRows: 8192 },
  changeRatio: 0.1,
  sampledRows: 800,
  counts,
  draws: [draw],
  control: null,
  expectedFalseClaims: { finetuned: 1, base: 0 },
  claimsUpTo: [{ q: 0.05, finetuned: 0, base: 0 }],
};

test("rows and record read back as they were written, and a second writing replaces them", async () => {
  await writeNull(folder, { rows: [], record });
  await writeNull(folder, { rows, record });
  expect(await readNullRows(folder)).toEqual(rows);
  expect(await readNullRecord(folder)).toEqual(record);
});

test("a record with a control reads back", async () => {
  const { seed: _seed, scale: _scale, ...fields } = draw;
  const control = { ...fields, name: "null-control", path: "/c", modelHash: "ef", included: true };
  await writeNull(folder, { rows, record: { ...record, control } });
  expect((await readNullRecord(folder)).control).toEqual(control);
});

test("missing, damaged and foreign files are refused with their place", async () => {
  await expect(readNullRecord(folder)).rejects.toThrow(StorageError);
  await expect(readNullRows(folder)).rejects.toThrow(FormatError);
  await writeNull(folder, { rows, record });
  const paths = nullPaths(folder);
  const text = await readFile(paths.record, "utf8");
  await writeFile(paths.record, text.slice(0, 20));
  await expect(readNullRecord(folder)).rejects.toThrow(FormatError);
  await writeFile(paths.record, JSON.stringify({ ...record, draws: [{ ...draw, seed: -1 }] }));
  await expect(readNullRecord(folder)).rejects.toThrow("draws.0.seed");
  await writeParquet(paths.table, [{ name: "latent", type: "INT32", data: Int32Array.of(0) }]);
  await expect(readNullRows(folder)).rejects.toThrow('column "scoreFinetuned"');
});
