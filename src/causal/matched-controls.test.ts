import { describe, expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { FiringStats } from "./firing-stats.ts";
import { describeMatch, drawControls, matchDistance, matchedControls } from "./matched-controls.ts";
import { drawControlsReference } from "./matched-controls-reference.ts";

/** Rates and energies over three decades; every ninth latent is silent, and some are exactly alike. */
function madeStats(nLatents: number): FiringStats {
  const rng = createRng(11, "controls.test");
  const of = (index: number, least: number): Float64Array =>
    Float64Array.from({ length: nLatents }, (_, latent) =>
      latent % 9 === 4 ? 0 : least * 10 ** (Math.round(30 * rng.uniform(index, latent - (latent % 2))) / 10),
    );
  return {
    rate: of(0, 1e-4),
    energy: of(1, 0.1),
    conversationsFired: new Uint32Array(nLatents).fill(1),
    nRows: 10_000,
  };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe.each([false, true])("with controls shared: %s", (mayShare) => {
  test.each([
    { name: "many eligible", candidates: range(0, 30), eligible: range(30, 300), perLatent: 5 },
    { name: "hardly enough", candidates: range(0, 30), eligible: range(30, 65), perLatent: 7 },
    { name: "too few", candidates: range(0, 30), eligible: range(25, 42), perLatent: 5 },
    { name: "none", candidates: range(0, 5), eligible: [], perLatent: 5 },
    { name: "no candidates", candidates: [], eligible: range(0, 5), perLatent: 5 },
  ])("the walk over sorted latents draws what looking at all draws: $name", ({ name: _, ...given }) => {
    const options = { ...given, stats: madeStats(300), seed: 5, mayShare };
    expect(drawControls(options)).toEqual(drawControlsReference(options));
  });
});

describe("controls", () => {
  const stats = madeStats(200);
  const options = { candidates: range(0, 20), eligible: range(10, 200), stats, perLatent: 5, seed: 3 };

  test("of a draw serve one latent each, of a latent differ, and are neither candidates nor silent", () => {
    const draws = drawControls(options);
    for (const draw of draws) {
      const used = draw.filter((control) => control !== undefined);
      expect(new Set(used).size).toBe(used.length);
      expect(used.every((control) => control >= 20 && stats.rate[control] > 0)).toBe(true);
    }
    for (const [latent, controls] of matchedControls(options)) {
      expect(new Set(controls).size).toBe(controls.length);
      expect(controls.length).toBe(latent % 9 === 4 ? 0 : 5);
    }
  });

  test("of a latent alone are its nearest, in an order that the seed decides", () => {
    const controlsOf = (seed: number): number[] =>
      matchedControls({ ...options, candidates: [7], eligible: range(20, 200), seed }).get(7) as number[];
    const nearest = range(20, 200)
      .filter((latent) => stats.rate[latent] > 0)
      .sort((a, b) => matchDistance(stats, 7, a) - matchDistance(stats, 7, b) || a - b)
      .slice(0, 5);
    const byNumber = (latents: number[]): number[] => [...latents].sort((a, b) => a - b);
    expect(byNumber(controlsOf(1))).toEqual(byNumber(nearest));
    expect(controlsOf(1)).toEqual(controlsOf(1));
    const orders = new Set(range(0, 10).map((seed) => controlsOf(seed).join()));
    expect(orders.size).toBeGreaterThan(1);
  });

  test("that may be shared serve several latents in one draw", () => {
    // Latents 0 and 1 are exactly alike, and only one latent is eligible.
    const two = { ...options, candidates: [0, 1], eligible: [30], perLatent: 1 };
    expect([...matchedControls(two).values()].flat()).toEqual([30]);
    expect(matchedControls({ ...two, mayShare: true })).toEqual(
      new Map([
        [0, [30]],
        [1, [30]],
      ]),
    );
  });
});

test("the match says what is silent, what is missing, and how totals compare", () => {
  const stats: FiringStats = {
    rate: Float64Array.from([0.1, 0.3, 0, 0.1, 0.1]),
    energy: Float64Array.from([10, 30, 0, 5, 20]),
    conversationsFired: new Uint32Array(5),
    nRows: 100,
  };
  const draws = [
    [3, 4, undefined],
    [4, undefined, undefined],
  ];
  const match = describeMatch({ candidates: [0, 1, 2], stats }, draws);
  expect(match).toMatchObject({ nLatents: 3, silent: 1, missing: [0, 1], energyRatio: [25 / 40, 20 / 40] });
  expect(match.rateRatio[0]).toBeCloseTo(0.5, 12);
});

test("a latent that does not exist is refused with the range", () => {
  const stats = madeStats(4);
  const options = { eligible: [0], stats, perLatent: 5, seed: 0 };
  expect(() => drawControls({ ...options, candidates: [4] })).toThrow(ConfigError);
  expect(() => drawControls({ ...options, candidates: [4] })).toThrow("from 0 to 3");
});
