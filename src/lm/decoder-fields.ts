// The fields that most families' config.json share: sizes, norm, MLP, windows. A family passes its defaults in those keys.
//
// Names and defaults follow transformers' configuration classes. What a family does not list is never looked at.

import { z } from "zod";
import type { Activation, DecoderConfig } from "./architecture.ts";
import { badField, finite, flag, integer, oneOf, readFields } from "./config-fields.ts";

/** Sizes within which a config is believed. */
export const sizes = {
  vocab: integer(1, 2 ** 21),
  width: integer(1, 65_536),
  feedForward: integer(1, 2 ** 20),
  layers: integer(1, 1000),
  heads: integer(1, 1024),
  headDim: integer(2, 1024),
  positions: integer(1, 2 ** 24),
  epsilon: finite(0, 1),
  window: integer(1, 2 ** 24),
} as const;

/** Names that config.json uses for activations, and what they compute. */
const ACTIVATIONS: Record<string, Activation> = {
  silu: "silu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
};

/** A field that names one of the activations a family was ever trained with. */
export function activation<const T extends readonly (keyof typeof ACTIVATIONS)[]>(names: T) {
  return oneOf(names as readonly string[]).transform((name) => ACTIVATIONS[name]);
}

/** `hidden_act`, by default the first of the activations the family was trained with. Throws FormatError naming the key. */
export function readActivation(
  raw: object,
  place: string,
  names: readonly [string, ...string[]],
): Activation {
  const schema = z.object({ hidden_act: activation(names).default(ACTIVATIONS[names[0]]) });
  return readFields(schema, raw, place).hidden_act;
}

export interface DecoderFields {
  config: DecoderConfig;
  isTied: boolean;
  /** Biases on q, k, v and o. */
  attentionBias: boolean;
  /** Biases in the MLP. */
  mlpBias: boolean;
}

const fields = z.object({
  vocab_size: sizes.vocab,
  hidden_size: sizes.width,
  intermediate_size: sizes.feedForward,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  num_key_value_heads: sizes.heads.nullish(),
  head_dim: sizes.headDim.nullish(),
  max_position_embeddings: sizes.positions.default(2048),
  rms_norm_eps: sizes.epsilon.default(1e-6),
  tie_word_embeddings: flag().default(false),
  attention_bias: flag().default(false),
  mlp_bias: flag().default(false),
});

/** raw: config.json over the family's defaults. Throws FormatError naming the key. */
export function readDecoderFields(modelType: string, raw: object, place: string): DecoderFields {
  const read = readFields(fields, raw, place);
  const heads = readHeads({
    nHeads: read.num_attention_heads,
    nKvHeads: read.num_key_value_heads,
    headDim: read.head_dim,
    dModel: read.hidden_size,
    place,
  });
  return {
    config: {
      modelType,
      vocabSize: read.vocab_size,
      dModel: read.hidden_size,
      nLayers: read.num_hidden_layers,
      maxPositions: read.max_position_embeddings,
      ...heads,
      dFeedForward: read.intermediate_size,
      normEpsilon: read.rms_norm_eps,
    },
    isTied: read.tie_word_embeddings,
    attentionBias: read.attention_bias,
    mlpBias: read.mlp_bias,
  };
}

/** Key/value heads default to as many as heads, their width to dModel / nHeads. Throws FormatError naming the key. */
export function readHeads(options: {
  nHeads: number;
  nKvHeads?: number | null;
  headDim?: number | null;
  dModel: number;
  place: string;
}) {
  const { nHeads, dModel, place } = options;
  const nKvHeads = options.nKvHeads ?? nHeads;
  if (nHeads % nKvHeads !== 0) {
    throw badField(place, {
      key: "num_key_value_heads",
      expected: `a divisor of num_attention_heads (${nHeads})`,
      got: nKvHeads,
    });
  }
  const headDim = options.headDim ?? dModel / nHeads;
  if (headDim % 2 !== 0) {
    throw badField(place, {
      key: "head_dim",
      expected: "an even number (when absent: hidden_size / num_attention_heads)",
      got: headDim,
    });
  }
  return { nHeads, nKvHeads, headDim };
}

/** `sliding_window`: a number, or null or absent for none. */
export function readWindow(raw: object, place: string): number | undefined {
  return (
    readFields(z.object({ sliding_window: sizes.window.nullish() }), raw, place).sliding_window ?? undefined
  );
}

/**
 * Which layers see a window only, by `layer_types` where it stands, else by `isSliding`.
 * Throws FormatError for another number of layers, an unknown type, or windowed layers without `sliding_window`.
 */
export function readLayerWindows(
  raw: object,
  place: string,
  { nLayers, isSliding }: { nLayers: number; isSliding(layer: number): boolean },
): (number | undefined)[] {
  const error = `${nLayers} layer types`;
  const types = z.array(oneOf(["full_attention", "sliding_attention"]), { error }).length(nLayers, { error });
  const { layer_types: stated } = readFields(z.object({ layer_types: types.nullish() }), raw, place);
  const sliding = Array.from({ length: nLayers }, (_, layer) =>
    stated ? stated[layer] === "sliding_attention" : isSliding(layer),
  );
  const window = readWindow(raw, place);
  if (sliding.includes(true) && window === undefined) {
    throw badField(place, {
      key: "sliding_window",
      expected: "a whole number (some layers are sliding_attention)",
      got: window,
    });
  }
  return sliding.map((isWindowed) => (isWindowed ? window : undefined));
}
