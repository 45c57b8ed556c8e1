// Logarithmic bins of activations: the fine ones that a measurement counts, and the fewer ones that its table keeps.
//
// A fine bin is the upper 13 bits of a positive f32: 32 an octave, each between 1/63 and 1/32 of its lower edge wide. The table
// merges as many neighbouring fine bins as make at most ACTIVATION_BINS.most over a latent's own range, so the edges follow
// from three whole numbers and the counts stay exact. Counting is activation-histogram.ts.

import { FormatError, ShapeError } from "../errors.ts";
import type { ActivationBins } from "./measure-contract.ts";

export const ACTIVATION_BINS = {
  /** Of one latent in the table. */
  most: 40,
  /** Bits of the f32 that a fine bin drops. */
  droppedBits: 18,
} as const;

export interface HistogramBin {
  /** Activations in [from, to). */
  from: number;
  to: number;
  count: number;
}

const INFINITY_BITS = 0x7f800000;
const LARGEST_F32 = 3.4028234663852886e38;
/** Fine bins that a finite activation can be in. */
export const N_FINE_BINS = INFINITY_BITS >>> ACTIVATION_BINS.droppedBits;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The lower edge of a fine bin, which is the upper one of the bin before; exact. */
export function fineBinEdge(bin: number): number {
  if (bin >= N_FINE_BINS) return LARGEST_F32;
  bits[0] = bin << ACTIVATION_BINS.droppedBits;
  return float[0];
}

/** Fine bins that hold something, ascending, as at most ACTIVATION_BINS.most of equally many neighbours; the last may have fewer. */
export function mergeFineBins(fine: readonly { bin: number; count: number }[]): ActivationBins {
  if (fine.length === 0) return { first: 0, end: 0, step: 1, counts: [] };
  const first = fine[0].bin;
  const end = fine[fine.length - 1].bin + 1;
  const step = Math.ceil((end - first) / ACTIVATION_BINS.most);
  const counts = new Array<number>(Math.ceil((end - first) / step)).fill(0);
  for (const { bin, count } of fine) counts[Math.floor((bin - first) / step)] += count;
  return { first, end, step, counts };
}

/** [counts.length + 1], ascending: bin i holds the activations from edge i up to, but not at, edge i + 1. Empty without bins. */
export function activationEdges({ first, end, step, counts }: ActivationBins): number[] {
  if (counts.length === 0) return [];
  return Array.from({ length: counts.length + 1 }, (_, i) => fineBinEdge(Math.min(first + i * step, end)));
}

/** Rows in which the latent fired. */
export function countedFirings({ counts }: ActivationBins): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Share of the firings below a value, those of a bin taken to lie evenly in it; NaN without firings. */
export function shareOfFiringsBelow(bins: ActivationBins, value: number): number {
  const edges = activationEdges(bins);
  let below = 0;
  for (const [i, count] of bins.counts.entries()) {
    const inside = (value - edges[i]) / (edges[i + 1] - edges[i]);
    below += count * Math.min(1, Math.max(0, inside));
  }
  return below / countedFirings(bins);
}

/** The same as edges and counts, empty ones too. */
export function histogramBins(bins: ActivationBins): HistogramBin[] {
  const edges = activationEdges(bins);
  return bins.counts.map((count, i) => ({ from: edges[i], to: edges[i + 1], count }));
}

/**
 * Quantiles of what bins hold, one for each q in [0, 1]; NaN where they hold nothing.
 *
 * Type 7 of Hyndman & Fan 1996, each order statistic placed evenly inside its bin: off by less than a bin's width.
 */
export function quantilesOfBins(bins: readonly HistogramBin[], qs: readonly number[]): number[] {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return qs.map((q) => {
    if (!(q >= 0 && q <= 1)) throw new ShapeError(`quantile: expected a number in [0, 1], got ${q}`);
    if (total === 0) return Number.NaN;
    const at = (total - 1) * q;
    const below = Math.floor(at);
    const lower = orderStatistic(bins, below);
    if (at === below) return lower;
    return lower + (at - below) * (orderStatistic(bins, below + 1) - lower);
  });
}

/** The i-th smallest value (0-based), the values of a bin taken to lie evenly in it. */
function orderStatistic(bins: readonly HistogramBin[], i: number): number {
  let before = 0;
  for (const { from, to, count } of bins) {
    if (i < before + count) return from + (to - from) * ((i - before + 0.5) / count);
    before += count;
  }
  return Number.NaN; // not reached: i is below the total
}

/** A cell of the table. place: in the message. Throws FormatError for anything that mergeFineBins cannot have made. */
export function parseActivationBins(text: string, place: string): ActivationBins {
  let found: Partial<ActivationBins> | null;
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    found = null; // no JSON is no histogram: refused below
  }
  const { first = -1, end = -1, step = 0, counts = [] } = found ?? {};
  const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  const isOne =
    [first, end, step].every(isWhole) &&
    step > 0 &&
    end <= N_FINE_BINS &&
    Array.isArray(counts) &&
    counts.length <= ACTIVATION_BINS.most &&
    counts.every(isWhole) &&
    counts.length === Math.max(0, Math.ceil((end - first) / step));
  if (isOne) return { first, end, step, counts };
  throw new FormatError(
    `${place}: expected {first, end, step, counts} of a histogram, got ${text.slice(0, 60)}`,
    {
      hint: "run `tunediff measure` again to write the table anew",
    },
  );
}
