// Llama: pre-norm blocks of grouped-query attention and a gated SiLU MLP, RMS norms, rotary positions.
//
//   x += O·attention(rotate(Q·n₁(x)), rotate(K·n₁(x)), V·n₁(x));   x += D·(silu(G·n₂(x)) ⊙ U·n₂(x))
//
// Touvron et al. 2023 (arXiv:2302.13971); tensor names and defaults from transformers, models/llama.

import type { Family } from "../architecture.ts";
import { readActivation, readDecoderFields } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike, preNormBlock } from "./llama-like.ts";

export const llama: Family = {
  modelType: "llama",
  describe(raw, place) {
    const fields = readDecoderFields("llama", raw, place);
    return llamaLike({
      fields,
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim: fields.config.headDim, place }) },
      block: (parts) => preNormBlock(parts, { ...parts.attention, rope: "main" }),
    });
  },
};
