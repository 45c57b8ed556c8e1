import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createKernels } from "../compute/kernels.ts";
import { selectBatchTopKReference, selectTopK, selectTopKReference } from "./select.ts";

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
  const select = (pre: number[], weight: number[], rank: number): number[] => [
    ...selectBatchTopKReference(Float32Array.from(pre), Float32Array.from(weight), rank),
  ];
  test("the weight decides, the kept code is unweighted", () => {
    expect(select([3, 1, 2, -5], [1, 10], 2)).toEqual([3, 1, 0, 0]); // activations 3, 10, 2, −50
  });
  test("of equal activations the lowest latent's stay, of one latent's the lowest row's", () => {
    expect(select([1, 1, 1, 1], [2, 2], 3)).toEqual([1, 1, 1, 0]);
    expect(select([1, 1, 1, 1], [2, 2], 2)).toEqual([1, 0, 1, 0]);
  });
  test("the budget belongs to the batch, not to the row", () => {
    expect(select([9, 8, 7, 1, 1, 1], [1, 1, 1], 3)).toEqual([9, 8, 7, 0, 0, 0]);
  });
  test("fewer positive activations than asked for: all of them", () => {
    expect(select([2, -1, 0.5, 0], [1, 1], 4)).toEqual([2, 0, 0.5, 0]);
  });
});
