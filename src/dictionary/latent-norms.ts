// Norms of a dictionary's rows: one a latent and site, and their sum W, the weight that turns a code into an activation.
//
// activation v = code f × W, W_j = Σ_sites ‖d_j^site‖ (Minder et al. 2025, App. B; the field's code normalisation
// "crosscoder"). Other normalisations would change latentWeights and nothing else.

import type { Site } from "../store/store-contract.ts";
import type { Dictionary } from "./dictionary.ts";

/** First column of every site and, last, the total width: [nSites + 1]. */
export function siteOffsets(sites: readonly Pick<Site, "width">[]): number[] {
  const offsets = [0];
  for (const { width } of sites) offsets.push(offsets[offsets.length - 1] + width);
  return offsets;
}

/** L2 norms of rows' columns [from, to): matrix [nRows, width] f32. Returns [nRows] f32; squares are summed in f64. */
export function rowNorms(
  matrix: Float32Array,
  { width, from, to }: { width: number; from: number; to: number },
): Float32Array {
  const norms = new Float32Array(matrix.length / width);
  for (let row = 0; row < norms.length; row += 1) {
    let sum = 0;
    for (let i = row * width + from; i < row * width + to; i += 1) sum += matrix[i] * matrix[i];
    norms[row] = Math.sqrt(sum);
  }
  return norms;
}

function normsBySite(dictionary: Dictionary, matrix: Float32Array): Float32Array[] {
  const offsets = siteOffsets(dictionary.sites);
  return dictionary.sites.map((_, site) =>
    rowNorms(matrix, { width: dictionary.width, from: offsets[site], to: offsets[site + 1] }),
  );
}

/** ‖d_j^site‖: one [nLatents] f32 array a site, in the space the dictionary was trained in. */
export function decoderNorms(dictionary: Dictionary): Float32Array[] {
  return normsBySite(dictionary, dictionary.decoderWeight);
}

/** ‖e_j^site‖: one [nLatents] f32 array a site. */
export function encoderNorms(dictionary: Dictionary): Float32Array[] {
  return normsBySite(dictionary, dictionary.encoderWeight);
}

/** W [nLatents] f32: sum over sites of the decoder norms. */
export function latentWeights(dictionary: Dictionary): Float32Array {
  const weights = new Float32Array(dictionary.nLatents);
  for (const norms of decoderNorms(dictionary)) {
    for (let latent = 0; latent < weights.length; latent += 1) weights[latent] += norms[latent];
  }
  return weights;
}
