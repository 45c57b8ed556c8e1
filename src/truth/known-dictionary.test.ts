// Rows drawn from a known dictionary: they are what is said of them, and the same for the same seed.

import { expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { isNormOutlier, normLimits } from "../store/norm-outliers.ts";
import {
  CONCEPT_KINDS,
  drawConcepts,
  type KnownConcept,
  specificityOf,
  strengthRatio,
} from "./known-concepts.ts";
import {
  drawKnownDictionary,
  type KnownDictionary,
  type KnownDictionarySettings,
} from "./known-dictionary.ts";

const SMALL: KnownDictionarySettings = {
  dModel: 12,
  counts: {
    shared: 6,
    rotated: 4,
    "base-only": 2,
    "finetuned-only": 2,
    "weaker-in-base": 4,
    "weaker-in-finetuned": 2,
    "contexts-apart": 2,
    "contexts-overlapping": 2,
  },
  meanActive: 2,
  zipfExponent: 2,
  zipfOffset: 8,
  gainSpread: 0.5,
  weakerRatio: [0.05, 1],
  rotationDegrees: 25,
  contextOverlap: 0.6,
  correlatedPairs: 6,
  togetherShare: 0.5,
  trainDocuments: 300,
  heldoutDocuments: 100,
  documentRows: 10,
  magnitudeSpread: 0.3,
  offsetNorm: 4,
  noiseRms: 0.5,
  commonNoiseShare: 0.5,
  noiseFall: 0.5,
  sharedNoiseRms: 0.5,
  sharedNoiseDirections: 2,
  outlierRate: 1 / 400,
  outlierFactor: 30,
};
const QUIET = { offsetNorm: 0, noiseRms: 0, sharedNoiseRms: 0, outlierRate: 0 };
const N_ROWS = 4000;
const small = drawKnownDictionary(SMALL, 1);

const read = (known: KnownDictionary): Promise<Float32Array> => known.store.read(0, N_ROWS);
/** Σ base, Σ finetuned strength of a concept over the rows in which the finetuned model fires it. */
function strengthsWhereFinetuned({ strengths }: KnownDictionary, wanted: number): [number, number] {
  let [base, finetuned] = [0, 0];
  for (const [at, concept] of strengths.concept.entries()) {
    if (concept !== wanted || strengths.finetuned[at] === 0) continue;
    base += strengths.base[at];
    finetuned += strengths.finetuned[at];
  }
  return [base, finetuned];
}
const indicesOf = (kind: KnownConcept["kind"]): number[] =>
  small.concepts.flatMap((concept, c) => (concept.kind === kind ? [c] : []));

test("one seed gives one set of bytes, another seed another", async () => {
  const again = drawKnownDictionary(SMALL, 1);
  const isSame = (a: Float32Array, b: Float32Array): boolean =>
    Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
  expect(isSame(await read(again), await read(small))).toBe(true);
  expect(again.strengths).toEqual(small.strengths);
  expect(again.concepts).toEqual(small.concepts);
  expect(isSame(await read(drawKnownDictionary(SMALL, 2)), await read(small))).toBe(false);
});

test("without noise, offset and outliers a row is the sum of its concepts", async () => {
  const known = drawKnownDictionary({ ...SMALL, ...QUIET }, 1);
  const x = await read(known);
  const { rowStart, concept, base, finetuned } = known.strengths;
  let largest = 0;
  for (let row = 0; row < N_ROWS; row += 1) {
    for (let i = 0; i < 24; i += 1) {
      let expected = 0;
      for (let at = rowStart[row]; at < rowStart[row + 1]; at += 1) {
        const { directionBase, directionFinetuned } = known.concepts[concept[at]];
        expected += i < 12 ? base[at] * directionBase[i] : finetuned[at] * directionFinetuned[i - 12];
      }
      largest = Math.max(largest, Math.abs(x[row * 24 + i] - expected));
    }
  }
  // f32 sums of up to some ten strengths below 10
  expect(largest).toBeLessThan(1e-5);
});

test("the strengths of every concept have its ratio", () => {
  for (const [c, concept] of small.concepts.entries()) {
    const [base, finetuned] = strengthsWhereFinetuned(small, c);
    if (concept.kind === "base-only") expect(strengthRatio(concept)).toBe(Number.POSITIVE_INFINITY);
    // Documents of an overlapping context are drawn: some 60 to 200 of them, so the share is within 0.25 (4 standard errors).
    else if (concept.kind === "contexts-overlapping")
      expect(Math.abs(base / finetuned - strengthRatio(concept))).toBeLessThan(0.25);
    else expect(base / finetuned).toBeCloseTo(strengthRatio(concept), 5); // f32 strengths
  }
});

test("kinds are what their names say", () => {
  expect(small.concepts.map(({ kind }) => kind)).toEqual(
    CONCEPT_KINDS.flatMap((kind) => Array(SMALL.counts[kind]).fill(kind)),
  );
  const cosine = ({ directionBase, directionFinetuned }: KnownConcept): number =>
    directionBase.reduce((sum, value, i) => sum + value * directionFinetuned[i], 0);
  for (const concept of small.concepts) {
    const { kind, gainBase, gainFinetuned, directionFinetuned } = concept;
    expect(Math.hypot(...directionFinetuned)).toBeCloseTo(1, 12);
    if (kind === "rotated") {
      expect(cosine(concept)).toBeLessThan(1);
      expect(cosine(concept)).toBeGreaterThanOrEqual(Math.cos((25 * Math.PI) / 180));
    } else expect(cosine(concept)).toBeCloseTo(1, 12);
    if (kind === "weaker-in-base") {
      expect(gainBase / gainFinetuned).toBeGreaterThanOrEqual(0.05);
      expect(gainBase).toBeLessThan(gainFinetuned);
    } else if (kind === "weaker-in-finetuned") expect(gainFinetuned).toBeLessThan(gainBase);
    else expect([0, gainFinetuned]).toContain(kind === "finetuned-only" ? gainBase : gainFinetuned);
  }
  expect(indicesOf("finetuned-only").map((c) => small.concepts[c].gainBase)).toEqual([0, 0]);
});

test("contexts lie apart: no document in which both models fire such a concept, though both fire it", () => {
  const { strengths, store } = small;
  for (const wanted of indicesOf("contexts-apart")) {
    const documents = { base: new Set<number>(), finetuned: new Set<number>() };
    for (let row = 0; row < N_ROWS; row += 1) {
      for (let at = strengths.rowStart[row]; at < strengths.rowStart[row + 1]; at += 1) {
        if (strengths.concept[at] !== wanted) continue;
        if (strengths.base[at] > 0) documents.base.add(store.rows.document[row]);
        if (strengths.finetuned[at] > 0) documents.finetuned.add(store.rows.document[row]);
      }
    }
    expect(documents.base.size).toBeGreaterThan(10);
    expect(documents.finetuned.size).toBeGreaterThan(10);
    expect([...documents.base].filter((document) => documents.finetuned.has(document))).toEqual([]);
  }
});

test("overlapping contexts: of the documents in which one model fires it, the other may in the stated share", () => {
  const none = Object.fromEntries(
    CONCEPT_KINDS.map((kind) => [kind, 0]),
  ) as KnownDictionarySettings["counts"];
  const counts = { ...none, shared: 1, "contexts-overlapping": 1 };
  const one = { meanActive: 1, zipfOffset: 1e6, correlatedPairs: 0, documentRows: 1, trainDocuments: N_ROWS };
  const { strengths } = drawKnownDictionary({ ...SMALL, ...QUIET, ...one, counts, heldoutDocuments: 0 }, 1);
  const firing = [...strengths.concept.keys()].filter((at) => strengths.concept[at] === 1);
  for (const [of, other] of [
    [strengths.base, strengths.finetuned],
    [strengths.finetuned, strengths.base],
  ]) {
    const documents = firing.filter((at) => of[at] > 0);
    const share = documents.filter((at) => other[at] > 0).length / documents.length;
    // Some 1,600 documents of one row: 4 standard errors are 0.05.
    expect(Math.abs(share - 0.6)).toBeLessThan(0.05);
  }
});

test("every concept fires at its rate, followers with their leaders", () => {
  const rows = small.concepts.map(() => new Set<number>());
  const { rowStart, concept } = small.strengths;
  for (let row = 0; row < N_ROWS; row += 1)
    for (let at = rowStart[row]; at < rowStart[row + 1]; at += 1) rows[concept[at]].add(row);
  expect(small.concepts.reduce((sum, { rate }) => sum + rate, 0)).toBeCloseTo(2, 12);
  for (const [c, { rate }] of small.concepts.entries()) {
    const standardError = Math.sqrt((rate * (1 - rate)) / N_ROWS);
    expect(Math.abs(rows[c].size / N_ROWS - rate)).toBeLessThan(4 * standardError);
  }
  const followers = small.concepts.flatMap((_, c) => (small.concepts[c].leader ? [c] : []));
  expect(followers).toHaveLength(6);
  for (const c of followers) {
    const leader = small.concepts[c].leader!.concept;
    const together = [...rows[c]].filter((row) => rows[leader].has(row)).length / rows[c].size;
    // Half its rows are taken from its leader, and by chance more; at least 100 rows: 4 standard errors are 0.2.
    expect(together).toBeGreaterThan(0.3);
  }
});

test("norm outliers are the rows that the store's limits find, and are multiplied by their factor", async () => {
  const x = await read(small);
  const ordinary = await read(drawKnownDictionary({ ...SMALL, outlierRate: 0 }, 1));
  const factors = x.map((value, i) => (value === ordinary[i] ? 1 : value / ordinary[i]));
  expect(new Set(factors.map((factor) => Math.round(factor * 1e3) / 1e3))).toEqual(new Set([1, 30]));
  const { sites } = small.store.manifest;
  const limits = await normLimits(small.store);
  const found = Array.from({ length: N_ROWS }, (_, row) => Number(isNormOutlier(x, row, { sites, limits })));
  expect(found).toEqual([...small.outlier]);
  expect(small.outlier.reduce((sum, flag) => sum + flag, 0)).toBeGreaterThan(3);
});

test("noise falls over the coordinates, and a stated share of it is common to both models", async () => {
  const silent = { ...SMALL, ...QUIET, noiseRms: 2, meanActive: 1e-9, correlatedPairs: 0 };
  const x = await read(drawKnownDictionary(silent, 1));
  const moment = (a: number, b: number): number => {
    let sum = 0;
    for (let row = 0; row < N_ROWS; row += 1) sum += x[row * 24 + a] * x[row * 24 + b];
    return sum / N_ROWS;
  };
  const variances = Array.from({ length: 12 }, (_, i) => moment(i, i));
  // 4,000 rows: a variance is within 9 % (4 standard errors), a covariance of variance 1 within 0.07.
  expect(variances.reduce((a, b) => a + b, 0) / 4).toBeCloseTo(1, 1);
  expect(Math.abs(variances[0] / variances[3] - 4)).toBeLessThan(0.6);
  expect(Math.abs(moment(0, 12) / moment(0, 0) - 0.5)).toBeLessThan(0.07);
  expect(Math.abs(moment(0, 1)) / Math.sqrt(variances[0] * variances[1])).toBeLessThan(0.07);
});

test("truth has three answers, their limits belong to the outer two", () => {
  expect([0, 0.2, 0.2001, 0.4999, 0.5, 1, Number.POSITIVE_INFINITY].map(specificityOf)).toEqual([
    "specific",
    "specific",
    "unscored",
    "unscored",
    "not-specific",
    "not-specific",
    "not-specific",
  ]);
});

test("more firings than rows are refused", () => {
  expect(() => drawConcepts({ ...SMALL, meanActive: 24, zipfOffset: 1 }, 1)).toThrow(ConfigError);
  expect(() => drawConcepts({ ...SMALL, correlatedPairs: 13 }, 1)).toThrow(ConfigError);
});
