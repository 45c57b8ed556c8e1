// OLMo 2: Llama with its norms after attention and MLP in place of before, and on whole q and k before rotation.
//
//   x += n₁(attention(x));   x += n₂(mlp(x))
//
// OLMo team 2024 (arXiv:2501.00656); tensor names and defaults from transformers, models/olmo2.

import type { Family } from "../architecture.ts";
import { readActivation, readDecoderFields } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike } from "./llama-like.ts";

export const olmo2: Family = {
  modelType: "olmo2",
  describe(given, place) {
    const raw = { rms_norm_eps: 1e-5, ...given, mlp_bias: false };
    const fields = readDecoderFields("olmo2", raw, place);
    const { headDim, nHeads, nKvHeads } = fields.config;
    return llamaLike({
      fields,
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim, place }) },
      block: ({ norm, attention, mlp }) => ({
        attention: {
          ...attention,
          qkNorm: {
            over: "projection",
            q: norm("self_attn.q_norm", nHeads * headDim),
            k: norm("self_attn.k_norm", nKvHeads * headDim),
          },
          rope: "main",
        },
        attentionPostNorm: norm("post_attention_layernorm"),
        mlp,
        mlpPostNorm: norm("post_feedforward_layernorm"),
        parallel: false,
      }),
    });
  },
};
