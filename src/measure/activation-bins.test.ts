import fc from "fast-check";
import { expect, test } from "vitest";
import { FormatError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { quantileOfSorted } from "../numerics/statistics.ts";
import {
  ACTIVATION_BINS,
  activationEdges,
  countedFirings,
  fineBinEdge,
  histogramBins,
  mergeFineBins,
  parseActivationBins,
  quantilesOfBins,
  shareOfFiringsBelow,
} from "./activation-bins.ts";
import { createActivationHistogram } from "./activation-histogram.ts";
import type { ActivationBins } from "./measure-contract.ts";

const rng = createRng(7, "test.activation-bins");

/** Activations of one latent, log-normal with this spread in octaves. */
function activations(n: number, spread: number): number[] {
  return Array.from({ length: n }, (_, i) => Math.fround(2 ** (spread * rng.normal(n, i))));
}

function merged(values: readonly number[]) {
  const histogram = createActivationHistogram({ nLatents: 1 });
  for (const value of values) histogram.add(0, value);
  return { histogram, bins: histogram.merged(0) };
}

test("a latent's bins cover its own range, are at most forty, and hold exactly the values between their edges", () => {
  for (const [n, spread] of [
    [1, 1],
    [3, 0.001],
    [500, 0.1],
    [2000, 1],
    [2000, 12],
  ]) {
    const values = activations(n, spread);
    const { bins } = merged(values);
    const edges = activationEdges(bins);
    expect(bins.counts.length).toBeLessThanOrEqual(ACTIVATION_BINS.most);
    expect(edges).toHaveLength(bins.counts.length + 1);
    expect(countedFirings(bins)).toBe(n);
    for (const [i, count] of bins.counts.entries()) {
      const inside = values.filter((value) => value >= edges[i] && value < edges[i + 1]);
      expect(inside).toHaveLength(count);
    }
    // no wider than it must be: the first and the last fine bin hold something
    expect(Math.min(...values)).toBeLessThan(fineBinEdge(bins.first + 1));
    expect(Math.max(...values)).toBeGreaterThanOrEqual(fineBinEdge(bins.end - 1));
  }
});

test("quantiles of the merged bins are those of the fine ones, and of the values, within a merged bin", () => {
  for (const n of [1, 2, 7, 300, 5000]) {
    for (const spread of [0.05, 1, 4]) {
      const values = activations(n, spread);
      const { histogram, bins } = merged(values);
      const sorted = [...values].sort((a, b) => a - b);
      const qs = [0, 0.1, 0.5, 0.9, 0.99, 1];
      const fine = histogram.quantiles(0, qs);
      for (const [i, got] of quantilesOfBins(histogramBins(bins), qs).entries()) {
        // A quantile lies between two values; the upper one's bin is the wider of theirs, but for one step inside an octave.
        const upper = sorted[Math.ceil((n - 1) * qs[i])];
        const width = widthAt(bins, upper);
        expect(Math.abs(got - fine[i])).toBeLessThan(width);
        expect(Math.abs(got - quantileOfSorted(sorted, qs[i]))).toBeLessThan(width);
      }
    }
  }
});

/** The widest of a value's bin and the one before it. */
function widthAt(bins: ActivationBins, value: number): number {
  const edges = activationEdges(bins);
  const at = edges.findLastIndex((edge) => edge <= value);
  return Math.max(edges[at + 1] - edges[at], at === 0 ? 0 : edges[at] - edges[at - 1]);
}

test("the share of firings below a value runs from 0 to 1 through the counts", () => {
  const bins = { first: 4064, end: 4096, step: 16, counts: [3, 1] }; // from 1 to 1.5 to 2
  expect([0, 1, 1.25, 1.5, 1.75, 2, 9].map((value) => shareOfFiringsBelow(bins, value))).toEqual([
    ...[0, 0, 0.375, 0.75, 0.875, 1, 1],
  ]);
});

test("edges are the exact f32 at which the upper 13 bits change", () => {
  expect([4064, 4065, 4096].map(fineBinEdge)).toEqual([1, 1 + 1 / 32, 2]);
  expect(activationEdges({ first: 4064, end: 4070, step: 4, counts: [1, 2] })).toEqual([
    1,
    1 + 4 / 32,
    1 + 6 / 32,
  ]);
});

test("a latent that never fired has no bins, no edges and no quantiles", () => {
  const none = mergeFineBins([]);
  expect(none).toEqual({ first: 0, end: 0, step: 1, counts: [] });
  expect(activationEdges(none)).toEqual([]);
  expect([...quantilesOfBins(histogramBins(none), [0.5]), shareOfFiringsBelow(none, 1)]).toEqual([
    Number.NaN,
    Number.NaN,
  ]);
  expect(() => quantilesOfBins([], [2])).toThrow(ShapeError);
});

test("what is written is read back, and cells that cannot have been written are refused with their place", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 8159 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 0xffffffff }),
      (list, count) => {
        const bins = mergeFineBins(list.sort((a, b) => a - b).map((bin) => ({ bin, count })));
        expect(parseActivationBins(JSON.stringify(bins), "here")).toEqual(bins);
      },
    ),
    { seed: 1, numRuns: 100 },
  );
  const good = { first: 4000, end: 4010, step: 4, counts: [1, 0, 2] };
  expect(parseActivationBins(JSON.stringify(good), "here")).toEqual(good);
  const bad: unknown[] = [
    ...[null, [], 3, {}, { ...good, step: 0 }, { ...good, step: 3 }, { ...good, counts: [1, 2] }],
    ...[
      { ...good, counts: [1, 0, -2] },
      { ...good, counts: [1, 0.5, 2] },
      { ...good, end: 3999 },
    ],
    ...[
      { ...good, first: "4000" },
      { first: 0, end: 8161, step: 300, counts: new Array(28).fill(1) },
    ],
    { first: 0, end: 41, step: 1, counts: new Array(41).fill(1) },
  ];
  for (const value of bad)
    expect(() => parseActivationBins(JSON.stringify(value), "here"), JSON.stringify(value)).toThrow(
      FormatError,
    );
  expect(() => parseActivationBins("{", "row 3")).toThrow(/^row 3: /);
});
