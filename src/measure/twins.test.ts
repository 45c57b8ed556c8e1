import { describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import type { Store } from "../store/store-contract.ts";
import { createMemoryStore, type MemoryDocument, pairSites } from "./memory-store.test.helper.ts";
import { findTwins, spreadDocuments, summariseTwins, twinSides } from "./twins.ts";

const D = 8;
/** Latents: [coordinate read, decoder of the base, decoder of the fine-tune] as vectors of D. */
type Planted = { reads: number; base: number[]; finetuned: number[] };
const unit = (c: number, scale = 1): number[] => Array.from({ length: D }, (_, i) => (i === c ? scale : 0));

/** Each latent's code is ReLU of one coordinate of the row; it fires above an activation of 0.5. */
function plantedDictionary(latents: Planted[]): Dictionary {
  const width = 2 * D;
  const encoderWeight = new Float32Array(latents.length * width);
  const decoderWeight = new Float32Array(latents.length * width);
  latents.forEach(({ reads, base, finetuned }, j) => {
    encoderWeight[j * width + reads] = 1;
    decoderWeight.set([...base, ...finetuned], j * width);
  });
  return {
    sites: pairSites(D),
    nLatents: latents.length,
    width,
    encoderWeight,
    encoderBias: new Float32Array(latents.length),
    decoderWeight,
    decoderBias: new Float32Array(width),
    k: 2,
    inferenceThreshold: 0.5,
    normaliser: undefined,
  };
}

// 0 and 1 are twins that read different coordinates; 2 and 3 are twins that read the same one; 4 is shared; 5 leans to the
// fine-tune, near to 1 but not within 0.9; 6 points where 1 does, and never fires.
const latents: Planted[] = [
  { reads: 0, base: unit(0, 0), finetuned: unit(0) },
  { reads: 1, base: unit(0), finetuned: unit(0, 0.05) },
  { reads: 2, base: unit(2, 0), finetuned: unit(2, 2) },
  { reads: 2, base: [0, 0, 1, 0.3, 0, 0, 0, 0], finetuned: unit(2, 0) },
  { reads: 3, base: unit(2), finetuned: unit(0) },
  { reads: 4, base: unit(1, 0.6), finetuned: [1, 0, 0, 0, 1, 0, 0, 0] },
  { reads: 7, base: unit(0, 0.3), finetuned: unit(0) },
];

/** Row t of a document puts 2 on coordinate 0 (even documents), on 1 (odd ones), and on 2 in all. */
function plantedStore(): Store {
  const documents = Array.from(
    { length: 24 },
    (_, d): MemoryDocument => ({
      split: d % 4 < 2 ? "train" : "heldout",
      dataset: d % 3 === 0 ? "web" : "chat",
      tokens: Array.from({ length: 5 }, (_, t) => {
        const activation = new Array<number>(2 * D).fill(0);
        activation[d % 2] = 1 + t;
        activation[2] = 1 + t;
        return { role: t === 0 ? "bos" : "text", activation };
      }),
    }),
  );
  return createMemoryStore(pairSites(D), documents);
}

describe("planted twins", () => {
  test("fire in disjoint contexts: divergence 1; in the same: divergence 0; silent: null", async () => {
    const twins = await findTwins({
      store: plantedStore(),
      dictionary: plantedDictionary(latents),
      threads: 1,
    });
    expect(twins.map(({ finetuned, base }) => [finetuned, base])).toEqual([
      [0, 1],
      [2, 3],
      [6, 1],
    ]);
    const [apart, together, halfSilent] = twins;
    // 6 documents of 4 rows with each of the two coordinates on; activation 2 … 5 times W = 1 and 1.05.
    expect(apart).toMatchObject({ firedFinetuned: 24, firedBase: 24, firedBoth: 0, jaccard: 0 });
    expect(apart).toMatchObject({ divergencePaper: 1, divergenceCode: 1 });
    expect(apart.maxActivation).toBeCloseTo(5 * 1.05, 5);
    expect(apart.phi).toBeLessThan(-0.9);
    expect(together).toMatchObject({ firedBoth: 48, jaccard: 1, phi: null, divergenceCode: 0 });
    expect(together.divergencePaper).toBe(0);
    expect(together.cosine).toBeCloseTo(1 / Math.hypot(1, 0.3), 6);
    // The other one fires alone: every high row is its own.
    expect(halfSilent).toMatchObject({ firedFinetuned: 0, divergencePaper: 1, jaccard: 0, phi: null });
    expect(Object.keys(apart.byDataset)).toEqual(["web", "chat"]);
    const rows = Object.values(apart.byDataset).map(({ highRowsPaper }) => highRowsPaper);
    // Activations above 0.7 · 5.25 = 3.675: 4 and 5 of both latents (4 · 1.05, 5 · 1.05, 4 and 5), 2 rows of each of 12 documents.
    expect(rows.reduce((a, b) => a + b, 0)).toBe(24);
    expect(rows.every((n) => n > 0)).toBe(true);
    expect(summariseTwins(twins)).toEqual({
      nPairs: 3,
      meanDivergencePaper: expect.closeTo(2 / 3, 12),
      meanDivergenceCode: expect.closeTo(2 / 3, 12),
      undefinedPaper: 0,
      undefinedCode: 0,
    });
  });

  test("the published sides are the classes alone", async () => {
    const dictionary = plantedDictionary(latents);
    const named = (mask: Uint8Array) => [...mask.keys()].filter((j) => mask[j] === 1);
    const classes = twinSides(dictionary, "classes");
    expect([named(classes.finetunedSide), named(classes.baseSide)]).toEqual([
      [0, 2],
      [1, 3],
    ]);
    const leaning = twinSides(dictionary, "leaning");
    expect([named(leaning.finetunedSide), named(leaning.baseSide)]).toEqual([
      [0, 2, 5, 6],
      [1, 3],
    ]);
    const twins = await findTwins({ store: plantedStore(), dictionary, sides: "classes", threads: 1 });
    expect(twins.map(({ finetuned, base }) => [finetuned, base])).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });

  test("a pair of which nothing is ever high has no divergence, and is counted as such", async () => {
    const silent = latents.map((latent, j) => ({ ...latent, reads: j < 2 ? 6 : latent.reads }));
    const twins = await findTwins({
      store: plantedStore(),
      dictionary: plantedDictionary(silent),
      threads: 1,
    });
    expect(twins[0]).toMatchObject({
      finetuned: 0,
      base: 1,
      divergencePaper: null,
      divergenceCode: null,
      maxActivation: 0,
      jaccard: null,
    });
    expect(twins[0].byDataset.web).toEqual({ paper: null, code: null, highRowsPaper: 0, highRowsCode: 0 });
    expect(summariseTwins(twins)).toMatchObject({ nPairs: 3, undefinedPaper: 2, undefinedCode: 2 });
    expect(summariseTwins([])).toMatchObject({ nPairs: 0, meanDivergencePaper: null });
  });

  test("without twins no row is read", async () => {
    const store = plantedStore();
    store.read = () => Promise.reject(new Error("read"));
    const options = { store, dictionary: plantedDictionary(latents), threads: 1 };
    expect(await findTwins({ ...options, minimumCosine: 1 })).toEqual([]);
    await expect(findTwins(options)).rejects.toThrow("read");
  });
});

test("the maxima come from whole documents spread over the train rows, of no more rows than asked", () => {
  const store = plantedStore();
  const train = store.documents.filter(({ split }) => split === "train");
  expect(spreadDocuments(store, "train", 1000)).toEqual(train);
  const half = spreadDocuments(store, "train", 30);
  expect(half.map(({ index }) => train.findIndex((one) => one.index === index))).toEqual([1, 3, 5, 7, 9, 11]);
  expect(spreadDocuments(store, "train", 29).length).toBe(5);
});
