import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { randomDocuments, writeDiskStore } from "../measure/disk-store.test.helper.ts";
import { pairSites } from "../measure/memory-store.test.helper.ts";
import { normLimits } from "./norm-outliers.ts";
import { documentsOfGroup, openRowSource, rowsByGroup, sourceOfStore } from "./row-source.ts";
import { openStore } from "./store.ts";

let root: string;
const folder = () => join(root, "store");

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "row-source-"));
  await writeDiskStore(folder(), pairSites(3), randomDocuments(6, 40));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("read by range, a store says of its rows and documents what it says held in memory", async () => {
  const [source, store] = [await openRowSource(folder()), await openStore(folder())];
  const held = await sourceOfStore(store);
  expect(source.documents).toEqual(held.documents);
  expect(source.manifest).toEqual(held.manifest);
  const { nRows } = source.manifest;
  expect(nRows).toBeGreaterThan(500); // more than a shard
  for (const [from, to] of [
    [0, nRows],
    [17, 17],
    [490, 510],
  ]) {
    expect(await source.readFacts(from, to)).toEqual(await held.readFacts(from, to));
    expect(await source.read(from, to)).toEqual(await held.read(from, to));
  }
  expect(await source.documentIds(new Set([3, 39]))).toEqual(
    new Map([
      [3, "document-3"],
      [39, "document-39"],
    ]),
  );
  expect(await normLimits(source)).toEqual(await normLimits(store));
  await source.close();
  await store.close();
});

test("documents of a group are those of its split, and the groups' rows add up to the split's", async () => {
  const source = await openRowSource(folder());
  const { documents, manifest } = source;
  const counts = rowsByGroup(documents, "heldout");
  expect(counts.reduce((sum, n) => sum + n, 0)).toBe(manifest.rowsBySplit.heldout);
  for (const group of [0, 1, 2, 3]) {
    const rows = documentsOfGroup(documents, { group, split: "heldout" }).map(
      (i) => documents.rowStart[i + 1] - documents.rowStart[i],
    );
    expect(rows.reduce((sum, n) => sum + n, 0)).toBe(counts[group]);
  }
  await source.close();
});

test("a store that is missing, unfinished or damaged is refused as openStore refuses it", async () => {
  await expect(openRowSource(join(root, "nowhere"))).rejects.toThrow(StorageError);
  const damaged = join(root, "damaged");
  await cp(folder(), damaged, { recursive: true });
  const path = join(damaged, "rows", "documents.jsonl");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace("document-7", "document-8"));
  await expect(openRowSource(damaged)).rejects.toThrow(FormatError);
  await writeFile(path, `${text}${text.split("\n")[0]}\n`);
  await expect(openRowSource(damaged, { verify: false })).rejects.toThrow(/expected 40 documents, got 41/);
});
