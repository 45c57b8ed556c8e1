// Of each asked latent of one dictionary the latent of another whose decoder row is nearest by cosine, along one model's half; tile by tile.
//
// The choice of measure/stability.ts (mutualNearest, which holds both dictionaries in memory): decided by f32 products of unit rows, of equal ones the
// lower latent. Memory is two blocks and their product. nearest-directions-reference.ts is the readable twin.

import { setImmediate } from "node:timers/promises";
import type { Gemm } from "../../compute/gemm.ts";
import { MismatchError, throwIfInterrupted } from "../../errors.ts";
import type { DecoderHalf } from "./decoder-rows.ts";

/** Sides of a tile: 16 MiB of products in f32, and 4 MiB of rows at width 256. */
export const NEAREST_TILES = { rows: 2048, columns: 2048 } as const;

export interface NearestOptions {
  /** Whose latents ask. */
  from: DecoderHalf;
  /** Latents of it, ascending. */
  latents: Uint32Array;
  /** Among all of whose latents the nearest is sought. */
  among: DecoderHalf;
  gemm: Gemm;
  tile?: { rows: number; columns: number };
  signal?: AbortSignal;
  /** Called after every tile with the cosines that it held. */
  onTile?: (nCosines: number) => void;
}

/**
 * [latents] the nearest latent of `among`; −1 for a latent without a direction, or where none of them has one.
 *
 * Gives the event loop a turn after every tile. Throws MismatchError for halves of different width, InterruptedError.
 */
export async function nearestDirections(options: NearestOptions): Promise<Int32Array> {
  const { from, latents, among, gemm, tile = NEAREST_TILES, signal, onTile } = options;
  const { width } = from;
  if (among.width !== width)
    throw new MismatchError(`decoder rows: expected one width, got ${width} and ${among.width}`);
  const partners = new Int32Array(latents.length).fill(-1);
  const greatest = new Float32Array(latents.length).fill(Number.NEGATIVE_INFINITY);
  const mostRows = Math.min(tile.rows, latents.length);
  const mostColumns = Math.min(tile.columns, among.nLatents);
  const rows = new Float32Array(mostRows * width);
  const columns = new Float32Array(mostColumns * width);
  const product = new Float32Array(mostRows * mostColumns);
  for (let rowStart = 0; rowStart < latents.length; rowStart += mostRows) {
    const part = latents.subarray(rowStart, rowStart + mostRows);
    const x = rows.subarray(0, part.length * width);
    const rowNorms = await from.readUnitRowsOf(part, x);
    for (let columnStart = 0; columnStart < among.nLatents; columnStart += mostColumns) {
      throwIfInterrupted(signal);
      const nColumns = Math.min(mostColumns, among.nLatents - columnStart);
      const w = columns.subarray(0, nColumns * width);
      const columnNorms = await among.readUnitRows(columnStart, w);
      const cosine = await gemm.multiplyTransposed(x, w, {
        ...{ n: part.length, m: nColumns, k: width },
        target: product.subarray(0, part.length * nColumns),
      });
      for (let r = 0, at = 0; r < part.length; r += 1, at += nColumns) {
        if (rowNorms[r] === 0) continue;
        const i = rowStart + r;
        let most = greatest[i];
        for (let c = 0; c < nColumns; c += 1) {
          if (!(cosine[at + c] > most && columnNorms[c] > 0)) continue;
          most = cosine[at + c];
          partners[i] = columnStart + c;
        }
        greatest[i] = most;
      }
      onTile?.(part.length * nColumns);
      await setImmediate();
    }
  }
  return partners;
}
