// The twin of nearest-latents.ts as the definition reads: all cosines of one row, sorted. For tests and for readers.

import type { Dictionary } from "../dictionary/dictionary.ts";
import type { NearestLatents } from "./nearest-latents.ts";

/** Row of one site (0 base, 1 finetuned) of a latent. */
function rowOf({ sites, width, decoderWeight }: Dictionary, site: 0 | 1, latent: number): number[] {
  const from = latent * width + (site === 0 ? 0 : sites[0].width);
  return Array.from(decoderWeight.subarray(from, from + sites[site].width));
}

const inner = (a: number[], b: number[]): number => a.reduce((sum, value, c) => sum + value * b[c], 0);

/** cos(d_j of site a, d_k of site b), or NaN where one of them has no direction. */
export function cosineReference(
  dictionary: Dictionary,
  a: { site: 0 | 1; latent: number },
  b: { site: 0 | 1; latent: number },
): number {
  const [x, y] = [rowOf(dictionary, a.site, a.latent), rowOf(dictionary, b.site, b.latent)];
  return inner(x, y) / Math.sqrt(inner(x, x) * inner(y, y));
}

/** Of every latent's row at site a, the nearest rows of other latents at site b. */
export function nearestReference(
  dictionary: Dictionary,
  { a, b, count }: { a: 0 | 1; b: 0 | 1; count: number },
): NearestLatents {
  const { nLatents } = dictionary;
  const neighbour = new Int32Array(nLatents * count).fill(-1);
  const cosine = new Float64Array(nLatents * count).fill(Number.NaN);
  for (let j = 0; j < nLatents; j += 1) {
    Array.from({ length: nLatents }, (_, k) => ({
      k,
      cosine: cosineReference(dictionary, { site: a, latent: j }, { site: b, latent: k }),
    }))
      .filter((other) => other.k !== j && !Number.isNaN(other.cosine))
      .sort((x, y) => y.cosine - x.cosine || x.k - y.k)
      .slice(0, count)
      .forEach((other, rank) => {
        neighbour[j * count + rank] = other.k;
        cosine[j * count + rank] = other.cosine;
      });
  }
  return { count, neighbour, cosine };
}
