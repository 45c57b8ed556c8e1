// Sampling against a plainly written twin, and against the probabilities it promises.

import fc from "fast-check";
import { expect, test } from "vitest";
import { NumericsError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { checkSampling, chooseToken } from "./sample.ts";

interface Options {
  temperature: number;
  topP: number;
}

/** Probabilities after temperature and top-p: sort everything, keep until the mass is reached, divide by what is kept. */
function nucleus(logits: Float32Array, { temperature, topP }: Options): number[] {
  const scaled = Array.from(logits, (logit) => Math.exp((logit - Math.max(...logits)) / temperature));
  const total = scaled.reduce((a, b) => a + b, 0);
  const sorted = scaled.map((weight, id) => ({ id, share: weight / total }));
  sorted.sort((a, b) => b.share - a.share || a.id - b.id);
  const kept = new Map<number, number>();
  let mass = 0;
  for (const { id, share } of sorted) {
    if (kept.size > 0 && mass >= topP && topP < 1) break;
    kept.set(id, share);
    mass += share;
  }
  return scaled.map((_, id) => (kept.get(id) ?? 0) / mass);
}

/** Walks the probabilities by id; also says how near the draw came to a border between two tokens. */
function walk(probabilities: number[], draw: number): { id: number; distance: number } {
  let below = 0;
  let distance = 1;
  let found = -1;
  probabilities.forEach((share, id) => {
    below += share;
    if (share === 0) return;
    distance = Math.min(distance, Math.abs(below - draw));
    if (found < 0 && draw < below) found = id;
  });
  return { id: found, distance };
}

test("the token is the one that the sorted, plainly written twin walks to", () => {
  const logits = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 50 });
  const share = fc.double({ min: 0.01, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      logits,
      share,
      share,
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (row, t, topP, draw) => {
        const values = Float32Array.from(row);
        const options = { temperature: 2 * t, topP };
        const { id, distance } = walk(nucleus(values, options), draw);
        fc.pre(distance > 1e-9); // f64 sums in another order
        expect(chooseToken(values, { ...options, draw })).toBe(id);
      },
    ),
    { seed: 6, numRuns: 500 },
  );
});

test("known draws: shares 0.5, 0.3, 0.15, 0.05; top-p 0.8 keeps the first two", () => {
  const logits = Float32Array.from([0.05, 0.5, 0.15, 0.3], Math.log);
  const at = (draw: number, topP: number): number => chooseToken(logits, { temperature: 1, topP, draw });
  expect([0, 0.04, 0.06, 0.54, 0.56, 0.69, 0.71, 0.99].map((draw) => at(draw, 1))).toEqual([
    0, 0, 1, 1, 2, 2, 3, 3,
  ]);
  expect([0, 0.62, 0.63, 0.99].map((draw) => at(draw, 0.79))).toEqual([1, 1, 3, 3]);
  expect([0, 0.99].map((draw) => at(draw, 1e-9))).toEqual([1, 1]);
});

test("temperature 0 takes the highest logit, the first of equals, whatever the draw", () => {
  const greedy = { temperature: 0, topP: 0.1, draw: 0.999 };
  expect(chooseToken(Float32Array.of(1, 3, 2, 3), greedy)).toBe(1);
  expect(chooseToken(Float32Array.of(Number.NEGATIVE_INFINITY, -7), greedy)).toBe(1);
});

test("20,000 counted draws fall as the nucleus says", () => {
  const rng = createRng(9, "test");
  const logits = Float32Array.from({ length: 40 }, (_, id) => rng.normal(0, id));
  const options = { temperature: 0.7, topP: 0.9 };
  const expected = nucleus(logits, options);
  const n = 20_000;
  const counts = new Float64Array(40);
  for (let i = 0; i < n; i += 1) counts[chooseToken(logits, { ...options, draw: rng.uniform(1, i) })] += 1;
  const kept = expected.filter((share) => share > 0).length;
  expect(kept).toBeGreaterThan(5);
  expect(kept).toBeLessThan(35);
  let chiSquared = 0;
  expected.forEach((share, id) => {
    if (share === 0) expect(counts[id]).toBe(0);
    else chiSquared += (counts[id] - n * share) ** 2 / (n * share);
  });
  // χ² with kept − 1 degrees of freedom: four standard deviations above its mean; the seed is fixed.
  expect(chiSquared).toBeLessThan(kept - 1 + 4 * Math.sqrt(2 * (kept - 1)));
});

test("a logit that is no number is named", () => {
  const run = (bad: number) => () =>
    chooseToken(Float32Array.of(1, bad, 2), { temperature: 0, topP: 1, draw: 0 });
  expect(run(Number.NaN)).toThrow(NumericsError);
  expect(run(Number.POSITIVE_INFINITY)).toThrow("got Infinity for token 1");
});

test.each([
  { temperature: Number.NaN, topP: 1 },
  { temperature: Number.POSITIVE_INFINITY, topP: 1 },
  { temperature: 1, topP: 1.1 },
  { temperature: 1, topP: Number.NaN },
])("%j is refused", (options) => {
  expect(() => checkSampling(options)).toThrow(/expected a number/);
});
