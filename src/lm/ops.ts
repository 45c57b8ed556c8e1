// The operations that decoder blocks are made of (norms, linear layers, activations), as nodes that onnxruntime runs fast.
//
// Choices measured on the CPU (onnxruntime 1.30, AVX-512, d 128 and d 576): q, k and v in one product; gate and up in
// two (splitting the fused product costs more than it saves). Attention is in attention.ts.

import type { Activation, LinearSpec, Norm } from "./architecture.ts";
import type { GraphBuilder, ReadTensor } from "./graph-builder.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { transposeInto } from "./transpose.ts";

/** A tensor used as it is stored. */
export function storedWeight(graph: GraphBuilder, spec: TensorSpec): string {
  return graph.weight({ name: spec.name, shape: [...spec.shape], load: (read) => read(spec) });
}

/** Widths of a linear layer: what it takes, and what it gives after its `rows` were chosen. */
export function linearWidths({ weight, inOut, rows }: LinearSpec): { nIn: number; nOut: number } {
  const [first, second] = weight.shape;
  return inOut ? { nIn: first, nOut: rows?.count ?? second } : { nIn: second, nOut: rows?.count ?? first };
}

/**
 * y = x·Wᵀ + b for one or more layers side by side (all with a bias, or none); y: [batch, length, Σ out].
 * Kept once as [in, Σ out], the layout the product wants.
 */
export function linear(graph: GraphBuilder, x: string, layers: LinearSpec[]): string {
  const { nIn } = linearWidths(layers[0]);
  const nOut = layers.reduce((sum, layer) => sum + linearWidths(layer).nOut, 0);
  const weight = graph.weight({
    name: `${layers.map((layer) => partName(layer, layer.weight)).join(" + ")} transposed`,
    shape: [nIn, nOut],
    async load(read) {
      if (layers.length === 1 && layers[0].inOut && !layers[0].rows) return read(layers[0].weight);
      const fused = new Float32Array(nIn * nOut);
      let column = 0;
      for (const layer of layers) {
        await placeColumns(fused, layer, { read, stride: nOut, column });
        column += linearWidths(layer).nOut;
      }
      return fused;
    },
  });
  const product = graph.node("MatMul", [x, weight]);
  const biased = layers.flatMap((layer) => (layer.bias ? [{ layer, bias: layer.bias }] : []));
  if (biased.length === 0) return product;
  const bias = graph.weight({
    name: biased.map(({ layer, bias: spec }) => partName(layer, spec)).join(" + "),
    shape: [nOut],
    async load(read) {
      const fused = new Float32Array(nOut);
      let at = 0;
      for (const { layer, bias: spec } of biased) {
        const values = await read(spec);
        const { nOut: count } = linearWidths(layer);
        for (let row = 0; row < count; row += 1) fused[at + row] = values[layer.rows?.stored(row) ?? row];
        at += count;
      }
      return fused;
    },
  });
  return graph.node("Add", [product, bias]);
}

/** y = x·Wᵀ with W [vocab, dModel] as it is stored, so that a tied head and the embedding are one array. */
export function unembed(graph: GraphBuilder, x: string, head: TensorSpec): string {
  return graph.node("FusedMatMul", [x, storedWeight(graph, head)], {
    domain: "com.microsoft",
    attributes: { transB: { int: 1 } },
  });
}

function partName({ rows }: LinearSpec, { name }: TensorSpec): string {
  return rows ? `${name} (${rows.label})` : name;
}

/** Writes Wᵀ of one layer into columns [column, column + nOut) of target [nIn, stride]. */
async function placeColumns(
  target: Float32Array,
  layer: LinearSpec,
  { read, stride, column }: { read: ReadTensor; stride: number; column: number },
): Promise<void> {
  const { nIn, nOut } = linearWidths(layer);
  const stored = await read(layer.weight);
  const storedRow = layer.rows?.stored ?? ((row: number) => row);
  if (layer.inOut) {
    const storedWidth = layer.weight.shape[1];
    for (let i = 0; i < nIn; i += 1) {
      for (let row = 0; row < nOut; row += 1) {
        target[i * stride + column + row] = stored[i * storedWidth + storedRow(row)];
      }
    }
    return;
  }
  // Runs of neighbouring stored rows move together.
  for (let row = 0; row < nOut; ) {
    const from = storedRow(row);
    let count = 1;
    while (row + count < nOut && storedRow(row + count) === from + count) count += 1;
    const source = stored.subarray(from * nIn, (from + count) * nIn);
    transposeInto(target, source, { nRows: count, nColumns: nIn, stride, column: column + row });
    row += count;
  }
}

/** A norm over the last axis; see Norm for the formulas. */
export function normalise(graph: GraphBuilder, x: string, { kind, epsilon, weight, bias }: Norm): string {
  const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
  if (kind === "layerNorm") {
    const inputs = [x, storedWeight(graph, weight), ...(bias ? [storedWeight(graph, bias)] : [])];
    return graph.node("LayerNormalization", inputs, { attributes });
  }
  const scale = kind === "rms" ? storedWeight(graph, weight) : plusOne(graph, weight);
  return graph.node("SimplifiedLayerNormalization", [x, scale], { attributes });
}

function plusOne(graph: GraphBuilder, spec: TensorSpec): string {
  return graph.weight({
    name: `1 + ${spec.name}`,
    shape: [...spec.shape],
    load: async (read) => (await read(spec)).map((value) => 1 + value),
  });
}

export function activate(graph: GraphBuilder, x: string, activation: Activation): string {
  if (activation === "silu") {
    return graph.node("QuickGelu", [x], { domain: "com.microsoft", attributes: { alpha: { float: 1 } } });
  }
  const approximate = activation === "geluTanh" ? "tanh" : "none";
  return graph.node("Gelu", [x], { attributes: { approximate: { string: approximate } } });
}

/** cap·tanh(x/cap), element by element. */
export function softCap(graph: GraphBuilder, x: string, cap: number): string {
  const limit = graph.float32(cap);
  return graph.node("Mul", [graph.node("Tanh", [graph.node("Div", [x, limit])]), limit]);
}

/** The last axis cut into parts of the given widths. */
export function split(graph: GraphBuilder, x: string, widths: number[]): string[] {
  const names = widths.map((_, i) => `${x}.part${i}`);
  graph.node("Split", [x, graph.int64(widths)], {
    outputs: names,
    attributes: { axis: { int: -1 } },
  });
  return names;
}
