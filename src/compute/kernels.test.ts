import { describe, expect, test } from "vitest";
import { ShapeError, StorageError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { type CodeBuffers, createKernels, type Entries, type Kernels } from "./kernels.ts";
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
const entries = (capacity: number): Entries => ({
  capacity,
  row: kernels.u32(capacity),
  latent: kernels.u32(capacity),
  code: kernels.f32(capacity),
  activation: kernels.f32(capacity),
});
const close = (got: Float32Array, want: Float32Array, tolerance: number): void => {
  expect(got.length).toBe(want.length);
  got.forEach((value, i) => {
    const allowed = tolerance * Math.max(1, Math.abs(want[i]));
    if (!(Math.abs(value - want[i]) <= allowed)) expect(value, `index ${i}`).toBeCloseTo(want[i], 7);
  });
};
const ODD_LENGTHS = [0, 1, 3, 4, 5, 31, 64, 1001];

describe("adamRows equals its twin", () => {
  for (const [nRows, rowLength] of [
    [0, 3],
    [1, 1],
    [5, 1],
    [3, 4],
    [4, 31],
    [7, 143],
  ]) {
    test(`over ${nRows} rows of ${rowLength} values and three updates, some rows without a gradient`, () => {
      const n = nRows * rowLength;
      const make = () => ({
        parameter: random(n, 1),
        gradient: random(n, 2),
        firstMoment: random(n, 3),
        secondMoment: random(n, 4),
      });
      const [fast, slow] = [make(), make()];
      for (const arrays of [fast, slow]) arrays.secondMoment.set(arrays.secondMoment.map((v) => v * v));
      const touched = kernels.u8(nRows);
      for (const updateNumber of [1, 2, 3]) {
        touched.set(touched.map((_, row) => (row + updateNumber) % 2));
        const options = { learningRate: 1e-2, gradientScale: 0.37, updateNumber, touched, rowLength };
        kernels.adamRows(fast, options);
        referenceKernels.adamRows(slow, options);
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
        const [a, b] = [entries(40), entries(40)];
        const options = { firstLatent: 7, bound, count: 3 };
        const count = kernels.collectEntries(rows, { ...options, entries: a });
        expect(count).toBe(referenceKernels.collectEntries(rows, { ...options, entries: b }));
        expect(a).toEqual(b);
        const kept = kernels.filterEntries(a, Math.min(count, 40), 1);
        expect(kept).toBe(referenceKernels.filterEntries(b, Math.min(count, 40), 1));
        expect(a).toEqual(b);
        const groups = () => ({ start: kernels.u32(2000), other: kernels.u32(40), code: kernels.f32(40) });
        for (const by of ["row", "latent"] as const) {
          const [c, d] = [groups(), groups()];
          const nKeys = by === "row" ? Math.max(nRows, 1) : nLatents + 7;
          kernels.groupEntries(a, { by, count: kept, nKeys, out: c });
          referenceKernels.groupEntries(b, { by, count: kept, nKeys, out: d });
          expect(c).toEqual(d);
        }
      }
      for (const round of [
        { prefix: 0, prefixMask: 0, shift: 21, bins: 2048 },
        { prefix: 0x3f800000, prefixMask: 0xffe00000, shift: 10, bins: 2048 },
        { prefix: 0x3f800000, prefixMask: 0xfffffc00, shift: 0, bins: 1024 },
      ]) {
        const [a, b] = [kernels.u32(2048), kernels.u32(2048)];
        kernels.countDigits(rows, round, a);
        referenceKernels.countDigits(rows, round, b);
        expect(a).toEqual(b);
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

  test("the k-th largest counts the ties that belong to it", () => {
    const rows = {
      pre: copy(Float32Array.of(3, 1, 2, 2, 2, 5)),
      weight: kernels.f32(6).fill(1),
      ...{ nRows: 1, nLatents: 6 },
    };
    expect(kernels.kthLargestActivation(rows, 4)).toEqual({ value: 2, ties: 2 });
    expect(kernels.kthLargestActivation(rows, 7)).toEqual({ value: 0, ties: 0 });
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
    const all = { firstLatent: 0, bound: 0, entries: entries(2), count: 0 };
    expect(kernels.collectEntries(rows, all)).toBe(4);
    expect([...all.entries.code]).toEqual([1, 2]);
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
      const [x, direction] = [random(nRows * width, 13), random(nRows * width, 14)];
      const found = entries(nRows * nLatents);
      const rows = { pre, weight, nRows, nLatents };
      const count = kernels.collectEntries(rows, { firstLatent: 0, bound: 0.5, entries: found, count: 0 });
      const groups = {
        start: kernels.u32(nLatents + 1),
        other: kernels.u32(count),
        code: kernels.f32(count),
      };
      kernels.groupEntries(found, { by: "latent", count, nKeys: nLatents, out: groups });
      for (const penalty of [undefined, random(nLatents, 20)]) {
        const targets = () => ({
          dEncoder: random(nLatents * width, 15),
          dEncoderBias: random(nLatents, 16),
          dDecoder: random(nLatents * width, 17),
        });
        const [fast, slow] = [targets(), targets()];
        const shared = { nLatents, width, x, direction, decoder, penalty };
        const a = kernels.latentGradients(groups, { ...shared, ...fast });
        const b = referenceKernels.latentGradients(groups, { ...shared, ...slow });
        expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-5 * b);
        for (const name of ["dEncoder", "dEncoderBias", "dDecoder"] as const)
          close(fast[name], slow[name], 3e-5);
      }
    });
  }
});

test("the largest of a row, over tiles and listed latents, equal their twin, ties and small capacities included", () => {
  const [nRows, nLatents, tileLatents] = [3, 37, 16];
  const pre = random(nRows * nLatents, 30);
  pre.set(pre.map((value) => Math.round(value * 3) / 3));
  const weight = random(nLatents, 31);
  weight.set(weight.map((value) => Math.round(Math.abs(value))));
  const tiles = { pre, weight, nRows, nLatents, tileLatents };
  const list = kernels.u32(nLatents);
  list.set(Array.from({ length: nLatents }, (_, j) => j).filter((j) => j % 3 !== 1));
  const nList = list.findLastIndex((j) => j > 0) + 1;
  const [score, place] = [kernels.f32(nLatents), kernels.u32(nLatents)];
  for (const most of [1, 2, 5, 40]) {
    for (const capacity of [4, 200]) {
      const [a, b] = [entries(capacity), entries(capacity)];
      let count = 0;
      for (let row = 0; row < nRows; row += 1) {
        const options = { row, list, nList, most, score, place, count };
        const next = kernels.topOfRow(tiles, { ...options, entries: a });
        expect(referenceKernels.topOfRow(tiles, { ...options, entries: b })).toBe(next);
        count = next;
      }
      expect(count).toBeGreaterThan(0);
      expect(a).toEqual(b);
    }
  }
});

test("counts by row, residuals, column sums and the elementwise kernels equal their twins", () => {
  const both = (use: (kernels: Kernels, side: number) => void): void => {
    use(kernels, 0);
    use(referenceKernels, 1);
  };
  const start = kernels.u32(4);
  start.set([0, 2, 2, 6]);
  const [bound, counts] = [random(3, 40), [kernels.f32(3), kernels.f32(3)]];
  const activation = random(6, 41);
  both((k, side) => k.countAtLeast(start, { activation, nRows: 3, bound, out: counts[side] }));
  expect(counts[0]).toEqual(counts[1]);

  for (const [nRows, width, from, to] of [
    [3, 11, 0, 11],
    [2, 8, 3, 8],
    [1, 1, 0, 1],
  ]) {
    for (const squared of [false, true]) {
      const x = random(nRows * width, 42);
      const residuals = [random(nRows * width, 43), random(nRows * width, 43)];
      residuals.forEach((residual) => {
        residual.set(x.subarray(0, width)); // a first row without error
      });
      const directions = [random(nRows * width, 44), random(nRows * width, 44)];
      const totals = [0, 0];
      both((k, side) => {
        const [residual, direction] = [residuals[side], directions[side]];
        totals[side] = k.residualTerm({
          x,
          residual,
          direction,
          nRows,
          width,
          from,
          to,
          share: 0.25,
          squared,
        });
      });
      expect(totals[0]).toBeCloseTo(totals[1], 5); // f32 differences, sums in f64
      close(residuals[0], residuals[1], 0);
      close(directions[0], directions[1], 1e-6);
      const sums = [kernels.f64(width), kernels.f64(width)];
      both((k, side) => k.columnSums(x, { nRows, width, out: sums[side] }));
      expect(sums[0]).toEqual(sums[1]);
      const centred = [kernels, referenceKernels].map((k) =>
        k.centredSquares(x, { nRows, width, mean: sums[0] }),
      );
      expect(centred[0]).toBeCloseTo(centred[1], 10);
    }
  }
  const residual = random(9, 50);
  const outs = [random(9, 51), random(9, 51)];
  const totals = [kernels, referenceKernels].map((k, side) => k.auxiliaryTerm(residual, outs[side], -0.3));
  expect(totals[0]).toBeCloseTo(totals[1], 10);
  close(outs[0], outs[1], 1e-7);

  const pres = [random(13, 52), random(13, 52)];
  pres.forEach((pre) => {
    pre[4] = Number.NaN;
  });
  const positives = [kernels, referenceKernels].map((k, side) => k.reluInPlace(pres[side]));
  expect(positives[0]).toBe(positives[1]);
  expect(pres[0]).toEqual(pres[1]);
  const gates = [random(12, 53), random(12, 53)];
  const [code, weight] = [random(12, 54), random(6, 55)];
  both((k, side) =>
    k.gateCodeGradients({ code, codeGradient: gates[side], weight }, { nRows: 2, nLatents: 6, penalty: 0.4 }),
  );
  close(gates[0], gates[1], 1e-6);
  const added = [random(5, 56), random(5, 56)];
  both((k, side) => k.addScaled(added[side], residual.subarray(0, 5), 0.7));
  close(added[0], added[1], 1e-7);
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
