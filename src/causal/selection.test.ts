import { describe, expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { madeLatent, madeScaling } from "../measure/latent-measure.test.helper.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { createRng } from "../numerics/rng.ts";
import { meanRanks, type Selection, selectLatents } from "./selection.ts";

/** A latent of deltaNorm 0.8 that nothing filters out. */
function leaning(
  latent: number,
  { nuError = 0.1, nuReconstruction = 0.1, nuActivation = 1, ...given }: Record<string, unknown> = {},
): LatentMeasure {
  const scaling = { nuError, nuReconstruction, nuActivation } as Record<string, number>;
  return madeLatent(latent, { deltaNorm: 0.8, scalingFinetuned: madeScaling(scaling), ...given });
}

const select = (latents: LatentMeasure[], options: Partial<Parameters<typeof selectLatents>[1]> = {}) =>
  selectLatents(latents, { nuRank: "signed", ...options });

function setNamed({ sets }: Selection, selection: string): number[] {
  const found = sets.find((set) => set.selection === selection);
  if (found === undefined) throw new Error(`no set ${selection}`);
  return [...found.latents];
}

describe("the pool", () => {
  test("holds the latents above the candidates' deltaNorm, not those at it or without one", () => {
    const latents = [0.5, 0.6, 0.61, 1, NaN].map((deltaNorm, latent) => leaning(latent, { deltaNorm }));
    expect([...select(latents).pool]).toEqual([2, 3]);
  });

  test("of a number holds the latents of greatest deltaNorm, the lowest latent of equal ones", () => {
    const latents = [0.5, 0.9, 0.7, 0.7, NaN].map((deltaNorm, latent) => leaning(latent, { deltaNorm }));
    expect([...select(latents, { pool: 2 }).pool]).toEqual([1, 2]);
  });

  test.each([0, 1.5, 6, NaN])("of %d of 5 latents is refused with the range", (pool) => {
    const latents = [0, 1, 2, 3, 4].map((latent) => leaning(latent));
    expect(() => select(latents, { pool })).toThrow(ConfigError);
    expect(() => select(latents, { pool })).toThrow("from 1 to 5");
  });

  test("every latent left out is counted under its first reason", () => {
    const { poolCounts, ...selection } = select([
      leaning(0),
      leaning(1, { frequency: 0, nuError: NaN }),
      leaning(2, { nuError: NaN }),
      leaning(3, { nuReconstruction: NaN }),
      leaning(4, { nuReconstruction: -0.11 }),
      leaning(5, { nuReconstruction: 2.01, nuError: 3 }),
      leaning(6, { nuError: 2.01 }),
      leaning(7, { nuError: 2, nuReconstruction: -0.1 }),
    ]);
    expect(poolCounts).toEqual({
      ...{ pool: 8, dead: 1, nuMissing: 2, nuReconstructionOutOfRange: 2, nuErrorOutOfRange: 1 },
      kept: 2,
    });
    const halves = ["best", "worst"].flatMap((half) =>
      setNamed(selection as Selection, `deltaNorm ${half} half`),
    );
    expect(halves.sort()).toEqual([0, 7]);
  });
});

describe("the halves", () => {
  test("by Latent Scaling order by the sum of both ranks, not of both values", () => {
    // nuError ranks 1, 2, 3, 4; nuReconstruction ranks 3, 1, 4, 2: sums 4, 3, 7, 6. By values latent 3 would be worst of all.
    const latents = [
      leaning(0, { nuError: 0.1, nuReconstruction: 0.5 }),
      leaning(1, { nuError: 0.2, nuReconstruction: 0.1 }),
      leaning(2, { nuError: 0.3, nuReconstruction: 0.6 }),
      leaning(3, { nuError: 1.9, nuReconstruction: 0.2 }),
    ];
    const selection = select(latents);
    expect(setNamed(selection, "latent-scaling best half")).toEqual([0, 1]);
    expect(setNamed(selection, "latent-scaling worst half")).toEqual([2, 3]);
  });

  test("by absolute nu put a slightly negative nu behind a smaller positive one", () => {
    const latents = [leaning(0, { nuError: -0.09 }), leaning(1, { nuError: 0.01 })];
    const best = (nuRank: "signed" | "absolute") =>
      setNamed(select(latents, { nuRank }), "latent-scaling best half");
    expect(best("signed")).toEqual([0]);
    expect(best("absolute")).toEqual([1]);
  });

  test("by deltaNorm put the greatest first; the middle one of an odd number is in the worse half", () => {
    const latents = [0.7, 0.9, 0.8].map((deltaNorm, latent) => leaning(latent, { deltaNorm }));
    const selection = select(latents);
    expect(setNamed(selection, "deltaNorm best half")).toEqual([1]);
    expect(setNamed(selection, "deltaNorm worst half")).toEqual([0, 2]);
  });

  test("order equal latents by number", () => {
    const selection = select([3, 2, 1, 0].map((latent) => leaning(latent)).reverse());
    expect(setNamed(selection, "latent-scaling best half")).toEqual([0, 1]);
    expect(setNamed(selection, "deltaNorm best half")).toEqual([0, 1]);
  });

  test("of no candidates are empty", () => {
    const selection = select([madeLatent(0)]);
    expect(selection.sets.every(({ latents }) => latents.length === 0)).toBe(true);
  });
});

test("threshold sets are of the pool's live latents, before the filters of nu", () => {
  const selection = select([
    leaning(0, { deltaNorm: 0.7, nuActivation: 0.6 }),
    leaning(1, { deltaNorm: 0.69, nuActivation: -0.3 }),
    leaning(2, { deltaNorm: 0.9, nuActivation: 0.61, nuError: NaN }),
    leaning(3, { deltaNorm: 0.9, nuActivation: 0, frequency: 0 }),
    leaning(4, { deltaNorm: 0.5, nuActivation: 0 }),
  ]);
  expect(setNamed(selection, "deltaNorm ≥ 0.7")).toEqual([0, 2]);
  expect(setNamed(selection, "|nuActivation| ≤ 0.6")).toEqual([0, 1]);
  expect(setNamed(selection, "|nuActivation| ≤ 0.3")).toEqual([1]);
});

test("claims are the finetuned-specific ones, and of these the genuine", () => {
  const selection = select([
    leaning(0, { claim: "finetuned-specific", verdict: "genuine" }),
    leaning(1, { claim: "finetuned-specific", verdict: "uncertain" }),
    leaning(2, { claim: "none", verdict: "genuine" }),
    leaning(3, { claim: "base-specific", verdict: "genuine" }),
  ]);
  expect(setNamed(selection, "claims")).toEqual([0, 1]);
  expect(setNamed(selection, "genuine claims")).toEqual([0]);
});

test("what is compared exists, and controls are drawn for the best halves and the claims", () => {
  const { sets, comparisons } = select([leaning(0)]);
  const names = sets.map(({ selection }) => selection);
  for (const { first, second } of comparisons) expect(names).toEqual(expect.arrayContaining([first, second]));
  expect(sets.filter(({ isControlled }) => isControlled).map(({ selection }) => selection)).toEqual([
    "latent-scaling best half",
    "deltaNorm best half",
    "claims",
  ]);
});

test("mean ranks equal one half plus the number below plus half the number equal", () => {
  const rng = createRng(1, "ranks");
  const values = Float64Array.from({ length: 50 }, (_, i) => Math.floor(10 * rng.uniform(0, i)) - 5);
  const expected = values.map(
    (value) =>
      0.5 +
      values.filter((other) => other < value).length +
      values.filter((other) => other === value).length / 2,
  );
  expect(meanRanks(values)).toEqual(expected);
  expect(meanRanks([])).toEqual(new Float64Array(0));
});
