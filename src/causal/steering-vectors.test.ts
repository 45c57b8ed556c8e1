// Lengths and directions of steering vectors, worked out by hand and held against the folded dictionary.

import { expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { foldNormaliser } from "../dictionary/fold-normaliser.ts";
import { decoderNorms } from "../dictionary/latent-norms.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import type { SteeredLatent } from "./causal-contract.ts";
import { type SteeringUnit, steeringVector } from "./steering-vectors.ts";

/** Latent 0: ‖d_base‖ = 5, ‖d_finetuned‖ = 10. Latent 1: 0 and 1. Latent 2: 2 and 0. */
const dictionary: Dictionary = {
  sites: [
    { name: "base-L1", model: "base", layer: 1, width: 2 },
    { name: "finetuned-L1", model: "finetuned", layer: 1, width: 2 },
  ],
  nLatents: 3,
  width: 4,
  encoderWeight: new Float32Array(12),
  encoderBias: new Float32Array(3),
  decoderWeight: Float32Array.of(3, 4, 6, 8, 0, 0, 0, 1, 2, 0, 0, 0),
  decoderBias: new Float32Array(4),
  k: 0,
  inferenceThreshold: 0.1,
  normaliser: undefined,
};
const measured = [
  { latent: 0, maxCode: 2 },
  { latent: 1, maxCode: 0.5 },
  { latent: 2, maxCode: 1 },
];
const vector = (latents: SteeredLatent[], unit: SteeringUnit, of: Dictionary = dictionary): number[] =>
  Array.from(steeringVector(latents, { dictionary: of, measured, unit }));

test("in units of activation a latent pushes by max code × both norms along its unit direction", () => {
  // 2 · (5 + 10) · (0.6, 0.8)
  expect(vector([{ latent: 0, factor: 1 }], "activation")).toEqual([18, 24]);
  expect(vector([{ latent: 0, factor: -0.5 }], "activation")).toEqual([-9, -12]);
});

test("in units of code it pushes by max code × its row, and the units agree where the base row is zero", () => {
  expect(vector([{ latent: 0, factor: 1 }], "code")).toEqual([12, 16]);
  expect(vector([{ latent: 1, factor: 3 }], "code")).toEqual([0, 1.5]);
  expect(vector([{ latent: 1, factor: 3 }], "activation")).toEqual([0, 1.5]);
});

test("several latents add up, a latent named twice counts twice, factor 0 is no push", () => {
  const twice = [
    { latent: 0, factor: 1 },
    { latent: 1, factor: 2 },
    { latent: 0, factor: 1 },
  ];
  expect(vector(twice, "code")).toEqual([24, 33]);
  expect(vector([{ latent: 0, factor: 0 }], "activation")).toEqual([0, 0]);
});

test("a dictionary of normalised rows pushes in raw units, as its folded twin does", () => {
  const normalised: Dictionary = {
    ...dictionary,
    normaliser: {
      mean: Float32Array.of(1, -2, 3, 4),
      std: Float32Array.of(1, 1, 1, 1),
      scale: Float32Array.of(0.25, 0.5),
      targetRms: 1,
    },
  };
  const folded = foldNormaliser(normalised);
  expect(decoderNorms(folded).map((norms) => norms[0])).toEqual([20, 20]);
  for (const unit of ["activation", "code"] as const) {
    expect(vector([{ latent: 0, factor: 1 }], unit, normalised)).toEqual(
      vector([{ latent: 0, factor: 1 }], unit, folded),
    );
  }
  // 2 · (20 + 20) · (0.6, 0.8): not the 30 of the normalised space.
  expect(vector([{ latent: 0, factor: 1 }], "activation", normalised)).toEqual([48, 64]);
});

test("the weight follows the dictionary's code normalisation", () => {
  const one = [{ latent: 0, factor: 1 }];
  const length = (of: Dictionary): number => Math.hypot(...vector(one, "activation", of));
  expect(length({ ...dictionary, codeNormalisation: "sae" })).toBeCloseTo(2 * Math.hypot(5, 10), 4);
  expect(length({ ...dictionary, codeNormalisation: "none" })).toBeCloseTo(2, 5);
});

test("what cannot be pushed with is refused by name", () => {
  const silent = [...measured.slice(0, 2), { latent: 2, maxCode: Number.NaN }];
  const steer = (latent: number, factor = 1) => vector([{ latent, factor }], "activation");
  for (const latent of [3, -1, 0.5]) expect(() => steer(latent)).toThrow(ConfigError);
  expect(() => steer(3)).toThrow("latent 3: expected a whole number from 0 to 2");
  expect(() => steer(0, Number.POSITIVE_INFINITY)).toThrow(/latent 0: .*finite factor/);
  expect(() => steer(2)).toThrow(/latent 2: .*row of zeros/);
  expect(() =>
    steeringVector([{ latent: 2, factor: 1 }], { dictionary, measured: silent, unit: "code" }),
  ).toThrow(/latent 2: .*never did/);
  expect(() => vector([], "code")).toThrow(ConfigError);
  expect(() =>
    steeringVector([{ latent: 0, factor: 1 }], { dictionary, measured: measured.slice(1), unit: "code" }),
  ).toThrow(MismatchError);
  const baseOnly: Dictionary = { ...dictionary, sites: [{ ...dictionary.sites[0], width: 4 }] };
  expect(() => vector([{ latent: 0, factor: 1 }], "code", baseOnly)).toThrow(MismatchError);
});
