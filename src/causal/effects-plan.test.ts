// Who is a candidate, in which order, and how the bounded pool of controls is shared.

import { expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { madeLatent } from "../measure/latent-measure.test.helper.ts";
import { effectCandidates, planEffects } from "./effects-plan.ts";

/** 40 latents: 0 … 7 lean to the fine-tune, 3 is a claim, 5 is dead; energies grow with the latent's number within each half. */
const latents = Array.from({ length: 40 }, (_, latent) =>
  madeLatent(latent, {
    deltaNorm: latent < 8 ? 0.9 - latent / 100 : 0.5,
    claim: latent === 3 ? "finetuned-specific" : "none",
    frequency: latent === 5 ? 0 : 0.1,
  }),
);
const stats = {
  rate: new Float64Array(40).fill(0.1),
  energy: Float64Array.from(latents, ({ latent }) => (latent === 6 ? 0 : 2 ** (latent % 8))),
  conversationsFired: new Uint32Array(40).fill(3),
  nRows: 100,
};

test("claims come first, then the greatest deltaNorm; dead latents and those that lean nowhere are left out", () => {
  expect(effectCandidates(latents)).toEqual([3, 0, 1, 2, 4, 6, 7]);
  expect(effectCandidates(latents, 2)).toEqual([3, 0]);
});

test("a claim is a candidate whatever its deltaNorm", () => {
  const claimed = [...latents, madeLatent(40, { claim: "finetuned-specific", deltaNorm: 0.55 })];
  expect(effectCandidates(claimed, 2)).toEqual([3, 40]);
});

test("each candidate has its nearest controls, none of which leans to the fine-tune; a silent one has none", () => {
  const { candidates, controls } = planEffects({ latents, stats, controlsPerLatent: 4 });
  expect(candidates).toEqual([3, 0, 1, 2, 4, 6, 7]);
  // Energies repeat every eight latents, so the four of the same energy are at distance 0.
  expect(controls.get(3)?.toSorted((a, b) => a - b)).toEqual([11, 19, 27, 35]);
  expect(controls.get(6)).toEqual([]);
});

test("a bounded pool keeps the controls of most candidates, and every candidate still has its number", () => {
  const unbounded = planEffects({ latents, stats });
  expect(new Set([...unbounded.controls.values()].flat()).size).toBeGreaterThan(10);
  const { controls } = planEffects({ latents, stats, mostControls: 10 });
  expect(new Set([...controls.values()].flat()).size).toBeLessThanOrEqual(10);
  for (const [latent, own] of controls) expect(new Set(own).size).toBe(latent === 6 ? 0 : 5);
});

test("candidates that do not exist or stand twice, and a pool too small for one candidate, are refused", () => {
  expect(() => planEffects({ latents, stats, candidates: [1, 40] })).toThrow(ConfigError);
  expect(() => planEffects({ latents, stats, candidates: [1, 40] })).toThrow("from 0 to 39, got 40");
  expect(() => planEffects({ latents, stats, candidates: [1, 1] })).toThrow("got 1 twice");
  expect(() => planEffects({ latents, stats, mostControls: 4 })).toThrow("at least the 5");
});
