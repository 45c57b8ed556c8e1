// BatchTopK sparsity by sorting: the rank = batch · k largest activations v = f · W of a batch. And TopK, the k largest of a row.
//
// Bussmann et al. 2024 (arXiv:2412.06410), weighted for crosscoders as in Minder et al. 2025 (arXiv:2504.02922, App. B.2).
// BatchTopK is for training only, where training/shard-selection.ts does it over shards; at inference a fixed threshold stands in
// its place, see encode.ts. TopK is for both. Zero activations are never kept, so fewer than rank may come back. Ties at the
// rank-th value go to the lowest latent, then to the lowest row.

import type { CodeBuffers, Kernels, ScoredRows } from "../compute/kernels.ts";

/**
 * By sorting: which entries of pre [nRows, nLatents] stay. Returns [nRows, nLatents] f = pre where kept, else 0,
 * in the array type of pre; activations are compared after rounding to f32 when pre is a Float32Array.
 */
export function selectBatchTopKReference<A extends Float32Array | Float64Array>(
  pre: A,
  weight: A,
  rank: number,
): A {
  const nLatents = weight.length;
  const activation = pre.map((value, i) => Math.max(value, 0) * weight[i % nLatents]);
  const order = Array.from(activation.keys())
    .filter((i) => activation[i] > 0)
    .sort((a, b) => activation[b] - activation[a] || (a % nLatents) - (b % nLatents) || a - b);
  const kept = new (pre.constructor as new (length: number) => A)(pre.length);
  for (const i of order.slice(0, rank)) kept[i] = pre[i];
  return kept;
}

/**
 * TopK: the k largest activations of every row, exactly. out.capacity must be at least nRows · min(k, nLatents); k ≥ 1.
 * Ties go to the lowest latent. Returns the number of entries.
 */
export function selectTopK(
  kernels: Kernels,
  rows: ScoredRows,
  { k, out }: { k: number; out: CodeBuffers },
): number {
  const { pre, weight, nRows, nLatents } = rows;
  let count = 0;
  for (let row = 0; row < nRows; row += 1) {
    const one = { pre: pre.subarray(row * nLatents, (row + 1) * nLatents), weight, nRows: 1, nLatents };
    const cut = kernels.kthLargestActivation(one, Math.min(k, nLatents));
    // The kernel counts from the start of its lists: this row's begin where the last one's ended.
    const kept = kernels.keepAbove(one, cut, {
      capacity: out.capacity - count,
      rowStart: out.rowStart.subarray(row, row + 2),
      latent: out.latent.subarray(count),
      code: out.code.subarray(count),
    });
    out.rowStart[row] = count;
    count += kept;
  }
  out.rowStart[nRows] = count;
  return count;
}

/** The twin of selectTopK, row by row through the function above. Returns [nRows, nLatents], as selectBatchTopKReference does. */
export function selectTopKReference<A extends Float32Array | Float64Array>(pre: A, weight: A, k: number): A {
  const nLatents = weight.length;
  const kept = new (pre.constructor as new (length: number) => A)(pre.length);
  for (let start = 0; start < pre.length; start += nLatents) {
    kept.set(selectBatchTopKReference(pre.subarray(start, start + nLatents) as A, weight, k), start);
  }
  return kept;
}
