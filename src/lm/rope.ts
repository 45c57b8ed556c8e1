// Rotary position embeddings: which angles a model asks for, from either dialect of config.json, and their tables.
//
// Su et al. 2021 (arXiv:2104.09864). linear: Chen et al. 2023 (arXiv:2306.15595); llama3 stretches long wavelengths as
// Llama 3.1 does; longrope: Ding et al. 2024 (arXiv:2402.13753). Formulas: transformers, modeling_rope_utils.py, which
// writes rope_theta + rope_scaling in version 4 and rope_parameters in version 5. Rotation itself (pairs i and
// i + dim/2) is the graph's business. An unknown kind is refused: ignoring it would move every angle.

import { z } from "zod";
import { badField, finite, integer, oneOf, readFields } from "./config-fields.ts";

export type RopeConfig = RopeBase & (PlainRope | LinearRope | Llama3Rope | LongRope);

interface RopeBase {
  /** Rotated coordinates of a head, the first ones; even. */
  dim: number;
  theta: number;
}
interface PlainRope {
  kind: "default";
}
interface LinearRope {
  kind: "linear";
  factor: number;
}
interface Llama3Rope {
  kind: "llama3";
  factor: number;
  lowFrequencyFactor: number;
  highFrequencyFactor: number;
  originalMaxPositions: number;
}
interface LongRope {
  kind: "longrope";
  /** [dim / 2] each: divide the frequencies, short up to originalMaxPositions tokens, long beyond. */
  shortFactors: number[];
  longFactors: number[];
  originalMaxPositions: number;
  /** Multiplies cos and sin. */
  amplitude: number;
}

const theta = finite(1e-3, 1e12);
const share = finite(0, 1).nullish();
const block = z.looseObject({}, { error: "an object or null" }).nullish();
const dialects = z.object({
  rope_theta: theta.nullish(),
  rope_scaling: block,
  rope_parameters: block,
  partial_rotary_factor: share,
  max_position_embeddings: integer(1, 2 ** 24).nullish(),
  original_max_position_embeddings: integer(1, 2 ** 24).nullish(),
});
const llama3 = z.object({
  factor: finite(1, 1e6),
  low_freq_factor: finite(1e-6, 1e6),
  high_freq_factor: finite(1e-6, 1e6),
  original_max_position_embeddings: integer(1, 2 ** 24),
});
const linear = z.object({ factor: finite(1e-3, 1e6) });

export interface RopeOptions {
  headDim: number;
  place: string;
  /** Base where config.json names none; default 10,000. */
  theta?: number;
  /** Whether a part of a head may be rotated, and which where config.json does not say. Default: whole heads only. */
  partial?: number;
  /** Where `rope_parameters` stands in config.json, when not at its top; for messages. */
  path?: string;
  /** Whether the family knows longrope (also written su and yarn). */
  longrope?: true;
}

type Dialects = z.output<typeof dialects>;

/** raw: config.json. Throws FormatError naming the key. */
export function readRope(raw: object, options: RopeOptions): RopeConfig {
  const { place, headDim } = options;
  const top = readFields(dialects, raw, place);
  if (top.rope_scaling && top.rope_parameters) {
    throw badField(place, {
      key: "rope_parameters",
      expected: "either rope_scaling (transformers 4) or rope_parameters (transformers 5)",
      got: top.rope_parameters,
      hint: "remove the one the model was not trained with",
    });
  }
  const key = top.rope_parameters ? (options.path ?? "rope_parameters") : "rope_scaling";
  const inner = top.rope_parameters ?? top.rope_scaling ?? {};
  const names = [
    "default",
    "linear",
    "llama3",
    ...(options.longrope ? (["longrope", "su", "yarn"] as const) : []),
  ] as const;
  const perLayer = z.never({ error: "one rope for all layers (this family has no other)" }).optional();
  const kinds = z.object({
    full_attention: perLayer,
    sliding_attention: perLayer,
    rope_type: oneOf(names).nullish(),
    type: oneOf(names).nullish(),
    rope_theta: theta.nullish(),
    partial_rotary_factor: share,
  });
  const described = readFields(kinds, inner, `${place}: ${key}`);
  const kind = described.rope_type ?? described.type ?? (top.rope_scaling ? undefined : "default");
  if (kind === undefined) {
    throw badField(place, {
      key: `${key}.rope_type`,
      expected: `one of ${names.join(", ")}`,
      got: undefined,
    });
  }
  const inside = described.partial_rotary_factor;
  const dim = rotatedDim(inside ?? top.partial_rotary_factor, {
    ...options,
    key: inside == null ? "partial_rotary_factor" : `${key}: partial_rotary_factor`,
  });
  const base: RopeBase = { dim, theta: described.rope_theta ?? top.rope_theta ?? options.theta ?? 10_000 };
  if (kind === "default") return { ...base, kind };
  if (kind === "linear") return { ...base, kind, ...readFields(linear, inner, `${place}: ${key}`) };
  if (kind === "llama3") return { ...base, ...readLlama3(inner, place, key) };
  return { ...base, ...readLongRope(inner, { top, key, place, nPairs: dim / 2 }) };

  function rotatedDim(
    factor: number | null | undefined,
    { partial, key: at }: RopeOptions & { key: string },
  ) {
    if (partial === undefined && factor != null && factor !== 1) {
      throw badField(place, { key: at, expected: "1 (this family rotates whole heads)", got: factor });
    }
    const coordinates = Math.trunc(headDim * (factor ?? partial ?? 1));
    if (coordinates >= 2 && coordinates % 2 === 0) return coordinates;
    throw badField(place, {
      key: at,
      expected: `a share of the head's ${headDim} coordinates that gives an even number of them`,
      got: factor,
    });
  }
}

function readLlama3(inner: object, place: string, key: string): Llama3Rope {
  const fields = readFields(llama3, inner, `${place}: ${key}`);
  if (fields.high_freq_factor <= fields.low_freq_factor) {
    throw badField(place, {
      key: `${key}.high_freq_factor`,
      expected: `more than low_freq_factor (${fields.low_freq_factor})`,
      got: fields.high_freq_factor,
    });
  }
  return {
    kind: "llama3",
    factor: fields.factor,
    lowFrequencyFactor: fields.low_freq_factor,
    highFrequencyFactor: fields.high_freq_factor,
    originalMaxPositions: fields.original_max_position_embeddings,
  };
}

function readLongRope(
  inner: object,
  { top, key, place, nPairs }: { top: Dialects; key: string; place: string; nPairs: number },
): LongRope {
  const error = `${nPairs} numbers above 0 (one for each rotated pair)`;
  const factors = z.array(finite(1e-6, 1e6), { error }).length(nPairs, { error });
  const schema = z.object({
    short_factor: factors,
    long_factor: factors,
    factor: finite(1e-6, 1e6).nullish(),
    attention_factor: finite(1e-6, 1e6).nullish(),
    original_max_position_embeddings: integer(1, 2 ** 24).nullish(),
  });
  const fields = readFields(schema, inner, `${place}: ${key}`);
  const original = fields.original_max_position_embeddings ?? top.original_max_position_embeddings;
  if (original == null) {
    throw badField(place, {
      key: "original_max_position_embeddings",
      expected: "a whole number (longrope changes its frequencies there)",
      got: original,
    });
  }
  const stretch = fields.factor ?? (top.max_position_embeddings ?? original) / original;
  const usual = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
  return {
    kind: "longrope",
    shortFactors: fields.short_factor,
    longFactors: fields.long_factor,
    originalMaxPositions: original,
    amplitude: fields.attention_factor ?? usual,
  };
}

/**
 * Radians a position turns each pair by: [dim / 2] f32, theta^(−2j/dim) and then the scaling of the kind.
 * Rounded to f32 at every step, as the reference does: at position 1,000 the last bit of a frequency is seen.
 * length: tokens of the sequence, padding included (longrope asks).
 */
export function inverseFrequencies(rope: RopeConfig, length = 1): Float32Array {
  const powers = Float32Array.from(
    { length: rope.dim / 2 },
    (_, j) => rope.theta ** Math.fround((2 * j) / rope.dim),
  );
  if (rope.kind === "longrope") {
    const factors = length > rope.originalMaxPositions ? rope.longFactors : rope.shortFactors;
    return powers.map((power, j) => 1 / Math.fround(Math.fround(factors[j]) * power));
  }
  const plain = powers.map((power) => 1 / power);
  if (rope.kind === "default") return plain;
  if (rope.kind === "linear") return plain.map((frequency) => frequency / rope.factor);
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = rope;
  return plain.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalMaxPositions / high) return frequency;
    if (wavelength > originalMaxPositions / low) return frequency / factor;
    const smooth = (originalMaxPositions / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

export interface RotaryTables {
  length: number;
  /** [length, dim / 2] f32 each, positions 0 … length − 1. */
  cos: Float32Array;
  sin: Float32Array;
}

/** Tables for `length` positions. The angle is rounded to f32 before cos and sin, as the reference computes it. */
export function rotaryTables(rope: RopeConfig, length: number): RotaryTables {
  const frequencies = inverseFrequencies(rope, length);
  const amplitude = rope.kind === "longrope" ? rope.amplitude : 1;
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let position = 0; position < length; position += 1) {
    for (let j = 0; j < half; j += 1) {
      const angle = Math.fround(position * frequencies[j]);
      cos[position * half + j] = amplitude * Math.cos(angle);
      sin[position * half + j] = amplitude * Math.sin(angle);
    }
  }
  return { length, cos, sin };
}
