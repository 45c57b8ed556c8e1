// GPT-NeoX (Pythia): attention and MLP side by side on one residual, LayerNorm, biases, a quarter of each head rotated.
//
//   x += attention(n₁ x) + D·gelu(F·n₂ x)
//
// Black et al. 2022 (arXiv:2204.06745); tensor names and defaults from transformers, models/gpt_neox.

import { z } from "zod";
import type { Family, LinearSpec, Norm } from "../architecture.ts";
import { finite, flag, readFields } from "../config-fields.ts";
import { activation, readHeads, sizes } from "../decoder-fields.ts";
import { readRope } from "../rope.ts";

const own = z.object({
  vocab_size: sizes.vocab,
  hidden_size: sizes.width,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  intermediate_size: sizes.feedForward,
  max_position_embeddings: sizes.positions.default(2048),
  hidden_act: activation(["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"]).default("gelu"),
  layer_norm_eps: sizes.epsilon.default(1e-5),
  tie_word_embeddings: flag().default(false),
  use_parallel_residual: flag().default(true),
  attention_bias: flag().default(true),
  rotary_pct: finite(0, 1).nullish(),
  rotary_emb_base: finite(1e-3, 1e12).nullish(),
});

export const gptNeox: Family = {
  modelType: "gpt_neox",
  describe(raw, place) {
    const read = readFields(own, raw, place);
    const { hidden_size: dModel, intermediate_size: dFeedForward, layer_norm_eps: epsilon } = read;
    const heads = readHeads({ nHeads: read.num_attention_heads, dModel, place });
    const layerNorm = (name: string): Norm => ({
      kind: "layerNorm",
      epsilon,
      weight: { name: `gpt_neox.${name}.weight`, shape: [dModel] },
      bias: { name: `gpt_neox.${name}.bias`, shape: [dModel] },
    });
    const linear = (name: string, nOut: number, nIn: number): LinearSpec => ({
      weight: { name: `gpt_neox.${name}.weight`, shape: [nOut, nIn] },
      bias: { name: `gpt_neox.${name}.bias`, shape: [nOut] },
    });
    const attentionLinear = (name: string, nOut: number): LinearSpec => {
      const { weight, bias } = linear(name, nOut, dModel);
      return read.attention_bias ? { weight, bias } : { weight };
    };
    const older = { partial_rotary_factor: read.rotary_pct, rope_theta: read.rotary_emb_base };
    return {
      config: {
        modelType: "gpt_neox",
        vocabSize: read.vocab_size,
        dModel,
        nLayers: read.num_hidden_layers,
        maxPositions: read.max_position_embeddings,
        ...heads,
        dFeedForward,
        normEpsilon: epsilon,
      },
      namePrefixes: [""],
      embedding: { name: "gpt_neox.embed_in.weight", shape: [read.vocab_size, dModel] },
      embeddingScale: 1,
      ropes: { main: readRope({ ...raw, ...older }, { headDim: heads.headDim, place, partial: 0.25 }) },
      block: (layer) => ({
        attentionNorm: layerNorm(`layers.${layer}.input_layernorm`),
        attention: {
          qkv: [
            {
              ...attentionLinear(`layers.${layer}.attention.query_key_value`, 3 * dModel),
              rows: perHeadRows(heads),
            },
          ],
          rope: "main",
          scale: heads.headDim ** -0.5,
          out: attentionLinear(`layers.${layer}.attention.dense`, dModel),
        },
        mlpNorm: layerNorm(`layers.${layer}.post_attention_layernorm`),
        mlp: {
          up: linear(`layers.${layer}.mlp.dense_h_to_4h`, dFeedForward, dModel),
          down: linear(`layers.${layer}.mlp.dense_4h_to_h`, dModel, dFeedForward),
          activation: read.hidden_act,
        },
        parallel: read.use_parallel_residual,
      }),
      finalNorm: layerNorm("final_layer_norm"),
      head: { name: "embed_out.weight", shape: [read.vocab_size, dModel] },
      headIsTied: read.tie_word_embeddings,
      blockTensorPattern: /^gpt_neox\.layers\./,
      ignoredTensorPattern: /\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
      warnings: [],
    };
  },
};

/** Stored head by head, [head, (q, k, v), headDim]; wanted q of all heads, then k, then v. */
function perHeadRows({ nHeads, headDim }: { nHeads: number; headDim: number }): LinearSpec["rows"] {
  const width = nHeads * headDim;
  return {
    label: "q | k | v",
    count: 3 * width,
    stored(row) {
      const [part, within] = [Math.floor(row / width), row % width];
      const head = Math.floor(within / headDim);
      return (head * 3 + part) * headDim + (within % headDim);
    },
  };
}
