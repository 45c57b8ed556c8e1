// Centring and scaling of each site, fitted once before training and stored with the dictionary.
//
// x̃ = (x − mean) · scale, scale = targetRms / sqrt(Σ_i var_i + 1e-8), so that E‖x̃‖² = targetRms² at every site: one
// number a site, directions are kept. The layout of dictionary_learning's normaliser buffers. With it, norms,
// θ and deltaNorm live in normalised space.

import { NumericsError, ShapeError } from "../errors.ts";
import type { Site } from "../store/store-contract.ts";
import type { Normaliser } from "./dictionary.ts";
import { siteOffsets } from "./latent-norms.ts";

const VARIANCE_FLOOR = 1e-8;

export interface NormaliserFit {
  /** Takes in rows x [nRows, width] f32, raw activation units. */
  add(x: Float32Array, nRows: number): void;
  rows(): number;
  /** Throws NumericsError when nothing was added, when a moment is not finite or when a site does not vary at all. */
  finish(targetRms: number): Normaliser;
}

/** Running mean and variance per coordinate in f64, shifted by the first row so that a large common offset costs no digits. */
export function createNormaliserFit(sites: readonly Pick<Site, "width" | "name">[]): NormaliserFit {
  const offsets = siteOffsets(sites);
  const width = offsets[sites.length];
  const shift = new Float64Array(width);
  const sum = new Float64Array(width);
  const squares = new Float64Array(width);
  let count = 0;
  return {
    add(x, nRows) {
      if (x.length < nRows * width) {
        throw new ShapeError(`x: expected at least ${nRows} × ${width} values, got ${x.length}`);
      }
      if (count === 0 && nRows > 0) shift.set(x.subarray(0, width));
      for (let row = 0; row < nRows; row += 1) {
        for (let i = 0; i < width; i += 1) {
          const value = x[row * width + i] - shift[i];
          sum[i] += value;
          squares[i] += value * value;
        }
      }
      count += nRows;
    },
    rows: () => count,
    finish(targetRms) {
      if (count === 0) throw new NumericsError("normaliser: expected at least one row to fit on, got none");
      const mean = new Float32Array(width);
      const std = new Float32Array(width);
      const scale = new Float32Array(sites.length);
      for (let site = 0; site < sites.length; site += 1) {
        let totalVariance = 0;
        for (let i = offsets[site]; i < offsets[site + 1]; i += 1) {
          const shiftedMean = sum[i] / count;
          const variance = Math.max(0, squares[i] / count - shiftedMean * shiftedMean);
          mean[i] = shift[i] + shiftedMean;
          std[i] = Math.sqrt(variance);
          totalVariance += variance;
          if (!Number.isFinite(variance) || !Number.isFinite(mean[i])) {
            throw new NumericsError(
              `normaliser: site ${sites[site].name}, coordinate ${i - offsets[site]}: expected finite activations`,
              { hint: "harvest the store again; a NaN or infinite activation is in its training rows" },
            );
          }
        }
        if (totalVariance === 0) {
          throw new NumericsError(
            `normaliser: site ${sites[site].name}: expected rows that differ, got constant ones`,
          );
        }
        scale[site] = globalScale(targetRms, totalVariance);
      }
      return { mean, std, scale, targetRms };
    },
  };
}

/** targetRms / sqrt(Σ_i var_i + 1e-8). */
export function globalScale(targetRms: number, totalVariance: number): number {
  return targetRms / Math.sqrt(totalVariance + VARIANCE_FLOOR);
}

interface NormalisedSpace {
  sites: readonly Pick<Site, "width">[];
  normaliser: Normaliser | undefined;
}

/** Writes row [from, from + width) of source, raw units, normalised to [to, to + width) of target; they may be the same place. */
export type RowNormaliser = (source: Float32Array, from: number, target: Float32Array, to: number) => void;

/** Copies rows as they are without a normaliser. One f64 operation after another, rounded once. */
export function rowNormaliser({ sites, normaliser }: NormalisedSpace): RowNormaliser {
  const offsets = siteOffsets(sites);
  const width = offsets[sites.length];
  if (normaliser === undefined) {
    return (source, from, target, to) => {
      if (source !== target || from !== to) target.set(source.subarray(from, from + width), to);
    };
  }
  const { mean } = normaliser;
  // One factor a column: a single loop, in f64 as numbers are.
  const scale = new Float64Array(width);
  for (let site = 0; site < sites.length; site += 1) {
    scale.fill(normaliser.scale[site], offsets[site], offsets[site + 1]);
  }
  return (source, from, target, to) => {
    for (let i = 0; i < width; i += 1) target[to + i] = (source[from + i] - mean[i]) * scale[i];
  };
}

/** x [nRows, width] f32, raw units, becomes normalised, in place; returns x. Nothing happens without a normaliser. */
export function normaliseInPlace(x: Float32Array, nRows: number, space: NormalisedSpace): Float32Array {
  if (space.normaliser === undefined) return x;
  const width = siteOffsets(space.sites)[space.sites.length];
  const normalise = rowNormaliser(space);
  for (let row = 0; row < nRows; row += 1) normalise(x, row * width, x, row * width);
  return x;
}

/** The inverse of normaliseInPlace: x [nRows, width] back in raw activation units, in place; returns x. */
export function denormaliseInPlace(
  x: Float32Array,
  nRows: number,
  { sites, normaliser }: NormalisedSpace,
): Float32Array {
  if (normaliser === undefined) return x;
  const { mean, scale } = normaliser;
  const offsets = siteOffsets(sites);
  const width = offsets[sites.length];
  for (let row = 0; row < nRows; row += 1) {
    for (let site = 0; site < sites.length; site += 1) {
      const factor = 1 / scale[site];
      for (let i = offsets[site]; i < offsets[site + 1]; i += 1) {
        x[row * width + i] = x[row * width + i] * factor + mean[i];
      }
    }
  }
  return x;
}
