// Which known concept a latent answers to, and where the base model's part of that concept went.
//
// One pass over held-out rows. The match asks for both the code (does it fire where the concept does?) and the decoder row (does it
// write the concept's direction?). Where the base's part lies is decided from the truth and the reconstruction alone, never
// from nu, so that it can judge nu. Norm outliers are left out. Not here: what is claimed, and what a false claim is called.

import type { Dictionary, SparseCodes } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { rowBatches, rowsOfSplit } from "../dictionary/row-batches.ts";
import type { KnownDictionary } from "./known-dictionary.ts";

const BATCH_ROWS = 2048;

/** What makes a latent answer to a concept. Stated before any benchmark was scored. */
export const MATCH_THRESHOLDS = {
  /** Pearson, code against the concept's strength in the finetuned model, over all held-out rows. */
  correlation: 0.3,
  /** Finetuned decoder row and the concept's finetuned direction. */
  cosine: 0.5,
  /** A latent that answers to no concept is a mixture when some concept reaches this. */
  mixtureCorrelation: 0.15,
} as const;

export interface LatentMatch {
  latent: number;
  /** Index into the known concepts: the largest correlation among those that reach both thresholds; −1: none. */
  concept: number;
  /** Of `concept`; without one, the largest of all. */
  correlation: number;
  cosine: number;
  /** Σ code · strength in the base / Σ code · strength in the finetuned: the truth over the rows in which the latent fires. */
  ratio: number;
  /** Of the base's part of the concept, along its base direction. NaN without a concept or where the base has none of it. */
  basePart: BasePart;
}

/**
 * Covariances with the code, divided by that of the concept's strength in the base. They add up to 1 but for what else lies along
 * that direction when the latent fires (other concepts, noise).
 */
export interface BasePart {
  /** Reconstructed by the latent's own base row. */
  own: number;
  /** Reconstructed by other latents. */
  others: number;
  /** Not reconstructed. */
  error: number;
}

/** One match a latent, in latent order. The dictionary must have been trained on known.store. */
export async function matchLatents({
  known,
  dictionary,
  threads,
}: {
  known: KnownDictionary;
  dictionary: Dictionary;
  threads?: number;
}): Promise<LatentMatch[]> {
  const sums = createSums(known, dictionary);
  const encoder = await createEncoder(dictionary, { maxRows: BATCH_ROWS, threads });
  try {
    const rows = rowsOfSplit(known.store, "heldout").filter((row) => known.outlier[row] === 0);
    for await (const batch of rowBatches({ store: known.store, rows, batchRows: BATCH_ROWS })) {
      const x = batch.x.subarray(0, batch.nRows * dictionary.width);
      normaliseInPlace(x, batch.nRows, dictionary);
      addRows(sums, { known, dictionary, rows: batch.rows, x, codes: await encoder.encode(x, batch.nRows) });
    }
  } finally {
    await encoder.dispose();
  }
  return Array.from({ length: dictionary.nLatents }, (_, latent) =>
    matchOf(latent, { known, dictionary, sums }),
  );
}

/** Sums over rows; [j, c] is row-major latent × concept, [j, i] latent × base coordinate. All f64. */
interface Sums {
  nRows: number;
  code: Float64Array;
  codeSquared: Float64Array;
  codeStrengthBase: Float64Array;
  codeStrengthFinetuned: Float64Array;
  /** Base's error and reconstruction, normalised units: [i] and, times the code, [j, i]. */
  error: Float64Array;
  reconstruction: Float64Array;
  codeError: Float64Array;
  codeReconstruction: Float64Array;
  strengthBase: Float64Array;
  strengthFinetuned: Float64Array;
  strengthFinetunedSquared: Float64Array;
}

function createSums({ concepts }: KnownDictionary, { nLatents, sites }: Dictionary): Sums {
  const [n, dBase] = [concepts.length, sites[0].width];
  return {
    nRows: 0,
    code: new Float64Array(nLatents),
    codeSquared: new Float64Array(nLatents),
    codeStrengthBase: new Float64Array(nLatents * n),
    codeStrengthFinetuned: new Float64Array(nLatents * n),
    error: new Float64Array(dBase),
    reconstruction: new Float64Array(dBase),
    codeError: new Float64Array(nLatents * dBase),
    codeReconstruction: new Float64Array(nLatents * dBase),
    strengthBase: new Float64Array(n),
    strengthFinetuned: new Float64Array(n),
    strengthFinetunedSquared: new Float64Array(n),
  };
}

interface Rows {
  known: KnownDictionary;
  dictionary: Dictionary;
  /** Index into the store's rows. */
  rows: Uint32Array;
  /** [codes.nRows, width] normalised. */
  x: Float32Array;
  codes: SparseCodes;
}

function addRows(sums: Sums, { known, dictionary, rows, x, codes }: Rows): void {
  const { strengths, concepts } = known;
  const { width, decoderWeight, decoderBias } = dictionary;
  const dBase = dictionary.sites[0].width;
  const reconstruction = new Float64Array(dBase);
  for (let i = 0; i < codes.nRows; i += 1) {
    const [from, to] = [codes.rowStart[i], codes.rowStart[i + 1]];
    reconstruction.set(decoderBias.subarray(0, dBase));
    for (let entry = from; entry < to; entry += 1) {
      const start = codes.latent[entry] * width;
      for (let c = 0; c < dBase; c += 1) reconstruction[c] += codes.code[entry] * decoderWeight[start + c];
    }
    sums.nRows += 1;
    for (let c = 0; c < dBase; c += 1) {
      sums.reconstruction[c] += reconstruction[c];
      sums.error[c] += x[i * width + c] - reconstruction[c];
    }
    const [first, last] = [strengths.rowStart[rows[i]], strengths.rowStart[rows[i] + 1]];
    for (let at = first; at < last; at += 1) {
      sums.strengthBase[strengths.concept[at]] += strengths.base[at];
      sums.strengthFinetuned[strengths.concept[at]] += strengths.finetuned[at];
      sums.strengthFinetunedSquared[strengths.concept[at]] += strengths.finetuned[at] ** 2;
    }
    for (let entry = from; entry < to; entry += 1) {
      const j = codes.latent[entry];
      const f = codes.code[entry];
      sums.code[j] += f;
      sums.codeSquared[j] += f * f;
      for (let at = first; at < last; at += 1) {
        sums.codeStrengthBase[j * concepts.length + strengths.concept[at]] += f * strengths.base[at];
        sums.codeStrengthFinetuned[j * concepts.length + strengths.concept[at]] +=
          f * strengths.finetuned[at];
      }
      for (let c = 0; c < dBase; c += 1) {
        sums.codeReconstruction[j * dBase + c] += f * reconstruction[c];
        sums.codeError[j * dBase + c] += f * (x[i * width + c] - reconstruction[c]);
      }
    }
  }
}

interface Of {
  known: KnownDictionary;
  dictionary: Dictionary;
  sums: Sums;
}

function matchOf(latent: number, of: Of): LatentMatch {
  const nConcepts = of.known.concepts.length;
  let best = { concept: -1, correlation: 0, cosine: Number.NaN };
  let loudest = 0;
  for (let concept = 0; concept < nConcepts; concept += 1) {
    const correlation = correlationOf(latent, concept, of);
    loudest = Math.max(loudest, correlation);
    if (correlation < MATCH_THRESHOLDS.correlation || correlation <= best.correlation) continue;
    const cosine = cosineOf(latent, concept, of);
    if (cosine >= MATCH_THRESHOLDS.cosine) best = { concept, correlation, cosine };
  }
  if (best.concept < 0) {
    const basePart = { own: Number.NaN, others: Number.NaN, error: Number.NaN };
    return { latent, ...best, correlation: loudest, ratio: Number.NaN, basePart };
  }
  const at = latent * nConcepts + best.concept;
  const ratio = of.sums.codeStrengthBase[at] / of.sums.codeStrengthFinetuned[at];
  return { latent, ...best, ratio, basePart: basePartOf(latent, best.concept, of) };
}

/** 0 where either never varies. */
function correlationOf(latent: number, concept: number, { known, sums }: Of): number {
  const n = sums.nRows;
  const [sumF, sumS] = [sums.code[latent], sums.strengthFinetuned[concept]];
  const covariance = sums.codeStrengthFinetuned[latent * known.concepts.length + concept] - (sumF * sumS) / n;
  const varianceF = sums.codeSquared[latent] - (sumF * sumF) / n;
  const varianceS = sums.strengthFinetunedSquared[concept] - (sumS * sumS) / n;
  return varianceF > 0 && varianceS > 0 ? covariance / Math.sqrt(varianceF * varianceS) : 0;
}

function cosineOf(latent: number, concept: number, { known, dictionary }: Of): number {
  const { decoderWeight, width, sites } = dictionary;
  const row = decoderWeight.subarray(latent * width + sites[0].width, (latent + 1) * width);
  const direction = known.concepts[concept].directionFinetuned;
  return inner(row, direction) / Math.hypot(...row);
}

function basePartOf(latent: number, concept: number, { known, dictionary, sums }: Of): BasePart {
  const { decoderWeight, width, sites, normaliser } = dictionary;
  const dBase = sites[0].width;
  const n = sums.nRows;
  const code = sums.code[latent];
  const direction = known.concepts[concept].directionBase;
  /** Covariance with the code, times n, of a quantity of the base model along the concept's base direction. */
  const along = (timesCode: Float64Array, plain: Float64Array): number =>
    inner(timesCode.subarray(latent * dBase, (latent + 1) * dBase), direction) -
    (code * inner(plain, direction)) / n;
  const ownRow = decoderWeight.subarray(latent * width, latent * width + dBase);
  const own = (sums.codeSquared[latent] - code ** 2 / n) * inner(ownRow, direction);
  const others = along(sums.codeReconstruction, sums.reconstruction) - own;
  const error = along(sums.codeError, sums.error);
  const strength =
    sums.codeStrengthBase[latent * known.concepts.length + concept] - (code * sums.strengthBase[concept]) / n;
  const whole = strength * (normaliser?.scale[0] ?? 1);
  return whole > 0
    ? { own: own / whole, others: others / whole, error: error / whole }
    : { own: Number.NaN, others: Number.NaN, error: Number.NaN };
}

function inner(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}
