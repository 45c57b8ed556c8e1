// How far a model is from the base: the sample, the figure against its definition, and models run over the sample.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { MismatchError, NumericsError } from "../errors.ts";
import { harvest } from "../harvest/harvest.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { addWeightNoise } from "../lm/noisy-checkpoint.ts";
import { TINY_CONFIG, tinyWeights, worstRowError, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { pairSites } from "../measure/memory-store.test.helper.ts";
import { openStore } from "../store/store.ts";
import type { Store, StoreDtype } from "../store/store-contract.ts";
import { type ChangeSample, changeRatio, runSample, sampleChange } from "./change-ratio.ts";

const LAYER = 1;
const root = mkdtempSync(join(tmpdir(), "tunediff-change-"));
const models: string[] = [];
let base = "";
let finetuned = "";
const stores: Store[] = [];

async function makeModel(seed: number): Promise<string> {
  const config = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64 };
  const folder = await writeTinyLlama(config, tinyWeights(config, seed));
  models.push(folder);
  return writeTinyTokenizer(folder);
}

async function makeStore(name: string, dtype: StoreDtype, other: string): Promise<Store> {
  const documents = Array.from({ length: 12 }, (_, i) => ({
    id: `d${i}`,
    dataset: "words",
    split: (["train", "heldout", "test"] as const)[i % 3],
    text: `${"hi user ".repeat(1 + i)}${i}`,
  }));
  const storeFolder = join(root, name);
  const options = { base, finetuned: other, documents, layer: LAYER, storeFolder, storeName: name, dtype };
  await harvest({ ...options, threads: 1 });
  const store = await openStore(storeFolder);
  stores.push(store);
  return store;
}

async function rowsOf(sample: ChangeSample, noise?: { seed: number; scale: number }): Promise<Float32Array> {
  const opened = await openCheckpoint(base);
  const checkpoint = noise ? addWeightNoise(opened, noise) : opened;
  try {
    return await runSample(checkpoint, { sample, layer: LAYER, threads: 1, stage: "test" });
  } finally {
    await checkpoint.close();
  }
}

let store: Store;
let sample: ChangeSample;
beforeAll(async () => {
  [base, finetuned] = [await makeModel(1), await makeModel(2)];
  store = await makeStore("f32", "f32", finetuned);
  sample = await sampleChange(store);
});
afterAll(async () => {
  for (const store of stores) await store.close();
  for (const folder of [root, ...models]) rmSync(folder, { recursive: true, force: true });
});

test("a small store is sampled whole, BOS left out, and the pair's ratio is its definition's", async () => {
  const { nRows, role } = store.rows;
  const x = await store.read(0, nRows);
  const ratios: number[] = [];
  for (let row = 0; row < nRows; row += 1) {
    if (role[row] === 5) continue; // bos
    const h = x.subarray(row * 64, row * 64 + 32);
    const changed = x.subarray(row * 64 + 32, row * 64 + 64);
    const squared = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);
    ratios.push(squared(changed.map((value, c) => value - h[c])) / squared(h));
  }
  expect(sample.rows).toHaveLength(ratios.length);
  expect(ratios.length).toBeLessThan(nRows);
  // the definition above rounds each difference to f32
  expect(sample.pairRatio).toBeCloseTo(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length, 5);
});

test("the base run over the sample gives the rows that are stored", async () => {
  const rows = await rowsOf(sample);
  // other batches than the harvest's: f32 sums of 32 to 40 terms in another order, three times over
  expect(worstRowError(rows, sample.base, 32)).toBeLessThan(1e-5);
  expect(changeRatio(rows, sample.base, 32)).toBeLessThan(1e-10);
});

test("more noise changes more, the same noise the same", async () => {
  const ratio = async (seed: number, scale: number): Promise<number> =>
    changeRatio(await rowsOf(sample, { seed, scale }), sample.base, 32);
  const [little, more, again, other] = [
    await ratio(1, 0.01),
    await ratio(1, 0.1),
    await ratio(1, 0.1),
    await ratio(2, 0.1),
  ];
  expect(more).toBeGreaterThan(10 * little);
  expect(again).toBe(more);
  expect(other).not.toBe(more);
});

test("a bf16 store's sample holds rounded rows, and what is run over it is rounded, too", async () => {
  const rounded = await sampleChange(await makeStore("bf16", "bf16", finetuned));
  const isRounded = (values: Float32Array): boolean =>
    new Uint32Array(values.buffer).every((bits) => (bits & 0xffff) === 0);
  expect(isRounded(rounded.base)).toBe(true);
  const rows = await rowsOf(rounded);
  expect(isRounded(rows)).toBe(true);
  // last-bit differences of the f32 numbers cross a rounding border here and there: each is 2^-8 of one number
  expect(changeRatio(rows, rounded.base, 32)).toBeLessThan(2 ** -16 / 10);
});

test("a model against itself has ratio 0 to the bit", async () => {
  expect((await sampleChange(await makeStore("same", "f32", base))).pairRatio).toBe(0);
});

test("a store is sampled by whole documents in an order of its own, up to 8,192 rows", async () => {
  const lengths = Array.from({ length: 60 }, (_, i) => (i === 7 ? 9000 : 200 + i));
  const large = await sampleChange(storeOf(lengths));
  const nRows = large.documents.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0);
  expect(nRows).toBeLessThanOrEqual(8192);
  expect(nRows).toBeGreaterThan(8192 - 260); // no other document would fit
  const chosen = large.documents.map(({ index }) => index);
  expect(chosen).toEqual([...chosen].sort((a, b) => a - b));
  expect(chosen).not.toContain(7);
  expect(chosen.at(-1)).toBeGreaterThan(large.documents.length); // not the first ones
  for (const { ids, rowStart, rowEnd } of large.documents) expect(ids).toHaveLength(rowEnd - rowStart);
  const one = await sampleChange(storeOf([9000]));
  expect(one.documents).toHaveLength(1);
});

test("sites of different width, and a base row of zeros, are refused", async () => {
  const unequal = storeOf([10]);
  unequal.manifest.sites[1].width = 3;
  await expect(sampleChange(unequal)).rejects.toThrow(MismatchError);
  await expect(sampleChange(unequal)).rejects.toThrow(/one width/);
  expect(() => changeRatio(Float32Array.of(1, 1, 1, 1), Float32Array.of(1, 0, 0, 0), 2)).toThrow(
    NumericsError,
  );
});

/** A store of ones (base) and twos in memory, with documents of these many rows. */
function storeOf(lengths: number[]): Store {
  const nRows = lengths.reduce((sum, length) => sum + length, 0);
  let rowStart = 0;
  const documents = lengths.map((length, index) => {
    rowStart += length;
    return { index, rowStart: rowStart - length, rowEnd: rowStart };
  });
  return {
    folder: "memory",
    manifest: { nRows, sites: pairSites(2).map((site) => ({ ...site, dtype: "f32" })) },
    rows: { nRows, role: new Uint8Array(nRows), tokenBase: new Uint32Array(nRows) },
    documents,
    width: 4,
    read: async (from: number, to: number) =>
      new Float32Array((to - from) * 4).map((_, i) => (i % 4 < 2 ? 1 : 2)),
  } as unknown as Store;
}
