// The dense products as three loops: the twin that gemm.ts must agree with.

import type { GemmOptions, Transposed } from "./gemm.ts";

/** target [n, m] = a · b + bias [m], operands lying as `transposed` says; sums in f64, stored as f32. */
export function multiplyReference(
  a: Float32Array,
  b: Float32Array,
  options: GemmOptions & { transposed: Transposed },
): Float32Array {
  const { n, m, k, transposed, bias, target = new Float32Array(n * m) } = options;
  const atA = (i: number, l: number): number => a[transposed === "a" ? l * n + i : i * k + l];
  const atB = (l: number, j: number): number => b[transposed === "b" ? j * k + l : l * m + j];
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < m; j += 1) {
      let sum = bias === undefined ? 0 : bias[j];
      for (let l = 0; l < k; l += 1) sum += atA(i, l) * atB(l, j);
      target[i * m + j] = sum;
    }
  }
  return target;
}
