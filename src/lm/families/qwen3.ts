// Qwen3: Llama with an RMS norm on every head of q and k before rotation, and heads of 128.
//
// Yang et al. 2025 (arXiv:2505.09388); tensor names and defaults from transformers, models/qwen3.

import type { Family } from "../architecture.ts";
import { readActivation, readDecoderFields } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike, preNormBlock } from "./llama-like.ts";
import { QWEN_DEFAULTS, readQwenWindows } from "./qwen-windows.ts";

export const qwen3: Family = {
  modelType: "qwen3",
  describe(given, place) {
    const raw = { ...QWEN_DEFAULTS, head_dim: 128, ...given, mlp_bias: false };
    const fields = readDecoderFields("qwen3", raw, place);
    const { headDim, nLayers } = fields.config;
    const windows = readQwenWindows(raw, place, nLayers);
    return llamaLike({
      fields,
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim, place }) },
      block(parts, layer) {
        const [q, k] = [parts.norm("self_attn.q_norm", headDim), parts.norm("self_attn.k_norm", headDim)];
        return preNormBlock(parts, {
          ...parts.attention,
          qkNorm: { over: "head", q, k },
          rope: "main",
          window: windows[layer],
        });
      },
    });
  },
};
