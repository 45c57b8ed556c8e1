// nearest-directions.ts as it is said: every cosine in f64, the greatest of them, of equal ones the lower latent. For tests.

import type { DecoderHalf } from "./decoder-rows.ts";

export async function nearestDirectionsReference({
  from,
  latents,
  among,
}: {
  from: DecoderHalf;
  latents: Uint32Array;
  among: DecoderHalf;
}): Promise<number[]> {
  const row = async (half: DecoderHalf, latent: number): Promise<Float32Array> => {
    const values = new Float32Array(half.width);
    await half.readRow(latent, values);
    return values;
  };
  const mine = await Promise.all(Array.from(latents, (latent) => row(from, latent)));
  const theirs = await Promise.all(Array.from({ length: among.nLatents }, (_, latent) => row(among, latent)));
  return mine.map((a) => greatest(theirs.map((b) => cosine(a, b))));
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [inner, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    inner += a[i] * b[i];
    ofA += a[i] * a[i];
    ofB += b[i] * b[i];
  }
  return inner / Math.sqrt(ofA * ofB);
}

/** Index of the greatest number, the first of equal ones; −1 where there is none. */
function greatest(values: number[]): number {
  let at = -1;
  values.forEach((value, i) => {
    if (!Number.isNaN(value) && (at < 0 || value > values[at])) at = i;
  });
  return at;
}
