// A dictionary with a normaliser, made into one that takes and gives raw activations: the same codes, no normaliser.
//
// With x̃ = (x − μ)·s per site:  e′ = s·e,  b′ = b − Σ s·μ·e,  d′ = d / s,  c′ = c / s + μ.  Codes stay, W does not: the norms
// of d′ weigh the sites otherwise. So θ no longer says when a latent fires, and θ / W of before does, a number a latent on
// its code. For use elsewhere, on raw residuals (steering, serving, other programs). Not for measuring: deltaNorm and
// Latent Scaling belong to the space that was trained in, and are refused on what comes out.

import { MismatchError } from "../errors.ts";
import type { Dictionary } from "./dictionary.ts";
import { latentWeights, siteOffsets } from "./latent-norms.ts";

/**
 * A new dictionary on raw activations; one without a normaliser comes back as it is.
 *
 * Sums in f64, rounded once to f32. A code differs from the original's by f32 rounding of x, which is absolute: by some
 * 2^-24 · ‖s·e‖ · ‖x‖, more than before where means are large against deviations. Throws MismatchError for a TopK dictionary
 * whose codes are weighed: which of them are largest is decided by the W that is lost.
 */
export function foldNormaliser(dictionary: Dictionary): Dictionary {
  const { sites, nLatents, width, normaliser, codeNormalisation, selection } = dictionary;
  if (normaliser === undefined) return dictionary;
  const isWeighed = codeNormalisation !== "none";
  if (selection === "topK" && isWeighed) {
    throw new MismatchError(
      "dictionary: expected one that fires by thresholds to fold, got TopK, whose ranking needs the norms of before",
      { hint: "use it with its normaliser: `tunediff encode` applies it" },
    );
  }
  const { mean, scale } = normaliser;
  const offsets = siteOffsets(sites);
  /** [width] the scale of each column's site. */
  const factor = new Float64Array(width);
  for (const site of sites.keys()) factor.fill(scale[site], offsets[site], offsets[site + 1]);

  const encoderBias = dictionary.encoderBias.map((bias, latent) => {
    let sum = bias;
    for (let i = 0; i < width; i += 1)
      sum -= factor[i] * mean[i] * dictionary.encoderWeight[latent * width + i];
    return sum;
  });
  const { normaliser: _folded, ...rest } = dictionary;
  return {
    ...rest,
    normaliser: undefined,
    encoderWeight: dictionary.encoderWeight.map((value, i) => value * factor[i % width]),
    encoderBias,
    decoderWeight: dictionary.decoderWeight.map((value, i) => value / factor[i % width]),
    decoderBias: dictionary.decoderBias.map((value, i) => value / factor[i] + mean[i]),
    ...(isWeighed ? foldedThreshold(dictionary, nLatents) : {}),
  };
}

/**
 * θ / W of each latent. None where θ is 0 (ReLU) or below (not calibrated): a positive code fires there whatever its W, unless
 * W is 0, as it stays.
 */
function foldedThreshold(
  dictionary: Dictionary,
  nLatents: number,
): Partial<Pick<Dictionary, "inferenceThreshold" | "latentThresholds">> {
  const { inferenceThreshold } = dictionary;
  if (inferenceThreshold <= 0) return {};
  const weight = latentWeights(dictionary);
  const latentThresholds = Float32Array.from(
    { length: nLatents },
    (_, latent) => inferenceThreshold / weight[latent],
  );
  return { inferenceThreshold: Number.NaN, latentThresholds };
}
