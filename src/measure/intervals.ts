// 95 % intervals of the three nu in both directions, by resampling document groups with replacement.
//
// The percentile bootstrap (Efron & Tibshirani 1993, ch. 13) over the groups of LatentSums: rows of one document are not
// independent, documents hash into groups, so groups are what is drawn. Every latent meets the same draws, so that
// results are paired. A nu is a ratio of two betas with one denominator, which cancels: a draw needs nine weighted sums.
//
// What a draw without a ratio counts for. Where the own model's beta is not positive (the latent's groups were not drawn,
// or the sum that nu divides by is 0 or negative) nu runs through infinity and changes sign. Such a draw speaks for
// no value: it counts as −∞ for the lower limit and as +∞ for the upper one, so it can neither make a claim nor
// refute one. With 2.5 % of such draws a limit is infinite. It follows that a latent must fire in several groups: of 64,
// all groups of a latent that fired in n are missed by (1 − n/64)^64 of the draws, 37 %, 13 %, 4.6 % and 1.6 % for
// n = 1, 2, 3, 4, so up to three groups give (−∞, ∞). {NaN, NaN} is only for a latent that never fired.
//
// Not here: the nu themselves (latent-scaling.ts) and what follows from the limits (verdict.ts). The slow twin,
// intervals-reference.ts, scales every draw by itself.

import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { type LatentSums, N_SUMS, type RowGeometry, SUM } from "./latent-scaling.ts";
import {
  DIRECTIONS,
  type Direction,
  type Interval,
  type LatentIntervals,
  NU_NAMES,
  type NuName,
} from "./measure-contract.ts";

/** Share of the interval, draws, and the bounds outside which an interval is refused. */
export const INTERVAL_DEFAULTS = {
  level: 0.95,
  nDraws: 500,
  /** Fewer than this and no draw lies beyond a limit. */
  minimumDraws: 41,
  /** counts are u8. */
  maximumGroups: 255,
} as const;

/** The same as columns over a slice of latents; each f64 [nLatents]. */
export type IntervalColumns = Record<Direction, Record<NuName, { low: Float64Array; high: Float64Array }>> & {
  nLatents: number;
  /** [nLatents] u16. */
  nGroupsFired: Uint16Array;
};

/** How often each group counts in each draw; drawn once and used for all latents. */
export interface Resampling {
  nDraws: number;
  nGroups: number;
  /** [nDraws, nGroups] u8, each draw adding up to nGroups. */
  counts: Uint8Array;
}

/**
 * Draws nGroups groups with replacement, nDraws times: a pure function of its arguments.
 *
 * seed: safe non-negative integer. Throws ShapeError for more groups than a u8 can count or too few draws for a limit.
 */
export function createResampling({
  nGroups,
  nDraws = INTERVAL_DEFAULTS.nDraws,
  seed,
}: {
  nGroups: number;
  nDraws?: number;
  seed: number;
}): Resampling {
  const { minimumDraws, maximumGroups } = INTERVAL_DEFAULTS;
  if (!(nGroups >= 1 && nGroups <= maximumGroups)) {
    throw new ShapeError(`resampling: expected 1 to ${maximumGroups} groups, got ${nGroups}`);
  }
  if (!(nDraws >= minimumDraws)) {
    throw new ShapeError(`resampling: expected at least ${minimumDraws} draws, got ${nDraws}`, {
      hint: `leave nDraws out: ${INTERVAL_DEFAULTS.nDraws} are drawn`,
    });
  }
  const rng = createRng(seed, "measure.intervals");
  const counts = new Uint8Array(nDraws * nGroups);
  for (let draw = 0; draw < nDraws; draw += 1) {
    for (let pick = 0; pick < nGroups; pick += 1) {
      counts[draw * nGroups + Math.floor(rng.uniform(draw, pick) * nGroups)] += 1;
    }
  }
  return { nDraws, nGroups, counts };
}

/**
 * Intervals of the latents of `sums`, which may be a slice of the dictionary: nothing is shared between latents.
 *
 * geometry: [nLatents], the decoder rows of these latents. Costs O(nDraws · nGroups / 3) a latent, less when it fired in
 * few groups, nothing when it never fired. Throws ShapeError when the three do not fit each other.
 */
export function bootstrapIntervals(
  sums: LatentSums,
  geometry: readonly RowGeometry[],
  resampling: Resampling,
): IntervalColumns {
  const { nLatents, nGroups } = sums;
  if (resampling.nGroups !== nGroups) {
    throw new ShapeError(`resampling: expected the ${nGroups} groups of the sums, got ${resampling.nGroups}`);
  }
  if (geometry.length !== nLatents) {
    throw new ShapeError(`geometry: expected ${nLatents} latents as sums, got ${geometry.length}`);
  }
  const { nDraws } = resampling;
  const table = tabulate(resampling);
  const columns = createColumns(nLatents);
  const grouped = new Float64Array(table.nBlocks * GROUPS_PER_BLOCK * N_TERMS);
  const drawn = new Float64Array(nDraws * RATIOS.length * 2);
  const tails = createTails(nDraws);
  for (let latent = 0; latent < nLatents; latent += 1) {
    const nGroupsFired = gatherTerms(sums, latent, { geometry: geometry[latent], grouped });
    columns.nGroupsFired[latent] = nGroupsFired;
    if (nGroupsFired === 0) continue;
    sumDraws(table, { grouped, geometry: geometry[latent], drawn });
    for (const [index, { direction, nu }] of RATIOS.entries()) {
      rankRatios(drawn, index, tails);
      columns[direction][nu].low[latent] = lowerLimit(tails);
      columns[direction][nu].high[latent] = upperLimit(tails);
    }
  }
  return columns;
}

/** One latent of the columns. */
export function intervalsOfLatent(columns: IntervalColumns, latent: number): LatentIntervals {
  const along = (direction: Direction): Record<NuName, Interval> => {
    const of = (nu: NuName): Interval => ({
      low: columns[direction][nu].low[latent],
      high: columns[direction][nu].high[latent],
    });
    return {
      nuActivation: of("nuActivation"),
      nuReconstruction: of("nuReconstruction"),
      nuError: of("nuError"),
    };
  };
  return {
    finetuned: along("finetuned"),
    base: along("base"),
    nGroupsFired: columns.nGroupsFired[latent],
  };
}

function createColumns(nLatents: number): IntervalColumns {
  const nan = (): Float64Array => new Float64Array(nLatents).fill(Number.NaN);
  const limits = (): { low: Float64Array; high: Float64Array } => ({ low: nan(), high: nan() });
  const along = (): IntervalColumns[Direction] => ({
    nuActivation: limits(),
    nuReconstruction: limits(),
    nuError: limits(),
  });
  return { nLatents, nGroupsFired: new Uint16Array(nLatents), finetuned: along(), base: along() };
}

/** The ratios of a latent, in the order in which sumDraws writes them. */
const RATIOS = DIRECTIONS.flatMap((direction) => NU_NAMES.map((nu) => ({ direction, nu })));

/** The sums that a draw needs, in the order in which they are gathered. */
const TERMS = [
  SUM.alongFinetunedActivationBase,
  SUM.alongFinetunedActivationFinetuned,
  SUM.alongFinetunedReconstructionBase,
  SUM.alongFinetunedReconstructionFinetuned,
  SUM.alongBaseActivationBase,
  SUM.alongBaseActivationFinetuned,
  SUM.alongBaseReconstructionBase,
  SUM.alongBaseReconstructionFinetuned,
  SUM.codeSquared,
] as const;
const N_TERMS = TERMS.length;
const [FAB, FAF, FRB, FRF, BAB, BAF, BRB, BRF, ENERGY] = TERMS.keys();

/** Terms of one latent into grouped [nGroups, N_TERMS]; returns how many groups it fired in, the others being 0. */
function gatherTerms(
  { nGroups, nLatents, values }: LatentSums,
  latent: number,
  { geometry, grouped }: { geometry: RowGeometry; grouped: Float64Array },
): number {
  let nGroupsFired = 0;
  for (let group = 0; group < nGroups; group += 1) {
    const from = (group * nLatents + latent) * N_SUMS;
    const to = group * N_TERMS;
    for (let term = 0; term < TERMS.length; term += 1) grouped[to + term] = values[from + TERMS[term]];
    if (values[from + SUM.fired] > 0) nGroupsFired += 1;
  }
  if (geometry.inner === null) {
    // Models of different width: each is read along its own row, brought to one length; see latent-scaling.ts.
    const finetunedOverBase = Math.sqrt(geometry.squaredFinetuned / geometry.squaredBase);
    for (let at = 0; at < nGroups * N_TERMS; at += N_TERMS) {
      grouped[at + FAB] = grouped[at + BAB] * finetunedOverBase;
      grouped[at + FRB] = grouped[at + BRB] * finetunedOverBase;
      grouped[at + BAF] = grouped[at + FAF] / finetunedOverBase;
      grouped[at + BRF] = grouped[at + FRF] / finetunedOverBase;
    }
  }
  return nGroupsFired;
}

const GROUPS_PER_BLOCK = 3;

/**
 * The draws rewritten for speed. Three neighbouring groups have only some 70 different triples of counts in 500 draws,
 * so the weighted sum of each triple is made once a latent, and a draw adds up one of them a block: about a third of
 * the additions and no products.
 */
interface DrawTable {
  nDraws: number;
  nBlocks: number;
  /** [nTriples, GROUPS_PER_BLOCK] f64 counts. */
  tripleCounts: Float64Array;
  /** [nBlocks + 1] where a block's triples begin. */
  blockStart: Uint32Array;
  /** [nDraws, nBlocks] triple of each block, times N_TERMS. */
  tripleOfDraw: Uint32Array;
  /** Scratch: [nTriples, N_TERMS] weighted sums of one latent. */
  tripleSums: Float64Array;
  /** Scratch: blocks in which the latent fired. */
  activeBlocks: Uint16Array;
}

function tabulate({ nDraws, nGroups, counts }: Resampling): DrawTable {
  const nBlocks = Math.ceil(nGroups / GROUPS_PER_BLOCK);
  const tripleOfDraw = new Uint32Array(nDraws * nBlocks);
  const blockStart = new Uint32Array(nBlocks + 1);
  let nTriples = 0;
  const tripleCounts: number[] = [];
  for (let block = 0; block < nBlocks; block += 1) {
    const first = block * GROUPS_PER_BLOCK;
    const known = new Map<number, number>();
    blockStart[block] = nTriples;
    for (let draw = 0; draw < nDraws; draw += 1) {
      const at = draw * nGroups + first;
      const count0 = counts[at];
      const count1 = first + 1 < nGroups ? counts[at + 1] : 0;
      const count2 = first + 2 < nGroups ? counts[at + 2] : 0;
      const key = (count0 * 256 + count1) * 256 + count2;
      let index = known.get(key);
      if (index === undefined) {
        index = nTriples;
        nTriples += 1;
        known.set(key, index);
        tripleCounts.push(count0, count1, count2);
      }
      tripleOfDraw[draw * nBlocks + block] = index * N_TERMS;
    }
  }
  blockStart[nBlocks] = nTriples;
  return {
    nDraws,
    nBlocks,
    tripleCounts: Float64Array.from(tripleCounts),
    blockStart,
    tripleOfDraw,
    tripleSums: new Float64Array(nTriples * N_TERMS),
    activeBlocks: new Uint16Array(nBlocks),
  };
}

/**
 * Both sides of every ratio of every draw: drawn [nDraws, RATIOS, 2], the other model's beta and the own one's, each times
 * Σf²·‖d‖². The error's own share <d, d_m>/‖d‖² (latent-scaling.ts) then reads <d, d_m>·Σf². Blocks without a firing are
 * passed over.
 */
function sumDraws(
  table: DrawTable,
  { grouped, geometry, drawn }: { grouped: Float64Array; geometry: RowGeometry; drawn: Float64Array },
): void {
  const { nDraws, nBlocks, tripleOfDraw, tripleSums, activeBlocks } = table;
  const { squaredBase, squaredFinetuned } = geometry;
  const across = geometry.inner ?? Math.sqrt(squaredBase * squaredFinetuned);
  let nActive = 0;
  for (let block = 0; block < nBlocks; block += 1) {
    if (!firedInBlock(grouped, block)) continue;
    activeBlocks[nActive] = block;
    nActive += 1;
    sumTriples(table, grouped, block);
  }
  for (let draw = 0, to = 0; draw < nDraws; draw += 1, to += 2 * RATIOS.length) {
    let [fab, faf, frb, frf, bab, baf, brb, brf, energy] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (let i = 0; i < nActive; i += 1) {
      const at = tripleOfDraw[draw * nBlocks + activeBlocks[i]];
      fab += tripleSums[at];
      faf += tripleSums[at + 1];
      frb += tripleSums[at + 2];
      frf += tripleSums[at + 3];
      bab += tripleSums[at + 4];
      baf += tripleSums[at + 5];
      brb += tripleSums[at + 6];
      brf += tripleSums[at + 7];
      energy += tripleSums[at + 8];
    }
    drawn[to] = fab;
    drawn[to + 1] = faf;
    drawn[to + 2] = frb;
    drawn[to + 3] = frf;
    drawn[to + 4] = fab - frb + across * energy;
    drawn[to + 5] = faf - frf + squaredFinetuned * energy;
    drawn[to + 6] = baf;
    drawn[to + 7] = bab;
    drawn[to + 8] = brf;
    drawn[to + 9] = brb;
    drawn[to + 10] = baf - brf + across * energy;
    drawn[to + 11] = bab - brb + squaredBase * energy;
  }
}

function firedInBlock(grouped: Float64Array, block: number): boolean {
  for (let k = 0; k < GROUPS_PER_BLOCK; k += 1) {
    if (grouped[(block * GROUPS_PER_BLOCK + k) * N_TERMS + ENERGY] !== 0) return true;
  }
  return false;
}

/** The weighted sums of all triples of a block; its terms are written out because a loop over nine is twice as slow. */
function sumTriples(table: DrawTable, grouped: Float64Array, block: number): void {
  const { tripleCounts, tripleSums, blockStart } = table;
  const a = block * GROUPS_PER_BLOCK * N_TERMS;
  const b = a + N_TERMS;
  const c = b + N_TERMS;
  for (let triple = blockStart[block]; triple < blockStart[block + 1]; triple += 1) {
    const p = tripleCounts[triple * GROUPS_PER_BLOCK];
    const q = tripleCounts[triple * GROUPS_PER_BLOCK + 1];
    const r = tripleCounts[triple * GROUPS_PER_BLOCK + 2];
    const to = triple * N_TERMS;
    tripleSums[to] = p * grouped[a] + q * grouped[b] + r * grouped[c];
    tripleSums[to + 1] = p * grouped[a + 1] + q * grouped[b + 1] + r * grouped[c + 1];
    tripleSums[to + 2] = p * grouped[a + 2] + q * grouped[b + 2] + r * grouped[c + 2];
    tripleSums[to + 3] = p * grouped[a + 3] + q * grouped[b + 3] + r * grouped[c + 3];
    tripleSums[to + 4] = p * grouped[a + 4] + q * grouped[b + 4] + r * grouped[c + 4];
    tripleSums[to + 5] = p * grouped[a + 5] + q * grouped[b + 5] + r * grouped[c + 5];
    tripleSums[to + 6] = p * grouped[a + 6] + q * grouped[b + 6] + r * grouped[c + 6];
    tripleSums[to + 7] = p * grouped[a + 7] + q * grouped[b + 7] + r * grouped[c + 7];
    tripleSums[to + 8] = p * grouped[a + 8] + q * grouped[b + 8] + r * grouped[c + 8];
  }
}

/**
 * The ends of a ranking: a limit is a type-7 quantile, as quantileOfSorted gives it, and touches two of the few smallest
 * or largest ratios, so nothing is sorted as a whole.
 */
interface Tails {
  nDraws: number;
  /** Draws without a ratio. */
  nAbsent: number;
  /** Where the lower limit lies between order statistics 0 and nDraws − 1; the upper one lies as far from the other end. */
  position: number;
  /** Ascending from the smallest, and descending from the largest; as many as a limit can touch. */
  smallest: Float64Array;
  largest: Float64Array;
}

function createTails(nDraws: number): Tails {
  const position = ((nDraws - 1) * (1 - INTERVAL_DEFAULTS.level)) / 2;
  const size = Math.floor(position) + 2;
  return {
    nDraws,
    nAbsent: 0,
    position,
    smallest: new Float64Array(size),
    largest: new Float64Array(size),
  };
}

/** Ratio `index` of every draw, ranked into the tails. */
function rankRatios(drawn: Float64Array, index: number, tails: Tails): void {
  const { nDraws, smallest, largest } = tails;
  const last = smallest.length - 1;
  let nAbsent = 0;
  let smallestLast = Number.POSITIVE_INFINITY;
  let largestLast = Number.NEGATIVE_INFINITY;
  smallest.fill(smallestLast);
  largest.fill(largestLast);
  for (let draw = 0, at = 2 * index; draw < nDraws; draw += 1, at += 2 * RATIOS.length) {
    const own = drawn[at + 1];
    const ratio = drawn[at] / own;
    if (!(own > 0) || !Number.isFinite(ratio)) {
      nAbsent += 1;
      continue;
    }
    if (ratio < smallestLast) {
      let to = last;
      for (; to > 0 && smallest[to - 1] > ratio; to -= 1) smallest[to] = smallest[to - 1];
      smallest[to] = ratio;
      smallestLast = smallest[last];
    }
    if (ratio > largestLast) {
      let to = last;
      for (; to > 0 && largest[to - 1] < ratio; to -= 1) largest[to] = largest[to - 1];
      largest[to] = ratio;
      largestLast = largest[last];
    }
  }
  tails.nAbsent = nAbsent;
}

/** nAbsent times −∞ stand before the smallest. */
function lowerLimit({ nAbsent, position, smallest }: Tails): number {
  const below = Math.floor(position) - nAbsent;
  if (below < 0) return Number.NEGATIVE_INFINITY;
  return smallest[below] + (position - Math.floor(position)) * (smallest[below + 1] - smallest[below]);
}

/** nAbsent times +∞ stand after the largest. */
function upperLimit({ nAbsent, position, largest }: Tails): number {
  const above = Math.floor(position) - nAbsent;
  if (above < 0) return Number.POSITIVE_INFINITY;
  return largest[above] + (position - Math.floor(position)) * (largest[above + 1] - largest[above]);
}
