// The Llama forward pass in plain loops: what the ONNX graph must compute, written to be checked by eye.
//
// Touvron et al. 2023 (arXiv:2302.13971). One sequence, no batching, f64 sums; hundreds of times slower than the graph,
// kept for ever as its twin (reference-forward.test.ts). Only the rotary angles are shared with it, in f32.

import { type LlamaConfig, llamaBlock } from "./families/llama.ts";
import type { LinearSpec } from "./ops.ts";
import { rotaryTables } from "./rope.ts";

export type ReadWeight = (name: string) => Float32Array;

export interface ReferenceResult {
  /** One [length, dModel] f64 array a layer: the residual after it. */
  residuals: Float64Array[];
  /** [length, vocab] f64. */
  logits: Float64Array;
}

/** tokenIds: one sequence without padding. read: whole tensors by name, the head by the name it is stored under. */
export function referenceForward(
  config: LlamaConfig,
  { tokenIds, read, headName }: { tokenIds: readonly number[]; read: ReadWeight; headName: string },
): ReferenceResult {
  const length = tokenIds.length;
  const { dModel, vocabSize } = config;
  const embedding = read("model.embed_tokens.weight");
  let x: Float64Array[] = tokenIds.map((id) =>
    Float64Array.from(embedding.subarray(id * dModel, (id + 1) * dModel)),
  );
  const residuals: Float64Array[] = [];
  for (let layer = 0; layer < config.nLayers; layer += 1) {
    const block = llamaBlock(config, layer);
    const apply = (part: LinearSpec, rows: Float64Array[]): Float64Array[] =>
      rows.map((row) => multiply(part, row, read));
    const norm1 = x.map((row) => rmsNorm(row, read(block.attentionNorm.name), config.normEpsilon));
    const attended = attention(config, {
      q: apply(block.q, norm1),
      k: apply(block.k, norm1),
      v: apply(block.v, norm1),
    });
    x = addRows(x, apply(block.o, attended));
    const norm2 = x.map((row) => rmsNorm(row, read(block.mlpNorm.name), config.normEpsilon));
    const up = apply(block.up, norm2);
    const gated = apply(block.gate, norm2).map((row, t) =>
      row.map((g, i) => (g / (1 + Math.exp(-g))) * up[t][i]),
    );
    x = addRows(x, apply(block.down, gated));
    residuals.push(flatten(x, dModel));
  }
  const head: LinearSpec = { weight: { name: headName, shape: [vocabSize, dModel] } };
  const logits = x.map((row) =>
    multiply(head, rmsNorm(row, read("model.norm.weight"), config.normEpsilon), read),
  );
  return { residuals, logits: flatten(logits, vocabSize) };

  function flatten(rows: Float64Array[], width: number): Float64Array {
    const flat = new Float64Array(length * width);
    rows.forEach((row, t) => {
      flat.set(row, t * width);
    });
    return flat;
  }
}

/** y = W·x + b, W [out, in]. */
function multiply({ weight, bias }: LinearSpec, x: Float64Array, read: ReadWeight): Float64Array {
  const w = read(weight.name);
  const b = bias && read(bias.name);
  return new Float64Array(weight.shape[0]).map((_, row) => {
    let sum = b ? b[row] : 0;
    for (let i = 0; i < x.length; i += 1) sum += w[row * x.length + i] * x[i];
    return sum;
  });
}

function rmsNorm(x: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => (weight[i] * value) / Math.sqrt(meanSquare + epsilon));
}

function addRows(a: Float64Array[], b: Float64Array[]): Float64Array[] {
  return a.map((row, t) => row.map((value, i) => value + b[t][i]));
}

/** q: [length][nHeads·headDim]; k, v: [length][nKvHeads·headDim]. Returns [length][nHeads·headDim]. */
function attention(
  { nHeads, nKvHeads, headDim, rope }: LlamaConfig,
  { q, k, v }: { q: Float64Array[]; k: Float64Array[]; v: Float64Array[] },
): Float64Array[] {
  const half = headDim / 2;
  const { cos, sin } = rotaryTables(rope, q.length);
  const rotate = (row: Float64Array, t: number): Float64Array =>
    row.map((value, i) => {
      const j = i % half;
      const isFirstHalf = i % headDim < half;
      const partner = isFirstHalf ? -row[i + half] : row[i - half];
      return value * cos[t * half + j] + partner * sin[t * half + j];
    });
  const rotatedQ = q.map(rotate);
  const rotatedK = k.map(rotate);
  return rotatedQ.map((query, t) => {
    const out = new Float64Array(nHeads * headDim);
    for (let head = 0; head < nHeads; head += 1) {
      const from = Math.floor((head * nKvHeads) / nHeads) * headDim;
      const scores: number[] = [];
      for (let s = 0; s <= t; s += 1) {
        let score = 0;
        for (let i = 0; i < headDim; i += 1) score += query[head * headDim + i] * rotatedK[s][from + i];
        scores.push(score / Math.sqrt(headDim));
      }
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let s = 0; s <= t; s += 1) {
        for (let i = 0; i < headDim; i += 1) out[head * headDim + i] += (weights[s] / total) * v[s][from + i];
      }
    }
    return out;
  });
}
