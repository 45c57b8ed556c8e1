// Gemma 2: Gemma with norms on both sides of attention and MLP, soft-capped scores and logits, every other layer windowed.
//
//   x += n₂(attention(n₁ x));   x += n₄(mlp(n₃ x));   score → 50·tanh(score/50);   logit → 30·tanh(logit/30)
//
// Gemma team 2024 (arXiv:2408.00118); tensor names and defaults from transformers, models/gemma2 in eager attention
// (its sdpa attention leaves the score cap out).

import type { Family } from "../architecture.ts";
import { readDecoderFields, readLayerWindows } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { gemmaLike, readGemmaCaps, refuseBidirectional } from "./gemma-like.ts";
import { sandwichBlock } from "./llama-like.ts";

const DEFAULTS = {
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 8192,
  tie_word_embeddings: true,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
  attn_logit_softcapping: 50,
  final_logit_softcapping: 30,
};

export const gemma2: Family = {
  modelType: "gemma2",
  describe(given, place) {
    const raw = { ...DEFAULTS, ...given, mlp_bias: false };
    refuseBidirectional(raw, place);
    const fields = readDecoderFields("gemma2", raw, place);
    const { headDim, nLayers } = fields.config;
    const { attention, finalLogitSoftCap } = readGemmaCaps(raw, place);
    const windows = readLayerWindows(raw, place, { nLayers, isSliding: (layer) => layer % 2 === 0 });
    return gemmaLike({
      fields,
      finalLogitSoftCap,
      ropes: { main: readRope(raw, { headDim, place }) },
      block: (parts, layer) =>
        sandwichBlock(parts, { ...parts.attention, ...attention, rope: "main", window: windows[layer] }),
    });
  },
};
