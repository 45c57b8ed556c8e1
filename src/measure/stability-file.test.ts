import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { writeParquet } from "../formats/parquet.ts";
import { type LatentStability, STABILITY_THRESHOLDS, summariseStability } from "./stability.ts";
import {
  claimsHash,
  isStabilityDone,
  readStabilityRecord,
  readStabilityTable,
  type StabilityRecord,
  stabilityPaths,
  writeStability,
} from "./stability-file.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stability-file-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const rows: LatentStability[] = [
  {
    latent: 0,
    side: "finetuned",
    nCompared: 2,
    directionFound: 1,
    claimReplicated: 1,
    bestCosine: 0.91,
    bestCorrelation: 0.8,
    matches: [
      { dictionary: "main-seed1", latent: 7, cosine: 0.91, correlation: 0.8, claim: "finetuned-specific" },
    ],
  },
  {
    latent: 1,
    side: "base",
    nCompared: 0,
    directionFound: 0,
    claimReplicated: 0,
    bestCosine: Number.NaN,
    bestCorrelation: Number.NaN,
    matches: [],
  },
];
const measured = [
  { deltaNorm: 0.9, claim: "finetuned-specific" as const },
  { deltaNorm: 0.1, claim: "none" as const },
];
const dictionary = (name: string, seed: number) => ({
  name,
  nLatents: 2,
  seed,
  dictionarySha256: String(seed).repeat(64),
  claimsSha256: claimsHash(measured),
});
const record: StabilityRecord = {
  schemaVersion: 1,
  reference: dictionary("main", 0),
  others: [dictionary("main-seed1", 1), dictionary("main-seed2", 2)],
  storeSha256: "a".repeat(64),
  split: "heldout",
  nRows: 100,
  thresholds: STABILITY_THRESHOLDS,
  counts: summariseStability(rows, measured),
};

test("table and record come back as they were written", async () => {
  expect(await readStabilityRecord(folder)).toBeUndefined();
  expect(await isStabilityDone(folder, record)).toBe(false);
  await writeStability(folder, record, rows);
  expect(await readStabilityTable(folder)).toEqual(rows);
  expect(await readStabilityRecord(folder)).toEqual(record);
  expect(record.counts.finetunedSpecific).toMatchObject({
    latents: 1,
    directionFoundInAll: 0,
    directionFoundInAny: 1,
    meanClaimReplicated: 0.5,
  });
  expect(record.counts.leaningUnclaimed).toMatchObject({ latents: 1, compared: 0, meanDirectionFound: null });
});

test("a table is done for its own inputs and no others", async () => {
  await writeStability(folder, record, rows);
  const changed = {
    ...dictionary("main-seed1", 1),
    claimsSha256: claimsHash([measured[0], { ...measured[1], claim: "base-specific" }]),
  };
  expect(await isStabilityDone(folder, record)).toBe(true);
  for (const other of [
    { ...record, others: record.others.slice(0, 1) },
    { ...record, others: [changed, record.others[1]] },
    { ...record, storeSha256: "b".repeat(64) },
    { ...record, reference: { ...record.reference, dictionarySha256: "c".repeat(64) } },
    { ...record, split: "test" as const },
  ]) {
    expect(await isStabilityDone(folder, other)).toBe(false);
  }
  await rm(stabilityPaths(folder).table);
  expect(await isStabilityDone(folder, record)).toBe(false);
});

test("a damaged or foreign file is refused by its name, and not taken for a finished one", async () => {
  await writeStability(folder, record, rows);
  const { table, record: path } = stabilityPaths(folder);
  const text = await readFile(path, "utf8");
  for (const bad of [
    "",
    "{",
    "[]",
    text.replace('"schemaVersion": 1', '"schemaVersion": 9'),
    text.replace('"nRows": 100', '"nRows": -1'),
  ]) {
    await writeFile(path, bad);
    await expect(readStabilityRecord(folder), bad.slice(0, 20)).rejects.toThrow(FormatError);
    await expect(readStabilityRecord(folder)).rejects.toThrow(path);
    expect(await isStabilityDone(folder, record)).toBe(false);
  }
  await writeFile(path, text);
  for (const [spoilt, place] of [
    [{ ...rows[1], bestCosine: 0.2 }, "row 1"],
    [{ ...rows[1], nCompared: 1 }, "row 1"],
    [{ ...rows[1], latent: 5 }, "row 1"],
    [{ ...rows[1], side: "both" }, "row 1: side"],
  ] as [LatentStability, string][]) {
    await writeStability(folder, record, [rows[0], spoilt]);
    await expect(readStabilityTable(folder)).rejects.toThrow(`${table}: ${place}`);
  }
  await writeParquet(table, [{ name: "latent", type: "INT32", data: Int32Array.from([0]) }]);
  await expect(readStabilityTable(folder)).rejects.toThrow(FormatError);
  await writeFile(table, "PAR1");
  await expect(readStabilityTable(folder)).rejects.toThrow(FormatError);
  expect(await isStabilityDone(folder, record)).toBe(false);
});

test("an interrupted writing leaves no record beside a new table", async () => {
  await writeStability(folder, record, rows);
  await rm(stabilityPaths(folder).table);
  const unwritable = [
    { ...rows[0], matches: undefined as never },
    { ...rows[1], latent: Symbol() as never },
  ];
  await expect(writeStability(folder, record, unwritable)).rejects.toThrow();
  expect(await readStabilityRecord(folder)).toBeUndefined();
});
