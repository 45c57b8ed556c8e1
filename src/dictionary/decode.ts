// Decoding: reconstruction = decoder bias + Σ_j f_j d_j over the latents that fired. Unscaled codes, always.

import { ShapeError } from "../errors.ts";
import type { Dictionary, SparseCodes } from "./dictionary.ts";

/**
 * Reconstructions [rows, width] f32 in the dictionary's own (normalised) space, sites side by side, base first.
 * target (optional, at least that long) is overwritten and returned. Throws ShapeError.
 */
export function decode(
  { width, decoderWeight, decoderBias }: Pick<Dictionary, "width" | "decoderWeight" | "decoderBias">,
  { nRows, rowStart, latent, code }: SparseCodes,
  target: Float32Array = new Float32Array(nRows * width),
): Float32Array {
  if (target.length < nRows * width) {
    throw new ShapeError(`decode: expected a target of ${nRows} × ${width} values, got ${target.length}`);
  }
  for (let row = 0; row < nRows; row += 1) {
    const start = row * width;
    target.set(decoderBias, start);
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
      const f = code[entry];
      const decoderStart = latent[entry] * width;
      for (let i = 0; i < width; i += 1) target[start + i] += f * decoderWeight[decoderStart + i];
    }
  }
  return target;
}
