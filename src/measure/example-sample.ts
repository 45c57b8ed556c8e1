// A fair sample of the documents of every latent, by how strongly it fires in them: for the paper's activation bins.
//
// Minder et al. 2025 (arXiv:2504.02922), App. N: a document is binned by its own maximum, relative to the latent's
// maximum, and a reservoir is kept a bin. That maximum is not known while streaming, so the reservoirs are kept by fine
// bins of the absolute maximum (four an octave), and the paper's bins are put together from them at the end.
// A reservoir holds the n documents of smallest priority, a hash of (seed, latent, document): which ones does not depend
// on when they were seen, so parts merge exactly and in any order (the argument is that of top-examples.ts, with
// "smaller priority" for "stronger", in every fine bin).
// Memory: what is kept, at most n windows for each (latent, fine bin) that occurs; 12–24 fine bins are usual, 1020 the limit.

import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { FiringsInDocument } from "./document-codes.ts";
import { createKeyIndex } from "./key-index.ts";
import { type Accumulator, checkSettings, enlarge } from "./part-arrays.ts";
import {
  addWindow,
  createWindowTable,
  type DocumentTokens,
  type HashedWindow,
  peakIndex,
  readWindow,
  removeWindow,
  takeWindows,
  WINDOW,
  windowAround,
  windowsOfPart,
} from "./window.ts";

/** Edges of the paper's bins, relative to the latent's maximum; bin b is [edges[b], edges[b + 1]), the last one closed. */
export const SAMPLE_BINS = { edges: [1e-4, 0.25, 0.5, 0.75, 0.95, 1], perFineBin: 3 } as const;

/** Bits of the f32 that a fine bin drops: exponent and two bits of the mantissa are left. */
const DROPPED_BITS = 21;
const FINE_BINS = 1024;
const FIRST_RESERVOIRS = 64;

export interface ExampleSample extends Accumulator {
  /** Offers one latent's firings in one document; a document is offered at most once a latent. */
  offer(latent: number, firings: FiringsInDocument, document: DocumentTokens): void;
  /** Everything kept for a latent, by ascending priority. */
  ofLatent(latent: number): SampledExample[];
}

export interface SampledExample {
  /** u32; smaller ones are taken first. Different for different documents of a latent. */
  priority: number;
  example: HashedWindow;
}

/**
 * Parts: "sample.settings" f64 [nLatents, seed, perFineBin] and the columns of takeWindows under "sample", by latent,
 * then fine bin, then priority (which is not stored: it follows from seed, latent and document).
 */
export function createExampleSample(options: {
  nLatents: number;
  /** Safe non-negative integer. */
  seed: number;
  /** Default SAMPLE_BINS.perFineBin. */
  perFineBin?: number;
}): ExampleSample {
  const { nLatents, seed, perFineBin = SAMPLE_BINS.perFineBin } = options;
  if (nLatents > 2 ** 32 / FINE_BINS) {
    throw new ShapeError(`sample: expected at most ${2 ** 32 / FINE_BINS} latents, got ${nLatents}`);
  }
  const settings = [nLatents, seed, perFineBin];
  const priorityOf = createPriority(seed);
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const table = createWindowTable();
  const scratch = new Float32Array(WINDOW);
  const reservoirs = createKeyIndex();
  /** Fine bins [lowest, highest] a latent was seen in; lowest > highest: none. */
  const lowest = new Uint16Array(nLatents).fill(FINE_BINS - 1);
  const highest = new Uint16Array(nLatents);
  /** By reservoir: documents held, and [perFineBin] their slots and priorities, in no order. */
  let used = new Uint32Array(FIRST_RESERVOIRS);
  let slots = new Uint32Array(FIRST_RESERVOIRS * perFineBin);
  let priorities = new Uint32Array(FIRST_RESERVOIRS * perFineBin);
  /** Largest priority of a full reservoir, 2³² while there is room: most candidates are turned away here. */
  let limits = new Float64Array(FIRST_RESERVOIRS).fill(2 ** 32);

  /** The reservoir of a document's maximum, made when there is none. */
  const reservoirFor = (latent: number, maximum: number): number => {
    float[0] = maximum;
    const bin = bits[0] >>> DROPPED_BITS;
    const nReservoirs = reservoirs.size();
    const reservoir = reservoirs.place(latent * FINE_BINS + bin);
    if (reservoir < nReservoirs) return reservoir;
    if (bin < lowest[latent]) lowest[latent] = bin;
    if (bin > highest[latent]) highest[latent] = bin;
    if (reservoir < used.length) return reservoir;
    const longer = 2 * used.length;
    used = enlarge(used, longer);
    slots = enlarge(slots, longer * perFineBin);
    priorities = enlarge(priorities, longer * perFineBin);
    limits = enlarge(limits, longer).fill(2 ** 32, longer / 2);
    return reservoir;
  };

  /** priority: below the reservoir's limit. */
  const insert = (reservoir: number, priority: number, window: HashedWindow): void => {
    const first = reservoir * perFineBin;
    const end = first + used[reservoir];
    const isFull = used[reservoir] === perFineBin;
    let place = isFull ? first : end;
    for (let at = first; at < end; at += 1) {
      if (table.textHash[slots[at]] === window.textHash) {
        if (priority > priorities[at]) return;
        place = at;
        break;
      }
      if (isFull && priorities[at] > priorities[place]) place = at;
    }
    if (place === end) used[reservoir] += 1;
    else removeWindow(table, slots[place]);
    slots[place] = addWindow(table, window);
    priorities[place] = priority;
    if (used[reservoir] < perFineBin) return;
    let limit = 0;
    for (let at = first; at < first + perFineBin; at += 1) limit = Math.max(limit, priorities[at]);
    limits[reservoir] = limit;
  };

  const sortedPlaces = (reservoir: number): number[] =>
    Array.from({ length: used[reservoir] }, (_, i) => reservoir * perFineBin + i).sort(
      (a, b) => priorities[a] - priorities[b],
    );

  return {
    offer(latent, firings, document) {
      const peak = peakIndex(firings.activations);
      const maximum = firings.activations[peak];
      if (perFineBin === 0 || !(maximum > 0)) return;
      const reservoir = reservoirFor(latent, maximum);
      const priority = priorityOf(latent, document.index);
      if (priority >= limits[reservoir]) return;
      insert(reservoir, priority, windowAround({ firings, peak, document, scratch }));
    },
    ofLatent(latent) {
      const kept: SampledExample[] = [];
      for (let bin = lowest[latent]; bin <= highest[latent]; bin += 1) {
        const reservoir = reservoirs.find(latent * FINE_BINS + bin);
        if (reservoir < 0) continue;
        for (const at of sortedPlaces(reservoir)) {
          kept.push({ priority: priorities[at], example: readWindow(table, slots[at]) });
        }
      }
      return kept.sort((a, b) => a.priority - b.priority);
    },
    takeArrays() {
      const size = used.reduce((sum, n) => sum + n, 0);
      const order = { latents: new Uint32Array(size), slots: new Uint32Array(size) };
      let n = 0;
      for (const key of reservoirs.sortedKeys()) {
        for (const at of sortedPlaces(reservoirs.find(key))) {
          order.latents[n] = Math.floor(key / FINE_BINS);
          order.slots[n++] = slots[at];
        }
      }
      reservoirs.clear();
      lowest.fill(FINE_BINS - 1);
      highest.fill(0);
      used.fill(0);
      limits.fill(2 ** 32);
      return { "sample.settings": Float64Array.from(settings), ...takeWindows(table, "sample", order) };
    },
    merge(part) {
      checkSettings(part, "sample.settings", settings);
      const { n, latent, maximum, document, window } = windowsOfPart(part, "sample", nLatents);
      for (let i = 0; i < n; i += 1) {
        const reservoir = reservoirFor(latent[i], maximum[i]);
        const priority = priorityOf(latent[i], document[i]);
        if (priority < limits[reservoir]) insert(reservoir, priority, window(i));
      }
    },
  };
}

export interface BinnedExample {
  /** Index into SAMPLE_BINS.edges: 0 weakest … 4 strongest. */
  bin: number;
  example: HashedWindow;
}

/**
 * The sample of a latent for the paper's bins: bins ascending, in a bin the strongest first, at most perBin in each.
 *
 * sample: ofLatent(). top: the examples shown beside it; neither their documents nor their texts are shown again, nor
 * is any text shown twice. maximum: the latent's largest activation.
 *
 * Taken by ascending priority, so with perBin ≤ perFineBin all documents of the fine bins inside a paper bin have equal
 * chances. A fine bin that straddles an edge is known by its perFineBin smallest priorities only: those on the right
 * side of the edge are taken in their turn, but where all fell on the other side, the rest is missed. So documents within a
 * quarter of an octave of an edge may be drawn too seldom; the same goes for fine bins whose kept documents are among the
 * top. A text that occurs in m documents has m chances and is shown once.
 */
export function sampleBins(options: {
  top: readonly HashedWindow[];
  sample: readonly SampledExample[];
  maximum: number;
  /** Default SAMPLE_BINS.perFineBin. */
  perBin?: number;
}): BinnedExample[] {
  const { top, sample, maximum, perBin = SAMPLE_BINS.perFineBin } = options;
  const documents = new Set(top.map((example) => example.document));
  const texts = new Set(top.map((example) => example.textHash));
  const taken = new Uint32Array(SAMPLE_BINS.edges.length - 1);
  const shown: BinnedExample[] = [];
  for (const { example } of [...sample].sort((a, b) => a.priority - b.priority)) {
    const bin = binOf(example.maxActivation / maximum);
    if (bin < 0 || taken[bin] >= perBin) continue;
    if (documents.has(example.document) || texts.has(example.textHash)) continue;
    texts.add(example.textHash);
    taken[bin] += 1;
    shown.push({ bin, example });
  }
  const strength = (item: BinnedExample): number => item.example.maxActivation;
  return shown.sort(
    (a, b) => a.bin - b.bin || strength(b) - strength(a) || a.example.document - b.example.document,
  );
}

/** Bin of a share of the latent's maximum: −1 below the first edge; above the last edge (by rounding) the last bin. */
export function binOf(ratio: number): number {
  let bin = -1;
  for (let b = 0; b < SAMPLE_BINS.edges.length - 1; b += 1) if (ratio >= SAMPLE_BINS.edges[b]) bin = b;
  return bin;
}

/**
 * (latent, document) → u32: finalisers of MurmurHash3 in a chain, keyed by Philox numbers of the seed.
 *
 * A bijection of the document for each latent, so priorities never tie. Cheaper than a Philox block for each offer.
 */
function createPriority(seed: number): (latent: number, document: number) => number {
  const rng = createRng(seed, "measure.exampleSample");
  const [first, second, third] = [0, 1, 2].map((index) => rng.uint32(0, index));
  return (latent, document) => {
    const key = mix(mix(latent ^ first) + second);
    return mix(mix(document ^ key) + mix(key ^ third)) >>> 0;
  };
}

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
