// All principal components of a difference from its whole covariance: the twin of difference-pca.ts.

import { jacobiEigen } from "../numerics/jacobi-eigen.ts";

/** scatter: [n][n], Σ(δ − mean)(δ − mean)ᵀ. Components by falling share, signed along mean. */
export function componentsReference(
  scatter: readonly (readonly number[])[],
  mean: readonly number[],
): { share: number; direction: number[] }[] {
  const n = mean.length;
  const { values, vectors } = jacobiEigen(Float64Array.from(scatter.flat()), n);
  const trace = values.reduce((a, b) => a + b, 0);
  return Array.from(values, (value, k) => {
    const direction = [...vectors.subarray(k * n, (k + 1) * n)];
    const along = direction.reduce((sum, x, i) => sum + x * mean[i], 0);
    return { share: value / trace, direction: direction.map((x) => (along < 0 ? -x : x)) };
  });
}
