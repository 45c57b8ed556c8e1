// The few operations that decoder blocks are made of, as nodes that onnxruntime runs fast.
//
// Choices measured on the CPU (onnxruntime 1.30, AVX-512, d 128 and d 576): q, k and v in one product; gate and up in
// two (splitting the fused product costs more than it saves); rotary + attention + causal mask in one
// GroupQueryAttention, which also takes the window, soft-cap and KV cache of later families. Every block of real rows is
// exact under right padding without a pad mask, because attention is causal.

import type { GraphBuilder } from "./graph-builder.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { transposeInto } from "./transpose.ts";

/** A tensor used as it is stored. */
export function storedWeight(graph: GraphBuilder, spec: TensorSpec): string {
  return graph.weight({ name: spec.name, shape: [...spec.shape], load: (read) => read(spec) });
}

/** A linear layer as the checkpoint stores it: weight [out, in], bias [out]. */
export interface LinearSpec {
  weight: TensorSpec;
  bias?: TensorSpec;
}

/**
 * y = x·Wᵀ + b for one or more layers side by side (all with a bias, or none); y: [batch, length, Σ out].
 * Kept once as [in, Σ out], the layout the product wants.
 */
export function linear(graph: GraphBuilder, x: string, layers: LinearSpec[]): string {
  const nIn = layers[0].weight.shape[1];
  const nOut = layers.reduce((sum, { weight }) => sum + weight.shape[0], 0);
  const weight = graph.weight({
    name: `${layers.map((layer) => layer.weight.name).join(" + ")} transposed`,
    shape: [nIn, nOut],
    async load(read) {
      const fused = new Float32Array(nIn * nOut);
      let column = 0;
      for (const { weight: spec } of layers) {
        const [nRows] = spec.shape;
        transposeInto(fused, await read(spec), { nRows, nColumns: nIn, stride: nOut, column });
        column += nRows;
      }
      return fused;
    },
  });
  const product = graph.node("MatMul", [x, weight]);
  const biases = layers.flatMap(({ bias }) => bias ?? []);
  if (biases.length === 0) return product;
  const bias = graph.weight({
    name: biases.map(({ name }) => name).join(" + "),
    shape: [nOut],
    async load(read) {
      const fused = new Float32Array(nOut);
      let at = 0;
      for (const spec of biases) {
        fused.set(await read(spec), at);
        at += spec.shape[0];
      }
      return fused;
    },
  });
  return graph.node("Add", [product, bias]);
}

/** w ⊙ x / sqrt(mean(x²) + ε) over the last axis. */
export function rmsNorm(
  graph: GraphBuilder,
  x: string,
  { weight, epsilon }: { weight: TensorSpec; epsilon: number },
): string {
  return graph.node("SimplifiedLayerNormalization", [x, storedWeight(graph, weight)], {
    attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
  });
}

/** x · sigmoid(x). */
export function silu(graph: GraphBuilder, x: string): string {
  return graph.node("QuickGelu", [x], { domain: "com.microsoft", attributes: { alpha: { float: 1 } } });
}

export interface HeadLayout {
  nHeads: number;
  nKvHeads: number;
  headDim: number;
}

/**
 * Causal softmax(q·kᵀ / sqrt(headDim))·v with rotary positions 0 … length − 1 (pairs i and i + headDim/2).
 *
 * qkv: [batch, length, (nHeads + 2·nKvHeads)·headDim]. Returns [batch, length, nHeads·headDim]; query head h reads
 * key/value head floor(h·nKvHeads/nHeads).
 */
export function rotaryCausalAttention(graph: GraphBuilder, qkv: string, layout: HeadLayout): string {
  const { nHeads, nKvHeads, headDim } = layout;
  const cos = graph.input({ name: "rotaryCos", dtype: "float32", shape: ["length", headDim / 2] });
  const sin = graph.input({ name: "rotarySin", dtype: "float32", shape: ["length", headDim / 2] });
  // GroupQueryAttention takes heads of a multiple of 16 only.
  if (headDim % 16 === 0) {
    const lastKey = graph.input({ name: "lastKey", dtype: "int32", shape: ["batch"] });
    const totalLength = graph.input({ name: "totalLength", dtype: "int32", shape: [] });
    return graph.node("GroupQueryAttention", [qkv, "", "", "", "", lastKey, totalLength, cos, sin], {
      domain: "com.microsoft",
      attributes: {
        num_heads: { int: nHeads },
        kv_num_heads: { int: nKvHeads },
        do_rotary: { int: 1 },
        rotary_interleaved: { int: 0 },
      },
    });
  }
  const widths = [nHeads * headDim, nKvHeads * headDim, nKvHeads * headDim];
  const [q, k, v] = split(graph, qkv, widths);
  const position = graph.int64([0]);
  const rotate = (heads: string, nRotated: number): string =>
    graph.node("RotaryEmbedding", [heads, position, cos, sin], {
      domain: "com.microsoft",
      attributes: { num_heads: { int: nRotated }, interleaved: { int: 0 } },
    });
  return graph.node("Attention", [rotate(q, nHeads), rotate(k, nKvHeads), v], {
    attributes: { q_num_heads: { int: nHeads }, kv_num_heads: { int: nKvHeads }, is_causal: { int: 1 } },
  });
}

/** The last axis cut into parts of the given widths. */
function split(graph: GraphBuilder, x: string, widths: number[]): string[] {
  const names = widths.map((_, i) => `${x}.part${i}`);
  graph.node("Split", [x, graph.int64(widths)], {
    outputs: names,
    attributes: { axis: { int: -1 } },
  });
  return names;
}
