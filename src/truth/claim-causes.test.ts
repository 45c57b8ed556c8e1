// Verdicts on latents made by hand from a known dictionary: each failure is built, and must be called by its name.

import { beforeAll, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import {
  type ClaimVerdict,
  heldoutDocuments,
  scoreClaimsByConcept,
  specificConcepts,
  verdictOf,
} from "./claim-causes.ts";
import { type LatentMatch, matchLatents } from "./concept-match.ts";
import type { KnownConcept } from "./known-concepts.ts";
import { drawKnownDictionary } from "./known-dictionary.ts";

/** Wide for so few concepts, so that reading along a direction is nearly reading the concept. */
const D = 64;
const known = drawKnownDictionary(
  {
    dModel: D,
    counts: {
      shared: 7,
      rotated: 1,
      "base-only": 1,
      "finetuned-only": 2,
      "weaker-in-base": 1,
      "weaker-in-finetuned": 1,
      "contexts-apart": 1,
      "contexts-overlapping": 1,
    },
    meanActive: 1.5,
    zipfExponent: 1,
    zipfOffset: 20,
    gainSpread: 0.1,
    weakerRatio: [0.3, 0.4],
    rotationDegrees: 20,
    contextOverlap: 0.6,
    correlatedPairs: 0,
    togetherShare: 0,
    trainDocuments: 1,
    heldoutDocuments: 200,
    documentRows: 10,
    magnitudeSpread: 0.3,
    offsetNorm: 0,
    noiseRms: 0.3,
    commonNoiseShare: 0.5,
    noiseFall: 0,
    sharedNoiseRms: 0,
    sharedNoiseDirections: 0,
    outlierRate: 1 / 300,
    outlierFactor: 30,
  },
  3,
);
const indexOf = (kind: KnownConcept["kind"]): number =>
  known.concepts.findIndex((concept) => concept.kind === kind);
const SHARED = indexOf("shared");
const FINETUNED_ONLY = indexOf("finetuned-only");

type Row = { base: ArrayLike<number>; finetuned: ArrayLike<number> };
const nothing = new Float64Array(D);
const scaled = (vector: Float64Array, factor: number): Float64Array => vector.map((value) => value * factor);
/** The concept as it is: code = its magnitude. */
const written = (c: number): Row => {
  const { directionBase, directionFinetuned, gainBase, gainFinetuned } = known.concepts[c];
  return {
    base: scaled(directionBase, gainBase),
    finetuned: scaled(directionFinetuned, gainFinetuned),
  };
};
/** Reads a concept where the finetuned model has it. */
const reading = (c: number): Row => ({
  base: nothing,
  finetuned: scaled(known.concepts[c].directionFinetuned, 1 / known.concepts[c].gainFinetuned),
});
const sumOf = (rows: readonly Row[]): Row => ({
  base: nothing.map((_, i) => rows.reduce((sum, { base }) => sum + base[i], 0)),
  finetuned: nothing.map((_, i) => rows.reduce((sum, { finetuned }) => sum + finetuned[i], 0)),
});

/** Unit vector across all finetuned directions. Projected away again and again, since these are not at right angles. */
function acrossAllConcepts(): Float64Array {
  let vector = nothing.map((_, i) => (i === 0 ? 1 : 0));
  for (let sweep = 0; sweep < 50; sweep += 1) {
    for (const { directionFinetuned } of known.concepts) {
      const inner = vector.reduce((sum, value, i) => sum + value * directionFinetuned[i], 0);
      vector = vector.map((value, i) => value - inner * directionFinetuned[i]);
    }
  }
  return scaled(vector, 1 / Math.hypot(...vector));
}
const NOISE = acrossAllConcepts();

const LATENTS: { name: string; encoder: Row; decoder: Row; verdict: ClaimVerdict }[] = [
  {
    name: "finetuned-only",
    encoder: reading(FINETUNED_ONLY),
    decoder: written(FINETUNED_ONLY),
    verdict: "true",
  },
  {
    name: "the finetuned model's own context",
    encoder: reading(indexOf("contexts-apart")),
    decoder: { ...written(indexOf("contexts-apart")), base: nothing },
    verdict: "true",
  },
  {
    name: "weaker in the base, between the limits",
    encoder: reading(indexOf("weaker-in-base")),
    decoder: written(indexOf("weaker-in-base")),
    verdict: "unscored",
  },
  { name: "shared, as it is", encoder: reading(SHARED), decoder: written(SHARED), verdict: "own-row" },
  {
    name: "shared, base row 0 and no one else",
    encoder: reading(SHARED + 1),
    decoder: { ...written(SHARED + 1), base: nothing },
    verdict: "complete-shrinkage",
  },
  {
    name: "shared, base row 0 and another latent for the base",
    encoder: reading(SHARED + 2),
    decoder: { ...written(SHARED + 2), base: nothing },
    verdict: "latent-decoupling",
  },
  {
    name: "that other latent",
    encoder: reading(SHARED + 2),
    decoder: {
      ...written(SHARED + 2),
      finetuned: scaled(known.concepts[SHARED + 2].directionFinetuned, 1e-3),
    },
    verdict: "own-row",
  },
  {
    name: "five concepts at once",
    encoder: sumOf([2, 3, 4, 5, 6].map((i) => reading(SHARED + i))),
    decoder: sumOf([2, 3, 4, 5, 6].map((i) => written(SHARED + i))),
    verdict: "mixture",
  },
  {
    name: "noise along a direction of no concept",
    encoder: { base: nothing, finetuned: scaled(NOISE, 8) },
    decoder: { base: nothing, finetuned: NOISE },
    verdict: "no-concept",
  },
];

function dictionaryOf(latents: readonly { encoder: Row; decoder: Row }[]): Dictionary {
  const matrix = (rows: readonly Row[]): Float32Array =>
    Float32Array.from(rows.flatMap(({ base, finetuned }) => [...Array.from(base), ...Array.from(finetuned)]));
  return {
    sites: known.store.manifest.sites,
    nLatents: latents.length,
    width: 2 * D,
    encoderWeight: matrix(latents.map(({ encoder }) => encoder)),
    encoderBias: new Float32Array(latents.length).fill(-0.35), // Silences most of what is not the concept.
    decoderWeight: matrix(latents.map(({ decoder }) => decoder)),
    decoderBias: new Float32Array(2 * D),
    k: 0,
    inferenceThreshold: 0,
    normaliser: undefined,
  };
}

let matches: LatentMatch[];
beforeAll(async () => {
  matches = await matchLatents({ known, dictionary: dictionaryOf(LATENTS), threads: 1 });
});

test.each(LATENTS.map(({ name, verdict }, latent) => [name, verdict, latent] as const))(
  "%s: %s",
  (_, verdict, latent) => {
    expect(verdictOf(matches[latent])).toBe(verdict);
  },
);

test("where the base's part went adds up to one", () => {
  for (const latent of [3, 4, 5, 6]) {
    const { own, others, error } = matches[latent].basePart;
    // The rest is other concepts along that direction: 64 coordinates, cosines of 1/8.
    expect(Math.abs(own + others + error - 1)).toBeLessThan(0.1);
  }
});

test("a match is the concept itself, its ratio the truth", () => {
  expect(matches[0]).toMatchObject({ concept: FINETUNED_ONLY, ratio: 0 });
  expect(matches[3].concept).toBe(SHARED);
  expect(matches[3].ratio).toBeCloseTo(1, 5); // f32 strengths
  expect(matches[3].correlation).toBeGreaterThan(0.8);
  expect(matches[3].cosine).toBeCloseTo(1, 5);
});

test("claims are counted against the concepts that are specific and fire often enough", () => {
  const specific = specificConcepts(known);
  expect(specific).toEqual([FINETUNED_ONLY, FINETUNED_ONLY + 1, indexOf("contexts-apart")]);
  const score = scoreClaimsByConcept({ known, matches, claimed: LATENTS.map((_, latent) => latent) });
  expect(score).toEqual({
    nClaims: 9,
    nTrue: 2,
    nUnscored: 1,
    precision: 2 / 8,
    falseByCause: {
      "complete-shrinkage": 1,
      "latent-decoupling": 1,
      "own-row": 2,
      mixture: 1,
      "no-concept": 1,
    },
    recall: 2 / 3,
    recallByKind: {
      "finetuned-only": { answered: 1, of: 2 },
      "contexts-apart": { answered: 1, of: 1 },
    },
  });
  const none = scoreClaimsByConcept({ known, matches, claimed: [] });
  expect(none).toMatchObject({ nClaims: 0, precision: Number.NaN, recall: 0 });
});

test("documents are counted once each, on held-out rows of ordinary norm alone", () => {
  const expected = known.concepts.map((_, c) => {
    const documents = new Set<number>();
    for (let row = 10; row < known.store.rows.nRows; row += 1) {
      if (known.outlier[row] === 1) continue;
      for (let at = known.strengths.rowStart[row]; at < known.strengths.rowStart[row + 1]; at += 1) {
        if (known.strengths.concept[at] === c && known.strengths.finetuned[at] > 0)
          documents.add(known.store.rows.document[row]);
      }
    }
    return documents.size;
  });
  expect([...heldoutDocuments(known)]).toEqual(expected);
});
