// The dense product as three loops: the twin that gemm.ts must agree with.

import type { GemmOptions } from "./gemm.ts";

/** target [n, m] = x [n, k] · w [m, k]ᵀ + bias [m]; sums in f64, stored as f32. */
export function multiplyTransposedReference(
  x: Float32Array,
  w: Float32Array,
  { n, m, k, bias, target = new Float32Array(n * m) }: GemmOptions,
): Float32Array {
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < m; j += 1) {
      let sum = bias === undefined ? 0 : bias[j];
      for (let l = 0; l < k; l += 1) sum += x[i * k + l] * w[j * k + l];
      target[i * m + j] = sum;
    }
  }
  return target;
}
