// Rotary position embeddings: which angles a model asks for, from either dialect of config.json, and their tables.
//
// Su et al. 2021 (arXiv:2104.09864); "llama3" stretches long wavelengths as Llama 3.1 does (transformers,
// modeling_rope_utils.py). transformers 4 writes rope_theta + rope_scaling, transformers 5 rope_parameters. Rotation
// itself (pairs i and i + dim/2) is the graph's business. An unknown kind is refused: ignoring it would move every angle.

import { z } from "zod";
import { badField, finite, integer, oneOf, readFields } from "./config-fields.ts";

export type RopeConfig = RopeBase & (PlainRope | Llama3Rope);

interface RopeBase {
  /** Rotated coordinates of a head; even. */
  dim: number;
  theta: number;
}
interface PlainRope {
  kind: "default";
}
interface Llama3Rope {
  kind: "llama3";
  factor: number;
  lowFrequencyFactor: number;
  highFrequencyFactor: number;
  originalMaxPositions: number;
}

const theta = finite(1e-3, 1e12);
const dialects = z.object({
  rope_theta: theta.nullish(),
  rope_scaling: z.looseObject({}, { error: "an object or null" }).nullish(),
  rope_parameters: z.looseObject({}, { error: "an object or null" }).nullish(),
});
const kinds = z.object({
  rope_type: oneOf(["default", "llama3"]).nullish(),
  type: oneOf(["default", "llama3"]).nullish(),
  rope_theta: theta.nullish(),
  partial_rotary_factor: z.literal(1, { error: "1 (this family rotates whole heads)" }).nullish(),
});
const llama3 = z.object({
  factor: finite(1, 1e6),
  low_freq_factor: finite(1e-6, 1e6),
  high_freq_factor: finite(1e-6, 1e6),
  original_max_position_embeddings: integer(1, 2 ** 24),
});

/** raw: config.json. dim: rotated coordinates of a head. Throws FormatError naming the key. */
export function readRope(raw: object, options: { dim: number; place: string }): RopeConfig {
  const { dim, place } = options;
  const top = readFields(dialects, raw, place);
  if (top.rope_scaling && top.rope_parameters) {
    throw badField(place, {
      key: "rope_parameters",
      expected: "either rope_scaling (transformers 4) or rope_parameters (transformers 5)",
      got: top.rope_parameters,
      hint: "remove the one the model was not trained with",
    });
  }
  const key = top.rope_parameters ? "rope_parameters" : "rope_scaling";
  const block = top.rope_parameters ?? top.rope_scaling ?? {};
  const described = readFields(kinds, block, `${place}: ${key}`);
  const kind = described.rope_type ?? described.type ?? (top.rope_scaling ? undefined : "default");
  if (kind === undefined) {
    throw badField(place, { key: `${key}.rope_type`, expected: '"default" or "llama3"', got: undefined });
  }
  const base: RopeBase = { dim, theta: described.rope_theta ?? top.rope_theta ?? 10_000 };
  if (kind === "default") return { ...base, kind };
  const fields = readFields(llama3, block, `${place}: ${key}`);
  if (fields.high_freq_factor <= fields.low_freq_factor) {
    throw badField(place, {
      key: `${key}.high_freq_factor`,
      expected: `more than low_freq_factor (${fields.low_freq_factor})`,
      got: fields.high_freq_factor,
    });
  }
  return {
    ...base,
    kind,
    factor: fields.factor,
    lowFrequencyFactor: fields.low_freq_factor,
    highFrequencyFactor: fields.high_freq_factor,
    originalMaxPositions: fields.original_max_position_embeddings,
  };
}

/** Radians a position turns each pair by: [dim / 2] f32, theta^(−2j/dim) and then the scaling of the kind. */
export function inverseFrequencies(rope: RopeConfig): Float32Array {
  const plain = Float32Array.from({ length: rope.dim / 2 }, (_, j) => 1 / rope.theta ** ((2 * j) / rope.dim));
  if (rope.kind === "default") return plain;
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
  const frequencies = inverseFrequencies(rope);
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let position = 0; position < length; position += 1) {
    for (let j = 0; j < half; j += 1) {
      const angle = Math.fround(position * frequencies[j]);
      cos[position * half + j] = Math.cos(angle);
      sin[position * half + j] = Math.sin(angle);
    }
  }
  return { length, cos, sin };
}
