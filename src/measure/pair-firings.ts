// How the two latents of given pairs fire together: one pass over rows that encodes these latents and no others.
//
// The latents of a pair may belong to two dictionaries over the same store. Counts and sums per pair, from which follow the
// correlation of activations, Jaccard and phi of firing, and (with a scale A for each pair) activation divergence, Minder et al.
// 2025 (arXiv:2504.02922), App. F. BOS rows and norm outliers are left out, as in the measuring pass. Sums are f64 in
// store order. pair-firings-reference.ts is the readable twin.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { NumericsError, ShapeError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import { normLimits } from "../store/norm-outliers.ts";
import { ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { countRows, encodedRows } from "./encoded-rows.ts";
import { createSlotEncoder, type LatentPlace, type SlotEncoder } from "./slot-encoder.ts";

export type { LatentPlace } from "./slot-encoder.ts";

/** Rows encoded at a time. */
const BATCH_ROWS = 2048;

export interface LatentPair {
  a: LatentPlace;
  b: LatentPlace;
}

/** Fractions of A: a latent is high above `high` · A and low below `low` · A. */
export interface DivergenceThresholds {
  high: number;
  low: number;
}

/** What divergence is made of, for one pair and one pair of thresholds; rows. */
export interface DivergenceCounts {
  onlyA: number;
  onlyB: number;
  highA: number;
  highB: number;
  bothHigh: number;
}

export interface PairFiring {
  firedA: number;
  firedB: number;
  firedBoth: number;
  /** Σ of activations v = f·W and of their squares and products. */
  sumA: number;
  sumB: number;
  squaresA: number;
  squaresB: number;
  products: number;
  maxA: number;
  maxB: number;
  /** [dataset of the store][pair of thresholds]; empty where no scales were given. */
  divergence: DivergenceCounts[][];
}

export interface PairFirings {
  /** Rows looked at, BOS rows left out. */
  nRows: number;
  /** One for each pair given, in that order. */
  pairs: PairFiring[];
}

export interface PairFiringsOptions {
  store: Store;
  /** What the pairs' places index. All of them over this store's sites. */
  dictionaries: readonly Dictionary[];
  pairs: readonly LatentPair[];
  splits: readonly Split[];
  /** Largest ordinary norm of every site; default: normLimits(store). */
  normLimits?: readonly number[];
  /** scale: [pairs] A of each in activation units; where it is not > 0 nothing is high. */
  divergence?: { scale: ArrayLike<number>; thresholds: readonly DivergenceThresholds[] };
  /** Of the dense product. */
  threads?: number;
  /** Name in progress reports; default "pairs of latents". */
  stage?: string;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * Counts and sums over all rows of the splits but BOS and norm outliers; nothing is read when there are no pairs. Throws NumericsError (a row
 * that is not finite), InterruptedError, ShapeError (a scale for each pair is missing).
 */
export async function pairFirings(options: PairFiringsOptions): Promise<PairFirings> {
  const { store, dictionaries, pairs, splits, divergence, stage = "pairs of latents" } = options;
  if (divergence !== undefined && divergence.scale.length !== pairs.length) {
    throw new ShapeError(`scale: expected ${pairs.length}, one a pair, got ${divergence.scale.length}`);
  }
  const { datasets } = store.manifest;
  const result: PairFirings = { nRows: 0, pairs: pairs.map(() => emptyFiring(datasets.length, divergence)) };
  if (pairs.length === 0) return result;
  const encoder = await createSlotEncoder(
    dictionaries,
    pairs.flatMap(({ a, b }) => [a, b]),
    { maxRows: BATCH_ROWS, threads: options.threads },
  );
  try {
    const sums = createSlotSums(encoder.nSlots);
    const addRow = createRowAdder(options, { encoder, sums, result });
    const bos = ROLES.indexOf("bos");
    const { role, dataset } = store.rows;
    const total = countRows(store, splits);
    let done = 0;
    const limits = options.normLimits ?? (await normLimits(store));
    const batches = encodedRows({ ...options, encoder, normalise: () => {}, normLimits: limits });
    for await (const { nRows, rows, x, codes, normOutlier } of batches) {
      requireFinite(x, { nRows, rows, store });
      for (let i = 0; i < nRows; i += 1) {
        if (role[rows[i]] === bos || normOutlier[i] === 1) continue;
        result.nRows += 1;
        addRow(codes, i, dataset[rows[i]]);
      }
      done += nRows;
      options.reportProgress?.({ stage, done, total, unit: "rows" });
    }
    pairs.forEach(({ a, b }, p) => {
      const [slotA, slotB] = [encoder.slotOf(a), encoder.slotOf(b)];
      Object.assign(result.pairs[p], {
        firedA: sums.fired[slotA],
        firedB: sums.fired[slotB],
        sumA: sums.sum[slotA],
        sumB: sums.sum[slotB],
        squaresA: sums.squares[slotA],
        squaresB: sums.squares[slotB],
        maxA: sums.max[slotA],
        maxB: sums.max[slotB],
      });
    });
    return result;
  } finally {
    await encoder.dispose();
  }
}

function emptyFiring(nDatasets: number, divergence: PairFiringsOptions["divergence"]): PairFiring {
  return {
    firedA: 0,
    firedB: 0,
    firedBoth: 0,
    sumA: 0,
    sumB: 0,
    squaresA: 0,
    squaresB: 0,
    products: 0,
    maxA: 0,
    maxB: 0,
    divergence:
      divergence === undefined
        ? []
        : Array.from({ length: nDatasets }, () => divergence.thresholds.map(() => emptyCounts())),
  };
}

export function emptyCounts(): DivergenceCounts {
  return { onlyA: 0, onlyB: 0, highA: 0, highB: 0, bothHigh: 0 };
}

/** Of each slot, [nSlots]: rows fired, Σv, Σv², the largest v. */
interface SlotSums {
  fired: Float64Array;
  sum: Float64Array;
  squares: Float64Array;
  max: Float64Array;
}

function createSlotSums(nSlots: number): SlotSums {
  const column = (): Float64Array => new Float64Array(nSlots);
  return { fired: column(), sum: column(), squares: column(), max: column() };
}

/** Adds the codes of one row: only pairs of which a latent fired are visited, each once. */
function createRowAdder(
  { pairs, divergence }: PairFiringsOptions,
  { encoder, sums, result }: { encoder: SlotEncoder; sums: SlotSums; result: PairFirings },
): (
  codes: { rowStart: Uint32Array; latent: Uint32Array; code: Float32Array },
  i: number,
  dataset: number,
) => void {
  const slotA = Uint32Array.from(pairs, ({ a }) => encoder.slotOf(a));
  const slotB = Uint32Array.from(pairs, ({ b }) => encoder.slotOf(b));
  const pairsOfSlot: number[][] = Array.from({ length: encoder.nSlots }, () => []);
  pairs.forEach((_, p) => {
    pairsOfSlot[slotA[p]].push(p);
    if (slotB[p] !== slotA[p]) pairsOfSlot[slotB[p]].push(p);
  });
  /** [nSlots] activations of the row, zero outside of a call. */
  const activation = new Float64Array(encoder.nSlots);

  const addPair = (p: number, dataset: number): void => {
    const [vA, vB] = [activation[slotA[p]], activation[slotB[p]]];
    const pair = result.pairs[p];
    if (vA > 0 && vB > 0) {
      pair.firedBoth += 1;
      pair.products += vA * vB;
    }
    if (divergence === undefined || !(divergence.scale[p] > 0)) return;
    divergence.thresholds.forEach(({ high, low }, t) => {
      addDivergence(pair.divergence[dataset][t], [vA, vB], {
        high: high * divergence.scale[p],
        low: low * divergence.scale[p],
      });
    });
  };
  return ({ rowStart, latent, code }, i, dataset) => {
    const [from, to] = [rowStart[i], rowStart[i + 1]];
    for (let entry = from; entry < to; entry += 1) {
      const slot = latent[entry];
      const v = code[entry] * encoder.activationWeight[slot];
      if (!(v > 0)) continue; // a latent whose W is 0 has codes but no activation
      activation[slot] = v;
      sums.fired[slot] += 1;
      sums.sum[slot] += v;
      sums.squares[slot] += v * v;
      if (v > sums.max[slot]) sums.max[slot] = v;
    }
    for (let entry = from; entry < to; entry += 1) {
      const slot = latent[entry];
      if (activation[slot] === 0) continue;
      for (const p of pairsOfSlot[slot]) {
        // From a's side, or from b's where a is silent.
        if (slot === slotA[p] || activation[slotA[p]] === 0) addPair(p, dataset);
      }
    }
    for (let entry = from; entry < to; entry += 1) activation[latent[entry]] = 0;
  };
}

/** Takes in one row's activations; high, low: in activation units. */
export function addDivergence(
  counts: DivergenceCounts,
  [vA, vB]: [number, number],
  { high, low }: DivergenceThresholds,
): void {
  const [aHigh, bHigh] = [vA > high, vB > high];
  if (aHigh) counts.highA += 1;
  if (bHigh) counts.highB += 1;
  if (aHigh && bHigh) counts.bothHigh += 1;
  if (aHigh && vB < low) counts.onlyA += 1;
  if (bHigh && vA < low) counts.onlyB += 1;
}

/** A code of NaN is never above a threshold: without this a damaged row would pass for a silent one. */
function requireFinite(
  x: Float32Array,
  { nRows, rows, store }: { nRows: number; rows: Uint32Array; store: Store },
): void {
  let sum = 0;
  for (let i = 0; i < nRows * store.width; i += 1) sum += x[i];
  if (Number.isFinite(sum)) return;
  const bad = x.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return; // f64 sums of finite f32 numbers do not overflow
  const row = rows[Math.floor(bad / store.width)];
  throw new NumericsError(`${store.folder}: row ${row}: expected finite activations, got ${x[bad]}`, {
    hint: "run `tunediff verify` on the store; harvest again what is damaged",
  });
}

/**
 * Pearson correlation of the two activations over all rows, silent ones as 0. Null where one of them never changes.
 *
 * (n Σvv′ − Σv Σv′) / √((n Σv² − (Σv)²)(n Σv′² − (Σv′)²))
 */
export function correlationOf(pair: PairFiring, nRows: number): number | null {
  const covariance = nRows * pair.products - pair.sumA * pair.sumB;
  const varianceA = nRows * pair.squaresA - pair.sumA ** 2;
  const varianceB = nRows * pair.squaresB - pair.sumB ** 2;
  if (!(varianceA > 0 && varianceB > 0)) return null;
  return clampToOne(covariance / Math.sqrt(varianceA * varianceB));
}

/** Rows where both fired over rows where either did; null where neither ever fired. */
export function jaccardOf({ firedA, firedB, firedBoth }: PairFiring): number | null {
  const either = firedA + firedB - firedBoth;
  return either === 0 ? null : firedBoth / either;
}

/** Phi coefficient: the correlation of "fired" with "fired". Null where one of them never or always fires. */
export function phiOf({ firedA, firedB, firedBoth }: PairFiring, nRows: number): number | null {
  const variance = firedA * (nRows - firedA) * (firedB * (nRows - firedB));
  return variance > 0 ? clampToOne((nRows * firedBoth - firedA * firedB) / Math.sqrt(variance)) : null;
}

/** (onlyA + onlyB) / rows where either is high; null where there is no such row. */
export function divergenceOf({ onlyA, onlyB, highA, highB, bothHigh }: DivergenceCounts): number | null {
  const eitherHigh = highA + highB - bothHigh;
  return eitherHigh === 0 ? null : (onlyA + onlyB) / eitherHigh;
}

const clampToOne = (value: number): number => Math.max(-1, Math.min(1, value));
