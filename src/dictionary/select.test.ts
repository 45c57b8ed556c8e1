import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createKernels } from "../compute/kernels.ts";
import { selectBatchTopK, selectBatchTopKReference, selectTopK, selectTopKReference } from "./select.ts";

/** Both selections as dense codes [nRows · nLatents]. */
function selectBoth(pre: number[], weight: number[], rank: number, expected = 0) {
  const nLatents = weight.length;
  const nRows = pre.length / nLatents;
  const kernels = createKernels({ bytes: 2 ** 17 });
  const rows = { pre: kernels.f32(pre.length), weight: kernels.f32(nLatents), nRows, nLatents };
  rows.pre.set(pre);
  rows.weight.set(weight);
  const out = {
    capacity: rank,
    rowStart: kernels.u32(nRows + 1),
    latent: kernels.u32(rank),
    code: kernels.f32(rank),
  };
  const selection = selectBatchTopK(kernels, rows, {
    rank,
    expected,
    candidates: kernels.f32(2 * rank),
    out,
  });
  const fast = new Float32Array(pre.length);
  for (let row = 0; row < nRows; row += 1) {
    for (let entry = out.rowStart[row]; entry < out.rowStart[row + 1]; entry += 1) {
      fast[row * nLatents + out.latent[entry]] = out.code[entry];
    }
  }
  const slow = selectBatchTopKReference(Float32Array.from(pre), Float32Array.from(weight), rank);
  return { fast, slow, selection };
}

test("selection by bits equals selection by sorting, ties, zeros and any first guess included", () => {
  const coarse = fc.integer({ min: -4, max: 6 }).map((value) => value / 2);
  const property = fc.property(
    fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 9 }),
    fc.integer({ min: 1, max: 5 }),
    fc.infiniteStream(coarse),
    fc.integer({ min: 1, max: 50 }),
    fc.constantFrom(0, 0.5, 1, 3, 100),
    (weight, nRows, values, rank, expected) => {
      const pre = Array.from({ length: nRows * weight.length }, () => values.next().value as number);
      const { fast, slow, selection } = selectBoth(pre, weight, rank, expected);
      expect(fast).toEqual(slow);
      expect(selection.count).toBe(slow.filter((code) => code > 0).length);
    },
  );
  fc.assert(property, { seed: 1, numRuns: 200 });
});

test("TopK by bits equals TopK by sorting, row by row, ties and rows with too few positive codes included", () => {
  const coarse = fc.integer({ min: -4, max: 6 }).map((value) => value / 2);
  const property = fc.property(
    fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
    fc.integer({ min: 0, max: 5 }),
    fc.infiniteStream(coarse),
    fc.integer({ min: 1, max: 50 }),
    (weights, nRows, values, k) => {
      const nLatents = weights.length;
      const kernels = createKernels({ bytes: 2 ** 17 });
      const rows = { pre: kernels.f32(nRows * nLatents), weight: kernels.f32(nLatents), nRows, nLatents };
      for (let i = 0; i < nRows * nLatents; i += 1) rows.pre[i] = values.next().value as number;
      rows.weight.set(weights);
      const capacity = nRows * Math.min(k, nLatents);
      const [latent, code, rowStart] = [kernels.u32(capacity), kernels.f32(capacity), kernels.u32(nRows + 1)];
      const count = selectTopK(kernels, rows, { k, out: { capacity, rowStart, latent, code } });
      const fast = new Float32Array(nRows * nLatents);
      for (let row = 0; row < nRows; row += 1) {
        for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
          fast[row * nLatents + latent[entry]] = code[entry];
        }
      }
      const slow = selectTopKReference(rows.pre.slice(), rows.weight.slice(), k);
      expect(fast).toEqual(slow);
      expect(count).toBe(rowStart[nRows]);
      expect(count).toBe(slow.filter((value) => value > 0).length);
    },
  );
  fc.assert(property, { seed: 2, numRuns: 200 });
});

describe("by hand", () => {
  test("TopK gives each row its own k, where BatchTopK gives them to the strongest row", () => {
    const pre = Float64Array.of(9, 8, 7, 1, 3, 2);
    const weight = Float64Array.of(1, 1, 1);
    expect([...selectTopKReference(pre, weight, 2)]).toEqual([9, 8, 0, 0, 3, 2]);
    expect([...selectBatchTopKReference(pre, weight, 4)]).toEqual([9, 8, 7, 0, 3, 0]);
  });
  test("the weight decides, the kept code is unweighted", () => {
    const { fast, selection } = selectBoth([3, 1, 2, -5], [1, 10], 2);
    expect([...fast]).toEqual([3, 1, 0, 0]); // activations 3, 10, 2, −50
    expect(selection).toEqual({ count: 2, smallest: 3 });
  });
  test("of equal activations the lowest index stays", () => {
    expect([...selectBoth([1, 1, 1, 1], [2, 2], 3).fast]).toEqual([1, 1, 1, 0]);
  });
  test("the budget belongs to the batch, not to the row", () => {
    expect([...selectBoth([9, 8, 7, 1, 1, 1], [1, 1, 1], 3).fast]).toEqual([9, 8, 7, 0, 0, 0]);
  });
  test("fewer positive activations than asked for: all of them, and the smallest is reported", () => {
    const { fast, selection } = selectBoth([2, -1, 0.5, 0], [1, 1], 4);
    expect([...fast]).toEqual([2, 0, 0.5, 0]);
    expect(selection).toEqual({ count: 2, smallest: 0.5 });
    expect(selectBoth([-1, -2], [1, 1], 2).selection).toEqual({ count: 0, smallest: 0 });
  });
});
