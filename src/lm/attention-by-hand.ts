// Attention spelled out in plain products: for what no fused node does on a device, at the price of the whole score matrix.
//
// Used where headDim is no multiple of 8 and keys are cached, and on WebGPU for soft-caps (its GroupQueryAttention of
// onnxruntime 1.30 takes the attribute and does nothing with it). The causal mask and the window come in as a fed mask,
// so that a cache may hold slots that a sequence must not see.

import type { Attention, HeadLayout } from "./architecture.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { softCap } from "./ops.ts";

/** Added to scores that must not be seen: finite, and exp of it is 0 beside any real score. */
export const HIDDEN_SCORE = -1e30;

/** Name of the fed mask [1 or batch, 1, length, keys] f32, 0 or HIDDEN_SCORE, for a window. */
export function maskFeedName(window: number | undefined): string {
  return window === undefined ? "mask" : `mask.window${window}`;
}

export interface CacheNames {
  pastKey: string;
  pastValue: string;
  presentKey: string;
  presentValue: string;
}

/** q: [batch, length, nHeads·headDim], k and v with nKvHeads; rotated. Returns [batch, length, nHeads·headDim]. */
export function attendByHand(
  graph: GraphBuilder,
  { q, k, v }: { q: string; k: string; v: string },
  options: HeadLayout & { attention: Attention; cache: CacheNames | undefined },
): string {
  const { nHeads, nKvHeads, headDim, attention, cache } = options;
  const swap = (x: string, perm: number[]): string =>
    graph.node("Transpose", [x], { attributes: { perm: { ints: perm } } });
  const reshape = (x: string, shape: number[]): string => graph.node("Reshape", [x, graph.int64(shape)]);
  // [batch, heads, length, headDim]
  const heads = (x: string, count: number): string => swap(reshape(x, [0, 0, count, headDim]), [0, 2, 1, 3]);
  const join = (past: string, fresh: string, present: string): string =>
    graph.node("Concat", [past, fresh], { outputs: [present], attributes: { axis: { int: 2 } } });
  let [key, value] = [heads(k, nKvHeads), heads(v, nKvHeads)];
  if (cache) {
    key = join(cache.pastKey, key, cache.presentKey);
    value = join(cache.pastValue, value, cache.presentValue);
  }
  // Query heads of one key head stand under each other: [batch, nKvHeads, group·length, headDim].
  const query = reshape(heads(q, nHeads), [0, nKvHeads, -1, headDim]);
  const products = graph.node("MatMul", [query, swap(key, [0, 1, 3, 2])]);
  let scores = graph.node("Mul", [products, graph.float32(attention.scale)]);
  if (attention.softCap !== undefined) scores = softCap(graph, scores, attention.softCap);
  const mask = graph.input({
    name: maskFeedName(attention.window),
    dtype: "float32",
    shape: ["maskBatch", 1, "length", "keys"],
  });
  const masked = graph.node("Add", [reshape(scores, [0, nHeads, -1, 0]), mask]);
  const shares = graph.node("Softmax", [masked], { attributes: { axis: { int: -1 } } });
  const mixed = graph.node("MatMul", [reshape(shares, [0, nKvHeads, -1, 0]), value]);
  return reshape(swap(reshape(mixed, [0, nHeads, -1, headDim]), [0, 2, 1, 3]), [0, 0, nHeads * headDim]);
}
