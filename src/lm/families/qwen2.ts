// Qwen2 and Qwen2.5: Llama with biases on q, k and v (none on o); a window on the upper layers where it is switched on.
//
// Yang et al. 2024 (arXiv:2407.10671); tensor names and defaults from transformers, models/qwen2.

import type { Family } from "../architecture.ts";
import { readActivation, readDecoderFields } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike, preNormBlock } from "./llama-like.ts";
import { QWEN_DEFAULTS, readQwenWindows } from "./qwen-windows.ts";

export const qwen2: Family = {
  modelType: "qwen2",
  describe(given, place) {
    const raw = { ...QWEN_DEFAULTS, ...given, mlp_bias: false };
    const fields = readDecoderFields("qwen2", raw, place);
    const windows = readQwenWindows(raw, place, fields.config.nLayers);
    return llamaLike({
      fields,
      biases: { qkv: true, out: false },
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim: fields.config.headDim, place }) },
      block: (parts, layer) =>
        preNormBlock(parts, { ...parts.attention, rope: "main", window: windows[layer] }),
    });
  },
};
