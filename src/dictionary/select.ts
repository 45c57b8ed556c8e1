// BatchTopK sparsity: keeps the rank = batch · k largest activations v = f · W of a batch. And TopK, the k largest of a row.
//
// Bussmann et al. 2024 (arXiv:2412.06410), weighted for crosscoders as in Minder et al. 2025 (arXiv:2504.02922, App. B.2).
// BatchTopK is for training only: at inference a fixed threshold stands in its place, see encode.ts. TopK is for both. Zero activations are never kept, so
// fewer than rank may come back. Ties at the rank-th value go to the lowest index (row, then latent).

import type { CodeBuffers, Kernels, ScoredRows } from "../compute/kernels.ts";

export interface Selection {
  /** Entries kept; their lists are in the buffers given. */
  count: number;
  /** The smallest activation kept; 0 when nothing was kept. */
  smallest: number;
}

/** How far below the last batch's smallest kept activation the first pass looks for candidates. */
const BOUND_FACTOR = 0.8;

/**
 * Exact in two linear passes when `expected` (the last batch's smallest kept activation) is near, in five otherwise; the
 * result is the same, so it needs no place in a checkpoint. candidates: arena scratch, a few times rank long.
 * out.capacity must be at least rank.
 */
export function selectBatchTopK(
  kernels: Kernels,
  rows: ScoredRows,
  {
    rank,
    expected,
    candidates,
    out,
  }: { rank: number; expected: number; candidates: Float32Array; out: CodeBuffers },
): Selection {
  const found = expected > 0 ? kernels.collectAbove(rows, expected * BOUND_FACTOR, candidates) : 0;
  const enough = found >= rank && found <= candidates.length;
  const cut = enough ? kernels.kthLargest(candidates, found, rank) : kernels.kthLargestActivation(rows, rank);
  const count = kernels.keepAbove(rows, cut, out);
  return { count, smallest: cut.value > 0 ? cut.value : smallestActivation(rows, out, count) };
}

/** For the rare batch with fewer than rank positive activations. */
function smallestActivation({ weight }: ScoredRows, { latent, code }: CodeBuffers, count: number): number {
  let smallest = Number.POSITIVE_INFINITY;
  for (let entry = 0; entry < count; entry += 1) {
    smallest = Math.min(smallest, Math.fround(code[entry] * weight[latent[entry]]));
  }
  return count === 0 ? 0 : smallest;
}

/**
 * The twin, by sorting: which entries of pre [nRows, nLatents] stay. Returns [nRows, nLatents] f = pre where kept, else 0,
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
    .sort((a, b) => activation[b] - activation[a] || a - b);
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

/** The twin, row by row through the twin above. Returns [nRows, nLatents], as selectBatchTopKReference does. */
export function selectTopKReference<A extends Float32Array | Float64Array>(pre: A, weight: A, k: number): A {
  const nLatents = weight.length;
  const kept = new (pre.constructor as new (length: number) => A)(pre.length);
  for (let start = 0; start < pre.length; start += nLatents) {
    kept.set(selectBatchTopKReference(pre.subarray(start, start + nLatents) as A, weight, k), start);
  }
  return kept;
}
