// Rotary angles: both dialects of config.json, the kinds that are known, the kinds that are refused.

import { describe, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { inverseFrequencies, type RopeConfig, readRope, rotaryTables } from "./rope.ts";

const LLAMA3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const read = (raw: object): RopeConfig => readRope(raw, { headDim: 16, place: "config.json" });

describe("readRope", () => {
  test("both dialects describe the same rope", () => {
    const old = read({ rope_theta: 500000, rope_scaling: LLAMA3 });
    expect(read({ rope_parameters: { ...LLAMA3, rope_theta: 500000 } })).toEqual(old);
    expect(
      read({ rope_theta: 500000, rope_scaling: { ...LLAMA3, rope_type: undefined, type: "llama3" } }),
    ).toEqual(old);
    expect(read({ rope_theta: 500000, rope_parameters: LLAMA3 })).toEqual(old);
    expect(old).toMatchObject({ kind: "llama3", theta: 500000, factor: 8, originalMaxPositions: 8192 });
  });

  test("nothing said means the default kind with base 10000", () => {
    const plain = { kind: "default", dim: 16, theta: 10000 };
    expect(read({})).toEqual(plain);
    expect(read({ rope_scaling: null, rope_parameters: null })).toEqual(plain);
    expect(read({ rope_parameters: { rope_type: "default", rope_theta: 5 } })).toEqual({
      ...plain,
      theta: 5,
    });
  });

  test.each<[string, object]>([
    ["rope_scaling: rope_type", { rope_scaling: { rope_type: "yarn", factor: 4 } }],
    ["rope_scaling.rope_type", { rope_scaling: { factor: 4 } }],
    ["rope_parameters: type", { rope_parameters: { type: "longrope" } }],
    ["rope_parameters: factor", { rope_parameters: { ...LLAMA3, factor: "8" } }],
    ["rope_parameters: low_freq_factor", { rope_parameters: { ...LLAMA3, low_freq_factor: 0 } }],
    ["rope_parameters.high_freq_factor", { rope_parameters: { ...LLAMA3, high_freq_factor: 1 } }],
    ["rope_parameters: partial_rotary_factor", { rope_parameters: { partial_rotary_factor: 0.5 } }],
    ["rope_theta", { rope_theta: 0 }],
    ["rope_theta", { rope_theta: "big" }],
    ["rope_scaling", { rope_scaling: [1] }],
    ["rope_parameters", { rope_scaling: LLAMA3, rope_parameters: LLAMA3 }],
  ])("a bad %s is refused by name", (key, raw) => {
    expect(() => read(raw)).toThrow(FormatError);
    expect(() => read(raw)).toThrow(`config.json: ${key}: expected`);
  });
});

describe("inverseFrequencies", () => {
  // Values of transformers 5.18 for dim 16, theta 5e5; printed there with 5 digits.
  const expected = {
    8: [1, 0.19392, 0.037606, 0.0072927, 5.2485e-4, 3.4281e-5, 6.6479e-6, 1.2892e-6],
    32: [1, 0.19392, 0.037606, 0.0072927, 4.2956e-4, 8.5703e-6, 1.662e-6, 3.2229e-7],
  };
  test.each([8, 32] as const)(
    "llama3 with factor %i agrees with transformers in all three bands",
    (factor) => {
      const rope = read({ rope_theta: 500000, rope_scaling: { ...LLAMA3, factor } });
      const got = inverseFrequencies(rope);
      expected[factor].forEach((value, j) => {
        expect(Math.abs(got[j] / value - 1)).toBeLessThan(5e-5);
      });
    },
  );
});

test("rotary tables hold cos and sin of position × frequency", () => {
  const rope = read({ rope_theta: 100 });
  const { cos, sin } = rotaryTables(rope, 5);
  expect(cos).toHaveLength(5 * 8);
  for (const [position, j] of [
    [0, 3],
    [4, 0],
    [3, 7],
  ]) {
    const angle = position * 100 ** (-j / 8);
    expect(cos[position * 8 + j]).toBeCloseTo(Math.cos(angle), 6); // f32
    expect(sin[position * 8 + j]).toBeCloseTo(Math.sin(angle), 6);
  }
});
