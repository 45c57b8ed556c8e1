import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { createGemm, type Gemm, type Transposed } from "./gemm.ts";
import { multiplyReference } from "./gemm-reference.ts";
import { createKernels } from "./kernels.ts";

let gemm: Gemm;
beforeAll(async () => {
  gemm = await createGemm({ threads: 2 });
});
afterAll(() => gemm.dispose());

const rng = createRng(1, "gemm.test");
const random = (length: number, stream: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => rng.normal(stream, i));

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);

describe("products agree with three loops, whichever operand lies transposed", () => {
  for (const [n, m, k] of [
    [1, 1, 1],
    [3, 5, 7],
    [17, 33, 65],
    [2, 257, 1],
    [130, 70, 300],
  ]) {
    for (const withBias of [false, true]) {
      test(`n ${n}, m ${m}, k ${k}${withBias ? ", with bias" : ""}`, async () => {
        const [x, w] = [random(n * k, 1), random(m * k, 2)];
        const bias = withBias ? random(m, 3) : undefined;
        for (const transposed of ["none", "a", "b"] satisfies Transposed[]) {
          const fast = await gemm.multiply(x, w, { n, m, k, bias, transposed });
          const slow = multiplyReference(x, w, { n, m, k, bias, transposed });
          // f32 sums of k products of standard normals: error about sqrt(k) · 2^-24 · |sum|, sums to 60 at k = 300, a few 1e-6;
          // the largest of 9,100. Operands that lie otherwise are summed in longer runs: twice as much.
          const tolerance = transposed === "b" ? 2e-5 : 4e-5;
          expect(largestDifference(fast, slow), transposed).toBeLessThan(tolerance);
        }
      });
    }
  }
});

test("an empty dimension gives an empty result, and an empty sum gives the bias", async () => {
  const none = new Float32Array(0);
  expect(await gemm.multiplyTransposed(none, random(6, 1), { n: 0, m: 2, k: 3 })).toHaveLength(0);
  expect(await gemm.multiplyTransposed(random(6, 1), none, { n: 2, m: 0, k: 3 })).toHaveLength(0);
  const bias = Float32Array.of(1, 2, 3);
  const result = await gemm.multiplyTransposed(none, none, { n: 2, m: 3, k: 0, bias });
  expect([...result]).toEqual([1, 2, 3, 1, 2, 3]);
});

test("a target in WASM memory is written in place, and inputs there are read without being moved", async () => {
  const kernels = createKernels({ bytes: 4096 });
  const [x, w, target] = [kernels.f32(4 * 3), kernels.f32(5 * 3), kernels.f32(4 * 5)];
  x.set(random(12, 1));
  w.set(random(15, 2));
  const result = await gemm.multiplyTransposed(x, w, { n: 4, m: 5, k: 3, target });
  expect(result).toBe(target);
  const slow = multiplyReference(x, w, { n: 4, m: 5, k: 3, transposed: "b" });
  expect(largestDifference(target, slow)).toBeLessThan(1e-6);
});

test("the number of threads does not change a bit", async () => {
  const one = await createGemm({ threads: 1 });
  const [x, w] = [random(150 * 96, 1), random(310 * 96, 2)];
  const shape = { n: 150, m: 310, k: 96 };
  expect(await one.multiplyTransposed(x, w, shape)).toEqual(await gemm.multiplyTransposed(x, w, shape));
  await one.dispose();
});

test("an array of the wrong length is refused by name", async () => {
  const shape = { n: 2, m: 2, k: 3 };
  await expect(gemm.multiplyTransposed(random(6, 1), random(5, 2), shape)).rejects.toThrow(ShapeError);
  await expect(gemm.multiplyTransposed(random(6, 1), random(5, 2), shape)).rejects.toThrow(/b: expected 6/);
});
