import { describe, expect, test } from "vitest";
import { createRng, hashString, keyedPermutation, philox4x32 } from "./rng.ts";

// Known answers of Random123 1.14.0 (tests/kat_vectors, "philox4x32 10"): counter, key, output.
test.each([
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
])(
  "Philox4x32-10 of counter %j and key %j is Random123's known answer",
  (counter, [key0, key1], expected) => {
    expect([...philox4x32(Uint32Array.from(counter), key0, key1, new Uint32Array(4))]).toEqual(expected);
  },
);

test("hashString is FNV-1a", () => {
  // Published FNV-1a 32-bit values.
  expect(hashString("")).toBe(0x811c9dc5);
  expect(hashString("a")).toBe(0xe40c292c);
  expect(hashString("foobar")).toBe(0xbf9cf968);
});

describe("createRng", () => {
  test("is a pure function of seed, purpose, step and index", () => {
    const draws = (seed: number, purpose: string) => {
      const rng = createRng(seed, purpose);
      return [
        rng.uint32(0, 0),
        rng.uint32(0, 1),
        rng.uint32(1, 0),
        rng.uint32(2 ** 32, 0),
        rng.uint32(0, 2 ** 32),
      ];
    };
    expect(draws(7, "init")).toEqual(draws(7, "init"));
    const all = [draws(7, "init"), draws(8, "init"), draws(7 + 2 ** 32, "init"), draws(7, "sampler")].flat();
    expect(new Set(all).size).toBe(all.length);
  });

  test("asking out of order or again gives the same numbers", () => {
    const rng = createRng(3, "order");
    const forward = Array.from({ length: 50 }, (_, i) => rng.uniform(1, i));
    const backward = Array.from({ length: 50 }, (_, i) => rng.uniform(1, 49 - i)).reverse();
    expect(backward).toEqual(forward);
  });

  test("uniform falls evenly into 64 bins and follows neither step nor index", () => {
    const rng = createRng(11, "uniform");
    const bins = new Float64Array(64);
    const n = 64_000;
    for (let i = 0; i < n; i += 1) bins[Math.floor(rng.uniform(i % 7, i) * 64)] += 1;
    const expected = n / 64;
    const chiSquared = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // χ² with 63 degrees of freedom: mean 63, standard deviation 11.2; both tails beyond 4.5 deviations are refused.
    expect(chiSquared).toBeGreaterThan(63 - 50);
    expect(chiSquared).toBeLessThan(63 + 50);
    let lag = 0;
    for (let i = 0; i < n; i += 1) lag += (rng.uniform(0, i) - 0.5) * (rng.uniform(0, i + 1) - 0.5);
    expect(Math.abs((lag / n) * 12)).toBeLessThan(5 / Math.sqrt(n)); // Correlation, five standard deviations.
  });

  test("normal has the moments of a standard normal and is always finite", () => {
    const rng = createRng(5, "normal");
    const n = 40_000;
    const sums = [0, 0, 0, 0];
    for (let i = 0; i < n; i += 1) {
      const value = rng.normal(0, i);
      for (let power = 0; power < 4; power += 1) sums[power] += value ** (power + 1) / n;
    }
    // Five standard deviations of each sample moment: √(1, 2, 15, 96)/√n.
    const tolerance = (variance: number) => 5 * Math.sqrt(variance / n);
    expect(Math.abs(sums[0])).toBeLessThan(tolerance(1));
    expect(Math.abs(sums[1] - 1)).toBeLessThan(tolerance(2));
    expect(Math.abs(sums[2])).toBeLessThan(tolerance(15));
    expect(Math.abs(sums[3] - 3)).toBeLessThan(tolerance(96));
  });
});

describe("keyedPermutation", () => {
  test("is a bijection for every size up to 300 and for odd large ones", () => {
    const rng = createRng(1, "permutation");
    const sizes = [...Array.from({ length: 301 }, (_, n) => n), 4095, 4097, 65_537, 100_003];
    for (const n of sizes) {
      const permute = keyedPermutation(rng, n, n);
      const seen = new Uint8Array(n);
      for (let i = 0; i < n; i += 1) seen[permute(i)] += 1;
      expect(
        seen.every((count) => count === 1),
        `n = ${n}`,
      ).toBe(true);
    }
  });

  test("stays inside sizes that no table could hold, without repeating a point", () => {
    const n = 10 ** 12 + 39;
    const permute = keyedPermutation(createRng(2, "large"), 0, n);
    const images = Array.from({ length: 2000 }, (_, i) => permute(i * 400_000_003));
    expect(images.every((image) => Number.isSafeInteger(image) && image >= 0 && image < n)).toBe(true);
    expect(new Set(images).size).toBe(images.length);
  });

  test("another step or seed gives another order, with about one fixed point each", () => {
    const n = 1001;
    let fixed = 0;
    for (let step = 0; step < 100; step += 1) {
      const permute = keyedPermutation(createRng(9, "p"), step, n);
      for (let i = 0; i < n; i += 1) if (permute(i) === i) fixed += 1;
    }
    // A random permutation has one fixed point on average, variance one: 100 of them 100 ± 10; five deviations.
    expect(fixed).toBeGreaterThan(50);
    expect(fixed).toBeLessThan(150);
    const order = (seed: number) => {
      const permute = keyedPermutation(createRng(seed, "p"), 0, n);
      return Array.from({ length: n }, (_, i) => permute(i));
    };
    expect(order(1)).not.toEqual(order(2));
    expect(order(1)).toEqual(order(1));
  });

  test("sends every point everywhere: positions of a point over many steps fill all quarters", () => {
    const quarters = [0, 0, 0, 0];
    const rng = createRng(4, "spread");
    for (let step = 0; step < 400; step += 1)
      quarters[Math.floor(keyedPermutation(rng, step, 37)(5) / 9.25)] += 1;
    // Expected 97 to 108 of 400 in each (9 or 10 of 37 places), deviation below 9; five deviations.
    for (const count of quarters) expect(Math.abs(count - 100)).toBeLessThan(50);
  });
});
