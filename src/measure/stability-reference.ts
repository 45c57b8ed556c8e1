// The twin of the matching in stability.ts as its definition reads, over dense activations. For tests and for readers.

import { encodeReference } from "../dictionary/encode.ts";
import { latentWeights } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { ROLES } from "../store/rows.ts";
import { type MeasuredDictionary, type StabilityOptions, sideOf } from "./stability.ts";

/** [latent] decoder row of a side; empty where the norm is 0. */
function directions({ dictionary }: MeasuredDictionary, side: "base" | "finetuned"): number[][] {
  const { sites, width, decoderWeight, nLatents } = dictionary;
  const [from, to] = side === "base" ? [0, sites[0].width] : [sites[0].width, width];
  return Array.from({ length: nLatents }, (_, j) => {
    const row = Array.from(decoderWeight.subarray(j * width + from, j * width + to));
    const norm = Math.hypot(...row);
    return norm > 0 ? row.map((value) => value / norm) : [];
  });
}

/** Index of the largest cosine with `row`, the first of equals; −1 where nothing has a direction. */
function nearestTo(row: number[], candidates: number[][]): number {
  let best = -1;
  let cosine = Number.NEGATIVE_INFINITY;
  candidates.forEach((candidate, k) => {
    if (row.length === 0 || candidate.length === 0) return;
    const value = row.reduce((sum, x, c) => sum + x * candidate[c], 0);
    if (value > cosine) [best, cosine] = [k, value];
  });
  return best;
}

/** [latent][row of the split, BOS left out] activations. */
async function activationsOf(
  { store, split = "heldout" }: StabilityOptions,
  { dictionary }: MeasuredDictionary,
): Promise<number[][]> {
  const { nRows, role, document } = store.rows;
  const x = normaliseInPlace(await store.read(0, nRows), nRows, dictionary);
  const { rowStart, latent, code } = encodeReference(dictionary, x, nRows);
  const weight = latentWeights(dictionary);
  const activations: number[][] = Array.from({ length: dictionary.nLatents }, () => []);
  for (let row = 0; row < nRows; row += 1) {
    if (role[row] === ROLES.indexOf("bos") || store.documents[document[row]].split !== split) continue;
    for (const column of activations) column.push(0);
    for (let e = rowStart[row]; e < rowStart[row + 1]; e += 1) {
      const column = activations[latent[e]];
      column[column.length - 1] = code[e] * weight[latent[e]];
    }
  }
  return activations;
}

function pearson(a: number[], b: number[]): number {
  const mean = (v: number[]): number => v.reduce((sum, one) => sum + one, 0) / v.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const covariance = mean(a.map((v, i) => (v - meanA) * (b[i] - meanB)));
  const deviation = (v: number[], m: number): number => Math.sqrt(mean(v.map((one) => (one - m) ** 2)));
  const scale = deviation(a, meanA) * deviation(b, meanB);
  return scale === 0 ? 0 : covariance / scale;
}

/** For each latent of the reference, "NAME LATENT" of its match in every other dictionary that has one. */
export async function matchesReference(options: StabilityOptions): Promise<string[][]> {
  const { reference, others } = options;
  const mine = await activationsOf(options, reference);
  const found: string[][] = reference.latents.map(() => []);
  for (const other of others) {
    const theirs = await activationsOf(options, other);
    for (const side of ["base", "finetuned"] as const) {
      const [rows, candidates] = [directions(reference, side), directions(other, side)];
      reference.latents.forEach(({ deltaNorm }, j) => {
        if (sideOf(deltaNorm) !== side || mine[j].every((v) => v === 0)) return;
        const k = nearestTo(rows[j], candidates);
        if (k === -1 || nearestTo(candidates[k], rows) !== j) return;
        const cosine = rows[j].reduce((sum, value, c) => sum + value * candidates[k][c], 0);
        if (cosine >= 0.7 && pearson(mine[j], theirs[k]) >= 0.5) found[j].push(`${other.name} ${k}`);
      });
    }
  }
  return found;
}
