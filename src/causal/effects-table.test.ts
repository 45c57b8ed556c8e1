// causal.parquet: what is written is read back, and what is damaged is refused by name.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { readParquetRows, writeParquet } from "../formats/parquet.ts";
import type { LatentEffect } from "./causal-contract.ts";
import { effectsPath, readEffects, writeEffects } from "./effects-table.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-effects-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const rows: LatentEffect[] = [
  {
    latent: 7,
    role: "candidate",
    conversationsFired: 3,
    positionsReached: 40,
    firingRate: 0.25,
    energy: 12.5,
    gapClosed: { mean: -0.1, interval: { low: -0.3, high: 0.1 } },
    damage: { mean: 0.02, interval: { low: 0.01, high: 0.03 } },
    controls: [1, 9],
    controlGapClosed: 0.01,
    controlDamage: 0.002,
    gapClosedP: 0.97,
    damageP: 0,
    movedTexts: [{ edit: "add", conversation: "doc-1", change: -2 }],
    movedTokens: [{ edit: "remove", token: ' I"m', tokenId: 5, count: 3, change: 0.5 }],
  },
  {
    latent: 9,
    role: "control",
    conversationsFired: 0,
    positionsReached: 0,
    firingRate: 0,
    energy: 0,
    gapClosed: { mean: Number.NaN, interval: { low: Number.NaN, high: Number.NaN } },
    damage: { mean: 0, interval: { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY } },
    controls: [],
    controlGapClosed: Number.NaN,
    controlDamage: Number.NaN,
    gapClosedP: Number.NaN,
    damageP: Number.NaN,
    movedTexts: [],
    movedTokens: [],
  },
];

test("rows read back as they were written, NaN, infinite limits and lists included, and a second writing replaces them", async () => {
  await writeEffects(folder, []);
  expect(await readEffects(folder)).toEqual([]);
  await writeEffects(folder, rows);
  expect(await readEffects(folder)).toEqual(rows);
});

test("an interval lies in two columns beside its mean", async () => {
  await writeEffects(folder, rows);
  const [first] = await readParquetRows(effectsPath(folder));
  expect(first).toMatchObject({ gapClosed: -0.1, gapClosedLow: -0.3, gapClosedHigh: 0.1, damageHigh: 0.03 });
});

test("missing, damaged and foreign tables are refused with their place", async () => {
  await expect(readEffects(folder)).rejects.toThrow(FormatError);
  await writeEffects(folder, rows);
  const path = effectsPath(folder);
  await writeParquet(path, [{ name: "latent", type: "INT32", data: Int32Array.of(0) }]);
  await expect(readEffects(folder)).rejects.toThrow("row 0: role");
  await writeFile(path, "PAR1");
  await expect(readEffects(folder)).rejects.toThrow(FormatError);
});

test("a list that is not a list of its kind is refused by row and column", async () => {
  const broken = { ...rows[1], movedTokens: [{ tokenId: -1 }] as unknown as LatentEffect["movedTokens"] };
  await writeEffects(folder, [rows[0], broken]);
  await expect(readEffects(folder)).rejects.toThrow("row 1: expected a JSON list in movedTokens");
});
