// Gemma 3: Gemma 2 with normed heads of q and k in place of score caps, and five windowed layers to one full one, which has
// a rope of its own. Text-only folders say gemma3_text; multimodal ones gemma3, with the text model's fields inside.
//
// Gemma team 2025 (arXiv:2503.19786); tensor names and defaults from transformers, models/gemma3.

import { z } from "zod";
import type { Architecture, Family } from "../architecture.ts";
import { finite, integer, readFields } from "../config-fields.ts";
import { readDecoderFields, readLayerWindows } from "../decoder-fields.ts";
import { type RopeConfig, readRope } from "../rope.ts";
import { gemmaLike, readGemmaCaps, refuseBidirectional } from "./gemma-like.ts";
import { sandwichBlock } from "./llama-like.ts";

// Published multimodal configs leave most sizes out.
const DEFAULTS = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  tie_word_embeddings: true,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
  sliding_window_pattern: 6,
};
const block = z.looseObject({}, { error: "an object" });
const own = z.object({
  sliding_window_pattern: integer(1, 1000),
  rope_local_base_freq: finite(1e-3, 1e12).nullish(),
  rope_parameters: z
    .object({ full_attention: block, sliding_attention: block }, { error: "an object for each layer type" })
    .nullish(),
});

export const gemma3Text: Family = {
  modelType: "gemma3_text",
  describe(given, place) {
    const raw = { ...DEFAULTS, ...given, mlp_bias: false };
    refuseBidirectional(raw, place);
    const fields = readDecoderFields("gemma3_text", raw, place);
    const { headDim, nLayers } = fields.config;
    const { attention, finalLogitSoftCap } = readGemmaCaps(raw, place);
    const pattern = readFields(own, raw, place).sliding_window_pattern;
    const windows = readLayerWindows(raw, place, {
      nLayers,
      isSliding: (layer) => (layer + 1) % pattern !== 0,
    });
    return gemmaLike({
      fields,
      finalLogitSoftCap,
      ropes: readRopes(raw, place, headDim),
      ignoredTensorPattern: /\.rotary_emb(_local)?\.inv_freq$/,
      block(parts, layer) {
        const [q, k] = [parts.norm("self_attn.q_norm", headDim), parts.norm("self_attn.k_norm", headDim)];
        const window = windows[layer];
        return sandwichBlock(parts, {
          ...parts.attention,
          ...attention,
          qkNorm: { over: "head", q, k },
          rope: window === undefined ? "full" : "sliding",
          window,
        });
      },
    });
  },
};

/** transformers 4: rope_theta, rope_scaling (full layers only) and rope_local_base_freq; 5: one object a layer type. */
function readRopes(raw: object, place: string, headDim: number): { full: RopeConfig; sliding: RopeConfig } {
  const { rope_parameters: nested, rope_local_base_freq: local } = readFields(own, raw, place);
  const [full, sliding] = nested
    ? [{ rope_parameters: nested.full_attention }, { rope_parameters: nested.sliding_attention }]
    : [raw, { rope_theta: local }];
  return {
    full: readRope(full, { headDim, place, theta: 1e6, path: "rope_parameters.full_attention" }),
    sliding: readRope(sliding, { headDim, place, theta: 1e4, path: "rope_parameters.sliding_attention" }),
  };
}

export const gemma3: Family = {
  modelType: "gemma3",
  describe(raw, place): Architecture {
    const { text_config } = readFields(z.object({ text_config: block }), raw, place);
    const text = gemma3Text.describe(text_config, `${place}: text_config`);
    return {
      ...text,
      namePrefixes: ["", "language_model."],
      ignoredTensorPattern:
        /\.rotary_emb(_local)?\.inv_freq$|^(model\.)?(vision_tower|multi_modal_projector)\./,
    };
  },
};
