// The tables of a measurement, opened by Arrow's Parquet reader (arrow-rs compiled to WASM), which shares no code with the writer:
// columns and types as docs/formats.md promises them, values to the bit.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Table, tableFromIPC } from "apache-arrow";
import { readParquet } from "parquet-wasm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeLens } from "../lens/lens-file.ts";
import { MADE_CATEGORIES, madeLatent, madeScaling } from "../measure/latent-measure.test.helper.ts";
import {
  CATEGORY_KINDS,
  CLAIM_THRESHOLDS,
  type LatentMeasure,
  type MeasureSummary,
} from "../measure/measure-contract.ts";
import { dictionarySha256, measurePaths, writeSummary } from "../measure/measure-files.ts";
import { measureColumns, writeMeasureTable } from "../measure/measure-table.ts";
import { type NullRecord, writeNull } from "../measure/null-file.ts";
import { claimsHash, type StabilityRecord, writeStability } from "../measure/stability-file.ts";
import { packageRoot } from "../package-root.ts";
import { writeLatentsTable } from "../report/latents-table.ts";
import { writeParquet } from "./parquet.ts";

const STRANGE = 'ünï\u{1f600} "quoted"\n\u0000 漢';
const latents: LatentMeasure[] = [
  madeLatent(0, { tokensAtPeak: [{ token: STRANGE, tokenId: 1, count: 2 }] }),
  madeLatent(1, {
    claim: "finetuned-specific",
    exclusion: "",
    verdict: "genuine",
    deltaNorm: Number.NaN,
    maxActivation: 5e-324,
    scalingFinetuned: madeScaling({ nuError: Number.NEGATIVE_INFINITY, nuActivation: -0 }),
  }),
  madeLatent(2, { documents: 2 ** 31 - 1, meanActivation: Number.MAX_VALUE }),
];
const summary = {
  schemaVersion: 1,
  nLatents: latents.length,
  fve: { base: 1, finetuned: 1, total: 1 },
  categories: MADE_CATEGORIES,
  thresholds: CLAIM_THRESHOLDS,
} as unknown as MeasureSummary;

let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "parquet-independent-"));
  await mkdir(join(folder, "tables"));
  await writeFile(join(folder, "model.safetensors"), "weights");
  await writeMeasureTable(measurePaths(folder).table, latents, MADE_CATEGORIES);
  await writeSummary(folder, summary, {} as Parameters<typeof writeSummary>[2]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function open(path: string): Promise<Table> {
  return tableFromIPC(readParquet(new Uint8Array(await readFile(path))).intoIPCStream());
}

const ARROW_TYPES: Record<string, string> = { INT32: "Int32", DOUBLE: "Float64", STRING: "Utf8" };

/** "a{b,c}_{d,e}" → ab_d, ab_e, ac_d, ac_e; NAME → the names of the kind before it. */
function expand(name: string): string[] {
  const brace = /\{([^}]*)\}/.exec(name);
  if (brace !== null) {
    return brace[1].split(",").flatMap((part) => expand(name.replace(brace[0], part)));
  }
  const kind = CATEGORY_KINDS.find((candidate) => name === `frequencyBy_${candidate}_NAME`);
  return kind === undefined
    ? [name]
    : MADE_CATEGORIES[kind].map((category) => name.replace("NAME", category));
}

/** Columns of the table under a heading of docs/formats.md, as "name: Arrow type", in its order. */
async function documented(heading: string): Promise<string[]> {
  const page = await readFile(join(packageRoot(), "docs", "formats.md"), "utf8");
  const section = page.split(`\n### ${heading}\n`)[1].split(/\n##+ /)[0];
  const rows = [...section.matchAll(/^\| (`[^|]*`) \| (INT32|DOUBLE|STRING) \|/gm)];
  return rows.flatMap(([, names, type]) =>
    [...names.matchAll(/`([^`]+)`/g)]
      .flatMap(([, name]) => expand(name))
      .map((name) => `${name}: ${ARROW_TYPES[type]}`),
  );
}

const schemaOf = (table: Table): string[] => table.schema.fields.map(({ name, type }) => `${name}: ${type}`);

/** Every cell of the measurement's columns. */
function expectMeasurement(table: Table): void {
  for (const { name, get } of measureColumns(MADE_CATEGORIES)) {
    const cells = [...(table.getChild(name) ?? [])];
    // toEqual tells NaN, −0 and infinities apart
    expect(cells, name).toEqual(latents.map(get));
  }
}

test("tables/measure.parquet has the documented columns in order, and every value to the bit", async () => {
  const table = await open(measurePaths(folder).table);
  const schema = await documented("tables/measure.parquet");
  expect(schema.length).toBeGreaterThan(80);
  expect(schemaOf(table)).toEqual(schema);
  expectMeasurement(table);
  const [, second] = table.toArray();
  expect(second.deltaNorm).toBeNaN();
  expect(second.scalingFinetuned_nuError).toBe(Number.NEGATIVE_INFINITY);
  expect(second.intervalsFinetuned_nuErrorHigh).toBe(Number.POSITIVE_INFINITY);
  expect(second.maxActivation).toBe(5e-324);
  expect(JSON.parse(table.get(0)?.tokensAtPeak)[0].token).toBe(STRANGE);
  expect(JSON.parse(table.schema.metadata.get("categories") ?? "")).toEqual(MADE_CATEGORIES);
});

test("latents.parquet is the measurement alone where nothing else was run", async () => {
  const { path, joined, warnings } = await writeLatentsTable(folder);
  expect({ joined, warnings }).toEqual({ joined: [], warnings: [] });
  const table = await open(path);
  expect(schemaOf(table)).toEqual(await documented("tables/measure.parquet"));
  expectMeasurement(table);
});

const sha = "ab".repeat(32);
const claims = {
  latents: 0,
  compared: 0,
  directionFoundInAll: 0,
  directionFoundInAny: 0,
  claimReplicatedInAll: 0,
  claimReplicatedInAny: 0,
  meanDirectionFound: null,
  meanClaimReplicated: null,
};

async function writeJoined(): Promise<void> {
  const dictionary = await dictionarySha256(folder);
  await writeLens(
    folder,
    latents.map(({ latent }) => ({
      latent,
      promotedBase: [{ token: STRANGE, tokenId: 3, score: 0.5 }],
      suppressedBase: [],
      promotedFinetuned: [],
      suppressedFinetuned: [],
    })),
  );
  const none = { finetuned: 0, base: 0 };
  const counts = { finetuned: { candidates: 1, claims: 1 }, base: { candidates: 0, claims: 0 } };
  await writeNull(folder, {
    rows: latents.map(({ latent, claim }) => ({
      latent,
      scoreFinetuned: latent === 1 ? 0.75 : Number.NaN,
      qFinetuned: latent === 1 ? 0.25 : Number.NaN,
      scoreBase: Number.NaN,
      qBase: Number.NaN,
      q: claim === "none" ? Number.NaN : 0.25,
    })),
    record: {
      schemaVersion: 1,
      dictionarySha256: dictionary,
      thresholds: { nuErrorBelow: 0.2 },
      settings: { draws: 3, includeControl: false, sampleRows: 10 },
      changeRatio: 0.1,
      sampledRows: 10,
      counts,
      draws: [],
      control: null,
      expectedFalseClaims: none,
      claimsUpTo: [],
    } satisfies NullRecord,
  });
  const identity = { nLatents: 3, seed: 0, dictionarySha256: dictionary, claimsSha256: claimsHash(latents) };
  await writeStability(
    folder,
    {
      schemaVersion: 1,
      reference: { name: "main", ...identity },
      others: [{ name: "other", nLatents: 3, seed: 1, dictionarySha256: sha, claimsSha256: sha }],
      storeSha256: sha,
      split: "heldout",
      nRows: 10,
      thresholds: { cosineAtLeast: 0.7, correlationAtLeast: 0.5 },
      counts: { finetunedSpecific: claims, baseSpecific: claims, leaningUnclaimed: claims, shared: claims },
    } satisfies StabilityRecord,
    latents.map(({ latent }) => ({
      latent,
      side: "finetuned" as const,
      nCompared: latent === 2 ? 0 : 1,
      directionFound: latent === 1 ? 1 : 0,
      claimReplicated: 0,
      bestCosine: latent === 2 ? Number.NaN : 0.875,
      bestCorrelation: latent === 2 ? Number.NaN : -0.125,
      matches: [],
    })),
  );
}

test("latents.parquet gains the documented columns of lens, null draws and stability", async () => {
  await writeJoined();
  const { path, joined, warnings, nColumns } = await writeLatentsTable(folder);
  expect({ joined, warnings }).toEqual({ joined: ["lens", "null", "stability"], warnings: [] });
  const table = await open(path);
  expect(schemaOf(table)).toEqual([
    ...(await documented("tables/measure.parquet")),
    ...(await documented("latents.parquet")),
  ]);
  expect(table.numCols).toBe(nColumns);
  expectMeasurement(table);
  const column = (name: string) => [...(table.getChild(name) ?? [])];
  expect(column("lens_promotedBase").map((text) => JSON.parse(text)[0].token)).toEqual([
    STRANGE,
    STRANGE,
    STRANGE,
  ]);
  expect(column("null_scoreFinetuned")).toEqual([Number.NaN, 0.75, Number.NaN]);
  expect(column("null_q")).toEqual([Number.NaN, 0.25, Number.NaN]);
  expect(column("stability_directionFound")).toEqual([0, 1, 0]);
  expect(column("stability_bestCorrelation")).toEqual([-0.125, -0.125, Number.NaN]);
  const { metadata } = table.schema;
  expect(metadata.get("schemaVersion")).toBe("1");
  expect(metadata.get("dictionarySha256")).toBe(await dictionarySha256(folder));
  expect(JSON.parse(metadata.get("thresholds") ?? "")).toEqual({
    claims: CLAIM_THRESHOLDS,
    null: { nuErrorBelow: 0.2 },
    stability: { cosineAtLeast: 0.7, correlationAtLeast: 0.5 },
  });
});

test("null cells, which no table of a measurement has, are null and not NaN or empty", async () => {
  const path = join(folder, "nulls.parquet");
  await writeParquet(path, [
    { name: "number", type: "DOUBLE", data: [null, Number.NaN, 0] },
    { name: "whole", type: "INT32", data: [1, null, -7] },
    { name: "fired", type: "BOOLEAN", data: [true, null, false] },
    { name: "text", type: "STRING", data: [null, "", STRANGE] },
  ]);
  const table = await open(path);
  const column = (name: string) => [...(table.getChild(name) ?? [])];
  expect(column("number")).toEqual([null, Number.NaN, 0]);
  expect(column("whole")).toEqual([1, null, -7]);
  expect(column("fired")).toEqual([true, null, false]);
  expect(column("text")).toEqual([null, "", STRANGE]);
});
