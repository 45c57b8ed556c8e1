// Activations of two models drawn from a known dictionary: the ground truth that needs no model.
//
// Row of model m: offset_m + Σ_c magnitude · gain_{c,m} · direction_{c,m} + noise. The noise is anisotropic: standard deviations
// that fall over the coordinates, of which a stated share is the same draw in both models, and a few strong directions that both
// models share. Some rows are norm outliers: everything in them is multiplied. The rows are a pure function of settings and seed.

import { createRng } from "../numerics/rng.ts";
import type { Store } from "../store/store-contract.ts";
import { type ConceptSettings, drawConcepts, type KnownConcept, unitVector } from "./known-concepts.ts";
import { createKnownStore } from "./known-store.ts";

export interface KnownDictionarySettings extends ConceptSettings {
  trainDocuments: number;
  heldoutDocuments: number;
  documentRows: number;
  /** Standard deviation of the logarithm of a firing's magnitude; the mean magnitude is 1. */
  magnitudeSpread: number;
  /** ‖offset‖ of each model, in a direction of its own; raw activation units. */
  offsetNorm: number;
  /** Root of the mean squared norm of the noise over all coordinates; raw units. */
  noiseRms: number;
  /** Share of its variance that is one draw for both models; the rest is drawn for each alone. */
  commonNoiseShare: number;
  /** Standard deviation at coordinate i ∝ (i + 1)^−noiseFall. */
  noiseFall: number;
  /** The same of the noise along a few strong directions, whose draws both models share. */
  sharedNoiseRms: number;
  sharedNoiseDirections: number;
  /** Share of rows that are outliers, and what they are multiplied by. */
  outlierRate: number;
  outlierFactor: number;
}

export interface KnownDictionary {
  settings: KnownDictionarySettings;
  seed: number;
  concepts: KnownConcept[];
  store: Store;
  strengths: ConceptStrengths;
  /** [rows] 1 where the row is a norm outlier. */
  outlier: Uint8Array;
}

/** What fires where, in compressed rows: entries [rowStart[i], rowStart[i + 1]) belong to row i, concepts ascending. */
export interface ConceptStrengths {
  rowStart: Uint32Array;
  concept: Uint32Array;
  /** Magnitude · gain in either model, 0 where it does not fire; raw units, before an outlier's factor. */
  base: Float32Array;
  finetuned: Float32Array;
}

/** Some 100 to 200 MB for the benchmark's size. Throws ConfigError for settings that cannot be. */
export function drawKnownDictionary(settings: KnownDictionarySettings, seed: number): KnownDictionary {
  const concepts = drawConcepts(settings, seed);
  const nRows = (settings.trainDocuments + settings.heldoutDocuments) * settings.documentRows;
  const strengths = drawStrengths(concepts, { settings, seed, nRows });
  const activations = drawNoise({ settings, seed, nRows });
  addConcepts(activations, { concepts, strengths, dModel: settings.dModel });
  const outlier = multiplyOutliers(activations, { settings, seed, nRows });
  const store = createKnownStore({
    ...settings,
    activations,
    tokens: loudestConcept(strengths, nRows),
    identity: { kind: "known dictionary", seed, settings },
  });
  return { settings, seed, concepts, store, strengths, outlier };
}

interface Draw {
  settings: KnownDictionarySettings;
  seed: number;
  nRows: number;
}

function drawStrengths(concepts: readonly KnownConcept[], draw: Draw): ConceptStrengths {
  const { settings, seed, nRows } = draw;
  const firings = drawFirings(concepts, draw);
  const rowStart = new Uint32Array(nRows + 1);
  for (const rows of firings) for (const row of rows) rowStart[row + 1] += 1;
  for (let row = 0; row < nRows; row += 1) rowStart[row + 1] += rowStart[row];
  const next = rowStart.slice();
  const concept = new Uint32Array(rowStart[nRows]);
  const base = new Float32Array(rowStart[nRows]);
  const finetuned = new Float32Array(rowStart[nRows]);
  const magnitudes = createRng(seed, "truth.magnitude");
  const contexts = createRng(seed, "truth.context");
  const { magnitudeSpread: spread, documentRows } = settings;
  for (const [c, { gainBase, gainFinetuned, overlap }] of concepts.entries()) {
    for (const row of firings[c]) {
      const at = next[row]++;
      const magnitude = Math.exp(spread * magnitudes.normal(c, row) - spread ** 2 / 2);
      const who = modelsOf(overlap, contexts.uniform(c, Math.floor(row / documentRows)));
      concept[at] = c;
      base[at] = who.base ? magnitude * gainBase : 0;
      finetuned[at] = who.finetuned ? magnitude * gainFinetuned : 0;
    }
  }
  return { rowStart, concept, base, finetuned };
}

/**
 * Which models may fire a concept in a document, from one uniform number a document: both with probability o/(2 − o), else either
 * alone, so that of each model's documents the share o is the other's, too.
 */
function modelsOf(overlap: number, uniform: number): { base: boolean; finetuned: boolean } {
  const both = overlap / (2 - overlap);
  if (uniform < both) return { base: true, finetuned: true };
  const base = uniform < both + (1 - both) / 2;
  return { base, finetuned: !base };
}

/** The rows of each concept, ascending. Leaders come before those that follow them, whatever their index. */
function drawFirings(concepts: readonly KnownConcept[], { seed, nRows }: Draw): Uint32Array[] {
  const alone = createRng(seed, "truth.fires");
  const together = createRng(seed, "truth.together");
  const firings = concepts.map(({ rate, leader }, c) =>
    leader === undefined ? rowsAtRate(rate, nRows, (i) => alone.uniform(c, i)) : new Uint32Array(),
  );
  for (const [c, { rate, leader }] of concepts.entries()) {
    if (leader === undefined) continue;
    const taken = firings[leader.concept].filter((row) => together.uniform(c, row) < leader.probability);
    const takenRate = concepts[leader.concept].rate * leader.probability;
    const own = rowsAtRate((rate - takenRate) / (1 - takenRate), nRows, (i) => alone.uniform(c, i));
    firings[c] = Uint32Array.from(new Set([...taken, ...own])).sort();
  }
  return firings;
}

/** Rows of independent trials of the given probability: the gaps between them are geometric. */
function rowsAtRate(rate: number, nRows: number, uniform: (i: number) => number): Uint32Array {
  const rows: number[] = [];
  if (rate === 0) return new Uint32Array();
  for (let row = -1, i = 0; ; i += 1) {
    row += 1 + Math.floor(Math.log1p(-uniform(i)) / Math.log1p(-rate));
    if (row >= nRows) return Uint32Array.from(rows);
    rows.push(row);
  }
}

/** Offsets and noise: [nRows, 2 · dModel] f32. */
function drawNoise({ settings, seed, nRows }: Draw): Float32Array {
  const { dModel, offsetNorm, noiseRms, noiseFall, sharedNoiseRms, sharedNoiseDirections } = settings;
  const [ofBoth, ofOne] = [settings.commonNoiseShare, 1 - settings.commonNoiseShare].map(Math.sqrt);
  const width = 2 * dModel;
  const offset = [0, 1].map((index) => unitVector(dModel, { seed, name: "truth.offset", index }));
  const fall = Float64Array.from({ length: dModel }, (_, i) => (i + 1) ** -noiseFall);
  const std = fall.map((value) => (noiseRms * value) / Math.hypot(...fall));
  const strong = Array.from({ length: sharedNoiseDirections }, (_, k) =>
    [0, 1].map((model) => unitVector(dModel, { seed, name: "truth.noise direction", index: 2 * k + model })),
  );
  const strongStd = sharedNoiseRms / Math.sqrt(Math.max(1, sharedNoiseDirections));
  const [noise, shared] = [createRng(seed, "truth.noise"), createRng(seed, "truth.shared noise")];
  const x = new Float32Array(nRows * width);
  for (let row = 0; row < nRows; row += 1) {
    const draws = strong.map((_, k) => strongStd * shared.normal(row, k));
    const common = fall.map((_, i) => (ofBoth === 0 ? 0 : ofBoth * noise.normal(row, width + i)));
    for (let i = 0; i < width; i += 1) {
      const [model, coordinate] = i < dModel ? [0, i] : [1, i - dModel];
      let value = offsetNorm * offset[model][coordinate];
      value += std[coordinate] * (common[coordinate] + ofOne * noise.normal(row, i));
      for (let k = 0; k < draws.length; k += 1) value += draws[k] * strong[k][model][coordinate];
      x[row * width + i] = value;
    }
  }
  return x;
}

/** In place. */
function addConcepts(
  x: Float32Array,
  { concepts, strengths, dModel }: Pick<KnownDictionary, "concepts" | "strengths"> & { dModel: number },
): void {
  const { rowStart, concept, base, finetuned } = strengths;
  for (let row = 0; row + 1 < rowStart.length; row += 1) {
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
      const { directionBase, directionFinetuned } = concepts[concept[entry]];
      const at = row * 2 * dModel;
      for (let i = 0; i < dModel; i += 1) {
        x[at + i] += base[entry] * directionBase[i];
        x[at + dModel + i] += finetuned[entry] * directionFinetuned[i];
      }
    }
  }
}

/** In place; returns [nRows] 1 for the rows chosen. */
function multiplyOutliers(x: Float32Array, { settings, seed, nRows }: Draw): Uint8Array {
  const { outlierRate, outlierFactor, dModel } = settings;
  const rng = createRng(seed, "truth.outlier");
  const outlier = new Uint8Array(nRows);
  for (let row = 0; row < nRows; row += 1) {
    if (rng.uniform(0, row) >= outlierRate) continue;
    outlier[row] = 1;
    for (let i = row * 2 * dModel; i < (row + 1) * 2 * dModel; i += 1) x[i] *= outlierFactor;
  }
  return outlier;
}

/** 1 + the concept of the largest strength, 0 where nothing fires: so that a row's token says what it is. */
function loudestConcept(
  { rowStart, concept, base, finetuned }: ConceptStrengths,
  nRows: number,
): Uint32Array {
  return Uint32Array.from({ length: nRows }, (_, row) => {
    let [token, most] = [0, 0];
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
      const strength = Math.max(base[entry], finetuned[entry]);
      if (strength > most) [token, most] = [1 + concept[entry], strength];
    }
    return token;
  });
}
