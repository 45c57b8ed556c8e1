import { expect, test } from "vitest";
import { NumericsError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { createNormaliserFit, denormaliseInPlace, normaliseInPlace } from "./normaliser.ts";

const sites = [
  { name: "base", width: 3 },
  { name: "finetuned", width: 5 },
];
const rng = createRng(2, "normaliser.test");
const nRows = 500;
/** Offset 1000: a sum of squares without a shift would lose the variance in f32 and much of it in f64. */
const rows = (): Float32Array =>
  Float32Array.from({ length: nRows * 8 }, (_, i) => 1000 + (1 + (i % 8)) * rng.normal(1, i));

const fitted = (x: Float32Array, targetRms = 1) => {
  const fit = createNormaliserFit(sites);
  fit.add(x.subarray(0, 8 * 123), 123);
  fit.add(x.subarray(8 * 123), nRows - 123);
  return fit.finish(targetRms);
};

test("normalised activations have mean 0 and mean squared norm targetRms² at every site", () => {
  const x = rows();
  const normaliser = fitted(x, 10);
  normaliseInPlace(x, nRows, { sites, normaliser });
  for (const [from, to] of [
    [0, 3],
    [3, 8],
  ]) {
    let squares = 0;
    for (let i = from; i < to; i += 1) {
      let mean = 0;
      for (let row = 0; row < nRows; row += 1) {
        mean += x[row * 8 + i] / nRows;
        squares += x[row * 8 + i] ** 2 / nRows;
      }
      expect(Math.abs(mean)).toBeLessThan(1e-3); // f32 rounding of values near 1000 is 3e-5, of the mean likewise; × scale
    }
    expect(squares).toBeCloseTo(100, 2);
  }
});

test("six coordinates of standard deviation 1 and target 100 give the reference's scale 40.8248", () => {
  const fit = createNormaliserFit([{ name: "one", width: 6 }]);
  fit.add(Float32Array.of(1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1), 2);
  expect(fit.finish(100).scale[0]).toBeCloseTo(40.8248, 4);
});

test("denormalising undoes normalising, and no normaliser leaves rows as they are", () => {
  const x = rows();
  const normaliser = fitted(x);
  const back = denormaliseInPlace(normaliseInPlace(x.slice(), nRows, { sites, normaliser }), nRows, {
    sites,
    normaliser,
  });
  for (const [i, value] of back.entries()) expect(Math.abs(value - x[i])).toBeLessThan(5e-4); // f32 near 1000: 6e-5 a rounding
  expect(normaliseInPlace(x.slice(), nRows, { sites, normaliser: undefined })).toEqual(x);
});

test("how rows are cut into batches does not change the fit beyond rounding", () => {
  const x = rows();
  const whole = createNormaliserFit(sites);
  whole.add(x, nRows);
  expect(whole.finish(1)).toEqual(fitted(x));
});

test("no rows, constant rows and NaN are refused", () => {
  expect(() => createNormaliserFit(sites).finish(1)).toThrow(NumericsError);
  const constant = createNormaliserFit(sites);
  constant.add(new Float32Array(16).fill(2), 2);
  expect(() => constant.finish(1)).toThrow(/site base.*constant/);
  const broken = createNormaliserFit(sites);
  const x = rows();
  x[8 * 7 + 4] = Number.NaN;
  broken.add(x, nRows);
  expect(() => broken.finish(1)).toThrow(/site finetuned, coordinate 1/);
});
