// Phi-3 and Phi-4-mini: Llama with q, k, v in one stored matrix and gate, up in another; longrope; part of a head rotated.
//
// Abdin et al. 2024 (arXiv:2404.14219); tensor names and defaults from transformers, models/phi3.

import type { Family, LinearSpec } from "../architecture.ts";
import { readActivation, readDecoderFields, readWindow } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";
import { llamaLike, preNormBlock } from "./llama-like.ts";

const DEFAULTS = {
  max_position_embeddings: 4096,
  original_max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  partial_rotary_factor: 1,
};

export const phi3: Family = {
  modelType: "phi3",
  describe(given, place) {
    const raw = { ...DEFAULTS, ...given, attention_bias: false, mlp_bias: false };
    const fields = readDecoderFields("phi3", raw, place);
    const { dModel, dFeedForward, nHeads, nKvHeads, headDim } = fields.config;
    const window = readWindow(raw, place);
    return llamaLike({
      fields,
      activation: readActivation(raw, place, ["silu"]),
      ropes: { main: readRope(raw, { headDim, place, partial: 1, longrope: true }) },
      block(parts) {
        const qkv = parts.linear("self_attn.qkv_proj", {
          nOut: (nHeads + 2 * nKvHeads) * headDim,
          nIn: dModel,
        });
        const gateUp = parts.linear("mlp.gate_up_proj", { nOut: 2 * dFeedForward, nIn: dModel });
        const half = (label: string, start: number): LinearSpec => ({
          ...gateUp,
          rows: { label, count: dFeedForward, stored: (row) => start + row },
        });
        const mlp = { ...parts.mlp, gate: half("gate", 0), up: half("up", dFeedForward) };
        const attention = { ...parts.attention, qkv: [qkv], rope: "main", window };
        return preNormBlock({ ...parts, mlp }, attention);
      },
    });
  },
};
