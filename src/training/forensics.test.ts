import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSafetensors } from "../formats/safetensors.ts";
import { type ForensicFacts, writeForensicBundle } from "./forensics.ts";
import { memoryStore, pairOfSites } from "./memory-store.test.helper.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "forensics-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const facts: ForensicFacts = {
  configHash: "c",
  storeHash: "s",
  batchStep: 3,
  bad: { loss: "NaN", gradientNorm: "Infinity", tensor: "residual", index: 1, value: "NaN" },
  learningRate: 0.1,
  level: 2,
  threshold: 0.5,
  nShards: 1,
  lastGoodCheckpoint: null,
};

test("a bundle is bounded however large the batch, keeps bad rows first, and writing it again gives the same", async () => {
  const [nRows, width] = [5000, 512];
  const store = memoryStore(new Float32Array(nRows * width), { sites: pairOfSites(width / 2) });
  const x = Float32Array.from({ length: nRows * width }, (_, i) => i % 97);
  const residual = x.slice();
  residual[4999 * width + 8] = Number.NaN; // bad by its residual alone, and far beyond what is kept of the batch
  x[10 * width] = Number.POSITIVE_INFINITY;
  const rows = Uint32Array.from({ length: nRows }, (_, place) => nRows - 1 - place);
  const path = await writeForensicBundle(folder, facts, { store, x, residual, rows });
  expect(path).toBe(join(folder, "forensics", "step-00000003"));

  const text = await readFile(join(path, "bundle.json"), "utf8");
  const bundle = JSON.parse(text);
  expect(bundle).toMatchObject({ ...facts, batchRows: nRows, badRows: 2, schemaVersion: 1 });
  expect(bundle.rows).toHaveLength(4096);
  expect(bundle.rows.slice(0, 3).map((row: { place: number }) => row.place)).toEqual([10, 4999, 0]);
  expect(bundle.rows[1]).toMatchObject({ bad: true, row: 0, document: 0, documentId: "d0", position: 0 });
  const file = await openSafetensors(join(path, "rows.safetensors"));
  const most = (8 * 2 ** 20) / (4 * width);
  expect(file.tensors.get("batch")?.shape).toEqual([most, width]);
  expect(file.tensors.get("badRows")?.shape).toEqual([2, width]);
  expect((await file.readFloat32("badResiduals"))[width + 8]).toBeNaN();
  await file.close();
  expect((await stat(join(path, "rows.safetensors"))).size).toBeLessThan(8.2 * 2 ** 20);

  await writeForensicBundle(folder, facts, { store, x, residual, rows });
  expect(await readFile(join(path, "bundle.json"), "utf8")).toBe(text);
  expect(await readdir(join(folder, "forensics"))).toEqual(["step-00000003"]);
});
