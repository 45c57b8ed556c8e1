import { describe, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { InterruptedError, NumericsError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { Store } from "../store/store-contract.ts";
import { createMemoryStore } from "./memory-store.test.helper.ts";
import {
  correlationOf,
  divergenceOf,
  jaccardOf,
  type LatentPair,
  type PairFirings,
  pairFirings,
  phiOf,
} from "./pair-firings.ts";
import { pairFiringsReference } from "./pair-firings-reference.ts";
import { createSlotEncoder, cutDictionary } from "./slot-encoder.ts";

const WIDTHS = [3, 4];

/** Documents of two datasets in turn, a BOS row first; train, heldout, test. */
function randomStore({ nDocuments = 60, dictionary = randomDictionary({ widths: WIDTHS }) } = {}): Store {
  const rng = createRng(11, "pair firings");
  return createMemoryStore(
    dictionary.sites,
    Array.from({ length: nDocuments }, (_, d) => ({
      split: (["train", "heldout", "test"] as const)[d % 3],
      dataset: d % 2 === 0 ? "web" : "chat",
      tokens: Array.from({ length: 2 + (d % 9) }, (_, t) => ({
        role: t === 0 ? ("bos" as const) : ("text" as const),
        activation: Array.from({ length: 7 }, (_, c) => rng.normal(100 * d + t, c)),
      })),
    })),
  );
}

const dictionaries = (): Dictionary[] => [
  randomDictionary({ widths: WIDTHS, nLatents: 12, seed: 1 }),
  randomDictionary({ widths: WIDTHS, nLatents: 9, seed: 2, normalised: false, inferenceThreshold: 0.2 }),
  {
    ...randomDictionary({ widths: WIDTHS, nLatents: 10, seed: 4 }),
    selection: "topK",
    k: 3,
    inferenceThreshold: 0,
  },
  {
    ...randomDictionary({ widths: WIDTHS, nLatents: 5, seed: 5 }),
    inferenceThreshold: Number.NaN,
    latentThresholds: Float32Array.from([0.1, 0.5, 1, Number.POSITIVE_INFINITY, 0.01]),
  },
];
const pair = (a: [number, number], b: [number, number]): LatentPair => ({
  a: { dictionary: a[0], latent: a[1] },
  b: { dictionary: b[0], latent: b[1] },
});
const PAIRS = [
  pair([0, 3], [0, 7]),
  pair([0, 7], [0, 3]),
  pair([0, 3], [1, 8]),
  pair([2, 1], [0, 7]),
  pair([2, 4], [2, 5]),
  pair([3, 1], [1, 0]),
  pair([3, 3], [1, 0]),
  pair([3, 0], [3, 0]),
];

function expectClose(fast: PairFirings, slow: PairFirings): void {
  expect(fast.nRows).toBe(slow.nRows);
  const counts = ({ firedA, firedB, firedBoth, divergence }: PairFirings["pairs"][number]) => ({
    firedA,
    firedB,
    firedBoth,
    divergence,
  });
  expect(fast.pairs.map(counts)).toEqual(slow.pairs.map(counts));
  for (const [p, found] of fast.pairs.entries()) {
    for (const name of ["sumA", "sumB", "squaresA", "squaresB", "products", "maxA", "maxB"] as const) {
      // Codes are f32 sums of 7 terms in another order: 1e-6 relative at most, over sums of positive numbers.
      expect(Math.abs(found[name] - slow.pairs[p][name]), `${name} of pair ${p}`).toBeLessThan(
        1e-5 * Math.max(1, slow.pairs[p][name]),
      );
    }
  }
}

describe("one pass over the chosen latents agrees with dense arrays of all of them", () => {
  for (const splits of [["heldout"], ["train", "test"]] as const) {
    test(`splits ${splits.join(" and ")}`, async () => {
      const store = randomStore();
      const options = {
        store,
        dictionaries: dictionaries(),
        pairs: PAIRS,
        splits,
        divergence: {
          scale: PAIRS.map((_, p) => (p === 4 ? 0 : 1 + 0.3 * p)),
          thresholds: [
            { high: 0.7, low: 0.3 },
            { high: 0.4, low: 0.1 },
          ],
        },
        threads: 1,
      };
      const [fast, slow] = [await pairFirings(options), await pairFiringsReference(options)];
      expectClose(fast, slow);
      expect(fast.pairs.filter(({ firedBoth }) => firedBoth > 0).length).toBeGreaterThan(4);
      const highRows = fast.pairs.flatMap(({ divergence }) => divergence.flat()).map(({ highA }) => highA);
      expect(Math.max(...highRows)).toBeGreaterThan(3);
      expect(fast.pairs[4].divergence.flat().every(({ highA, highB }) => highA + highB === 0)).toBe(true);
      expect(fast.pairs[6]).toMatchObject({ firedA: 0, sumA: 0 }); // its own threshold is infinite
    });
  }
});

test("the chosen latents' codes are those of the whole dictionary's encoder, in slots", async () => {
  const store = randomStore();
  const [dictionary, , topK] = dictionaries();
  const x = await store.read(0, 40);
  const chosen = [7, 3, 3, 11].map((latent) => ({ dictionary: 0, latent }));
  const slots = await createSlotEncoder([dictionary, topK], [...chosen, { dictionary: 1, latent: 2 }], {
    maxRows: 40,
    threads: 1,
  });
  expect(slots.nSlots).toBe(4);
  expect(() => slots.slotOf({ dictionary: 0, latent: 4 })).toThrow(/0 4/);
  const codes = await slots.encode(x, 40);
  for (const [index, whole] of [dictionary, topK].entries()) {
    const encoder = await createEncoder(whole, { maxRows: 40, threads: 1 });
    const all = await encoder.encode(normaliseInPlace(x.slice(), 40, whole), 40);
    for (const latent of index === 0 ? [3, 7, 11] : [2]) {
      const slot = slots.slotOf({ dictionary: index, latent });
      const listed = ({ rowStart, latent: of, code }: typeof all, wanted: number): string[] =>
        Array.from({ length: 40 }, (_, row) => row).flatMap((row) =>
          [...of.subarray(rowStart[row], rowStart[row + 1])].flatMap((found, i) =>
            found === wanted ? [`${row} ${code[rowStart[row] + i].toFixed(5)}`] : [],
          ),
        );
      expect(listed(codes, slot).length).toBeGreaterThan(0);
      expect(listed(codes, slot)).toEqual(listed(all, latent));
    }
    await encoder.dispose();
  }
  await slots.dispose();
  const cut = cutDictionary(dictionaries()[3], Uint32Array.from([4, 1]));
  expect([...cut.latentThresholds!]).toEqual([Math.fround(0.01), 0.5]);
});

test("correlation, Jaccard, phi and divergence follow from the sums as their definitions say", async () => {
  const store = randomStore();
  const [dictionary] = dictionaries();
  const { nRows, pairs } = await pairFirings({
    store,
    dictionaries: [dictionary],
    pairs: [pair([0, 3], [0, 7])],
    splits: ["train", "heldout", "test"],
    threads: 1,
  });
  const [found] = pairs;
  const encoder = await createEncoder(dictionary, { maxRows: store.rows.nRows, threads: 1 });
  const x = normaliseInPlace(await store.read(0, store.rows.nRows), store.rows.nRows, dictionary);
  const { rowStart, latent, code } = await encoder.encode(x, store.rows.nRows);
  await encoder.dispose();
  const columns = [3, 7].map((wanted) =>
    Array.from({ length: store.rows.nRows }, (_, row) => row)
      .filter((row) => store.rows.position[row] > 0)
      .map((row) => {
        const at = latent.subarray(rowStart[row], rowStart[row + 1]).indexOf(wanted);
        return at === -1 ? 0 : code[rowStart[row] + at];
      }),
  );
  const pearson = ([a, b]: number[][]): number => {
    const mean = (v: number[]) => v.reduce((s, one) => s + one, 0) / v.length;
    const [mA, mB] = [mean(a), mean(b)];
    const cov = mean(a.map((v, i) => (v - mA) * (b[i] - mB)));
    return cov / Math.sqrt(mean(a.map((v) => (v - mA) ** 2)) * mean(b.map((v) => (v - mB) ** 2)));
  };
  expect(columns[0]).toHaveLength(nRows);
  // A factor W does not move a correlation: codes stand for activations here. f32 codes, f64 sums.
  expect(correlationOf(found, nRows)).toBeCloseTo(pearson(columns), 9);
  const fired = columns.map((column) => column.map((v) => (v > 0 ? 1 : 0)));
  expect(phiOf(found, nRows)).toBeCloseTo(pearson(fired), 9);
  const both = fired[0].filter((v, i) => v === 1 && fired[1][i] === 1).length;
  const either = fired[0].filter((v, i) => v === 1 || fired[1][i] === 1).length;
  expect(both).toBeGreaterThan(0);
  expect(jaccardOf(found)).toBe(both / either);
  expect(divergenceOf({ onlyA: 2, onlyB: 1, highA: 4, highB: 3, bothHigh: 1 })).toBe(0.5);
});

test("what does not exist is null and not NaN", async () => {
  const store = randomStore();
  const folded = dictionaries()[3];
  const { nRows, pairs } = await pairFirings({
    store,
    dictionaries: [folded],
    pairs: [pair([0, 3], [0, 3]), pair([0, 3], [0, 1])],
    splits: ["heldout"],
    threads: 1,
  });
  expect(pairs.map(jaccardOf)).toEqual([null, 0]);
  expect(pairs.map((found) => correlationOf(found, nRows))).toEqual([null, null]);
  expect(pairs.map((found) => phiOf(found, nRows))).toEqual([null, null]);
  expect(divergenceOf({ onlyA: 0, onlyB: 0, highA: 0, highB: 0, bothHigh: 0 })).toBeNull();
});

test("a row that is not finite is refused by its number, and a signal stops the pass", async () => {
  const [dictionary] = dictionaries();
  const store = randomStore({ dictionary });
  const bad = store.documents.find(({ split }) => split === "heldout")!.rowStart + 1;
  const read = store.read.bind(store);
  store.read = async (from, to, target) => {
    const x = await read(from, to, target);
    if (from <= bad && bad < to) x[(bad - from) * store.width + 2] = Number.NaN;
    return x;
  };
  const options = {
    store,
    dictionaries: [dictionary],
    pairs: [pair([0, 3], [0, 7])],
    splits: ["heldout"] as const,
    threads: 1,
  };
  await expect(pairFirings(options)).rejects.toThrow(NumericsError);
  await expect(pairFirings(options)).rejects.toThrow(`row ${bad}:`);
  await expect(pairFirings({ ...options, signal: AbortSignal.abort() })).rejects.toThrow(InterruptedError);
  // Rows of other splits are not looked at; without pairs none are.
  expect((await pairFirings({ ...options, splits: ["train"] })).nRows).toBeGreaterThan(0);
  expect(await pairFirings({ ...options, pairs: [] })).toEqual({ nRows: 0, pairs: [] });
});
