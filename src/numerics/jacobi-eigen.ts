// All eigenvalues and eigenvectors of a small symmetric matrix: cyclic Jacobi.
//
// Golub & Van Loan, Matrix Computations, section 8.5. Every rotation sets one off-diagonal pair to zero; sweeps go on until
// what is left off the diagonal is rounding. n³ a sweep: for some hundred rows. symmetric-eigen.ts finds the first few
// pairs of large matrices, with this one inside and as its twin.

import { NumericsError } from "../errors.ts";

/** Sweeps until convergence are 6 to 10 for any n met in practice. */
const MAX_SWEEPS = 50;
/** Off-diagonal norm over the norm of the matrix at which rotations stop. */
const OFF_DIAGONAL = 1e-14;

export interface EigenPairs {
  /** [k] f64, greatest first. */
  values: Float64Array;
  /** [k, n] f64, a row of length 1 each; the sign is arbitrary. */
  vectors: Float64Array;
}

/**
 * All n pairs of a [n, n] symmetric f64 matrix, which is left as it is. Only its upper triangle counts.
 *
 * Throws NumericsError for a matrix that is not finite.
 */
export function jacobiEigen(matrix: Float64Array, n: number): EigenPairs {
  const a = new Float64Array(n * n);
  let squares = 0;
  for (let i = 0; i < n; i += 1) {
    for (let j = i; j < n; j += 1) {
      a[i * n + j] = matrix[i * n + j];
      a[j * n + i] = matrix[i * n + j];
      squares += (i === j ? 1 : 2) * matrix[i * n + j] ** 2;
    }
  }
  if (!Number.isFinite(squares)) {
    throw new NumericsError(`eigenvalues: expected a finite matrix, got a sum of squares of ${squares}`);
  }
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1) vectors[i * n + i] = 1;
  const limit = OFF_DIAGONAL ** 2 * squares;
  for (let sweep = 0; sweep < MAX_SWEEPS && offDiagonalSquares(a, n) > limit; sweep += 1) {
    for (let p = 0; p < n - 1; p += 1) {
      for (let q = p + 1; q < n; q += 1) rotate(a, vectors, { n, p, q });
    }
  }
  return sortPairs(a, vectors, n);
}

function offDiagonalSquares(a: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i += 1) for (let j = i + 1; j < n; j += 1) sum += 2 * a[i * n + j] ** 2;
  return sum;
}

/** A ← GᵀAG with the rotation of rows p and q that makes A[p, q] zero; the same rotation of the vectors' rows. */
function rotate(
  a: Float64Array,
  vectors: Float64Array,
  { n, p, q }: { n: number; p: number; q: number },
): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const tau = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
  const c = 1 / Math.sqrt(1 + t * t);
  const s = t * c;
  for (let i = 0; i < n; i += 1) {
    const [ip, iq] = [a[i * n + p], a[i * n + q]];
    a[i * n + p] = c * ip - s * iq;
    a[i * n + q] = s * ip + c * iq;
  }
  for (const rows of [a, vectors]) {
    for (let i = 0; i < n; i += 1) {
      const [pi, qi] = [rows[p * n + i], rows[q * n + i]];
      rows[p * n + i] = c * pi - s * qi;
      rows[q * n + i] = s * pi + c * qi;
    }
  }
}

function sortPairs(a: Float64Array, vectors: Float64Array, n: number): EigenPairs {
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j] - a[i * n + i] || i - j);
  const sorted = new Float64Array(n * n);
  for (const [at, i] of order.entries()) sorted.set(vectors.subarray(i * n, (i + 1) * n), at * n);
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors: sorted };
}
