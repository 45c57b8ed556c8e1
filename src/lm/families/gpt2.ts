// GPT-2: pre-norm blocks with LayerNorm, learned positions, biases everywhere, weights stored [in, out], a tied head.
//
//   x += attention(n₁ x);   x += P·gelu(F·n₂ x)
//
// Radford et al. 2019; tensor names and defaults from transformers, models/gpt2. Published files have no prefix and carry
// mask buffers; files that transformers wrote have the prefix "transformer." and none.

import { z } from "zod";
import type { Family, LinearSpec, Norm } from "../architecture.ts";
import { flag, readFields } from "../config-fields.ts";
import { activation, readHeads, sizes } from "../decoder-fields.ts";

const own = z.object({
  vocab_size: sizes.vocab,
  n_embd: sizes.width,
  n_layer: sizes.layers,
  n_head: sizes.heads,
  n_inner: sizes.feedForward.nullish(),
  n_positions: sizes.positions.default(1024),
  activation_function: activation(["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu"]).default("geluTanh"),
  layer_norm_epsilon: sizes.epsilon.default(1e-5),
  tie_word_embeddings: flag().default(true),
  scale_attn_weights: flag().default(true),
  scale_attn_by_inverse_layer_idx: flag().default(false),
  add_cross_attention: z.literal(false, { error: "false (tunediff reads decoders)" }).default(false),
});

export const gpt2: Family = {
  modelType: "gpt2",
  describe(raw, place) {
    const read = readFields(own, raw, place);
    const dModel = read.n_embd;
    const heads = readHeads({ nHeads: read.n_head, dModel, place });
    const dFeedForward = read.n_inner ?? 4 * dModel;
    const epsilon = read.layer_norm_epsilon;
    const layerNorm = (name: string): Norm => ({
      kind: "layerNorm",
      epsilon,
      weight: { name: `${name}.weight`, shape: [dModel] },
      bias: { name: `${name}.bias`, shape: [dModel] },
    });
    const conv1d = (name: string, nIn: number, nOut: number): LinearSpec => ({
      weight: { name: `${name}.weight`, shape: [nIn, nOut] },
      bias: { name: `${name}.bias`, shape: [nOut] },
      inOut: true,
    });
    return {
      config: {
        modelType: "gpt2",
        vocabSize: read.vocab_size,
        dModel,
        nLayers: read.n_layer,
        maxPositions: read.n_positions,
        ...heads,
        dFeedForward,
        normEpsilon: epsilon,
      },
      namePrefixes: ["", "transformer."],
      embedding: { name: "wte.weight", shape: [read.vocab_size, dModel] },
      positionEmbedding: { name: "wpe.weight", shape: [read.n_positions, dModel] },
      embeddingScale: 1,
      ropes: {},
      block: (layer) => ({
        attentionNorm: layerNorm(`h.${layer}.ln_1`),
        attention: {
          qkv: [conv1d(`h.${layer}.attn.c_attn`, dModel, 3 * dModel)],
          scale:
            (read.scale_attn_weights ? heads.headDim ** -0.5 : 1) /
            (read.scale_attn_by_inverse_layer_idx ? layer + 1 : 1),
          out: conv1d(`h.${layer}.attn.c_proj`, dModel, dModel),
        },
        mlpNorm: layerNorm(`h.${layer}.ln_2`),
        mlp: {
          up: conv1d(`h.${layer}.mlp.c_fc`, dModel, dFeedForward),
          down: conv1d(`h.${layer}.mlp.c_proj`, dFeedForward, dModel),
          activation: read.activation_function,
        },
        parallel: false,
      }),
      finalNorm: layerNorm("ln_f"),
      head: { name: "lm_head.weight", shape: [read.vocab_size, dModel] },
      headIsTied: read.tie_word_embeddings,
      blockTensorPattern: /^h\./,
      ignoredTensorPattern: /\.attn\.(bias|masked_bias)$/,
      warnings: [],
    };
  },
};
