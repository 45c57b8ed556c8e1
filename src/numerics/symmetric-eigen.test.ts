// Few eigenpairs against all of them, both against matrices whose eigenvalues are known.

import { describe, expect, test } from "vitest";
import { NumericsError } from "../errors.ts";
import { type EigenPairs, jacobiEigen } from "./jacobi-eigen.ts";
import { createRng } from "./rng.ts";
import { topEigenpairs } from "./symmetric-eigen.ts";

/** XᵀX of normal rows whose coordinate i has the deviation scale(i), turned so that no axis is special. */
function gram(n: number, rows: number, scale: (i: number) => number): Float64Array {
  const rng = createRng(5, `gram ${n}`);
  const x = Array.from({ length: rows }, (_, row) =>
    Float64Array.from({ length: n }, (_, i) => scale(i) * rng.normal(row, i)),
  );
  // A Householder reflection mixes the coordinates.
  const u = Float64Array.from({ length: n }, (_, i) => rng.normal(rows, i));
  const size = u.reduce((sum, value) => sum + value * value, 0);
  for (const row of x) {
    const along = row.reduce((sum, value, i) => sum + value * u[i], 0);
    for (let i = 0; i < n; i += 1) row[i] -= (2 * along * u[i]) / size;
  }
  const matrix = new Float64Array(n * n);
  for (const row of x) {
    for (let i = 0; i < n; i += 1) for (let j = 0; j < n; j += 1) matrix[i * n + j] += row[i] * row[j];
  }
  return matrix;
}

/** Greatest ‖Av − λv‖ over the greatest eigenvalue, and greatest |v·w − (v is w)|. */
function errorsOf(matrix: Float64Array, { values, vectors }: EigenPairs, n: number) {
  let [residual, skew] = [0, 0];
  for (let k = 0; k < values.length; k += 1) {
    const v = vectors.subarray(k * n, (k + 1) * n);
    let squares = 0;
    for (let i = 0; i < n; i += 1) {
      let image = 0;
      for (let j = 0; j < n; j += 1) image += matrix[i * n + j] * v[j];
      squares += (image - values[k] * v[i]) ** 2;
    }
    residual = Math.max(residual, Math.sqrt(squares) / values[0]);
    for (let other = 0; other < values.length; other += 1) {
      let product = 0;
      for (let i = 0; i < n; i += 1) product += v[i] * vectors[other * n + i];
      skew = Math.max(skew, Math.abs(product - (k === other ? 1 : 0)));
    }
  }
  return { residual, skew };
}

describe("jacobiEigen", () => {
  test("finds 3 and 1 with their diagonals in [[2, 1], [1, 2]]", () => {
    const { values, vectors } = jacobiEigen(Float64Array.of(2, 1, 1, 2), 2);
    expect([...values]).toEqual([expect.closeTo(3, 12), expect.closeTo(1, 12)]);
    expect(Math.abs(vectors[0])).toBeCloseTo(Math.SQRT1_2, 12);
    expect(vectors[0]).toBeCloseTo(vectors[1], 12);
    expect(vectors[2]).toBeCloseTo(-vectors[3], 12);
  });

  test("all pairs of a matrix solve Av = λv, are orthonormal and sum to the trace, negative values included", () => {
    const n = 37;
    const matrix = gram(n, 20, (i) => 0.9 ** i);
    for (let i = 0; i < n; i += 1) matrix[i * n + i] -= 0.5;
    const pairs = jacobiEigen(matrix, n);
    const { residual, skew } = errorsOf(matrix, pairs, n);
    expect(residual).toBeLessThan(1e-12); // f64 rounding of some ten sweeps
    expect(skew).toBeLessThan(1e-12);
    let trace = 0;
    for (let i = 0; i < n; i += 1) trace += matrix[i * n + i];
    expect(pairs.values.reduce((a, b) => a + b)).toBeCloseTo(trace, 9);
    expect(pairs.values.at(-1)).toBeCloseTo(-0.5, 9); // 20 rows leave 17 directions empty
  });

  test("an empty and a zero matrix have no and zero eigenvalues", () => {
    expect(jacobiEigen(new Float64Array(0), 0).values.length).toBe(0);
    expect([...jacobiEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
  });

  test("a matrix with NaN is refused", () => {
    expect(() => jacobiEigen(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2)).toThrow(NumericsError);
  });
});

describe("topEigenpairs", () => {
  const cases: [string, number, number, (i: number) => number][] = [
    ["a steep spectrum", 90, 150, (i) => 0.95 ** i],
    ["a flat one, whose leading values lie close", 64, 600, () => 1],
    ["less rank than pairs", 60, 3, () => 1],
    ["fewer coordinates than pairs", 4, 50, (i) => 1 + i],
    ["one coordinate", 1, 5, () => 2],
  ];
  test.each(cases)("agrees with Jacobi: %s", (_name, n, rows, scale) => {
    const matrix = gram(n, rows, scale);
    const all = jacobiEigen(matrix, n);
    const top = topEigenpairs(matrix, { n, k: 5 });
    expect(top.values.length).toBe(Math.min(5, n));
    const { residual, skew } = errorsOf(matrix, top, n);
    expect(residual).toBeLessThan(2e-9); // the limit it stops at, and rounding
    expect(skew).toBeLessThan(1e-10);
    for (let k = 0; k < top.values.length; k += 1) {
      expect(Math.abs(top.values[k] - all.values[k]) / all.values[0]).toBeLessThan(1e-12);
    }
  });

  test("finds an eigenvalue as often as it is there", () => {
    const n = 200;
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1) matrix[i * n + i] = i < 4 ? 7 : 1 / (i + 1);
    const { values } = topEigenpairs(matrix, { n, k: 5 });
    const expected = [7, 7, 7, 7, 0.2];
    for (const [k, value] of values.entries()) expect(value).toBeCloseTo(expected[k], 8);
  });

  test("goes on until leading values that lie close are told apart", () => {
    const n = 160;
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i += 1) matrix[i * n + i] = 1 - i / n;
    const { residual } = errorsOf(matrix, topEigenpairs(matrix, { n, k: 5 }), n);
    expect(residual).toBeLessThan(2e-9); // the limit it stops at, and rounding
  });

  test("a zero matrix has zero eigenvalues and finite vectors", () => {
    const { values, vectors } = topEigenpairs(new Float64Array(400), { n: 20, k: 3 });
    expect([...values]).toEqual([0, 0, 0]);
    expect(vectors.every(Number.isFinite)).toBe(true);
  });

  test("a matrix with NaN is refused", () => {
    const matrix = new Float64Array(400);
    matrix[21] = Number.NaN;
    expect(() => topEigenpairs(matrix, { n: 20, k: 3 })).toThrow(NumericsError);
  });
});
