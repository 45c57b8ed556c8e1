// q-values: the sweep against its definition, what must not change them, and the two ends of the scale.

import fc from "fast-check";
import { expect, test } from "vitest";
import { ConfigError, ShapeError } from "../errors.ts";
import { judgeBase, judgeFinetuned } from "./claims.ts";
import { candidateScores, countSide, qValues, scoreOf } from "./false-discovery.ts";
import { CLAIM_THRESHOLDS, type LatentMeasure, type LatentScaling } from "./measure-contract.ts";

/** The definition, word for word. */
function qValuesReference(real: Float64Array, nulls: readonly Float64Array[]): Float64Array {
  const fdr = (t: number): number => {
    const counts = nulls.map((scores) => scores.filter((score) => score <= t).length);
    const mean = counts.reduce((sum, count) => sum + count, 0) / nulls.length;
    return Math.min(1, (1 + mean) / real.filter((score) => score <= t).length);
  };
  return real.map((score) =>
    Number.isNaN(score) ? Number.NaN : Math.min(...[...real].filter((t) => t >= score).map(fdr)),
  );
}

// Few values, so that ties are common; NaN is a latent that is no candidate.
const score = fc.oneof(
  fc.integer({ min: -2, max: 30 }).map((tenth) => tenth / 10),
  fc.constant(Number.NaN),
);
const side = fc.array(score, { maxLength: 25 }).map((scores) => Float64Array.from(scores));
const draws = fc.array(side, { minLength: 3, maxLength: 5 });

test("the sweep gives the definition's numbers, NaN where there is no candidate", () => {
  fc.assert(
    fc.property(side, draws, (real, nulls) => {
      expect(qValues(real, nulls)).toEqual(qValuesReference(real, nulls));
    }),
  );
});

test("a q-value is above 0, at most 1, and never falls as the score rises", () => {
  fc.assert(
    fc.property(side, draws, (real, nulls) => {
      const q = qValues(real, nulls);
      const pairs = [...real].map((s, i) => [s, q[i]]).filter(([s]) => !Number.isNaN(s));
      pairs.sort((a, b) => a[0] - b[0]);
      for (const [i, [, value]] of pairs.entries()) {
        expect(value).toBeGreaterThan(0);
        expect(value).toBeLessThanOrEqual(1);
        if (i > 0) expect(value).toBeGreaterThanOrEqual(pairs[i - 1][1]);
      }
    }),
  );
});

test("the order of latents, and of null draws and their latents, changes nothing", () => {
  fc.assert(
    fc.property(side, draws, fc.integer(), (real, nulls, by) => {
      const turn = (array: Float64Array): Float64Array => {
        const at = array.length === 0 ? 0 : Math.abs(by) % array.length;
        return Float64Array.from([...array.subarray(at), ...array.subarray(0, at)]);
      };
      const turned = qValues(turn(real), nulls.map(turn).reverse());
      expect(turned).toEqual(turn(qValues(real, nulls)));
    }),
  );
});

test("one more null candidate lowers no q-value", () => {
  fc.assert(
    fc.property(side, draws, fc.double({ min: -1, max: 4, noNaN: true }), (real, nulls, more) => {
      const q = qValues(real, nulls);
      const worse = qValues(real, [...nulls.slice(1), Float64Array.from([...nulls[0], more])]);
      for (const [i, value] of worse.entries())
        if (!Number.isNaN(real[i])) expect(value).toBeGreaterThanOrEqual(q[i]);
    }),
  );
});

test("a pair that is like its null has q-values of 1", () => {
  fc.assert(
    fc.property(side, (real) => {
      for (const q of qValues(real, [real, real, real])) if (!Number.isNaN(q)) expect(q).toBe(1);
    }),
  );
});

test("without null candidates the rate at rank r is 1/r, so every q is one over the number of candidates", () => {
  const real = Float64Array.of(0.3, Number.NaN, 0.1, 1.5, 0.2);
  const none = [0, 1, 2].map(() => Float64Array.of(Number.NaN));
  expect(qValues(real, none)).toEqual(Float64Array.of(0.25, Number.NaN, 0.25, 0.25, 0.25));
});

test("by hand: three draws with one null candidate at 0.25 between them", () => {
  // t = 0.1: 1/1; 0.2: 1/2; 0.3: (1 + 1/3)/3 = 4/9; the tie at 1.5: (4/3)/5 = 4/15, the least of all.
  const nulls = [Float64Array.of(0.25), Float64Array.of(), Float64Array.of(2)];
  expect(qValues(Float64Array.of(0.1, 0.2, 0.3, 1.5, 1.5), nulls)).toEqual(
    new Float64Array(5).fill(4 / 3 / 5),
  );
  const crowded = [...nulls, Float64Array.of(...new Array(30).fill(1))];
  // Of four draws: 0.3: (1 + 1/4)/3; 1.5: (1 + 31/4)/5 is above 1.
  expect(qValues(Float64Array.of(0.1, 0.3, 0.2, 1.5), crowded)).toEqual(
    Float64Array.of(1.25 / 3, 1.25 / 3, 1.25 / 3, 1),
  );
});

test("fewer than three draws, and a score that is infinite, are refused", () => {
  expect(() => qValues(Float64Array.of(1), [Float64Array.of(), Float64Array.of()])).toThrow(ConfigError);
  const nulls = [0, 1, 2].map(() => Float64Array.of(Number.POSITIVE_INFINITY));
  expect(() => qValues(Float64Array.of(1), nulls)).toThrow(ShapeError);
});

function scaling(change: Partial<LatentScaling>): LatentScaling {
  return {
    betaActivationBase: 1,
    betaActivationFinetuned: 1,
    betaReconstructionBase: 1,
    betaReconstructionFinetuned: 1,
    betaErrorBase: 1,
    betaErrorFinetuned: 1,
    nuActivation: 1,
    nuReconstruction: 1,
    nuError: 1,
    ...change,
  };
}

const nus = fc.record({
  nuReconstruction: fc.double({ min: -0.2, max: 2.1, noNaN: true }),
  nuError: fc.double({ min: -0.2, max: 2.1, noNaN: true }),
});

test("a latent is a candidate where its judgement leaves it in, and scores below 1 where it is claimed", () => {
  const latent = fc.record({
    deltaNorm: fc.constantFrom(0.1, 0.4, 0.5, 0.6, 0.9, Number.NaN),
    frequency: fc.constantFrom(0, 0.1),
    documents: fc.constantFrom(0, 19, 20, 200),
    scalingFinetuned: nus.map(scaling),
    scalingBase: nus.map(scaling),
  });
  fc.assert(
    fc.property(fc.array(latent, { maxLength: 8 }), (parts) => {
      const latents = parts as LatentMeasure[];
      const scores = candidateScores(latents);
      for (const [i, measured] of latents.entries()) {
        const evidence = { ...measured, fired: 1000 * measured.frequency };
        for (const [judgement, value] of [
          [judgeFinetuned(evidence), scores.finetuned[i]],
          [judgeBase(evidence), scores.base[i]],
        ] as const) {
          expect(Number.isNaN(value)).toBe(judgement.exclusion !== "");
          expect(value < 1).toBe(judgement.claimed);
        }
      }
    }),
  );
});

test("a ratio just below its threshold scores below 1, one at it does not", () => {
  const below = (x: number): number => x * (1 - 2 ** -53);
  const { nuErrorBelow, nuReconstructionBelow } = CLAIM_THRESHOLDS;
  expect(below(nuErrorBelow)).toBeLessThan(nuErrorBelow);
  expect(scoreOf({ nuError: below(nuErrorBelow), nuReconstruction: 0 })).toBeLessThan(1);
  expect(scoreOf({ nuError: nuErrorBelow, nuReconstruction: 0 })).toBe(1);
  expect(scoreOf({ nuError: 0, nuReconstruction: below(nuReconstructionBelow) })).toBeLessThan(1);
  expect(scoreOf({ nuError: 0, nuReconstruction: nuReconstructionBelow })).toBe(1);
  expect(scoreOf({ nuError: -0.1, nuReconstruction: -0.05 })).toBe(-0.1); // −0.05/0.5 against −0.1/0.2
});

test("counts are of candidates, and of those below 1", () => {
  expect(countSide(Float64Array.of(Number.NaN, -0.1, 0.99, 1, 7))).toEqual({ candidates: 4, claims: 2 });
});
