import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, NumericsError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { quantileOfSorted } from "../numerics/statistics.ts";
import { type ActivationHistogram, createActivationHistogram } from "./activation-histogram.ts";

const rng = createRng(5, "test.activation-histogram");
const QS = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1];

/** Log-normal activations of six latents, some rare, some spread over many octaves; latent 5 is silent. */
function firings(n: number): { latent: number; activation: number }[] {
  return Array.from({ length: n }, (_, i) => {
    const latent = Math.floor(5 * rng.uniform(0, i) ** 3);
    return { latent, activation: Math.fround(Math.exp((1 + latent) * rng.normal(1, i))) };
  });
}

const filled = (list: { latent: number; activation: number }[]): ActivationHistogram => {
  const histogram = createActivationHistogram({ nLatents: 6 });
  for (const { latent, activation } of list) histogram.add(latent, activation);
  return histogram;
};

describe("the activation histogram", () => {
  const list = firings(20_000);
  const histogram = filled(list);

  test("gives the quantiles of the sorted values to less than the width of a bin", () => {
    for (let latent = 0; latent < 5; latent += 1) {
      const sorted = list.filter((f) => f.latent === latent).map((f) => f.activation);
      sorted.sort((a, b) => a - b);
      const got = histogram.quantiles(latent, QS);
      for (const [i, q] of QS.entries()) {
        const want = quantileOfSorted(sorted, q);
        // A value lies between two order statistics; the wider of their bins is at most 1/32 of the upper one.
        const upper = sorted[Math.ceil((sorted.length - 1) * q)];
        expect(Math.abs(got[i] - want)).toBeLessThan(upper / 32);
        expect(histogram.quantile(latent, q)).toBe(got[i]);
      }
    }
  });

  test("has one bin for each value's upper 13 bits, holding exactly the values between its edges", () => {
    for (let latent = 0; latent < 6; latent += 1) {
      const values = list.filter((f) => f.latent === latent).map((f) => f.activation);
      const bins = histogram.histogram(latent);
      for (const [i, { from, to, count }] of bins.entries()) {
        expect(values.filter((v) => v >= from && v < to)).toHaveLength(count);
        expect((to - from) / from).toBeLessThanOrEqual(1 / 32);
        expect((to - from) / from).toBeGreaterThanOrEqual(1 / 63);
        if (i > 0) expect(from).toBeGreaterThanOrEqual(bins[i - 1].to);
      }
      expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(values.length);
      expect(histogram.count(latent)).toBe(values.length);
    }
  });

  test("has NaN quantiles and no bins for a latent that never fired", () => {
    expect(histogram.quantiles(5, [0, 0.5, 1])).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    expect(histogram.histogram(5)).toEqual([]);
  });

  test("counts the smallest and the largest f32", () => {
    const extreme = filled([
      { latent: 0, activation: 1e-45 },
      { latent: 0, activation: 3.4028234663852886e38 },
    ]);
    expect(extreme.histogram(0).map((bin) => bin.count)).toEqual([1, 1]);
    expect(extreme.quantiles(0, [0, 1]).every(Number.isFinite)).toBe(true);
  });

  test("refuses what is not a positive finite activation, and a q outside [0, 1]", () => {
    const empty = createActivationHistogram({ nLatents: 1 });
    for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e39]) {
      expect(() => empty.add(0, bad)).toThrow(NumericsError);
    }
    expect(empty.count(0)).toBe(0);
    expect(() => empty.quantile(0, 1.5)).toThrow(ShapeError);
  });
});

describe("parts of the activation histogram", () => {
  test("in any number and order give the bytes of one pass, and taking them leaves nothing behind", () => {
    const property = fc.property(
      fc.array(
        fc.record({
          latent: fc.integer({ min: 0, max: 5 }),
          activation: fc.float({ min: Math.fround(1e-3), max: 1000, noNaN: true }),
          group: fc.integer({ min: 0, max: 3 }),
        }),
        { maxLength: 120 },
      ),
      fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
      (list, order) => {
        const whole = filled(list).takeArrays();
        const worker = createActivationHistogram({ nLatents: 6 });
        const parts = [0, 1, 2, 3].map((group) => {
          for (const f of list) if (f.group === group) worker.add(f.latent, f.activation);
          return worker.takeArrays();
        });
        const merged = createActivationHistogram({ nLatents: 6 });
        for (const group of order) merged.merge(parts[group]);
        expect(merged.takeArrays()).toEqual(whole);
        expect(merged.takeArrays()["histogram.latent"]).toHaveLength(0);
      },
    );
    fc.assert(property, { seed: 2, numRuns: 100 });
  });

  test("do not grow with rows: the same activations a thousand times more often are as many bins", () => {
    const list = firings(500);
    const once = filled(list).takeArrays();
    const often = createActivationHistogram({ nLatents: 6 });
    for (let i = 0; i < 1000; i += 1) often.merge(once);
    const part = often.takeArrays();
    expect(part["histogram.bin"]).toEqual(once["histogram.bin"]);
    expect(part["histogram.count"]).toEqual(once["histogram.count"].map((count) => 1000 * count));
  });

  test("throw before a count passes 32 bits, and FormatError for a bin that cannot be", () => {
    const part = (bin: number, count: number) => ({
      "histogram.latent": Uint32Array.of(0),
      "histogram.bin": Uint16Array.of(bin),
      "histogram.count": Uint32Array.of(count),
    });
    const histogram = createActivationHistogram({ nLatents: 1 });
    histogram.add(0, 1);
    const bin = histogram.takeArrays()["histogram.bin"][0];
    histogram.merge(part(bin, 0xffffffff));
    expect(histogram.count(0)).toBe(0xffffffff);
    expect(() => histogram.add(0, 1)).toThrow(NumericsError);
    expect(() => histogram.merge(part(8160, 1))).toThrow(FormatError);
  });
});
