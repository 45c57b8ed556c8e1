// Gemma (1): Llama with embeddings times √dModel, norms that multiply by 1 + w, a tanh-GELU MLP and a tied head.
//
// Gemma team 2024 (arXiv:2403.08295); tensor names and defaults from transformers, models/gemma.

import { z } from "zod";
import type { Family } from "../architecture.ts";
import { oneOf, readFields } from "../config-fields.ts";
import { readDecoderFields } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { gemmaLike, refuseBidirectional } from "./gemma-like.ts";
import { preNormBlock } from "./llama-like.ts";

const DEFAULTS = {
  num_key_value_heads: 16,
  head_dim: 256,
  max_position_embeddings: 8192,
  tie_word_embeddings: true,
};
const names = oneOf(["gelu_pytorch_tanh", "gelu_new", "gelu"]);
const own = z.object({ hidden_act: names.nullish(), hidden_activation: names.nullish() });

export const gemma: Family = {
  modelType: "gemma",
  describe(given, place) {
    const raw = { ...DEFAULTS, ...given, mlp_bias: false };
    refuseBidirectional(raw, place);
    const fields = readDecoderFields("gemma", raw, place);
    const stated = readFields(own, raw, place);
    // Early configs say "gelu" for weights that were trained with the tanh form.
    const isOdd = stated.hidden_act === "gelu" || stated.hidden_activation === "gelu";
    return gemmaLike({
      fields,
      ropes: { main: readRope(raw, { headDim: fields.config.headDim, place }) },
      block: (parts) => preNormBlock(parts, { ...parts.attention, rope: "main" }),
      warnings: isOdd
        ? [`${place}: names the activation "gelu"; Gemma was trained with its tanh form, which is used`]
        : [],
    });
  },
};
