// The tensors that Llama named and most families kept, and the Architecture around them.
//
//   model.embed_tokens, model.layers.{i}.{self_attn, mlp, …norm}, model.norm, lm_head
//
// Not a family: each says in its own file which norms, biases, windows and ropes it has.

import type { Architecture, Attention, Block, LinearSpec, Mlp, Norm } from "../architecture.ts";
import type { DecoderFields } from "../decoder-fields.ts";

export interface LlamaLikeOptions {
  fields: DecoderFields;
  /** Default: all as fields.attentionBias. */
  biases?: { qkv: boolean; out: boolean };
  /** Default "rms". */
  normKind?: Norm["kind"];
  /** Default "silu". */
  activation?: Mlp["activation"];
  ropes: Architecture["ropes"];
  block(parts: LlamaParts, layer: number): Block;
  embeddingScale?: number;
  finalLogitSoftCap?: number;
  namePrefixes?: readonly string[];
  ignoredTensorPattern?: RegExp;
  warnings?: readonly string[];
}

/** One layer's tensors by their part in the formulas. */
export interface LlamaParts {
  /** `model.layers.{i}.NAME.weight`, [width]; width defaults to dModel. */
  norm(name: string, width?: number): Norm;
  /** `model.layers.{i}.NAME.{weight,bias}`. */
  linear(name: string, widths: { nOut: number; nIn: number; bias?: boolean }): LinearSpec;
  /** q, k, v and o without norms, scaled by 1/√headDim. */
  attention: Pick<Attention, "qkv" | "scale" | "out">;
  /** down(act(gate x) ⊙ up x). */
  mlp: Mlp;
}

export function llamaLike(options: LlamaLikeOptions): Architecture {
  const { fields, normKind = "rms", ropes, block, finalLogitSoftCap } = options;
  const { config } = fields;
  const { vocabSize, dModel, normEpsilon: epsilon } = config;
  return {
    config,
    namePrefixes: options.namePrefixes ?? [""],
    embedding: { name: "model.embed_tokens.weight", shape: [vocabSize, dModel] },
    embeddingScale: options.embeddingScale ?? 1,
    ropes,
    block: (layer) => block(llamaParts(options, layer), layer),
    finalNorm: { kind: normKind, epsilon, weight: { name: "model.norm.weight", shape: [dModel] } },
    head: { name: "lm_head.weight", shape: [vocabSize, dModel] },
    headIsTied: fields.isTied,
    finalLogitSoftCap,
    blockTensorPattern: /^model\.layers\./,
    ignoredTensorPattern: options.ignoredTensorPattern ?? /\.rotary_emb\.inv_freq$/,
    warnings: options.warnings ?? [],
  };
}

function llamaParts(options: LlamaLikeOptions, layer: number): LlamaParts {
  const { fields, normKind = "rms", activation = "silu" } = options;
  const { attentionBias, mlpBias, config } = fields;
  const { dModel, dFeedForward, nHeads, nKvHeads, headDim, normEpsilon: epsilon } = config;
  const biases = options.biases ?? { qkv: attentionBias, out: attentionBias };
  const at = `model.layers.${layer}`;
  const linear: LlamaParts["linear"] = (name, { nOut, nIn, bias }) => ({
    weight: { name: `${at}.${name}.weight`, shape: [nOut, nIn] },
    ...(bias ? { bias: { name: `${at}.${name}.bias`, shape: [nOut] } } : {}),
  });
  const projection = (name: string, heads: number): LinearSpec =>
    linear(`self_attn.${name}`, { nOut: heads * headDim, nIn: dModel, bias: biases.qkv });
  const widen = (name: string): LinearSpec =>
    linear(`mlp.${name}`, { nOut: dFeedForward, nIn: dModel, bias: mlpBias });
  return {
    linear,
    norm: (name, width = dModel) => ({
      kind: normKind,
      epsilon,
      weight: { name: `${at}.${name}.weight`, shape: [width] },
    }),
    attention: {
      qkv: [projection("q_proj", nHeads), projection("k_proj", nKvHeads), projection("v_proj", nKvHeads)],
      scale: headDim ** -0.5,
      out: linear("self_attn.o_proj", { nOut: dModel, nIn: nHeads * headDim, bias: biases.out }),
    },
    mlp: {
      gate: widen("gate_proj"),
      up: widen("up_proj"),
      down: linear("mlp.down_proj", { nOut: dModel, nIn: dFeedForward, bias: mlpBias }),
      activation,
    },
  };
}

/** x += attention(n₁ x); x += mlp(n₂ x), with Llama's names for the norms. */
export function preNormBlock({ norm, mlp }: LlamaParts, attention: Attention): Block {
  return {
    attentionNorm: norm("input_layernorm"),
    attention,
    mlpNorm: norm("post_attention_layernorm"),
    mlp,
    parallel: false,
  };
}

/** x += n₂(attention(n₁ x)); x += n₄(mlp(n₃ x)), with Gemma 2's names for the norms. */
export function sandwichBlock({ norm, mlp }: LlamaParts, attention: Attention): Block {
  return {
    attentionNorm: norm("input_layernorm"),
    attention,
    attentionPostNorm: norm("post_attention_layernorm"),
    mlpNorm: norm("pre_feedforward_layernorm"),
    mlp,
    mlpPostNorm: norm("post_feedforward_layernorm"),
    parallel: false,
  };
}
