// Llama: pre-norm blocks of grouped-query attention and a gated SiLU MLP, RMS norms, rotary positions.
//
//   x += O·attention(rotate(Q·n₁(x)), rotate(K·n₁(x)), V·n₁(x));   x += D·(silu(G·n₂(x)) ⊙ U·n₂(x))
//
// Touvron et al. 2023 (arXiv:2302.13971); tensor names and defaults from transformers, models/llama.

import { z } from "zod";
import type { Architecture, Family, ModelConfig } from "../architecture.ts";
import { badField, finite, flag, integer, oneOf, readFields } from "../config-fields.ts";
import { type HeadLayout, linear, rmsNorm, rotaryCausalAttention, silu, storedWeight } from "../ops.ts";
import { type RopeConfig, readRope } from "../rope.ts";
import type { TensorSpec } from "../tensor-spec.ts";

export interface LlamaConfig extends ModelConfig, HeadLayout {
  modelType: "llama";
  /** Width of the MLP's hidden layer. */
  dFeedForward: number;
  normEpsilon: number;
  tieWordEmbeddings: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  rope: RopeConfig;
}

const fields = z.object({
  vocab_size: integer(1, 2 ** 21),
  hidden_size: integer(1, 65_536),
  intermediate_size: integer(1, 2 ** 20),
  num_hidden_layers: integer(1, 1000),
  num_attention_heads: integer(1, 1024),
  num_key_value_heads: integer(1, 1024).nullish(),
  head_dim: integer(2, 1024).nullish(),
  hidden_act: oneOf(["silu"]).default("silu"),
  max_position_embeddings: integer(1, 2 ** 24).default(2048),
  rms_norm_eps: finite(0, 1).default(1e-6),
  tie_word_embeddings: flag().default(false),
  attention_bias: flag().default(false),
  mlp_bias: flag().default(false),
});

/** Throws FormatError naming the key. */
export function parseLlamaConfig(raw: object, place: string): LlamaConfig {
  const read = readFields(fields, raw, place);
  const nHeads = read.num_attention_heads;
  const nKvHeads = read.num_key_value_heads ?? nHeads;
  if (nHeads % nKvHeads !== 0) {
    throw badField(place, {
      key: "num_key_value_heads",
      expected: `a divisor of num_attention_heads (${nHeads})`,
      got: nKvHeads,
    });
  }
  const headDim = read.head_dim ?? read.hidden_size / nHeads;
  if (headDim % 2 !== 0) {
    throw badField(place, {
      key: "head_dim",
      expected: "an even number (when absent: hidden_size / num_attention_heads)",
      got: headDim,
    });
  }
  return {
    modelType: "llama",
    vocabSize: read.vocab_size,
    dModel: read.hidden_size,
    nLayers: read.num_hidden_layers,
    maxPositions: read.max_position_embeddings,
    nHeads,
    nKvHeads,
    headDim,
    dFeedForward: read.intermediate_size,
    normEpsilon: read.rms_norm_eps,
    tieWordEmbeddings: read.tie_word_embeddings,
    attentionBias: read.attention_bias,
    mlpBias: read.mlp_bias,
    rope: readRope(raw, { dim: headDim, place }),
  };
}

/** Tensors of one block by their part in the formula above; biases are undefined where the model has none. */
export function llamaBlock(config: LlamaConfig, layer: number) {
  const { dModel: d, dFeedForward: f, nHeads, nKvHeads, headDim } = config;
  const at = `model.layers.${layer}`;
  const matrix = (name: string, nOut: number, nIn: number, hasBias: boolean) => {
    const weight: TensorSpec = { name: `${at}.${name}.weight`, shape: [nOut, nIn] };
    const bias: TensorSpec | undefined = hasBias ? { name: `${at}.${name}.bias`, shape: [nOut] } : undefined;
    return { weight, bias };
  };
  const norm = (name: string): TensorSpec => ({ name: `${at}.${name}.weight`, shape: [d] });
  return {
    attentionNorm: norm("input_layernorm"),
    q: matrix("self_attn.q_proj", nHeads * headDim, d, config.attentionBias),
    k: matrix("self_attn.k_proj", nKvHeads * headDim, d, config.attentionBias),
    v: matrix("self_attn.v_proj", nKvHeads * headDim, d, config.attentionBias),
    o: matrix("self_attn.o_proj", d, nHeads * headDim, config.attentionBias),
    mlpNorm: norm("post_attention_layernorm"),
    gate: matrix("mlp.gate_proj", f, d, config.mlpBias),
    up: matrix("mlp.up_proj", f, d, config.mlpBias),
    down: matrix("mlp.down_proj", d, f, config.mlpBias),
  };
}

export function llamaArchitecture(config: LlamaConfig): Architecture {
  const { dModel, vocabSize, normEpsilon: epsilon } = config;
  const embedding: TensorSpec = { name: "model.embed_tokens.weight", shape: [vocabSize, dModel] };
  const finalNorm: TensorSpec = { name: "model.norm.weight", shape: [dModel] };
  return {
    config,
    embedding,
    finalNorm,
    head: { name: "lm_head.weight", shape: [vocabSize, dModel] },
    headIsTied: config.tieWordEmbeddings,
    rope: config.rope,
    blockTensors: (layer) =>
      Object.values(llamaBlock(config, layer)).flatMap((part) =>
        "name" in part ? [part] : part.bias ? [part.weight, part.bias] : [part.weight],
      ),
    blockTensorPattern: /^model\.layers\./,
    ignoredTensorPattern: /\.rotary_emb\.inv_freq$/,
    embed: (graph, tokenIds) => graph.node("Gather", [storedWeight(graph, embedding), tokenIds]),
    block(graph, { layer, residual }) {
      const { attentionNorm, q, k, v, o, mlpNorm, gate, up, down } = llamaBlock(config, layer);
      const attended = rotaryCausalAttention(
        graph,
        linear(graph, rmsNorm(graph, residual, { weight: attentionNorm, epsilon }), [q, k, v]),
        config,
      );
      const middle = graph.node("Add", [residual, linear(graph, attended, [o])]);
      const normed = rmsNorm(graph, middle, { weight: mlpNorm, epsilon });
      const gated = graph.node("Mul", [
        silu(graph, linear(graph, normed, [gate])),
        linear(graph, normed, [up]),
      ]);
      return graph.node("Add", [middle, linear(graph, gated, [down])]);
    },
    normalise: (graph, residual) => rmsNorm(graph, residual, { weight: finalNorm, epsilon }),
  };
}

export const llama: Family = {
  modelType: "llama",
  describe: (raw, place) => llamaArchitecture(parseLlamaConfig(raw, place)),
};
