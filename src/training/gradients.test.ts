// Every term's gradient against central differences in float64.

import { describe, expect, test } from "vitest";
import { selectBatchTopKReference } from "../dictionary/select.ts";
import { createRng } from "../numerics/rng.ts";
import {
  addCodeGradients,
  addDecoderBiasGradient,
  auxiliaryDirection,
  reconstructionDirection,
} from "./gradients.ts";
import {
  auxiliaryCodes,
  auxiliaryLoss,
  type BatchShape,
  type Parameters,
  preActivations,
  reconstruct,
  reconstructionLoss,
  weights,
} from "./loss.ts";

type F64 = Float64Array<ArrayBuffer>;
const NAMES = ["encoderWeight", "encoderBias", "decoderWeight", "decoderBias"] as const;
/** Sites of different width, so that a formula that assumes equal ones fails. */
const shape: BatchShape = { nRows: 7, nLatents: 11, width: 8, siteOffsets: [0, 3, 8] };
const { nRows, nLatents, width } = shape;
const rng = createRng(11, "gradients.test");
const random = (length: number, stream: number, scale = 1): F64 =>
  Float64Array.from({ length }, (_, i) => scale * rng.normal(stream, i));

const x = random(nRows * width, 1);
const parameters: Parameters<F64> = {
  encoderWeight: random(nLatents * width, 2, 0.4),
  encoderBias: random(nLatents, 3, 0.2),
  decoderWeight: random(nLatents * width, 4, 0.4),
  decoderBias: random(width, 5, 0.2),
};
const zeros = (): Parameters<F64> => ({
  encoderWeight: new Float64Array(nLatents * width),
  encoderBias: new Float64Array(nLatents),
  decoderWeight: new Float64Array(nLatents * width),
  decoderBias: new Float64Array(width),
});
const difference = (a: F64, b: F64): F64 => a.map((value, i) => value - b[i]);
const weight = weights(parameters.decoderWeight, shape);
const isDead = Array.from({ length: nLatents }, (_, j) => (j >= 6 ? 1 : 0));
const auxiliaryOptions = { weight, isDead, auxLatents: 2 };
const selected = (p: Parameters<F64>): F64 =>
  selectBatchTopKReference(preActivations(x, p, shape), weight, nRows * 2);
const constantResidual = random(nRows * width, 6);

/**
 * (f(p + h) − f(p − h)) / 2h for every parameter. Selections inside `loss` do not flip at this h: their margins are of
 * order 1e-2, checked below.
 */
function centralDifferences(loss: (p: Parameters<F64>) => number): Parameters<F64> {
  const h = 1e-6;
  const result = zeros();
  for (const name of NAMES) {
    for (let i = 0; i < parameters[name].length; i += 1) {
      const at = (offset: number): number => {
        const moved = { ...parameters, [name]: parameters[name].slice() };
        moved[name][i] += offset;
        return loss(moved);
      };
      result[name][i] = (at(h) - at(-h)) / (2 * h);
    }
  }
  return result;
}

function expectEqual(got: Parameters<F64>, want: Parameters<F64>): void {
  for (const name of NAMES) {
    // Central differences at h = 1e-6: truncation ~h², cancellation ~1e-16 / h = 1e-10 of values of order 1.
    for (const [i, value] of got[name].entries()) {
      expect(Math.abs(value - want[name][i]), `${name}[${i}]`).toBeLessThan(1e-8);
    }
  }
}

test("the selections of this file have a margin that differencing cannot cross", () => {
  const activations = preActivations(x, parameters, shape)
    .map((value, i) => Math.max(value, 0) * weight[i % nLatents])
    .sort()
    .reverse();
  expect(activations[nRows * 2 - 1] - activations[nRows * 2]).toBeGreaterThan(1e-4);
});

describe("hand-derived gradients equal central differences", () => {
  test("of the reconstruction loss: mean over rows and sites of un-squared norms", () => {
    const residualOf = (p: Parameters<F64>): F64 => difference(x, reconstruct(selected(p), p, shape));
    const got = zeros();
    const g = reconstructionDirection(residualOf(parameters), shape);
    addCodeGradients(got, { x, codes: selected(parameters), g, parameters }, shape);
    addDecoderBiasGradient(got.decoderBias, g, shape);
    expectEqual(
      got,
      centralDifferences((p) => reconstructionLoss(residualOf(p), shape)),
    );
    expect(got.encoderWeight.some((value) => Math.abs(value) > 1e-3)).toBe(true);
  });

  test("of the auxiliary loss, whose target is a constant", () => {
    const codesOf = (p: Parameters<F64>): F64 =>
      auxiliaryCodes(preActivations(x, p, shape), auxiliaryOptions, shape);
    const auxOf = (p: Parameters<F64>): F64 =>
      reconstruct(codesOf(p), { decoderWeight: p.decoderWeight }, shape);
    const got = zeros();
    const g = auxiliaryDirection(constantResidual, auxOf(parameters), shape);
    addCodeGradients(got, { x, codes: codesOf(parameters), g, parameters, factor: 0.25 }, shape);
    expectEqual(
      got,
      centralDifferences((p) => 0.25 * auxiliaryLoss(constantResidual, auxOf(p), shape)),
    );
    expect(got.decoderWeight.some((value) => Math.abs(value) > 1e-4)).toBe(true);
    expect(got.decoderBias.every((value) => value === 0)).toBe(true);
    expect(got.decoderWeight.subarray(0, 6 * width).every((value) => value === 0)).toBe(true);
  });

  test("a row that is reconstructed exactly has no direction, not NaN", () => {
    const residual = random(nRows * width, 7);
    residual.fill(0, 0, 3); // row 0, site 0
    const g = reconstructionDirection(residual, shape);
    expect([...g.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect(g.every(Number.isFinite)).toBe(true);
  });

  test("a residual that does not vary makes the auxiliary loss and its gradient 0, not NaN", () => {
    const constant = new Float64Array(nRows * width).fill(0.5);
    const other = random(nRows * width, 8);
    expect(auxiliaryLoss(constant, other, shape)).toBe(0);
    expect(auxiliaryDirection(constant, other, shape).every((value) => value === 0)).toBe(true);
  });
});

test("the reconstruction loss of a known residual: two sites of norm 5 and 1", () => {
  const one: BatchShape = { nRows: 1, nLatents: 1, width: 3, siteOffsets: [0, 2, 3] };
  expect(reconstructionLoss(Float64Array.of(3, 4, -1), one)).toBe(3);
});
