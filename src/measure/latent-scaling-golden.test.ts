// Latent Scaling against the reference's own script and against brute-force least squares, on the same rows and crosscoder.
//
// test/golden/measure/make_latent_scaling.py says how the file was made: compute_scalers() of the paper's repository, run whole in
// float32 (its default) and in float64, and numpy.linalg.lstsq in float64 on its codes.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { packageRoot } from "../package-root.ts";
import {
  addRow,
  createLatentSums,
  N_SUMS,
  rowGeometry,
  SUM,
  scalingOfLatent,
  totalSums,
} from "./latent-scaling.ts";
import { type DenseCase, latentScalingReference } from "./latent-scaling-reference.ts";
import type { LatentScaling } from "./measure-contract.ts";
import { pairSites } from "./memory-store.test.helper.ts";

type Beta = Exclude<keyof LatentScaling, `nu${string}`>;
/** [latent], null where it does not exist. */
type Betas = Record<Beta, (number | null)[]>;
type Direction = "finetuned" | "base";
/** Base64 of little-endian float32. */
type Packed = string;

interface Golden {
  made: { thresholdMargin: number; smallestBeta: number };
  dModel: number;
  nLatents: number;
  nRows: number;
  threshold: number;
  rows: Packed;
  encoderWeight: Packed;
  encoderBias: Packed;
  decoderWeight: Packed;
  decoderBias: Packed;
  /** [row, latent], of the reference's encode with its threshold. */
  code: Packed;
  directions: Record<Direction, { count: number[]; float32: Betas; float64: Betas; leastSquares: Betas }>;
}

const golden: Golden = JSON.parse(
  readFileSync(join(packageRoot(), "test/golden/measure/latent-scaling.json"), "utf8"),
);
const { dModel, nLatents, nRows, directions } = golden;
const width = 2 * dModel;
const unpack = (packed: Packed): Float32Array =>
  new Float32Array(new Uint8Array(Buffer.from(packed, "base64")).buffer);
const rows = unpack(golden.rows);
const codes = unpack(golden.code);
const dictionary: Dictionary = {
  sites: pairSites(dModel),
  nLatents,
  width,
  encoderWeight: unpack(golden.encoderWeight),
  encoderBias: unpack(golden.encoderBias),
  decoderWeight: unpack(golden.decoderWeight),
  decoderBias: unpack(golden.decoderBias),
  k: 4,
  inferenceThreshold: golden.threshold,
  normaliser: undefined,
};
const DIRECTIONS: Direction[] = ["finetuned", "base"];
const GROUPS = 7;

/** What the pass does with one row after another: ĥ of the codes in f64, then addRow. */
function sparseScalings(): { fired: number[]; scalings: Record<Direction, LatentScaling>[] } {
  const sums = createLatentSums(GROUPS, nLatents);
  const widths = { base: dModel, finetuned: dModel };
  for (let row = 0; row < nRows; row += 1) {
    const dense = codes.subarray(row * nLatents, (row + 1) * nLatents);
    const latent = Uint32Array.from([...dense.keys()].filter((j) => dense[j] > 0));
    const code = Float32Array.from(latent, (j) => dense[j]);
    const reconstruction = Float64Array.from(dictionary.decoderBias);
    latent.forEach((j, entry) => {
      for (let c = 0; c < width; c += 1)
        reconstruction[c] += code[entry] * dictionary.decoderWeight[j * width + c];
    });
    const activation = Float64Array.from(rows.subarray(row * width, (row + 1) * width));
    addRow(sums, dictionary.decoderWeight, widths, {
      ...{ group: row % GROUPS, onTemplate: false, activation, reconstruction, latent, code },
      ...{ from: 0, to: latent.length },
    });
  }
  const totals = totalSums(sums);
  const ofLatent = Array.from({ length: nLatents }, (_, j) => totals.subarray(j * N_SUMS, (j + 1) * N_SUMS));
  return {
    fired: ofLatent.map((values) => values[SUM.fired]),
    scalings: ofLatent.map((values, j) =>
      scalingOfLatent(values, rowGeometry(dictionary.decoderWeight, widths, j)),
    ),
  };
}

/** The same as dense f64 arrays. */
function denseCase(): DenseCase {
  const part = (matrix: Float32Array, i: number, side: number): number[] =>
    Array.from(matrix.subarray(i * width + side * dModel, i * width + (side + 1) * dModel));
  const sided = (matrix: Float32Array, n: number): DenseCase["decoder"] => ({
    base: Array.from({ length: n }, (_, i) => part(matrix, i, 0)),
    finetuned: Array.from({ length: n }, (_, i) => part(matrix, i, 1)),
  });
  return {
    activation: sided(rows, nRows),
    decoder: sided(dictionary.decoderWeight, nLatents),
    decoderBias: { base: part(dictionary.decoderBias, 0, 0), finetuned: part(dictionary.decoderBias, 0, 1) },
    code: Array.from({ length: nRows }, (_, row) =>
      Array.from(codes.subarray(row * nLatents, (row + 1) * nLatents)),
    ),
  };
}

/** Largest relative difference; the same betas exist on both sides, and some do. */
function furthest(got: (latent: number) => LatentScaling, wanted: Betas): number {
  let largest = 0;
  let nCompared = 0;
  for (const [name, values] of Object.entries(wanted) as [Beta, (number | null)[]][]) {
    values.forEach((value, latent) => {
      const beta = got(latent)[name];
      expect(Number.isNaN(beta), `${name} of latent ${latent}: ${beta}, ${value}`).toBe(value === null);
      if (value === null) return;
      nCompared += 1;
      largest = Math.max(largest, Math.abs(beta - value) / Math.abs(value));
    });
  }
  expect(nCompared).toBe(6 * (nLatents - 3)); // two latents never fire, one has no row along the direction
  return largest;
}

const sparse = sparseScalings();

describe("the case itself", () => {
  test("our encoder keeps the codes of the reference's", () => {
    const ours = encodeReference(dictionary, rows, nRows);
    const dense = new Float32Array(codes.length);
    for (let row = 0; row < nRows; row += 1) {
      for (let entry = ours.rowStart[row]; entry < ours.rowStart[row + 1]; entry += 1)
        dense[row * nLatents + ours.latent[entry]] = ours.code[entry];
    }
    expect(dense.map(Math.sign)).toEqual(codes.map(Math.sign));
    // f32 sums of 25 terms below 10
    expect(Math.max(...dense.map((code, i) => Math.abs(code - codes[i])))).toBeLessThanOrEqual(1e-5);
  });

  test("some latents never fire, the bias counts, no beta is near 0 and no activation near the threshold", () => {
    expect(sparse.fired.filter((count) => count === 0)).toHaveLength(2);
    expect(Math.min(...dictionary.decoderBias.map(Math.abs))).toBeGreaterThan(0);
    expect(golden.made.smallestBeta).toBeGreaterThan(0.03);
    expect(golden.made.thresholdMargin).toBeGreaterThan(1e-4);
  });
});

describe.each(DIRECTIONS)("along the %s decoder direction", (direction) => {
  const { count, float32, float64, leastSquares } = directions[direction];
  const fast = (latent: number): LatentScaling => sparse.scalings[latent][direction];

  test("the sparse sums give the reference's betas and counts", () => {
    expect(sparse.fired).toEqual(count);
    // its sums are f32: a few 1e-6 of betas that are not below 0.03
    expect(furthest(fast, float32)).toBeLessThan(1e-5);
    // the codes here are its float32 codes: 6e-8 of each
    expect(furthest(fast, float64)).toBeLessThan(1e-6);
  });

  test("the sparse sums give the least squares in f64", () => {
    expect(furthest(fast, leastSquares)).toBeLessThan(1e-9);
  });

  test("the slow twin gives the least squares in f64", () => {
    const problem = denseCase();
    const slow = Array.from({ length: nLatents }, (_, j) => latentScalingReference(problem, j, direction));
    expect(furthest((latent) => slow[latent], leastSquares)).toBeLessThan(1e-9);
  });
});
