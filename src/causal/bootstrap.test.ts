import { describe, expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import {
  BOOTSTRAP_SETTINGS,
  combine,
  createConversationBootstrap,
  differenceOf,
  estimateOf,
  publishedLimits,
  ratioOf,
  shareAtMost,
} from "./bootstrap.ts";
import { bootstrapReference } from "./bootstrap-reference.ts";
import type { Estimate } from "./causal-contract.ts";

const rng = createRng(3, "bootstrap.test");

/** Sums of two quantities and token counts of conversations, some without tokens. */
function madeConversations(n: number, emptyEvery = 7) {
  const tokens = Uint32Array.from({ length: n }, (_, i) => (i % emptyEvery === 3 ? 0 : 1 + (i % 5)));
  const of = (index: number): Float64Array =>
    Float64Array.from(tokens, (count, i) => count * (2 + rng.normal(i, index)));
  return { tokens, first: of(0), second: of(1) };
}

function expectClose(actual: Estimate, expected: Estimate): void {
  // Both add up to 60 f64 terms, in another order.
  for (const [a, b] of [
    [actual.mean, expected.mean],
    [actual.interval.low, expected.interval.low],
    [actual.interval.high, expected.interval.high],
  ]) {
    if (Number.isFinite(b)) expect(Math.abs(a - b)).toBeLessThan(1e-12 * (1 + Math.abs(b)));
    else expect(a).toBe(b);
  }
}

const add = (values: ArrayLike<number>, at: readonly number[]): number =>
  at.reduce((sum, i) => sum + values[i], 0);

describe("against the twin, which resamples naively", () => {
  test.each([2, 3, 17, 60])("means, differences and gaps closed of %i conversations agree", (n) => {
    const { tokens, first, second } = madeConversations(n);
    const options = { nConversations: n, draws: 200, seed: 9 };
    const bootstrap = createConversationBootstrap(options);
    const [count, a, b] = [tokens, first, second].map((values) => bootstrap.sum(values));
    const mean = (values: Float64Array, at: readonly number[]): number => add(values, at) / add(tokens, at);
    expectClose(
      estimateOf(ratioOf(a, count)),
      bootstrapReference((at) => mean(first, at), options),
    );
    expectClose(
      estimateOf(differenceOf(ratioOf(a, count), ratioOf(b, count))),
      bootstrapReference((at) => mean(first, at) - mean(second, at), options),
    );
    expectClose(
      estimateOf(combine([a, b], (none, patched) => (none - patched) / none)),
      bootstrapReference((at) => (add(first, at) - add(second, at)) / add(first, at), options),
    );
  });

  test("a quantity that exists in few conversations has no limits, in both", () => {
    const tokens = Uint32Array.from([0, 0, 4, 0, 0]);
    const sums = Float64Array.from([0, 0, 8, 0, 0]);
    const options = { nConversations: 5, draws: 200, seed: 1 };
    const bootstrap = createConversationBootstrap(options);
    const fast = estimateOf(ratioOf(bootstrap.sum(sums), bootstrap.sum(tokens)));
    expect(fast).toEqual({ mean: 2, interval: { low: NaN, high: NaN } });
    expectClose(
      fast,
      bootstrapReference((at) => add(sums, at) / add(tokens, at), options),
    );
  });
});

test("values listed for some conversations equal zeros for the others", () => {
  const bootstrap = createConversationBootstrap({ nConversations: 6, draws: 50, seed: 4 });
  expect(bootstrap.sum([5, 7], Uint32Array.from([1, 4]))).toEqual(bootstrap.sum([0, 5, 0, 0, 7, 0]));
});

test("the same seed draws the same, another seed does not", () => {
  const values = madeConversations(20).first;
  const drawn = (seed: number): Float64Array =>
    createConversationBootstrap({ nConversations: 20, draws: 50, seed }).sum(values).draws;
  expect(drawn(5)).toEqual(drawn(5));
  expect(drawn(6)).not.toEqual(drawn(5));
});

test("the difference of a quantity from itself is exactly 0 in every draw", () => {
  const bootstrap = createConversationBootstrap({ nConversations: 12, draws: 100, seed: 2 });
  const { tokens, first } = madeConversations(12);
  const mean = ratioOf(bootstrap.sum(first), bootstrap.sum(tokens));
  expect(estimateOf(differenceOf(mean, mean))).toEqual({ mean: 0, interval: { low: 0, high: 0 } });
});

test.each([0, 1])("%i conversations give a mean but no limits", (n) => {
  const bootstrap = createConversationBootstrap({ nConversations: n, draws: 100, seed: 2 });
  const tokens = new Uint32Array(n).fill(4);
  const sums = new Float64Array(n).fill(6);
  const drawn = ratioOf(bootstrap.sum(sums), bootstrap.sum(tokens));
  expect(estimateOf(drawn)).toEqual({ mean: n === 0 ? NaN : 1.5, interval: { low: NaN, high: NaN } });
  expect(shareAtMost(drawn, drawn)).toBeNaN();
});

test("shareAtMost counts draws in which the first is not greater, and those that do not exist", () => {
  const of = (...values: number[]) => ({ value: 0, draws: Float64Array.from(values) });
  expect(shareAtMost(of(1, 2, 3, NaN), of(2, 2, 2, 2))).toBe(0.75);
});

test("the interval covers the truth at its level where tokens of a conversation are alike; the published one does not", () => {
  const [nConversations, repeats, tokens] = [60, 400, 10];
  const bootstrap = createConversationBootstrap({ nConversations, draws: 400, seed: 8 });
  const counts = bootstrap.sum(new Uint32Array(nConversations).fill(tokens));
  const noise = createRng(21, "coverage");
  let covered = 0;
  let coveredPublished = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    // A conversation's tokens: its own offset (deviation 1) plus noise (deviation 0.5). The true mean is 0.
    const sums = new Float64Array(nConversations);
    let sumOfSquares = 0;
    for (let i = 0; i < nConversations; i += 1) {
      const offset = noise.normal(repeat, i * 100);
      for (let token = 1; token <= tokens; token += 1) {
        const value = offset + 0.5 * noise.normal(repeat, i * 100 + token);
        sums[i] += value;
        sumOfSquares += value * value;
      }
    }
    const { interval } = estimateOf(ratioOf(bootstrap.sum(sums), counts));
    covered += interval.low <= 0 && interval.high >= 0 ? 1 : 0;
    const published = publishedLimits({
      sum: sums.reduce((sum, value) => sum + value, 0),
      sumOfSquares,
      tokens: nConversations * tokens,
    });
    coveredPublished += published.low <= 0 && published.high >= 0 ? 1 : 0;
  }
  // 0.95 ± 4 standard deviations of a share of 400 (0.011); the percentile bootstrap of 60 lies about 0.01 below its level.
  expect(covered / repeats).toBeGreaterThan(0.9);
  expect(covered / repeats).toBeLessThan(0.99);
  expect(coveredPublished / repeats).toBeLessThan(0.6);
});

test("the published limits are 1.96 standard errors from the mean", () => {
  // 1, 2, 3, 4: σ² = 5/3.
  const half = 1.96 * Math.sqrt(5 / 3 / 4);
  const limits = publishedLimits({ sum: 10, sumOfSquares: 30, tokens: 4 });
  expect(limits.low).toBeCloseTo(2.5 - half, 12);
  expect(limits.high).toBeCloseTo(2.5 + half, 12);
  expect(publishedLimits({ sum: 1, sumOfSquares: 1, tokens: 1 }).low).toBeNaN();
});

test("too few draws, too many conversations and sums of another length are refused", () => {
  expect(() => createConversationBootstrap({ nConversations: 3, draws: 40, seed: 0 })).toThrow(ShapeError);
  const nConversations = BOOTSTRAP_SETTINGS.mostConversations + 1;
  expect(() => createConversationBootstrap({ nConversations, draws: 41, seed: 0 })).toThrow(ShapeError);
  const bootstrap = createConversationBootstrap({ nConversations: 3, draws: 41, seed: 0 });
  expect(() => bootstrap.sum([1, 2])).toThrow(ShapeError);
});
