// A dictionary before training: random encoder rows, the decoder a copy of them.
//
// Minder et al. 2025 (arXiv:2504.02922), App. K: Kaiming-uniform draw, the same for every site, rescaled so that each
// site's part of a latent has norm initNorm; decoder = encoder, untied afterwards; biases 0 (the decoder bias is set at
// step 0 by the trainer). The uniform's bound drops out of the rescaling.

import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { Site } from "../store/store-contract.ts";
import type { Dictionary, Normaliser } from "./dictionary.ts";
import { siteOffsets } from "./latent-norms.ts";

export interface InitOptions {
  sites: Site[];
  nLatents: number;
  k: number;
  /** ‖e_j^site‖ = ‖d_j^site‖ at the start. */
  initNorm: number;
  seed: number;
  normaliser?: Normaliser;
}

/** The same seed gives the same bytes; the draw of latent j does not depend on nLatents. θ starts at −1, not calibrated. */
export function initialDictionary({
  sites,
  nLatents,
  k,
  initNorm,
  seed,
  normaliser,
}: InitOptions): Dictionary {
  if (sites.length === 0) throw new ShapeError("sites: expected at least one, got none");
  const offsets = siteOffsets(sites);
  const width = offsets[sites.length];
  const widest = Math.max(...sites.map((site) => site.width));
  const rng = createRng(seed, "dictionary.init.encoder");
  const encoderWeight = new Float32Array(nLatents * width);
  const draw = new Float64Array(widest);
  for (let latent = 0; latent < nLatents; latent += 1) {
    for (let i = 0; i < widest; i += 1) draw[i] = 2 * rng.uniform(latent, i) - 1;
    for (let site = 0; site < sites.length; site += 1) {
      const part = draw.subarray(0, sites[site].width);
      let squares = 0;
      for (const value of part) squares += value * value;
      const factor = initNorm / Math.sqrt(squares);
      const start = latent * width + offsets[site];
      for (let i = 0; i < part.length; i += 1) encoderWeight[start + i] = part[i] * factor;
    }
  }
  return {
    sites,
    nLatents,
    width,
    encoderWeight,
    encoderBias: new Float32Array(nLatents),
    decoderWeight: encoderWeight.slice(),
    decoderBias: new Float32Array(width),
    k,
    inferenceThreshold: -1,
    normaliser,
  };
}
