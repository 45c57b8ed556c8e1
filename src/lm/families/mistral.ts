// Mistral: Llama with a sliding window on every layer where config.json names one, and heads of any width.
//
// Jiang et al. 2023 (arXiv:2310.06825); tensor names and defaults from transformers, models/mistral.

import type { Family } from "../architecture.ts";
import { readActivation, readDecoderFields, readWindow } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike, preNormBlock } from "./llama-like.ts";

const DEFAULTS = { num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 };

export const mistral: Family = {
  modelType: "mistral",
  describe(given, place) {
    const raw = { ...DEFAULTS, ...given, attention_bias: false, mlp_bias: false };
    const fields = readDecoderFields("mistral", raw, place);
    const window = readWindow(raw, place);
    return llamaLike({
      fields,
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim: fields.config.headDim, place }) },
      block: (parts) => preNormBlock(parts, { ...parts.attention, rope: "main", window }),
    });
  },
};
