// The greatest eigenvalues of a large symmetric matrix without negative ones, with their vectors: block Krylov iteration.
//
// Musco & Musco 2015 (arXiv:1504.05477): an orthonormal basis of X, AX, A²X, … for a block X of random columns, the matrix
// within that basis, its eigenvectors (jacobi-eigen.ts); then again from the best of them until ‖Av − λv‖ is small for each.
// A block finds equal eigenvalues, which one column would not. Products read the matrix once a block.
// Twin: jacobiEigen, which finds all pairs and takes n³ a sweep.

import { NumericsError } from "../errors.ts";
import { type EigenPairs, jacobiEigen } from "./jacobi-eigen.ts";
import { createRng } from "./rng.ts";

export const EIGEN_LIMITS = {
  /** ‖Av − λv‖ over the greatest eigenvalue at which a pair is taken as found. */
  residual: 1e-9,
  /** Columns of the block beyond those asked for. */
  extraColumns: 3,
  /** Blocks of one basis: X to A^(blocks − 1) X. */
  blocks: 10,
  maxRestarts: 40,
  /** A column that keeps less than this share of its length beside the basis is rounding. */
  dependent: 1e-12,
} as const;

export interface TopEigenOptions {
  n: number;
  /** Pairs wanted; at most n are returned. */
  k: number;
  seed?: number;
}

/**
 * The k greatest pairs of a positive semidefinite [n, n] f64 matrix. For a zero matrix the values are 0.
 *
 * Throws NumericsError for a matrix that is not finite, or when EIGEN_LIMITS.maxRestarts do not suffice.
 */
export function topEigenpairs(matrix: Float64Array, { n, k, seed = 0 }: TopEigenOptions): EigenPairs {
  const nPairs = Math.min(k, n);
  const width = Math.min(n, nPairs + EIGEN_LIMITS.extraColumns);
  const rng = createRng(seed, "eigen");
  let block: Float64Array[] = Array.from({ length: width }, (_, column) =>
    Float64Array.from({ length: n }, (_, i) => rng.normal(column, i)),
  );
  for (let restart = 0; restart <= EIGEN_LIMITS.maxRestarts; restart += 1) {
    const { basis, images } = krylovBasis(matrix, block, n);
    const within = new Float64Array(basis.length ** 2);
    for (let i = 0; i < basis.length; i += 1) {
      for (let j = i; j < basis.length; j += 1) within[i * basis.length + j] = dot(basis[i], images[j]);
    }
    const small = jacobiEigen(within, basis.length);
    const combine = (rows: Float64Array[], pair: number): Float64Array => {
      const sum = new Float64Array(n);
      for (const [at, row] of rows.entries()) addScaled(sum, row, small.vectors[pair * rows.length + at]);
      return sum;
    };
    const nFound = Math.min(width, basis.length);
    block = Array.from({ length: nFound }, (_, pair) => combine(basis, pair));
    const residuals = block.slice(0, nPairs).map((vector, pair) => {
      const image = combine(images, pair);
      addScaled(image, vector, -small.values[pair]);
      return Math.sqrt(dot(image, image));
    });
    if (residuals.every((residual) => residual <= EIGEN_LIMITS.residual * Math.abs(small.values[0]))) {
      const vectors = new Float64Array(nPairs * n);
      for (let pair = 0; pair < nPairs; pair += 1) vectors.set(block[pair], pair * n);
      return { values: small.values.slice(0, nPairs), vectors };
    }
  }
  throw new NumericsError(
    `eigenvalues: expected ${nPairs} of a [${n}, ${n}] matrix within ${EIGEN_LIMITS.maxRestarts} restarts, not found`,
    { hint: "its leading eigenvalues are almost equal: ask for fewer" },
  );
}

/** Orthonormal columns that span X, AX, …, and their products with A. At least X's width where n allows. */
function krylovBasis(
  matrix: Float64Array,
  start: Float64Array[],
  n: number,
): { basis: Float64Array[]; images: Float64Array[] } {
  const basis: Float64Array[] = [];
  const images: Float64Array[] = [];
  let block = start;
  for (let step = 0; step < EIGEN_LIMITS.blocks && block.length > 0 && basis.length < n; step += 1) {
    const fresh: Float64Array[] = [];
    for (const column of block) {
      const isNew = basis.length < n && makeOrthonormal(column, basis);
      if (!isNew) continue;
      basis.push(column);
      fresh.push(column);
    }
    const products = multiply(matrix, fresh, n);
    images.push(...products);
    block = products.map((product) => product.slice());
  }
  return { basis, images };
}

/** In place; false where nothing is left of the column beside the basis. */
function makeOrthonormal(column: Float64Array, basis: Float64Array[]): boolean {
  const before = Math.sqrt(dot(column, column));
  // Twice is enough (Giraud et al. 2005).
  for (let pass = 0; pass < 2; pass += 1) {
    for (const other of basis) addScaled(column, other, -dot(column, other));
  }
  const after = Math.sqrt(dot(column, column));
  // What is not finite stays, so that the matrix within the basis shows it.
  if (!(after > EIGEN_LIMITS.dependent * before)) return !Number.isFinite(after);
  for (let i = 0; i < column.length; i += 1) column[i] /= after;
  return true;
}

/** A times each column. */
function multiply(matrix: Float64Array, columns: Float64Array[], n: number): Float64Array[] {
  const products = columns.map(() => new Float64Array(n));
  for (let i = 0; i < n; i += 1) {
    const row = matrix.subarray(i * n, (i + 1) * n);
    for (const [at, column] of columns.entries()) products[at][i] = dot(row, column);
  }
  return products;
}

function dot(a: Float64Array, b: Float64Array): number {
  // Four sums: one would wait for itself at every step.
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const whole = a.length - (a.length % 4);
  for (let i = 0; i < whole; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (let i = whole; i < a.length; i += 1) s0 += a[i] * b[i];
  return s0 + s1 + s2 + s3;
}

function addScaled(target: Float64Array, source: Float64Array, scale: number): void {
  for (let i = 0; i < target.length; i += 1) target[i] += scale * source[i];
}
