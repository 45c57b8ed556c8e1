import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeCausal } from "../causal/causal-file.ts";
import { writeEffects } from "../causal/effects-table.ts";
import { FormatError } from "../errors.ts";
import { ensureFolder } from "../formats/disk.ts";
import { writeGlance } from "../glance/glance-file.ts";
import { measurePaths } from "../measure/measure-files.ts";
import { writeNull } from "../measure/null-file.ts";
import { writeStability } from "../measure/stability-file.ts";
import { fileSha256 } from "../training/training-record.ts";
import { madeCauses } from "./causal-fixture.test.data.ts";
import type { Causes } from "./causes.ts";
import { madeNulls, madeSparsity, madeStability } from "./certainty-fixture.test.data.ts";
import { sparsityWords } from "./collect.ts";
import { madeGlance } from "./glance-fixture.test.data.ts";
import { type DictionaryOfToday, lateTablesKey, readLateTables } from "./late-tables.ts";
import { reportFixture } from "./report-fixture.test.data.ts";
import { sparsityPath } from "./sparsity-comparison.ts";

const { latents } = reportFixture({ nLatents: 200, nFinetunedClaims: 3, nBaseClaims: 1 });
const SHA = "a".repeat(64);
const OTHER = "b".repeat(64);
let root: string;
let folder: string;
let today: DictionaryOfToday;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-late-"));
  folder = join(root, "dictionaries", "main");
  await ensureFolder(join(folder, "tables"));
  today = { folder, dictionarySha256: SHA, latents };
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function writeAll(dictionarySha256: string): Promise<void> {
  await writeNull(folder, madeNulls(latents, dictionarySha256));
  const stability = madeStability(latents, dictionarySha256);
  await writeStability(folder, stability.record, stability.latents);
  await writeFile(sparsityPath(folder), JSON.stringify(madeSparsity(latents, dictionarySha256)));
  await writeCauses(madeCauses(latents, dictionarySha256));
}
async function writeCauses({ record, effects }: Causes): Promise<void> {
  await writeEffects(folder, effects);
  await writeCausal(folder, record);
}
const states = async (of = today): Promise<string[]> =>
  Object.values(await readLateTables(of)).map(({ state }) => state);

test("tables are absent, then made, and outdated for another dictionary or another measurement", async () => {
  expect(await states()).toEqual(["absent", "absent", "absent", "absent"]);
  await writeAll(SHA);
  expect(await states()).toEqual(["made", "made", "made", "made"]);
  const all = ["outdated", "outdated", "outdated", "outdated"];
  expect(await states({ ...today, dictionarySha256: OTHER })).toEqual(all);
  const judgedAnew = latents.map((latent) => ({ ...latent, claim: "none" as const }));
  expect((await states({ ...today, latents: judgedAnew })).slice(0, 3)).toEqual(all.slice(0, 3));
});

test("what was written is what the page gets", async () => {
  await writeAll(SHA);
  const { nulls, stability, sparsity, causal } = await readLateTables(today);
  expect(nulls).toEqual({ state: "made", value: madeNulls(latents, SHA) });
  expect(stability).toEqual({ state: "made", value: madeStability(latents, SHA) });
  expect(sparsity).toEqual({ state: "made", value: madeSparsity(latents, SHA) });
  expect(causal).toEqual({ state: "made", value: madeCauses(latents, SHA) });
});

test("the report's key changes with each table that comes and with what it says", async () => {
  expect(await lateTablesKey(folder)).toEqual({});
  await writeNull(folder, madeNulls(latents, SHA));
  const first = await lateTablesKey(folder);
  expect(Object.keys(first)).toEqual(["nulls"]);
  await writeAll(SHA);
  const all = await lateTablesKey(folder);
  expect(Object.keys(all)).toEqual(["nulls", "stability", "sparsity", "causal"]);
  expect(all.nulls).toBe(first.nulls);
  await writeAll(OTHER);
  const others = await lateTablesKey(folder);
  for (const name of Object.keys(all)) expect(others[name], name).not.toBe(all[name]);
});

test("the study's glance is part of the key", async () => {
  const before = await lateTablesKey(folder);
  await writeGlance(root, madeGlance());
  const after = await lateTablesKey(folder);
  expect(Object.keys(after)).toEqual([...Object.keys(before), "glance"]);
});

test("causes are outdated when the measurement is another, or the rows are not of the record", async () => {
  const { record, effects } = madeCauses(latents, SHA);
  const state = async (): Promise<string> => (await readLateTables(today)).causal.state;
  const { table } = measurePaths(folder);
  await writeFile(table, "rows of today");
  const measured = await fileSha256(table);
  const named = (sha256: string): Causes => ({
    effects,
    record: { ...record, asked: { ...record.asked, patching: { measured: sha256 } } },
  });
  await writeCauses(named(measured));
  expect(await state()).toBe("made");
  await writeCauses(named(OTHER));
  expect(await state()).toBe("outdated");
  for (const some of [effects.slice(1), effects.slice(0, -1)]) {
    await writeCauses({ record, effects: some });
    expect(await state()).toBe("outdated");
  }
  await writeCauses({ record: { ...record, effects: null }, effects: effects.slice(1) });
  expect(await readLateTables(today)).toMatchObject({ causal: { state: "made", value: { effects: [] } } });
});

test("a table that is there and cannot be read is named, not passed over", async () => {
  await writeFile(sparsityPath(folder), "{");
  await expect(readLateTables(today)).rejects.toThrow(FormatError);
  const [own] = madeSparsity(latents, SHA).dictionaries;
  const one = { schemaVersion: 1, storeSha256: "s", dictionaries: [own] };
  await writeFile(sparsityPath(folder), JSON.stringify(one));
  await expect(readLateTables(today)).rejects.toThrow(/sparsity\.json: dictionaries/);
});

test("sparsities in words", () => {
  expect(sparsityWords({ k: 5 })).toBe("BatchTopK, k 5");
  expect(sparsityWords({ k: 5, sparsity: { kind: "topK" } })).toBe("TopK, k 5");
  expect(sparsityWords({ k: 5, sparsity: { kind: "reluL1", penalty: 0.08 } })).toBe(
    "ReLU + L1, penalty 0.08",
  );
});
