import { expect, test } from "vitest";
import {
  formatCount,
  formatFixed,
  formatNumber,
  formatPercent,
  formatSeconds,
  formatShare,
  formatSignificant,
} from "./format.ts";

test("counts are grouped by thousands and never carry decimals", () => {
  expect([0, 999, 1000, 1234567, -4321].map(formatCount)).toEqual([
    "0",
    "999",
    "1,000",
    "1,234,567",
    "−4,321",
  ]);
});

test("what is not a number reads n/a in every format", () => {
  for (const format of [
    formatCount,
    formatFixed,
    formatPercent,
    formatShare,
    formatSignificant,
    formatSeconds,
  ]) {
    expect(format(Number.NaN)).toBe("n/a");
    expect(format(Number.POSITIVE_INFINITY)).toBe("n/a");
  }
});

test("a value that rounds to zero has no minus sign", () => {
  expect(formatFixed(-0.001, 2)).toBe("0.00");
  expect(formatFixed(-0.006, 2)).toBe("−0.01");
});

test("small shares keep two significant digits", () => {
  expect(formatShare(0.123)).toBe("12.3\u202f%");
  expect(formatShare(0.00123)).toBe("0.12\u202f%");
  expect(formatShare(0.0000123)).toBe("0.0012\u202f%");
  expect(formatShare(0)).toBe("0.0\u202f%");
});

test("significant digits: three, with an exponent for the very small and very large", () => {
  expect([0, 1, 12.345, 1234.5, 0.00123].map(formatSignificant)).toEqual([
    "0",
    "1.00",
    "12.3",
    "1235",
    "0.00123",
  ]);
  expect(formatSignificant(-1.5e-7)).toBe("−1.50e−7");
  expect(formatSignificant(2e6)).toBe("2.00e6");
});

test("durations use the units that fit", () => {
  expect(formatSeconds(3.25)).toBe("3.3\u202fs");
  expect(formatSeconds(75.4)).toBe("1\u202fmin 15\u202fs");
  expect(formatSeconds(3600)).toBe("1\u202fh");
});

test("nouns agree with their number", () => {
  expect(formatNumber(1, "latent")).toBe("1 latent");
  expect(formatNumber(2048, "latent")).toBe("2,048 latents");
});
