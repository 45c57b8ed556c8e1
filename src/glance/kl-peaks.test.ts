// Means, quantiles and peaks of per-token KL against the twin, and the rules by which peaks are chosen.

import { expect, test } from "vitest";
import { createRng } from "../numerics/rng.ts";
import { TOP_TOKENS } from "../store/outputs.ts";
import { createKlTally, greatest, KL_OPTIONS, type PredictedText } from "./kl-peaks.ts";
import { klReference } from "./kl-peaks-reference.ts";

const tokenString = (id: number): string => `t${id}`;

/** A text of given ids with a KL a counted token. */
function textOf(
  id: string,
  ids: number[],
  kl: number[],
  facts: Partial<PredictedText["text"]> = {},
): PredictedText {
  const tokens = Uint32Array.from(ids);
  const top = kl.length * TOP_TOKENS;
  return {
    text: {
      ...{ id, dataset: "d", tokens: { base: tokens, finetuned: tokens }, nSkipped: 0, isUnrelated: false },
      role: new Uint8Array(ids.length),
      ...facts,
    },
    columns: {
      klFinetunedBase: Float32Array.from(kl),
      topTokenBase: Uint32Array.from({ length: top }, (_, k) => k % TOP_TOKENS),
      topProbabilityBase: new Float32Array(top).fill(0.125),
      topTokenFinetuned: Uint32Array.from({ length: top }, (_, k) => 10 + (k % TOP_TOKENS)),
      topProbabilityFinetuned: new Float32Array(top).fill(0.25),
    },
    isRepeated: new Uint8Array(ids.length),
  };
}

function tallyOf(texts: PredictedText[]) {
  const tally = createKlTally({ tokenString });
  for (const text of texts) tally.add(text);
  return tally.finish();
}

test("numbers and peaks are those of the twin, over skipped tokens, repeated ones and shared contexts", () => {
  const rng = createRng(3, "kl");
  const texts = Array.from({ length: 60 }, (_, d) => {
    const [length, nSkipped] = [1 + (rng.uint32(0, d) % 50), d % 3];
    const ids = Array.from({ length: length + nSkipped }, (_, i) => rng.uint32(d + 1, i) % 3);
    const kl = Array.from({ length }, (_, i) => Math.max(0, rng.normal(d + 1, 1000 + i)) ** 3);
    const role = Uint8Array.from(ids, (id) => id);
    const text = textOf(`d${d}`, ids, kl, { dataset: `set ${d % 4}`, nSkipped, role });
    text.isRepeated.fill(1, 0, d % 5);
    return text;
  });
  const [found, expected] = [tallyOf(texts), klReference(texts)];
  // f64 sums of 1,500 f32 numbers in two orders.
  for (const key of ["mean", "shareOfTopPercent"] as const) expect(found[key]).toBeCloseTo(expected[key], 12);
  expect(found.tokens).toBe(expected.tokens);
  expect(found.quantiles).toEqual(expected.quantiles);
  expect(found.byRole.map(({ role }) => role).sort()).toEqual(Object.keys(expected.byRole).sort());
  for (const { role, mean } of found.byRole) expect(mean).toBeCloseTo(expected.byRole[role], 12);
  for (const { dataset, mean } of found.byDataset) expect(mean).toBeCloseTo(expected.byDataset[dataset], 12);
  expect(found.byPosition).toHaveLength(KL_OPTIONS.positions);
  for (const [i, mean] of found.byPosition.entries()) expect(mean).toBeCloseTo(expected.byPosition[i], 12);
  expect(found.peaks.map(({ document, kl, peak }) => ({ document, kl: kl[peak] }))).toEqual(
    expected.peaks.map(({ document, kl }) => ({ document, kl })),
  );
  expect(found.peaks).toHaveLength(KL_OPTIONS.peaks);
});

test("a peak shows its tokens, their KL, and what both models expected", () => {
  const ids = Array.from({ length: 40 }, (_, i) => i);
  const kl = ids.map((i) => (i === 30 ? 8 : 0.25));
  const [peak] = tallyOf([textOf("one", ids, kl)]).peaks;
  const { tokensBefore, tokensAfter } = KL_OPTIONS;
  expect(peak.tokens).toEqual(ids.slice(30 - tokensBefore, 31 + tokensAfter).map(tokenString));
  expect(peak.kl[peak.peak]).toBe(8);
  expect(peak.tokens[peak.peak]).toBe("t30");
  expect(peak.nextBase[0]).toEqual({ token: "t0", probability: 0.125 });
  expect(peak.nextFinetuned[0]).toEqual({ token: "t10", probability: 0.25 });
});

test("one peak a document, a few of a context, none where a text only repeats or nothing differs", () => {
  const alike = Array.from({ length: 9 }, (_, d) => textOf(`a${d}`, [d, 1, 2, 3, 4], [0, 0, 0, 0, 5]));
  const two = textOf("two", [7, 8, 9], [4, 3, 0]);
  expect(tallyOf([...alike, two]).peaks.map(({ document }) => document)).toEqual(["a0", "a1", "a2", "two"]);
  const repeated = textOf("repeated", [5, 6], [9, 1]);
  repeated.isRepeated[0] = 1;
  expect(tallyOf([repeated]).peaks.map(({ kl, peak }) => kl[peak])).toEqual([1]);
  const same = tallyOf([textOf("same", [1, 2], [0, 0])]);
  expect(same).toMatchObject({ mean: 0, shareOfTopPercent: 0, peaks: [], quantiles: { max: 0 } });
});

test("greatest leaves out what is not above 0, and of equals takes the first", () => {
  expect(greatest([0, 2, -1, 3, 2, 2], 3)).toEqual([3, 1, 4]);
  expect(greatest([], 2)).toEqual([]);
  expect(greatest([0, 0], 2)).toEqual([]);
});
