// Every term's gradient against central differences in float64.

import { describe, expect, test } from "vitest";
import type { CodeNormalisation } from "../dictionary/dictionary.ts";
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
import { createReferenceEngine } from "./reference-engine.ts";
import { addPenaltyGradients, codePenalty, type Sparsity, sparseCodes } from "./sparsity.ts";

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
  sparseCodes(preActivations(x, p, shape), weight, { kind: "batchTopK", level: 2 });
const NORMALISATIONS: CodeNormalisation[] = ["crosscoder", "sae", "none"];
const SPARSITIES: Sparsity[] = [{ kind: "batchTopK" }, { kind: "topK" }, { kind: "reluL1", penalty: 0.3 }];
/** No latent dies in one step: the auxiliary loss, whose target is a constant, has a test of its own. */
const stepOptions = {
  ...shape,
  batchRows: nRows,
  largestK: 2,
  auxLatents: 2,
  auxAlpha: 1 / 32,
  deadAfterRows: 1000,
};
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
  const pre = preActivations(x, parameters, shape);
  const descending = (values: F64): F64 => values.slice().sort().reverse();
  for (const normalisation of NORMALISATIONS) {
    const w = weights(parameters.decoderWeight, shape, normalisation);
    const activations = pre.map((value, i) => Math.max(value, 0) * w[i % nLatents]);
    const all = descending(activations);
    for (const level of [1, 2]) expect(all[nRows * level - 1] - all[nRows * level]).toBeGreaterThan(1e-4);
    for (let row = 0; row < nRows; row += 1) {
      const one = descending(activations.subarray(row * nLatents, (row + 1) * nLatents));
      for (const level of [1, 2]) expect(one[level - 1] - one[level]).toBeGreaterThan(1e-4);
    }
  }
  // And no ReLU's gate: a step of h = 1e-6 moves a pre-activation by at most h times a coordinate of x.
  expect(Math.min(...pre.map(Math.abs))).toBeGreaterThan(1e-4);
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

  test("of the squared reconstruction loss", () => {
    const residualOf = (p: Parameters<F64>): F64 => difference(x, reconstruct(selected(p), p, shape));
    const got = zeros();
    const g = reconstructionDirection(residualOf(parameters), shape, "squared");
    addCodeGradients(got, { x, codes: selected(parameters), g, parameters }, shape);
    addDecoderBiasGradient(got.decoderBias, g, shape);
    expectEqual(
      got,
      centralDifferences((p) => reconstructionLoss(residualOf(p), shape, "squared")),
    );
    expect(got.encoderWeight.some((value) => Math.abs(value) > 1e-3)).toBe(true);
  });

  for (const normalisation of NORMALISATIONS) {
    test(`of the L1 penalty under ${normalisation} normalisation, through codes and decoder norms`, () => {
      const codesOf = (p: Parameters<F64>): F64 =>
        sparseCodes(preActivations(x, p, shape), weight, { kind: "reluL1", level: 0 });
      const weightOf = (p: Parameters<F64>): F64 => weights(p.decoderWeight, shape, normalisation);
      const got = zeros();
      const codes = codesOf(parameters);
      const options = { x, codes, weight: weightOf(parameters), parameters, normalisation, factor: 0.7 };
      addPenaltyGradients(got, options, shape);
      expectEqual(
        got,
        centralDifferences((p) => 0.7 * codePenalty(codesOf(p), weightOf(p), shape)),
      );
      expect(got.encoderWeight.some((value) => Math.abs(value) > 1e-2)).toBe(true);
      expect(got.decoderWeight.some((value) => Math.abs(value) > 1e-2)).toBe(normalisation !== "none");
      expect(got.decoderBias.every((value) => value === 0)).toBe(true);
    });

    for (const sparsity of SPARSITIES) {
      for (const reconstruction of ["norm", "squared"] as const) {
        test(`of a whole ${sparsity.kind} step: ${normalisation} normalisation, reconstruction ${reconstruction}`, async () => {
          const level = sparsity.kind === "reluL1" ? sparsity.penalty : 2;
          const options = { ...stepOptions, sparsity, codeNormalisation: normalisation, reconstruction };
          const engine = createReferenceEngine(options, new Float64Array(0));
          for (const name of NAMES) engine.parameters[name].set(parameters[name]);
          const { loss, penaltyLoss, gradientNorm } = await engine.backward(x, level);
          // Only a penalty differentiates the weights; those that select are held at where the step is taken.
          const fixed = weights(parameters.decoderWeight, shape, normalisation);
          const codesOf = (p: Parameters<F64>): F64 =>
            sparseCodes(preActivations(x, p, shape), fixed, { kind: sparsity.kind, level });
          const lossOf = (p: Parameters<F64>): number => {
            const codes = codesOf(p);
            const residual = difference(x, reconstruct(codes, p, shape));
            const penalty =
              sparsity.kind === "reluL1"
                ? level * codePenalty(codes, weights(p.decoderWeight, shape, normalisation), shape)
                : 0;
            return reconstructionLoss(residual, shape, reconstruction) + penalty;
          };
          expectEqual(engine.gradients, centralDifferences(lossOf));
          expect(loss + level * (penaltyLoss ?? 0)).toBeCloseTo(lossOf(parameters), 12);
          expect(penaltyLoss === undefined).toBe(sparsity.kind !== "reluL1");
          const squares = NAMES.flatMap((name) => [...engine.gradients[name]]).map((value) => value ** 2);
          expect(gradientNorm).toBeCloseTo(Math.sqrt(squares.reduce((sum, value) => sum + value, 0)), 12);
        });
      }
    }
  }

  // deadAfterRows = nRows: whatever is silent in the one batch is dead in it.
  const withDead = { ...stepOptions, deadAfterRows: nRows, auxLatents: 1, auxAlpha: 0.5 };
  for (const normalisation of NORMALISATIONS) {
    for (const kind of ["batchTopK", "topK"] as const) {
      for (const reconstruction of ["norm", "squared"] as const) {
        test(`of a whole ${kind} step with dead latents: ${normalisation} normalisation, reconstruction ${reconstruction}`, async () => {
          const options = {
            ...withDead,
            sparsity: { kind },
            codeNormalisation: normalisation,
            reconstruction,
          };
          const engine = createReferenceEngine(options, new Float64Array(0));
          for (const name of NAMES) engine.parameters[name].set(parameters[name]);
          const { loss, auxLoss, nDead } = await engine.backward(x, 1);
          const since = await engine.readRowsSinceFired();
          const dead = Array.from(since, (rows) => (rows > 0 ? 1 : 0));
          const isDeadEntry = (i: number): boolean => dead[i % nLatents] === 1;
          expect(nDead).toBe(dead.filter(Boolean).length);
          expect(nDead).toBeGreaterThan(withDead.auxLatents); // so that there is something to choose

          // Held where the step is taken: the weights that select, who is dead, and the residual as the target.
          const fixed = weights(parameters.decoderWeight, shape, normalisation);
          const target = (await engine.lastBatch()).residual.slice();
          const codesOf = (p: Parameters<F64>): F64 =>
            sparseCodes(preActivations(x, p, shape), fixed, { kind, level: 1 });
          const auxCodesOf = (p: Parameters<F64>): F64 =>
            auxiliaryCodes(preActivations(x, p, shape), { ...withDead, weight: fixed, isDead: dead }, shape);
          const auxLossOf = (p: Parameters<F64>): number =>
            auxiliaryLoss(
              target,
              reconstruct(auxCodesOf(p), { decoderWeight: p.decoderWeight }, shape),
              shape,
            );
          const lossOf = (p: Parameters<F64>): number =>
            reconstructionLoss(difference(x, reconstruct(codesOf(p), p, shape)), shape, reconstruction);
          expectEqual(
            engine.gradients,
            centralDifferences((p) => lossOf(p) + withDead.auxAlpha * auxLossOf(p)),
          );
          expect(loss).toBeCloseTo(lossOf(parameters), 12);
          expect(auxLoss).toBeCloseTo(auxLossOf(parameters), 12);

          // The auxiliary loss is the only one that reaches a dead latent, and it reaches encoder and decoder alike.
          for (const name of ["encoderWeight", "decoderWeight"] as const) {
            const ofDead = engine.gradients[name].filter((_, i) => isDeadEntry(Math.floor(i / width)));
            expect(ofDead.some((value) => Math.abs(value) > 1e-3)).toBe(true);
          }
          // And the choice among the dead is not near a tie that differencing could cross.
          const pre = preActivations(x, parameters, shape);
          const auxCodes = auxCodesOf(parameters);
          const activation = (i: number): number => Math.max(pre[i], 0) * fixed[i % nLatents];
          for (let row = 0; row < nRows; row += 1) {
            const entries = Array.from({ length: nLatents }, (_, j) => row * nLatents + j).filter(
              isDeadEntry,
            );
            const chosen = entries.filter((i) => auxCodes[i] > 0).map(activation);
            const left = entries.filter((i) => auxCodes[i] === 0).map(activation);
            expect(Math.min(...chosen) - Math.max(...left)).toBeGreaterThan(1e-4);
          }
        });
      }
    }
  }

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

describe("by hand, two sites of two and one columns", () => {
  const one: BatchShape = { nRows: 1, nLatents: 1, width: 3, siteOffsets: [0, 2, 3] };
  test("a residual of norms 5 and 1 costs their mean, squared the mean of 25 and 1", () => {
    expect(reconstructionLoss(Float64Array.of(3, 4, -1), one)).toBe(3);
    expect(reconstructionLoss(Float64Array.of(3, 4, -1), one, "squared")).toBe(13);
  });
  test("a decoder row of norms 3 and 4 weighs 7, 5 or 1, and the penalty is the code times that", () => {
    const row = Float64Array.of(0, 3, 4);
    expect([...weights(row, one)]).toEqual([7]);
    expect([...weights(row, one, "sae")]).toEqual([5]);
    expect([...weights(row, one, "none")]).toEqual([1]);
    const two: BatchShape = { ...one, nRows: 2 };
    expect(codePenalty(Float64Array.of(2, 4), weights(row, one, "sae"), two)).toBe(15);
  });
  test("a decoder row of norm 0 gets a gradient of 0 from the penalty, not NaN", () => {
    const p: Parameters<F64> = {
      encoderWeight: Float64Array.of(1, 1, 1),
      encoderBias: Float64Array.of(0),
      decoderWeight: Float64Array.of(0, 0, 2),
      decoderBias: new Float64Array(3),
    };
    for (const normalisation of NORMALISATIONS) {
      const got: Parameters<F64> = {
        encoderWeight: new Float64Array(3),
        encoderBias: new Float64Array(1),
        decoderWeight: new Float64Array(3),
        decoderBias: new Float64Array(3),
      };
      const weight = weights(p.decoderWeight, one, normalisation);
      const batch = { x: Float64Array.of(1, 0, 0), codes: Float64Array.of(1), weight, parameters: p };
      addPenaltyGradients(got, { ...batch, normalisation, factor: 1 }, one);
      expect([...got.decoderWeight]).toEqual([0, 0, normalisation === "none" ? 0 : 1]);
    }
  });
});
