// The losses of a crosscoder as plain functions: dense, obvious, over float32 or float64 arrays.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B.2, in the form of the reference code: reconstruction is the mean over rows
// and sites of the *un-squared* L2 norm of the error; the auxiliary loss is squared, over both sites at once, and divided
// by the batch variance of the residual. Squared reconstruction is an option of the reference; the penalty of ReLU + L1 is in
// sparsity.ts. This is the side that tests differentiate; engine.ts is the fast side.

import type { CodeNormalisation } from "../dictionary/dictionary.ts";

export type Floats = Float32Array | Float64Array;

export interface Parameters<A extends Floats = Floats> {
  /** [nLatents, width], [nLatents], [nLatents, width], [width]. */
  encoderWeight: A;
  encoderBias: A;
  decoderWeight: A;
  decoderBias: A;
}

export interface BatchShape {
  nRows: number;
  nLatents: number;
  width: number;
  /** First column of every site and, last, width. */
  siteOffsets: number[];
}

/** A zeroed array of the same element type. */
export function like<A extends Floats>(array: A, length: number): A {
  return new (array.constructor as new (n: number) => A)(length);
}

/** x · encoderᵀ + bias: [nRows, nLatents]. x [nRows, width]. */
export function preActivations<A extends Floats>(x: A, parameters: Parameters<A>, shape: BatchShape): A {
  const { nRows, nLatents, width } = shape;
  const pre = like(x, nRows * nLatents);
  for (let row = 0; row < nRows; row += 1) {
    for (let j = 0; j < nLatents; j += 1) {
      let sum = parameters.encoderBias[j];
      for (let i = 0; i < width; i += 1) sum += x[row * width + i] * parameters.encoderWeight[j * width + i];
      pre[row * nLatents + j] = sum;
    }
  }
  return pre;
}

/** W_j: [nLatents]. Σ_sites ‖d_j^site‖ (crosscoder), the norm of the whole row (sae), or 1 (none). */
export function weights<A extends Floats>(
  decoderWeight: A,
  { nLatents, width, siteOffsets }: BatchShape,
  normalisation: CodeNormalisation = "crosscoder",
): A {
  const result = like(decoderWeight, nLatents);
  if (normalisation === "none") return result.fill(1) as A;
  const parts = normalisation === "sae" ? [0, width] : siteOffsets;
  for (let j = 0; j < nLatents; j += 1) {
    for (let part = 0; part + 1 < parts.length; part += 1) {
      let squares = 0;
      for (let i = parts[part]; i < parts[part + 1]; i += 1) squares += decoderWeight[j * width + i] ** 2;
      result[j] += Math.sqrt(squares);
    }
  }
  return result;
}

/** codes · decoder (+ bias): [nRows, width]. codes [nRows, nLatents], 0 where silent. */
export function reconstruct<A extends Floats>(
  codes: A,
  { decoderWeight, decoderBias }: { decoderWeight: A; decoderBias?: A },
  { nRows, nLatents, width }: BatchShape,
): A {
  const result = like(codes, nRows * width);
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) {
      let sum = decoderBias?.[i] ?? 0;
      for (let j = 0; j < nLatents; j += 1) sum += codes[row * nLatents + j] * decoderWeight[j * width + i];
      result[row * width + i] = sum;
    }
  }
  return result;
}

/** L2 norm of one row's columns of one site. */
export function siteNorm(
  rows: Floats,
  row: number,
  site: number,
  { width, siteOffsets }: BatchShape,
): number {
  let squares = 0;
  for (let i = siteOffsets[site]; i < siteOffsets[site + 1]; i += 1) squares += rows[row * width + i] ** 2;
  return Math.sqrt(squares);
}

/** What is averaged over rows and sites: ‖ε‖₂, the paper's, or ‖ε‖₂², the reference's option. */
export type Reconstruction = "norm" | "squared";

/** mean over rows and sites of ‖ε_row^site‖₂ or its square; residual ε = x − reconstruction, [nRows, width]. */
export function reconstructionLoss(
  residual: Floats,
  shape: BatchShape,
  reconstruction: Reconstruction = "norm",
): number {
  const nSites = shape.siteOffsets.length - 1;
  let sum = 0;
  for (let row = 0; row < shape.nRows; row += 1) {
    for (let site = 0; site < nSites; site += 1) {
      const norm = siteNorm(residual, row, site, shape);
      sum += reconstruction === "squared" ? norm * norm : norm;
    }
  }
  return sum / (shape.nRows * nSites);
}

/** Below this share of the mean squared norm a variance is rounding. */
export const VARIANCE_ROUNDING = 1e-12;

/** mean over rows of ‖r − mean of r over rows‖², both sites at once, sums in f64; exactly 0 when rows are equal. */
export function batchVariance(
  residual: Floats,
  { nRows, width }: Pick<BatchShape, "nRows" | "width">,
): number {
  const mean = new Float64Array(width);
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) mean[i] += residual[row * width + i];
  }
  for (let i = 0; i < width; i += 1) mean[i] /= nRows;
  let centred = 0;
  let squares = 0;
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) {
      const value = residual[row * width + i];
      centred += (value - mean[i]) * (value - mean[i]);
      squares += value * value;
    }
  }
  return centred > VARIANCE_ROUNDING * squares ? centred / nRows : 0;
}

/**
 * mean over rows of ‖r − ê‖² / batchVariance(r), where r is the residual as a constant and ê = auxCodes · decoder without
 * bias. 0 when r does not vary.
 */
export function auxiliaryLoss<A extends Floats>(
  residual: A,
  auxReconstruction: A,
  shape: BatchShape,
): number {
  const variance = batchVariance(residual, shape);
  if (variance === 0) return 0;
  let sum = 0;
  for (let i = 0; i < shape.nRows * shape.width; i += 1) sum += (residual[i] - auxReconstruction[i]) ** 2;
  return sum / shape.nRows / variance;
}

/**
 * Codes of the auxiliary loss: in each row the auxLatents dead latents of largest activation, ReLU applied, ties to the
 * lowest latent. pre [nRows, nLatents], weight [nLatents], isDead [nLatents] of 0 and 1. Returns [nRows, nLatents].
 */
export function auxiliaryCodes<A extends Floats>(
  pre: A,
  { weight, isDead, auxLatents }: { weight: A; isDead: ArrayLike<number>; auxLatents: number },
  { nRows, nLatents }: BatchShape,
): A {
  const codes = like(pre, nRows * nLatents);
  // f32 arrays compare activations after rounding, as the fast path does.
  const activations = like(pre, nLatents);
  for (let row = 0; row < nRows; row += 1) {
    const order: number[] = [];
    for (let j = 0; j < nLatents; j += 1) {
      activations[j] = Math.max(pre[row * nLatents + j], 0) * weight[j];
      if (isDead[j] && activations[j] > 0) order.push(j);
    }
    order.sort((a, b) => activations[b] - activations[a] || a - b);
    for (const j of order.slice(0, auxLatents)) codes[row * nLatents + j] = pre[row * nLatents + j];
  }
  return codes;
}
