// Which tables are joined and which are refused; the columns themselves are held by formats/parquet-independent.test.ts.

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { readParquet } from "../formats/parquet.ts";
import { writeLens } from "../lens/lens-file.ts";
import { MADE_CATEGORIES, madeLatent } from "../measure/latent-measure.test.helper.ts";
import { CLAIM_THRESHOLDS, type MeasureSummary } from "../measure/measure-contract.ts";
import { measurePaths, writeSummary } from "../measure/measure-files.ts";
import { writeMeasureTable } from "../measure/measure-table.ts";
import { type NullRecord, writeNull } from "../measure/null-file.ts";
import { JOINED_COLUMNS, writeLatentsTable } from "./latents-table.ts";

const latents = [madeLatent(0), madeLatent(1)];
let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "latents-table-"));
  await mkdir(join(folder, "tables"));
  await writeFile(join(folder, "model.safetensors"), "weights");
  await writeMeasureTable(measurePaths(folder).table, latents, MADE_CATEGORIES);
  const summary = {
    ...{ schemaVersion: 1, nLatents: 2, fve: {}, categories: MADE_CATEGORIES },
    thresholds: CLAIM_THRESHOLDS,
  };
  await writeSummary(folder, summary as unknown as MeasureSummary, {} as Parameters<typeof writeSummary>[2]);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const lensRow = (latent: number) => ({
  ...{ latent, promotedBase: [], suppressedBase: [], promotedFinetuned: [], suppressedFinetuned: [] },
});

test("null draws of another dictionary are left out and said so", async () => {
  const side = { candidates: 0, claims: 0 };
  const record: NullRecord = {
    ...{ schemaVersion: 1, dictionarySha256: "of another", thresholds: {}, changeRatio: 0.1, sampledRows: 1 },
    settings: { draws: 3, includeControl: false, sampleRows: 1 },
    counts: { finetuned: side, base: side },
    ...{ draws: [], control: null, expectedFalseClaims: { finetuned: 0, base: 0 }, claimsUpTo: [] },
  };
  const nothing = {
    ...{ scoreFinetuned: Number.NaN, qFinetuned: Number.NaN },
    ...{ scoreBase: Number.NaN, qBase: Number.NaN, q: Number.NaN },
  };
  await writeNull(folder, { rows: latents.map(({ latent }) => ({ latent, ...nothing })), record });
  const { path, joined, warnings } = await writeLatentsTable(folder);
  expect(joined).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining("tunediff null")]);
  const names = Object.keys(await readParquet(path));
  expect(names.filter((name) => name.startsWith("null_"))).toEqual([]);
});

test("a lens over other latents is refused, and the table that was there stays", async () => {
  await writeLens(folder, [lensRow(0), lensRow(1)]);
  const { path, nColumns } = await writeLatentsTable(folder);
  await writeLens(folder, [lensRow(1), lensRow(0)]);
  await expect(writeLatentsTable(folder)).rejects.toThrow(FormatError);
  await writeLens(folder, [lensRow(0)]);
  await expect(writeLatentsTable(folder)).rejects.toThrow(/latents 0 to 1 in order, got 1 rows/);
  const names = Object.keys(await readParquet(path));
  expect(names).toHaveLength(nColumns);
  expect(names).toEqual(expect.arrayContaining(JOINED_COLUMNS.lens.map(({ name }) => name)));
  expect((await readdir(folder)).filter((name) => name.startsWith("latents"))).toEqual(["latents.parquet"]);
});

test("a folder that was not measured is refused with what to run", async () => {
  await rm(measurePaths(folder).summary);
  await expect(writeLatentsTable(folder)).rejects.toThrow(StorageError);
});
