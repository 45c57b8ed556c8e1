// Gradients of the losses in loss.ts, derived by hand and written densely, for float32 or float64 arrays.
//
// Chain: loss → reconstruction (g below) → codes (<g, d_j>) → encoder row (through the ReLU's open gate) and, beside it,
// → decoder row (and, for the penalty of ReLU + L1, through W: sparsity.ts). Selection is not differentiated, nor are the norms W that it uses; the auxiliary loss's target is a
// constant. Held against central differences by gradients.test.ts and against kernels/sparse.ts by engine.test.ts.

import {
  type BatchShape,
  batchVariance,
  type Floats,
  like,
  type Parameters,
  type Reconstruction,
  siteNorm,
} from "./loss.ts";

/**
 * d reconstructionLoss / d reconstruction per row and site: −ε / ‖ε‖ / (nRows · nSites), 0 where ε = 0; squared:
 * −2ε / (nRows · nSites). [nRows, width].
 */
export function reconstructionDirection<A extends Floats>(
  residual: A,
  shape: BatchShape,
  reconstruction: Reconstruction = "norm",
): A {
  const { nRows, width, siteOffsets } = shape;
  const nSites = siteOffsets.length - 1;
  const g = like(residual, nRows * width);
  for (let row = 0; row < nRows; row += 1) {
    for (let site = 0; site < nSites; site += 1) {
      const norm = reconstruction === "squared" ? 0.5 : siteNorm(residual, row, site, shape);
      if (norm === 0) continue;
      for (let i = siteOffsets[site]; i < siteOffsets[site + 1]; i += 1) {
        g[row * width + i] = -residual[row * width + i] / norm / (nRows * nSites);
      }
    }
  }
  return g;
}

/** d auxiliaryLoss / d auxReconstruction = −2 (r − ê) / (nRows · batchVariance(r)); 0 when r does not vary. [nRows, width]. */
export function auxiliaryDirection<A extends Floats>(
  residual: A,
  auxReconstruction: A,
  shape: BatchShape,
): A {
  const g = like(residual, shape.nRows * shape.width);
  const variance = batchVariance(residual, shape);
  if (variance === 0) return g;
  for (let i = 0; i < g.length; i += 1)
    g[i] = (-2 * (residual[i] - auxReconstruction[i])) / (shape.nRows * variance);
  return g;
}

/**
 * Adds factor × the gradients of a loss with derivative g by codes · decoder. Decoder bias not included.
 * x, g [nRows, width]; codes [nRows, nLatents], 0 where silent (there the gate is shut).
 */
export function addCodeGradients<A extends Floats>(
  gradients: Parameters<A>,
  {
    x,
    codes,
    g,
    parameters,
    factor = 1,
  }: { x: A; codes: A; g: A; parameters: Parameters<A>; factor?: number },
  { nRows, nLatents, width }: BatchShape,
): void {
  for (let row = 0; row < nRows; row += 1) {
    for (let j = 0; j < nLatents; j += 1) {
      const f = codes[row * nLatents + j];
      if (f === 0) continue;
      let codeGradient = 0;
      for (let i = 0; i < width; i += 1)
        codeGradient += g[row * width + i] * parameters.decoderWeight[j * width + i];
      for (let i = 0; i < width; i += 1) {
        gradients.decoderWeight[j * width + i] += factor * f * g[row * width + i];
        gradients.encoderWeight[j * width + i] += factor * codeGradient * x[row * width + i];
      }
      gradients.encoderBias[j] += factor * codeGradient;
    }
  }
}

/** Adds Σ_rows g to the decoder bias's gradient. */
export function addDecoderBiasGradient<A extends Floats>(
  target: A,
  g: A,
  { nRows, width }: BatchShape,
): void {
  for (let row = 0; row < nRows; row += 1) {
    for (let i = 0; i < width; i += 1) target[i] += g[row * width + i];
  }
}
