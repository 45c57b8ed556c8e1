// Cosines of decoder rows with decoder rows, a tile at a time through the dense product: what neighbours, twins and matches
// of latents are read from.
//
// Rows of one site's part of a dictionary; rows without a direction (norm 0, or not finite) are left out at the start, so that
// no NaN can enter a ranking. Memory is two packed tiles and their product, whatever the number of latents. Tiles are f32 and
// only choose: what is reported is cosineOf, in f64.

import type { Gemm } from "../compute/gemm.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { throwIfInterrupted } from "../errors.ts";

/** Sides of a tile of cosines: 16 MiB in f32, and 8 MiB of packed rows at width 512. */
export const COSINE_TILES = { rows: 2048, columns: 2048 } as const;

/** f32 products of unit rows are this far from the true cosine at most; well above width · 2^-24 / 2 for any model. */
export const TILE_ERROR = 1e-3;

/** Directions of latents: rows of `matrix`, columns [from, to), of the latents listed. */
export interface DecoderRows {
  /** [nLatents, width] f32, not copied. */
  matrix: Float32Array;
  width: number;
  from: number;
  to: number;
  /** Latents with a direction, ascending. */
  latents: Uint32Array;
  /** L2 norm of each, f64, > 0. */
  norms: Float64Array;
}

/** The rows of one site (0 base, 1 finetuned). keep: [nLatents], 0 leaves a latent out. */
export function decoderRows(dictionary: Dictionary, site: 0 | 1, keep?: Uint8Array): DecoderRows {
  const { sites, width, nLatents, decoderWeight: matrix } = dictionary;
  const [from, to] = siteOffsets(sites).slice(site, site + 2);
  const latents: number[] = [];
  const norms: number[] = [];
  for (let latent = 0; latent < nLatents; latent += 1) {
    if (keep?.[latent] === 0) continue;
    let squares = 0;
    for (let c = latent * width + from; c < latent * width + to; c += 1) squares += matrix[c] * matrix[c];
    if (!(squares > 0 && squares < Number.POSITIVE_INFINITY)) continue;
    latents.push(latent);
    norms.push(Math.sqrt(squares));
  }
  return {
    matrix,
    width,
    from,
    to,
    latents: Uint32Array.from(latents),
    norms: Float64Array.from(norms),
  };
}

/** Cosine of row i of a with row k of b, both counted in their lists; f64, in [−1, 1]. */
export function cosineOf(a: DecoderRows, i: number, b: DecoderRows, k: number): number {
  const size = a.to - a.from;
  const atA = a.latents[i] * a.width + a.from;
  const atB = b.latents[k] * b.width + b.from;
  let inner = 0;
  for (let c = 0; c < size; c += 1) inner += a.matrix[atA + c] * b.matrix[atB + c];
  return Math.max(-1, Math.min(1, inner / (a.norms[i] * b.norms[k])));
}

/** Cosines of rows [rowStart, rowStart + nRows) of a with [columnStart, columnStart + nColumns) of b. Valid until the next tile. */
export interface CosineTile {
  rowStart: number;
  nRows: number;
  columnStart: number;
  nColumns: number;
  /** [nRows, nColumns] f32, within TILE_ERROR of the cosine. */
  cosine: Float32Array;
}

export interface CosineTileOptions {
  gemm: Gemm;
  /** a and b are the same rows: only tiles on and above the diagonal are made, with tiles of equal sides. */
  symmetric?: boolean;
  /** Default COSINE_TILES. */
  tile?: { rows: number; columns: number };
  signal?: AbortSignal;
}

/** Every tile, rows first, both indices ascending. Throws InterruptedError between tiles. */
export async function* cosineTiles(
  a: DecoderRows,
  b: DecoderRows,
  { gemm, symmetric = false, tile = COSINE_TILES, signal }: CosineTileOptions,
): AsyncGenerator<CosineTile> {
  const size = a.to - a.from;
  const mostRows = Math.min(tile.rows, a.latents.length);
  const mostColumns = Math.min(symmetric ? tile.rows : tile.columns, b.latents.length);
  const packedRows = new Float32Array(mostRows * size);
  const packedColumns = new Float32Array(mostColumns * size);
  const product = new Float32Array(mostRows * mostColumns);
  for (let rowStart = 0; rowStart < a.latents.length; rowStart += mostRows) {
    const nRows = Math.min(mostRows, a.latents.length - rowStart);
    packUnitRows(a, rowStart, packedRows.subarray(0, nRows * size));
    for (
      let columnStart = symmetric ? rowStart : 0;
      columnStart < b.latents.length;
      columnStart += mostColumns
    ) {
      throwIfInterrupted(signal);
      const nColumns = Math.min(mostColumns, b.latents.length - columnStart);
      packUnitRows(b, columnStart, packedColumns.subarray(0, nColumns * size));
      const cosine = await gemm.multiplyTransposed(
        packedRows.subarray(0, nRows * size),
        packedColumns.subarray(0, nColumns * size),
        { n: nRows, m: nColumns, k: size, target: product.subarray(0, nRows * nColumns) },
      );
      yield { rowStart, nRows, columnStart, nColumns, cosine };
    }
  }
}

/** Rows from `start` on, divided by their norms, into target [rows, to − from]. */
function packUnitRows(
  { matrix, width, from, to, latents, norms }: DecoderRows,
  start: number,
  target: Float32Array,
): void {
  const size = to - from;
  for (let at = 0, i = start; at < target.length; i += 1) {
    const scale = 1 / norms[i];
    for (let c = latents[i] * width + from, end = c + size; c < end; c += 1, at += 1)
      target[at] = matrix[c] * scale;
  }
}
