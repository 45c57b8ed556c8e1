import { describe, expect, test } from "vitest";
import type { TrainingLine } from "../../../src/dashboard/api-contract.ts";
import { drawable, evenly, type Point, pointAt, pointsOf, QUANTITIES, smoothed } from "./series.ts";

const points = (...ys: number[]): Point[] => ys.map((y, x) => ({ x, y }));

test("points are a line's quantity at its steps or tokens, broken where there is none", () => {
  const line = (step: number, loss: number | null): TrainingLine => ({
    ...{ step, loss, l0: 4, dead: 0, fve: { base: 0.1, finetuned: 0.2, total: 0.3 } },
  });
  const [loss, total] = QUANTITIES;
  expect(pointsOf([line(1, 0.5), line(2, null)], loss, 64)).toEqual([
    { x: 64, y: 0.5 },
    { x: 128, y: Number.NaN },
  ]);
  expect(pointsOf([line(3, 1)], total, 1)).toEqual([{ x: 3, y: 0.3 }]);
});

describe("smoothing", () => {
  /** By its definition: every point so far, weighed by the stretch it stands for and its distance. */
  const reference = (all: readonly Point[], memory: number): number[] =>
    all.map(({ x, y }, i) => {
      if (Number.isNaN(y)) return Number.NaN;
      let [sum, weight, from] = [0, 0, Number.NEGATIVE_INFINITY];
      for (const one of all.slice(0, i + 1)) {
        if (Number.isNaN(one.y)) continue;
        const share = Math.exp(-(x - one.x) / memory) - Math.exp(-(x - from) / memory);
        sum += share * one.y;
        weight += share;
        from = one.x;
      }
      return sum / weight;
    });

  test("is the running mean of its definition, over uneven points and gaps", () => {
    const uneven = [0, 1, 2, 7, 8, 30, 31].map((x, i) => ({ x, y: i === 3 ? Number.NaN : (i * 37) % 11 }));
    const values = smoothed(uneven, 5).map(({ y }) => y);
    for (const [i, expected] of reference(uneven, 5).entries()) {
      if (Number.isNaN(expected)) expect(values[i]).toBeNaN();
      // Sums of seven f64 products.
      else expect(values[i]).toBeCloseTo(expected, 12);
    }
  });

  test("leaves a constant and, without memory, everything as it is; a point told twice does not count twice", () => {
    expect(smoothed(points(3, 3, 3, 3), 2).map(({ y }) => y)).toEqual([3, 3, 3, 3]);
    expect(smoothed(points(1, 9, 4), 0)).toEqual(points(1, 9, 4));
    const once = smoothed([...points(0, 1), { x: 2, y: 5 }], 2).at(-1)?.y;
    const twice = smoothed([...points(0, 1), { x: 2, y: 5 }, { x: 2, y: 5 }], 2).at(-1)?.y;
    expect(twice).toBe(once);
  });
});

describe("thinning for the screen", () => {
  const noise = Array.from({ length: 5000 }, (_, x) => ({
    x: x * 3,
    y: x === 1234 ? 1e6 : x % 777 === 5 ? Number.NaN : Math.sin(x * 12.9898) * 100,
  }));

  test("keeps of every stretch the first, lowest, greatest and last point, a break, and no more than these", () => {
    const nBuckets = 50;
    const kept = drawable(noise, nBuckets);
    const [from, to] = [noise[0].x, noise[noise.length - 1].x];
    for (let bucket = 0; bucket < nBuckets; bucket += 1) {
      const of = (list: readonly Point[]): Point[] =>
        list.filter(
          ({ x }) => Math.min(nBuckets - 1, Math.floor(((x - from) / (to - from)) * nBuckets)) === bucket,
        );
      const [all, own] = [of(noise), of(kept)];
      const ys = (list: readonly Point[]): number[] => list.map(({ y }) => y).filter((y) => !Number.isNaN(y));
      expect([own[0], own.at(-1)]).toEqual([all[0], all.at(-1)]);
      expect([Math.min(...ys(own)), Math.max(...ys(own))]).toEqual([
        Math.min(...ys(all)),
        Math.max(...ys(all)),
      ]);
      expect(own.some(({ y }) => Number.isNaN(y))).toBe(all.some(({ y }) => Number.isNaN(y)));
      expect(own.length).toBeLessThanOrEqual(5);
    }
  });

  test("leaves a short curve whole", () => {
    expect(drawable(noise.slice(0, 200), 50)).toEqual(noise.slice(0, 200));
  });
});

test("the value at the crosshair is the last one before it that is there", () => {
  const list = points(5, Number.NaN, 7);
  expect([-1, 0, 1, 1.5, 2, 99].map((x) => pointAt(list, x)?.y)).toEqual([undefined, 5, 5, 5, 7, 7]);
  expect(pointAt([], 1)).toBeUndefined();
});

test("an even choice has the first and the last", () => {
  const list = Array.from({ length: 1000 }, (_, i) => i);
  const chosen = evenly(list, 11);
  expect(chosen).toHaveLength(11);
  expect([chosen[0], chosen.at(-1)]).toEqual([0, 999]);
  expect(evenly([1, 2], 11)).toEqual([1, 2]);
});
