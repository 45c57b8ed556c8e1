// The forward pass of any Architecture in plain loops: what the ONNX graph must compute, written to be checked by eye.
//
// One sequence, no batching, f64 sums; hundreds of times slower than the graph, kept for ever as its twin
// (reference-forward.test.ts). Only the rotary angles are shared with it, in f32.

import type {
  Activation,
  Architecture,
  Attention,
  DecoderConfig,
  LinearSpec,
  Mlp,
  Norm,
} from "./architecture.ts";
import { type RotaryTables, rotaryTables } from "./rope.ts";

export type ReadWeight = (name: string) => Float32Array;
/** One f64 array a token. */
type Rows = Float64Array[];

export interface ReferenceResult {
  /** One [length, dModel] f64 array a layer: the residual after it. */
  residuals: Float64Array[];
  /** [length, vocab] f64. */
  logits: Float64Array;
}

export interface ReferenceOptions {
  /** One sequence without padding. */
  tokenIds: readonly number[];
  /** Whole tensors by name. */
  read: ReadWeight;
  /** The name the head is stored under. */
  headName: string;
  /** Rows of the batch it stands in, which longrope asks for; default its own length. */
  paddedLength?: number;
  /** What the residual of a position after a layer becomes; default as it is. */
  edit?: (residual: Float64Array, at: { layer: number; position: number }) => Float64Array;
}

export function referenceForward(
  architecture: Architecture,
  { tokenIds, read, headName, paddedLength = tokenIds.length, edit }: ReferenceOptions,
): ReferenceResult {
  const { config, ropes } = architecture;
  let x = embed(architecture, tokenIds, read);
  const residuals: Float64Array[] = [];
  for (let layer = 0; layer < config.nLayers; layer += 1) {
    const block = architecture.block(layer);
    const { attention: spec } = block;
    const tables = spec.rope === undefined ? undefined : rotaryTables(ropes[spec.rope], paddedLength);
    const qkv = applyAll(spec.qkv, normaliseRows(x, block.attentionNorm, read), read);
    const heads = attention(config, { spec, qkv, tables, read });
    const attended = normaliseRows(applyAll([spec.out], heads, read), block.attentionPostNorm, read);
    const middle = addRows(x, attended);
    const mlpInput = normaliseRows(block.parallel ? x : middle, block.mlpNorm, read);
    const moved = normaliseRows(multilayer(block.mlp, mlpInput, read), block.mlpPostNorm, read);
    x = addRows(middle, moved);
    if (edit) x = x.map((row, position) => edit(row, { layer, position }));
    residuals.push(flatten(x));
  }
  const head: LinearSpec = { weight: { name: headName, shape: architecture.head.shape } };
  const cap = architecture.finalLogitSoftCap;
  const logits = applyAll([head], normaliseRows(x, architecture.finalNorm, read), read).map((row) =>
    cap === undefined ? row : row.map((logit) => cap * Math.tanh(logit / cap)),
  );
  return { residuals, logits: flatten(logits) };
}

function embed(
  { embedding, positionEmbedding, embeddingScale }: Architecture,
  tokenIds: readonly number[],
  read: ReadWeight,
): Rows {
  const dModel = embedding.shape[1];
  return tokenIds.map((id, position) => {
    const row = Float64Array.from(read(embedding.name).subarray(id * dModel, (id + 1) * dModel));
    return row.map((value, i) => {
      const scaled = embeddingScale * value;
      return positionEmbedding ? scaled + read(positionEmbedding.name)[position * dModel + i] : scaled;
    });
  });
}

/** Layers side by side: y = W·x + b. */
function applyAll(layers: LinearSpec[], rows: Rows, read: ReadWeight): Rows {
  return rows.map((x) => {
    const parts = layers.map((layer) => applyLinear(layer, x, read));
    return Float64Array.from(parts.flatMap((part) => [...part]));
  });
}

function applyLinear(
  { weight, bias, inOut, rows }: LinearSpec,
  x: Float64Array,
  read: ReadWeight,
): Float64Array {
  const [w, b] = [read(weight.name), bias && read(bias.name)];
  const stored = inOut ? weight.shape[1] : weight.shape[0];
  return new Float64Array(rows?.count ?? stored).map((_, row) => {
    const at = rows ? rows.stored(row) : row;
    let sum = b ? b[at] : 0;
    for (let i = 0; i < x.length; i += 1) sum += (inOut ? w[i * stored + at] : w[at * x.length + i]) * x[i];
    return sum;
  });
}

function normaliseRows(rows: Rows, norm: Norm | undefined, read: ReadWeight): Rows {
  return norm ? rows.map((row) => normalise(row, norm, read)) : rows;
}

function normalise(x: Float64Array, { kind, epsilon, weight, bias }: Norm, read: ReadWeight): Float64Array {
  const w = read(weight.name);
  const mean = kind === "layerNorm" ? x.reduce((sum, value) => sum + value, 0) / x.length : 0;
  const meanSquare = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const b = bias && read(bias.name);
  return x.map((value, i) => {
    const normed = (value - mean) / Math.sqrt(meanSquare + epsilon);
    return normed * (kind === "rmsPlusOne" ? 1 + w[i] : w[i]) + (b ? b[i] : 0);
  });
}

function multilayer({ gate, up, down, activation }: Mlp, rows: Rows, read: ReadWeight): Rows {
  const upward = applyAll([up], rows, read);
  const inner = gate
    ? applyAll([gate], rows, read).map((row, t) => row.map((g, i) => activate(g, activation) * upward[t][i]))
    : upward.map((row) => row.map((value) => activate(value, activation)));
  return applyAll([down], inner, read);
}

function activate(x: number, activation: Activation): number {
  if (activation === "silu") return x / (1 + Math.exp(-x));
  if (activation === "gelu") return (x / 2) * (1 + erf(x / Math.SQRT2));
  return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** 2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(2n+1)!!: every term of one sign, so nothing cancels. Beyond 6 it is ±1 to the last bit. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [sum, term] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function addRows(a: Rows, b: Rows): Rows {
  return a.map((row, t) => row.map((value, i) => value + b[t][i]));
}

function flatten(rows: Rows): Float64Array {
  const flat = new Float64Array(rows.length * rows[0].length);
  rows.forEach((row, t) => {
    flat.set(row, t * row.length);
  });
  return flat;
}

/** qkv: [length][(nHeads + 2·nKvHeads)·headDim]. Returns [length][nHeads·headDim]. */
function attention(
  { nHeads, nKvHeads, headDim }: DecoderConfig,
  options: { spec: Attention; qkv: Rows; tables: RotaryTables | undefined; read: ReadWeight },
): Rows {
  const { spec, qkv, tables, read } = options;
  const [qEnd, kEnd] = [nHeads * headDim, (nHeads + nKvHeads) * headDim];
  const prepare = (row: Float64Array, norm: Norm | undefined, t: number): Float64Array => {
    const normed = norm && spec.qkNorm?.over === "projection" ? normalise(row, norm, read) : row;
    const out = new Float64Array(row.length);
    for (let at = 0; at < row.length; at += headDim) {
      const head = normed.slice(at, at + headDim);
      const own = norm && spec.qkNorm?.over === "head" ? normalise(head, norm, read) : head;
      out.set(tables ? rotate(own, tables, t) : own, at);
    }
    return out;
  };
  const q = qkv.map((row, t) => prepare(row.slice(0, qEnd), spec.qkNorm?.q, t));
  const k = qkv.map((row, t) => prepare(row.slice(qEnd, kEnd), spec.qkNorm?.k, t));
  const v = qkv.map((row) => row.slice(kEnd));
  return q.map((query, t) => {
    const out = new Float64Array(nHeads * headDim);
    const first = Math.max(0, t - (spec.window ?? Number.POSITIVE_INFINITY) + 1);
    for (let head = 0; head < nHeads; head += 1) {
      const from = Math.floor((head * nKvHeads) / nHeads) * headDim;
      const scores: number[] = [];
      for (let s = first; s <= t; s += 1) {
        let score = 0;
        for (let i = 0; i < headDim; i += 1) score += query[head * headDim + i] * k[s][from + i];
        score *= spec.scale;
        scores.push(spec.softCap === undefined ? score : spec.softCap * Math.tanh(score / spec.softCap));
      }
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let s = first; s <= t; s += 1) {
        const weight = weights[s - first] / total;
        for (let i = 0; i < headDim; i += 1) out[head * headDim + i] += weight * v[s][from + i];
      }
    }
    return out;
  });
}

/** Pairs (i, i + half) of the first 2·half coordinates turn by the position's angle; the rest stay. */
function rotate(head: Float64Array, { cos, sin, length }: RotaryTables, t: number): Float64Array {
  const half = cos.length / length;
  const out = head.slice();
  for (let j = 0; j < half; j += 1) {
    const [c, s] = [cos[t * half + j], sin[t * half + j]];
    out[j] = head[j] * c - head[j + half] * s;
    out[j + half] = head[j + half] * c + head[j] * s;
  }
  return out;
}
