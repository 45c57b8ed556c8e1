// BatchTopK when the latents lie in several shards: exactly the batch · k largest activations of all of them.
//
// The rank-th largest is found on the bits of f32 numbers, by adding up three histograms of 11, 11 and 10 bits. Ties at the last
// place go to the lowest latent, then to the lowest row, so that the number of shards cannot matter. Twin:
// selectBatchTopKReference in dictionary/select.ts. The largest of each row are row-selection.ts's.

import { type Collective, gatherNumbers } from "../compute/collective.ts";
import type { Entries, KthLargest, ScoredRows, TiledRows } from "../compute/kernels.ts";
import { ShapeError } from "../errors.ts";
import type { ShardMemory } from "./shard-memory.ts";

/** How far below the last batch's smallest kept activation candidates are looked for, at first and at least. */
const FIRST_FACTOR = 0.8;
const LEAST_FACTOR = 0.5;

/**
 * The factor by which the next bound lies below this batch's smallest kept activation, from how well the last one did. The same in
 * every shard, and of no influence on what is selected.
 */
export function nextBoundFactor(factor: number = FIRST_FACTOR, candidates = 1.5): number {
  if (candidates < 1.1) return Math.max(LEAST_FACTOR, factor ** 1.5);
  return candidates > 2 ? Math.sqrt(factor) : factor;
}

const SMALLEST_F32 = 2 ** -149;

/** Bytes of the largest array that selection adds up over shards: a histogram, or the ties of every row by shard. */
export function mostSelectionBytes({ batchRows, nShards }: { batchRows: number; nShards: number }): number {
  return Math.max(8 * (FIRST_ROUND.bins + N_EXTRAS), 4 * batchRows * nShards);
}

/** The tiles of a shard's pre-activations. */
export function tilesOf({ pre, weight, nRows, nLatents, tileLatents }: TiledRows): (ScoredRows & {
  firstLatent: number;
})[] {
  return Array.from({ length: Math.ceil(nLatents / tileLatents) }, (_, tile) => {
    const firstLatent = tile * tileLatents;
    const inTile = Math.min(tileLatents, nLatents - firstLatent);
    return {
      firstLatent,
      pre: pre.subarray(nRows * firstLatent, nRows * (firstLatent + inTile)),
      weight: weight.subarray(firstLatent, firstLatent + inTile),
      nRows,
      nLatents: inTile,
    };
  });
}

export interface Selected {
  /** Entries of this shard. */
  count: number;
  /** The smallest activation kept by any shard; 0 when nothing was kept. */
  smallest: number;
  /** Candidates found per entry wanted, over all shards; Infinity: too many for the lists. */
  candidates: number;
}

export interface BatchTopKOptions {
  memory: ShardMemory;
  tiles: TiledRows;
  collective: Collective;
  /** How many to keep over all rows and shards. */
  rank: number;
  /** Candidates already collected from every tile, all activations ≥ bound; bound 0: none were. */
  bound: number;
  found: number;
}

/** Leaves this shard's entries in memory.kept.entries. Exact whatever the bound was: a bad one only costs two passes more. */
export async function selectBatchTopK(options: BatchTopKOptions): Promise<Selected> {
  const { memory, tiles, collective, rank, bound } = options;
  const { kernels, kept } = memory;
  const { entries } = kept;
  let candidates = 0;
  if (bound > 0) {
    const found = await findAmongEntries(options, options.found);
    candidates = found.perKept;
    if (found.cut) {
      const count = kernels.filterEntries(entries, options.found, found.cut.value);
      return { count: await shareTies(options, found.cut, count), smallest: found.cut.value, candidates };
    }
  }
  // The first 11 bits of the rank-th largest are a bound that is low enough, and mostly high enough to fit.
  const sources = tilesOf(tiles);
  const first = await findDigit({ ...options, sources }, FIRST_ROUND, rank);
  if (first === undefined) {
    const count = collectAll(memory, tiles, SMALLEST_F32);
    return { count, smallest: await smallestOver(collective, entries, count), candidates };
  }
  let count = collectAll(memory, tiles, floatOfBits(first.bin << FIRST_ROUND.shift));
  let { cut } = await findAmongEntries(options, count);
  if (cut) count = kernels.filterEntries(entries, count, cut.value);
  else {
    cut = await kthLargest({ ...options, sources }, first);
    count = collectAll(memory, tiles, cut.value);
  }
  return { count: await shareTies(options, cut, count), smallest: cut.value, candidates };
}

/** The cut among the first `found` entries of every shard, when they are enough and all there; and how many they are. */
async function findAmongEntries(
  { memory, collective, rank }: BatchTopKOptions,
  found: number,
): Promise<{ cut?: Cut; perKept: number }> {
  const { entries } = memory.kept;
  const count = Math.min(found, entries.capacity);
  const options = { memory, collective, sources: [{ values: entries.activation, count }] };
  const first = await findDigit(options, FIRST_ROUND, rank, [found, found > entries.capacity ? 1 : 0]);
  const [total, nOverfull] = first?.extras ?? [0, 0];
  if (first === undefined || nOverfull > 0) {
    return { perKept: first === undefined ? 0 : Number.POSITIVE_INFINITY };
  }
  return { cut: await kthLargest(options, first), perKept: total / rank };
}

/** Smallest activation of all shards' entries, 0 when there is none. */
export async function smallestOver(
  collective: Collective,
  { activation }: Entries,
  count: number,
): Promise<number> {
  let own = Number.POSITIVE_INFINITY;
  for (let entry = 0; entry < count; entry += 1) own = Math.min(own, activation[entry]);
  // An infinity would spoil the others' sums.
  const all = await gatherNumbers(collective, count === 0 ? -1 : own);
  const found = all.filter((value) => value >= 0);
  return found.length === 0 ? 0 : Math.min(...found);
}

/** Entries of all tiles with activation ≥ bound; the count may exceed the capacity. */
function collectAll(memory: ShardMemory, tiles: TiledRows, bound: number): number {
  const { kernels, kept } = memory;
  let count = 0;
  for (const { firstLatent, ...tile } of tilesOf(tiles)) {
    count = kernels.collectEntries(tile, { firstLatent, bound, entries: kept.entries, count });
  }
  return count;
}

type Source = ScoredRows | { values: Float32Array; count: number };

interface DigitOptions {
  memory: ShardMemory;
  collective: Collective;
  sources: Source[];
}

/** Numbers that the first round carries along. */
const N_EXTRAS = 2;
const FIRST_ROUND = { shift: 21, bins: 2048 };
const LATER_ROUNDS = [
  { shift: 10, bins: 2048 },
  { shift: 0, bins: 1024 },
];

interface Digit {
  bin: number;
  /** The rank within the bin. */
  left: number;
  /** Activations in the bin, over all shards. */
  inBin: number;
  /** Sums over shards of what was sent along. */
  extras: number[];
}

/** The bin of the `rank`-th largest among the activations with these leading bits; undefined: there are fewer. */
async function findDigit(
  { memory: { kernels, histogram }, collective, sources }: DigitOptions,
  round: { shift: number; bins: number; prefix?: number; prefixMask?: number },
  rank: number,
  extras: number[] = [],
): Promise<Digit | undefined> {
  const { shift, bins, prefix = 0, prefixMask = 0 } = round;
  histogram.fill(0);
  for (const source of sources) kernels.countDigits(source, { prefix, prefixMask, shift, bins }, histogram);
  const counts = new Float64Array(bins + extras.length);
  counts.set(histogram.subarray(0, bins));
  counts.set(extras, bins);
  await collective.allReduce(counts);
  let left = rank;
  for (let bin = bins - 1; bin >= 0; bin -= 1) {
    const inBin = counts[bin];
    if (inBin >= left) return { bin, left, inBin, extras: [...counts.subarray(bins)] };
    left -= inBin;
  }
  return undefined;
}

interface Cut extends KthLargest {
  /** Activations equal to value, over all shards. */
  nTied: number;
}

/** From the first round on. */
async function kthLargest(options: DigitOptions, first: Digit): Promise<Cut> {
  let digit = first;
  let prefix = (first.bin << FIRST_ROUND.shift) >>> 0;
  let prefixMask = ((FIRST_ROUND.bins - 1) << FIRST_ROUND.shift) >>> 0;
  for (const { shift, bins } of LATER_ROUNDS) {
    const found = await findDigit(options, { shift, bins, prefix, prefixMask }, digit.left);
    if (found === undefined) throw new ShapeError(`selection: expected ${digit.left} more activations`);
    digit = found;
    prefix = (prefix | (found.bin << shift)) >>> 0;
    prefixMask = (prefixMask | ((bins - 1) << shift)) >>> 0;
  }
  return { value: floatOfBits(prefix), ties: digit.left, nTied: digit.inBin };
}

const converter = new DataView(new ArrayBuffer(4));
function floatOfBits(bits: number): number {
  converter.setUint32(0, bits);
  return converter.getFloat32(0);
}
function bitsOfFloat(value: number): number {
  converter.setFloat32(0, value);
  return converter.getUint32(0);
}

/** Of entries ≥ cut.value keeps all above it and cut.ties of those at it, the lowest latents' over all shards. */
async function shareTies(
  { memory, tiles, collective }: BatchTopKOptions,
  cut: Cut,
  count: number,
): Promise<number> {
  if (cut.ties === cut.nTied) return count;
  const { kernels, kept } = memory;
  const { entries } = kept;
  const isOverfull = count > entries.capacity;
  const above = floatOfBits(bitsOfFloat(cut.value) + 1);
  const tied: number[] = [];
  if (!isOverfull) {
    for (let entry = 0; entry < count; entry += 1) {
      if (entries.activation[entry] === cut.value) tied.push(entry);
    }
  }
  // More ties than fit: all that is above fits, ties are then taken from the tiles in order.
  const nAbove = isOverfull ? collectAll(memory, tiles, above) : count - tied.length;
  const nTied = await gatherNumbers(collective, count - nAbove);
  const before = nTied.subarray(0, collective.rank).reduce((a, b) => a + b, 0);
  const allowance = Math.max(0, Math.min(cut.ties - before, count - nAbove));
  if (isOverfull) return appendTies({ entries, tiles, value: cut.value, allowance, count: nAbove });
  if (allowance === tied.length) return count;
  tied.sort((a, b) => entries.latent[a] - entries.latent[b] || entries.row[a] - entries.row[b]);
  for (const entry of tied.slice(allowance)) entries.activation[entry] = 0;
  return kernels.filterEntries(entries, count, cut.value);
}

/** Slow and rare: batches of many equal rows. */
function appendTies({
  entries,
  tiles,
  value,
  allowance,
  count,
}: {
  entries: Entries;
  tiles: TiledRows;
  value: number;
  allowance: number;
  count: number;
}): number {
  let at = count;
  for (const { firstLatent, pre, weight, nRows, nLatents } of tilesOf(tiles)) {
    for (let j = 0; j < nLatents; j += 1) {
      for (let row = 0; row < nRows; row += 1) {
        if (at === count + allowance) return at;
        const code = pre[row * nLatents + j];
        if (!(code > 0) || Math.fround(code * weight[j]) !== value) continue;
        entries.row[at] = row;
        entries.latent[at] = firstLatent + j;
        entries.code[at] = code;
        entries.activation[at] = value;
        at += 1;
      }
    }
  }
  return at;
}
