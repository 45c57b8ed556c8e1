import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import {
  auroc,
  aurocDense,
  bestF1Threshold,
  f1AtThreshold,
  f1Score,
  orderDescending,
  pooledSquaredDeviation,
  quantileOfSorted,
} from "./statistics.ts";

/** Every pair compared, a tie one half. */
function aurocByPairs(scores: number[], labels: number[]): number {
  let wins = 0;
  let pairs = 0;
  for (let i = 0; i < scores.length; i += 1) {
    for (let j = 0; j < scores.length; j += 1) {
      if (labels[i] !== 1 || labels[j] !== 0) continue;
      pairs += 1;
      wins += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0;
    }
  }
  return pairs === 0 ? 0.5 : wins / pairs;
}

/** Every score tried as the lowest one taken in. */
function bestF1ByTrial(scores: number[], labels: number[]): number {
  const nPositive = labels.filter((label) => label === 1).length;
  const f1s = scores
    .filter((score) => score > 0)
    .map((lowest) => {
      const taken = scores.map((score) => score >= lowest);
      const hits = taken.filter((isTaken, i) => isTaken && labels[i] === 1).length;
      return f1Score(hits, taken.filter(Boolean).length, nPositive);
    });
  return Math.max(0, ...f1s);
}

/** Few distinct scores, so that ties and zeros are common. */
const ranking = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 1 })), {
  minLength: 1,
  maxLength: 30,
});

function sparse(scores: number[], labels: number[]) {
  const listed = scores.flatMap((score, i) => (score > 0 ? [i] : []));
  const nPositive = labels.filter((label) => label === 1).length;
  return {
    scores: listed.map((i) => scores[i]),
    labels: listed.map((i) => labels[i]),
    nPositive,
    nNegative: labels.length - nPositive,
  };
}

describe("rankings", () => {
  test("AUROC of a sparse list equals counting all pairs, ties and silent items included", () => {
    fc.assert(
      fc.property(ranking, (items) => {
        const scores = items.map(([score]) => score);
        const labels = items.map(([, label]) => label);
        expect(auroc(sparse(scores, labels))).toBeCloseTo(aurocByPairs(scores, labels), 12);
        expect(aurocDense(scores, labels)).toBeCloseTo(aurocByPairs(scores, labels), 12);
      }),
    );
  });

  test("AUROC takes negative scores when every item is listed", () => {
    expect(aurocDense([-3, -1, -2, 4], [0, 1, 0, 1])).toBe(1);
    expect(aurocDense([-3, -1, -2, 4], [1, 0, 1, 0])).toBe(0);
  });

  test("AUROC without one of the classes is 0.5", () => {
    expect(aurocDense([1, 2], [1, 1])).toBe(0.5);
  });

  test("the best threshold reaches the F1 of the best of all trials, and applying it gives that F1", () => {
    fc.assert(
      fc.property(ranking, (items) => {
        const scores = items.map(([score]) => score);
        const labels = items.map(([, label]) => label);
        const list = sparse(scores, labels);
        const { threshold, f1 } = bestF1Threshold(list);
        expect(f1).toBeCloseTo(bestF1ByTrial(scores, labels), 12);
        expect(f1AtThreshold(list, threshold)).toBeCloseTo(f1, 12);
      }),
    );
  });

  test("the threshold stands half-way to the highest score left out", () => {
    const items = { scores: [8, 6, 2], labels: [1, 1, 0], nPositive: 2, nNegative: 5 };
    expect(bestF1Threshold(items)).toEqual({ threshold: 4, f1: 1 });
  });

  test("a list without positives has no threshold", () => {
    const items = { scores: [8, 6], labels: [0, 0], nPositive: 0, nNegative: 5 };
    expect(bestF1Threshold(items)).toEqual({ threshold: Number.POSITIVE_INFINITY, f1: 0 });
  });

  test("NaN cannot be ranked", () => {
    expect(() => orderDescending([1, Number.NaN])).toThrow(ShapeError);
  });
});

describe("sums and quantiles", () => {
  test("quantiles interpolate as numpy's default", () => {
    // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
    const values = [0, 0.25, 0.5, 0.9, 1].map((q) => quantileOfSorted([1, 2, 4, 8], q));
    [1, 1.75, 3, 6.8, 8].forEach((expected, i) => {
      expect(values[i]).toBeCloseTo(expected, 12);
    });
    expect(quantileOfSorted([], 0.5)).toBeNaN();
  });

  test("pooled squared deviation equals the sum of squared distances to the mean", () => {
    const rows = [
      [1, 5],
      [3, 9],
      [8, -2],
    ];
    const mean = [4, 4];
    const direct = rows.flatMap((row) => row.map((value, c) => (value - mean[c]) ** 2));
    const squares = rows.flatMap((row) => row.map((value) => value ** 2));
    const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
    const expected = sum(direct);
    expect(pooledSquaredDeviation(3, [12, 12], sum(squares))).toBeCloseTo(expected, 10);
    expect(pooledSquaredDeviation(0, [0, 0], 0)).toBe(0);
  });
});
