// Norms of a dictionary's rows: one a latent and site, and their sum W, the weight that turns a code into an activation.
//
// activation v = code f × W. W_j is by the dictionary's code normalisation: Σ_sites ‖d_j^site‖ (crosscoder; Minder et al.
// 2025, App. B), ‖d_j‖ over all sites at once (sae) or 1 (none). The field's MIXED and DECOUPLED are not among them.

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

/** ‖d_j^site‖: one [nLatents] f32 array a site, in the space the dictionary was trained in. */
export function decoderNorms({ sites, width, decoderWeight }: Dictionary): Float32Array[] {
  const offsets = siteOffsets(sites);
  return sites.map((_, site) =>
    rowNorms(decoderWeight, { width, from: offsets[site], to: offsets[site + 1] }),
  );
}

/** W [nLatents] f32 of the dictionary's code normalisation. */
export function latentWeights(dictionary: Dictionary): Float32Array {
  const { width, decoderWeight, codeNormalisation = "crosscoder" } = dictionary;
  const weights = new Float32Array(dictionary.nLatents);
  if (codeNormalisation === "none") return weights.fill(1);
  if (codeNormalisation === "sae") return rowNorms(decoderWeight, { width, from: 0, to: width });
  for (const norms of decoderNorms(dictionary)) {
    for (let latent = 0; latent < weights.length; latent += 1) weights[latent] += norms[latent];
  }
  return weights;
}
