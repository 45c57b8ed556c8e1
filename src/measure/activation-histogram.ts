// How the activations of every latent are distributed: counts in logarithmic bins, for quantiles and charts.
//
// A bin is the upper 13 bits of the positive f32 (activation-bins.ts): 32 bins an octave, each between 1/63 and 1/32 of its lower
// edge wide (1.6–3.1 %). Bins are held an octave at a time, for the octaves a latent was seen in. Memory: 128 bytes for each
// (latent, octave) seen plus its key, at most nLatents × 255 of them, in practice four to eight a latent; it does not
// grow with rows. Counting is exact, so merging parts in any order is the same as counting everything at once.
// Silent rows are not counted: quantiles are over the rows where the latent fired.

import { FormatError, NumericsError, ShapeError } from "../errors.ts";
import {
  ACTIVATION_BINS,
  fineBinEdge,
  type HistogramBin,
  mergeFineBins,
  N_FINE_BINS,
  quantilesOfBins,
} from "./activation-bins.ts";
import { createKeyIndex } from "./key-index.ts";
import type { ActivationBins } from "./measure-contract.ts";
import {
  type Accumulator,
  enlarge,
  LARGEST_COUNT,
  type PartArrays,
  partArray,
  partLatents,
} from "./part-arrays.ts";

const BINS_PER_OCTAVE = 32;
/** Octaves (f32 exponents) a latent can have; a power of two, so that (latent, octave) packs into a u32. */
const OCTAVES = 256;
const INFINITY_BITS = 0x7f800000;
const FIRST_PAGES = 256;

export interface ActivationHistogram extends Accumulator {
  /** Counts one firing. activation: code × W, rounded to f32. Throws NumericsError unless it is positive and finite. */
  add(latent: number, activation: number): void;
  /** Firings counted. */
  count(latent: number): number;
  /**
   * Quantiles over the firings of a latent, one for each q in [0, 1]; NaN for a latent that never fired.
   *
   * Type 7 of Hyndman & Fan 1996, each order statistic placed evenly inside its bin: off by less than a bin's width.
   */
  quantiles(latent: number, qs: readonly number[]): number[];
  quantile(latent: number, q: number): number;
  /** The bins that hold something, ascending. */
  histogram(latent: number): HistogramBin[];
  /** The same in few bins, for the table: every firing counted. */
  merged(latent: number): ActivationBins;
}

/** Parts: "histogram.latent" u32, "histogram.bin" u16, "histogram.count" u32, of equal length, by latent, then bin. */
export function createActivationHistogram({ nLatents }: { nLatents: number }): ActivationHistogram {
  if (nLatents > 2 ** 32 / OCTAVES) {
    throw new ShapeError(`histogram: expected at most ${2 ** 32 / OCTAVES} latents, got ${nLatents}`);
  }
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const pages = createKeyIndex();
  let counts = new Uint32Array(FIRST_PAGES * BINS_PER_OCTAVE);
  /** Octaves [lowest, highest] a latent was seen in; lowest > highest: none. */
  const lowest = new Uint8Array(nLatents).fill(OCTAVES - 1);
  const highest = new Uint8Array(nLatents);

  const addToBin = (latent: number, bin: number, count: number): void => {
    const octave = bin >>> 5;
    const nPages = pages.size();
    const page = pages.place(latent * OCTAVES + octave);
    if (page === nPages) {
      if ((page + 1) * BINS_PER_OCTAVE > counts.length) counts = enlarge(counts, 2 * counts.length);
      if (octave < lowest[latent]) lowest[latent] = octave;
      if (octave > highest[latent]) highest[latent] = octave;
    }
    const at = page * BINS_PER_OCTAVE + (bin & (BINS_PER_OCTAVE - 1));
    const before = counts[at];
    if (before > LARGEST_COUNT - count) {
      throw new NumericsError(
        `histogram: latent ${latent}: expected at most ${LARGEST_COUNT} firings in a bin, got ${before + count}`,
        { hint: "measure fewer rows at a time" },
      );
    }
    counts[at] = before + count;
  };

  /** Visits the bins that hold something, ascending. */
  const visitBins = (latent: number, visit: (bin: number, count: number) => void): void => {
    for (let octave = lowest[latent]; octave <= highest[latent]; octave += 1) {
      const page = pages.find(latent * OCTAVES + octave);
      if (page < 0) continue;
      for (let i = 0; i < BINS_PER_OCTAVE; i += 1) {
        const count = counts[page * BINS_PER_OCTAVE + i];
        if (count > 0) visit(octave * BINS_PER_OCTAVE + i, count);
      }
    }
  };

  const histogram = (latent: number): HistogramBin[] => {
    const bins: HistogramBin[] = [];
    visitBins(latent, (bin, count) => bins.push({ from: fineBinEdge(bin), to: fineBinEdge(bin + 1), count }));
    return bins;
  };

  const merged = (latent: number): ActivationBins => {
    const fine: { bin: number; count: number }[] = [];
    visitBins(latent, (bin, count) => fine.push({ bin, count }));
    return mergeFineBins(fine);
  };

  const quantiles = (latent: number, qs: readonly number[]): number[] =>
    quantilesOfBins(histogram(latent), qs);

  return {
    add(latent, activation) {
      float[0] = activation;
      if (!(activation > 0) || bits[0] >= INFINITY_BITS) {
        throw new NumericsError(
          `histogram: latent ${latent}: expected a positive finite activation, got ${activation}`,
          { hint: "run `tunediff verify` on the store and on the dictionary" },
        );
      }
      addToBin(latent, bits[0] >>> ACTIVATION_BINS.droppedBits, 1);
    },
    count: (latent) => totalOf(histogram(latent)),
    quantiles,
    quantile: (latent, q) => quantiles(latent, [q])[0],
    histogram,
    merged,
    takeArrays() {
      let size = 0;
      for (let i = 0; i < pages.size() * BINS_PER_OCTAVE; i += 1) size += counts[i] > 0 ? 1 : 0;
      const latents = new Uint32Array(size);
      const bins = new Uint16Array(size);
      const sums = new Uint32Array(size);
      let at = 0;
      for (let latent = 0; latent < nLatents; latent += 1) {
        visitBins(latent, (bin, count) => {
          latents[at] = latent;
          bins[at] = bin;
          sums[at] = count;
          at += 1;
        });
      }
      counts.fill(0, 0, pages.size() * BINS_PER_OCTAVE);
      pages.clear();
      lowest.fill(OCTAVES - 1);
      highest.fill(0);
      return { "histogram.latent": latents, "histogram.bin": bins, "histogram.count": sums };
    },
    merge(part) {
      const { latents, bins, sums } = histogramPart(part, nLatents);
      for (let i = 0; i < latents.length; i += 1) addToBin(latents[i], bins[i], sums[i]);
    },
  };
}

function histogramPart(part: PartArrays, nLatents: number) {
  const latents = partLatents(part, "histogram.latent", nLatents);
  const bins = partArray(part, "histogram.bin", Uint16Array, latents.length);
  const sums = partArray(part, "histogram.count", Uint32Array, latents.length);
  for (let i = 0; i < bins.length; i += 1) {
    if (bins[i] >= N_FINE_BINS) {
      throw new FormatError(`part: expected histogram.bin[${i}] below ${N_FINE_BINS}, got ${bins[i]}`, {
        hint: "the part file is damaged: measure again",
      });
    }
  }
  return { latents, bins, sums };
}

function totalOf(bins: readonly HistogramBin[]): number {
  return bins.reduce((sum, { count }) => sum + count, 0);
}
