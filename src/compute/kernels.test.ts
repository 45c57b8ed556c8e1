import { describe, expect, test } from "vitest";
import { ShapeError, StorageError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { type CodeBuffers, createKernels, type Kernels } from "./kernels.ts";
import { referenceKernels } from "./kernels-reference.ts";

const rng = createRng(7, "kernels.test");
const kernels = createKernels({ bytes: 64 * 2 ** 20 });
const random = (length: number, stream: number): Float32Array => {
  const values = kernels.f32(length);
  for (let i = 0; i < length; i += 1) values[i] = rng.normal(stream, i);
  return values;
};
/** A copy in the arena. */
const copy = (source: Float32Array): Float32Array => {
  const values = kernels.f32(source.length);
  values.set(source);
  return values;
};
const lists = (nRows: number, capacity: number): CodeBuffers => ({
  capacity,
  rowStart: kernels.u32(nRows + 1),
  latent: kernels.u32(capacity),
  code: kernels.f32(capacity),
});
const close = (got: Float32Array, want: Float32Array, tolerance: number): void => {
  expect(got.length).toBe(want.length);
  got.forEach((value, i) => {
    const allowed = tolerance * Math.max(1, Math.abs(want[i]));
    if (!(Math.abs(value - want[i]) <= allowed)) expect(value, `index ${i}`).toBeCloseTo(want[i], 7);
  });
};
const ODD_LENGTHS = [0, 1, 3, 4, 5, 31, 64, 1001];

describe("adamStep equals its twin", () => {
  for (const n of ODD_LENGTHS) {
    test(`over ${n} values and three updates`, () => {
      const make = () => ({
        parameter: random(n, 1),
        gradient: random(n, 2),
        firstMoment: random(n, 3),
        secondMoment: random(n, 4),
      });
      const [fast, slow] = [make(), make()];
      for (const arrays of [fast, slow]) arrays.secondMoment.set(arrays.secondMoment.map((v) => v * v));
      for (const updateNumber of [1, 2, 3]) {
        const options = { learningRate: 1e-2, gradientScale: 0.37, updateNumber };
        kernels.adamStep(fast, options);
        referenceKernels.adamStep(slow, options);
      }
      // Each of three updates rounds moments and parameter to f32, 6e-8 relative a rounding.
      close(fast.parameter, slow.parameter, 2e-6);
      close(fast.firstMoment, slow.firstMoment, 1e-6);
      close(fast.secondMoment, slow.secondMoment, 1e-6);
    });
  }
});

describe("selection kernels equal their twins bit for bit", () => {
  for (const [nRows, nLatents] of [
    [0, 5],
    [1, 1],
    [1, 3],
    [3, 4],
    [5, 31],
    [7, 130],
    [2, 1025],
  ]) {
    test(`${nRows} rows of ${nLatents} latents`, () => {
      const pre = random(nRows * nLatents, 5);
      // Coarse values, so that ties happen.
      for (let i = 0; i < pre.length; i += 1) pre[i] = Math.round(pre[i] * 4) / 4;
      const weight = random(nLatents, 6);
      weight.set(weight.map((value) => Math.round(Math.abs(value) * 2) / 2));
      const rows = { pre, weight, nRows, nLatents };
      const both = <T>(use: (kernels: Kernels) => T): [T, T] => [use(kernels), use(referenceKernels)];

      for (const bound of [0, 0.3, 2]) {
        const [outA, outB] = [kernels.f32(40), kernels.f32(40)];
        const a = kernels.collectAbove(rows, bound, outA);
        expect(a).toBe(referenceKernels.collectAbove(rows, bound, outB));
        expect(outA).toEqual(outB);
      }
      for (const rank of [1, 2, 9, 1000]) {
        const [a, b] = both((k) => k.kthLargestActivation(rows, rank));
        expect(a).toEqual(b);
        const [listA, listB] = [lists(nRows, pre.length), lists(nRows, pre.length)];
        expect(kernels.keepAbove(rows, a, listA)).toBe(referenceKernels.keepAbove(rows, b, listB));
        expect(listA).toEqual(listB);
      }
      const [uncalibratedA, uncalibratedB] = [lists(nRows, pre.length), lists(nRows, pre.length)];
      kernels.keepAbove(rows, { value: -1, ties: 0 }, uncalibratedA);
      const positive = referenceKernels.keepAbove(rows, { value: -1, ties: 0 }, uncalibratedB);
      expect(uncalibratedA).toEqual(uncalibratedB);
      expect(positive).toBe(pre.filter((p) => p > 0).length);
    });
  }

  test("the k-th largest of a list counts the ties that belong to it", () => {
    const values = copy(Float32Array.of(3, 1, 2, 2, 2, 5));
    expect(kernels.kthLargest(values, 6, 4)).toEqual({ value: 2, ties: 2 });
    expect(kernels.kthLargest(values, 6, 7)).toEqual({ value: 0, ties: 0 });
    for (const rank of [1, 2, 3, 4, 5, 6]) {
      expect(kernels.kthLargest(values, 6, rank)).toEqual(referenceKernels.kthLargest(values, 6, rank));
    }
  });

  test("lists that do not fit are cut and the full count is returned", () => {
    const rows = {
      pre: copy(Float32Array.of(1, 2, 3, 4)),
      weight: copy(Float32Array.of(1, 1)),
      nRows: 2,
      nLatents: 2,
    };
    const out = lists(2, 3);
    expect(kernels.keepAbove(rows, { value: 0, ties: 0 }, out)).toBe(4);
    expect([...out.code]).toEqual([1, 2, 3]);
    expect(kernels.collectAbove(rows, 0, kernels.f32(2))).toBe(4);
  });
});

describe("sparse products equal their twins", () => {
  for (const [nRows, nLatents, width] of [
    [1, 1, 1],
    [3, 9, 5],
    [8, 40, 33],
    [0, 4, 8],
  ]) {
    test(`${nRows} rows, ${nLatents} latents, width ${width}`, () => {
      const pre = random(nRows * nLatents, 8);
      const weight = kernels.f32(nLatents).fill(1);
      const codes = lists(nRows, nRows * nLatents);
      kernels.keepAbove({ pre, weight, nRows, nLatents }, { value: 0.5, ties: 0 }, codes);
      const decoder = random(nLatents * width, 9);
      for (const bias of [undefined, random(width, 10)]) {
        const [a, b] = [random(nRows * width, 11), random(nRows * width, 12)];
        kernels.decodeSparse(codes, { nRows, decoder, width, bias, target: a });
        referenceKernels.decodeSparse(codes, { nRows, decoder, width, bias, target: b });
        close(a, b, 1e-5); // f32 sums of up to 40 terms of size ~1
      }
      const [x, g] = [random(nRows * width, 13), random(nRows * width, 14)];
      const targets = () => ({
        dEncoder: random(nLatents * width, 15),
        dEncoderBias: random(nLatents, 16),
        dDecoder: random(nLatents * width, 17),
      });
      const [fast, slow] = [targets(), targets()];
      kernels.addSparseGradients(codes, { nRows, width, x, g, decoder, ...fast });
      referenceKernels.addSparseGradients(codes, { nRows, width, x, g, decoder, ...slow });
      for (const name of ["dEncoder", "dEncoderBias", "dDecoder"] as const)
        close(fast[name], slow[name], 3e-5);
    });
  }
});

test("sums of squares and row norms equal their twins", () => {
  for (const n of ODD_LENGTHS) {
    const values = random(n, 18);
    const want = referenceKernels.sumOfSquares(values);
    expect(Math.abs(kernels.sumOfSquares(values) - want)).toBeLessThanOrEqual(1e-12 * want); // both in f64
  }
  const matrix = random(6 * 11, 19);
  for (const [columnStart, nColumns] of [
    [0, 11],
    [3, 5],
    [10, 1],
    [4, 0],
  ]) {
    const [a, b] = [kernels.f32(6), kernels.f32(6)];
    kernels.rowNorms(matrix, { nRows: 6, width: 11, columnStart, nColumns, out: a });
    referenceKernels.rowNorms(matrix, { nRows: 6, width: 11, columnStart, nColumns, out: b });
    close(a, b, 1e-7); // one f32 rounding of an f64 sum
  }
});

test("an array from outside the arena, or one that is too short, is refused before WASM sees it", () => {
  expect(() => kernels.sumOfSquares(new Float32Array(3))).toThrow(ShapeError);
  const rows = { pre: kernels.f32(3), weight: kernels.f32(2), nRows: 2, nLatents: 2 };
  expect(() => kernels.kthLargestActivation(rows, 1)).toThrow(/pre: expected at least 4/);
});

test("an arena that is full, or asked for more than 4 GiB, says so", () => {
  const small = createKernels({ bytes: 100 });
  expect(() => small.f32(2 ** 20)).toThrow(StorageError);
  expect(() => createKernels({ bytes: 5 * 2 ** 30 })).toThrow(/4 GiB/);
});
