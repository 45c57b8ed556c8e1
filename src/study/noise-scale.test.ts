// The search for a noise scale, on laws that are known.

import { expect, test } from "vitest";
import { NumericsError } from "../errors.ts";
import { findNoiseScale, NOISE_SEARCH } from "./noise-scale.ts";

async function search(law: (scale: number) => number, target: number, start?: number) {
  let evaluations = 0;
  const ratioAt = async (scale: number): Promise<number> => {
    evaluations += 1;
    return law(scale);
  };
  const found = await findNoiseScale({ ratioAt, target, start });
  return { ...found, evaluations };
}

const LAWS: [string, (scale: number) => number][] = [
  ["quadratic", (s) => 30 * s ** 2],
  ["quadratic that bends up", (s) => 3 * s ** 2 + 900 * s ** 4],
  ["saturating", (s) => (2 * s ** 2) / (0.01 + s ** 2)],
  ["overflowing", (s) => (s > 0.5 ? Number.NaN : s ** 2)],
  ["flat, then steep", (s) => 1e-6 * s + s ** 8],
  ["zero below a hundredth", (s) => Math.max(0, s - 0.01)],
];

test.each(LAWS)("a target between 1e-5 and 0.1 is reached to 2 %% on a law that is %s", async (_, law) => {
  for (const target of [1e-5, 0.003, 0.1]) {
    const { scale, ratio, evaluations } = await search(law, target);
    expect(ratio).toBe(law(scale));
    expect(Math.abs(ratio / target - 1)).toBeLessThanOrEqual(NOISE_SEARCH.tolerance);
    expect(evaluations).toBeLessThanOrEqual(25);
  }
});

test("on the law of small noise four looks are enough", async () => {
  for (const target of [1e-5, 0.003, 0.1]) {
    expect((await search((s) => 30 * s ** 2, target)).evaluations).toBeLessThanOrEqual(4);
  }
});

test("a start that is right is the answer", async () => {
  const { scale, evaluations } = await search((s) => 30 * s ** 2, 0.003, 0.01);
  expect([scale, evaluations]).toEqual([0.01, 1]);
});

test("models that do not differ need no noise, and no look", async () => {
  expect(await search(() => Number.NaN, 0)).toEqual({ scale: 0, ratio: 0, evaluations: 0 });
});

test.each<[string, (scale: number) => number, number]>([
  ["saturates below the target", (s) => (2 * s ** 2) / (0.01 + s ** 2), 3],
  ["is above it at every scale", () => 1, 0.5],
  ["jumps over it", (s) => (s > 0.1 ? 1 : 0.01), 0.5],
  ["is never a number", () => Number.NaN, 0.5],
])("a change that %s is refused", async (_, law, target) => {
  await expect(search(law, target)).rejects.toThrow(NumericsError);
  await expect(search(law, target)).rejects.toThrow(/no nearer than/);
});

test("a target that is no ratio is refused", async () => {
  await expect(search(() => 1, -1)).rejects.toThrow(NumericsError);
  await expect(search(() => 1, Number.NaN)).rejects.toThrow(NumericsError);
});
