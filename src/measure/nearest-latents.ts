// The nearest other latents of every latent, by cosine of decoder rows; and the pairs across the two models that are nearly one.
//
// Within the fine-tune, within the base, and across: d_j of one model against d_k of the other. A latent's own pair (k = j) is not
// its neighbour: that cosine is `decoderCosine`. nearest-latents-reference.ts is the readable twin. Not here: what fires with
// what, see pair-firings.ts.

import { createGemm, type Gemm } from "../compute/gemm.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import {
  type CosineTile,
  type CosineTileOptions,
  cosineOf,
  cosineTiles,
  type DecoderRows,
  decoderRows,
  TILE_ERROR,
} from "./cosine-tiles.ts";

/**
 * Neighbours kept a latent, and how many more the f32 tiles keep so that f64 decides between the last of them. Among more equals
 * than both together the lowest are kept only as far as f32 sees them as equal.
 */
export const NEAREST = { count: 3, spare: 2 } as const;

export interface NearestLatents {
  /** Neighbours a latent. */
  count: number;
  /** [nLatents, count] latents, nearest first, of equals the lower first; −1 where there are no more. */
  neighbour: Int32Array;
  /** [nLatents, count] f64 cosines; NaN exactly where neighbour is −1. */
  cosine: Float64Array;
}

export interface LatentNeighbours {
  /** d_j of the fine-tune among those of the fine-tune. */
  finetuned: NearestLatents;
  /** d_j of the base among those of the base. */
  base: NearestLatents;
  /** d_j of the fine-tune among those of the base, and the mirror; null for models of different width. */
  crossFinetuned: NearestLatents | null;
  crossBase: NearestLatents | null;
}

export interface NearestOptions {
  /** Default 3. */
  count?: number;
  /** Of the dense product; default: the device's choice. */
  threads?: number;
  /** Rows and columns of a tile; default COSINE_TILES. */
  tile?: CosineTileOptions["tile"];
  signal?: AbortSignal;
}

/** Latents without a direction (norm 0) have no neighbours and are nobody's. Throws InterruptedError. */
export async function nearestLatents(
  dictionary: Dictionary,
  { count = NEAREST.count, threads, tile, signal }: NearestOptions = {},
): Promise<LatentNeighbours> {
  const { nLatents, sites } = dictionary;
  const base = decoderRows(dictionary, 0);
  const finetuned = decoderRows(dictionary, 1);
  const gemm = await createGemm({ threads });
  try {
    const within = async (rows: DecoderRows): Promise<NearestLatents> => {
      const best = createBest(rows.latents.length, count + NEAREST.spare);
      for await (const part of cosineTiles(rows, rows, { gemm, symmetric: true, tile, signal })) {
        offerTile(part, { latents: rows, best }, { latents: rows, best });
      }
      return decide(best, rows, rows, { nLatents, count });
    };
    const across = async (): Promise<[NearestLatents, NearestLatents]> => {
      const ofFinetuned = createBest(finetuned.latents.length, count + NEAREST.spare);
      const ofBase = createBest(base.latents.length, count + NEAREST.spare);
      for await (const part of cosineTiles(finetuned, base, { gemm, tile, signal })) {
        offerTile(part, { latents: finetuned, best: ofFinetuned }, { latents: base, best: ofBase });
      }
      return [
        decide(ofFinetuned, finetuned, base, { nLatents, count }),
        decide(ofBase, base, finetuned, { nLatents, count }),
      ];
    };
    const [crossFinetuned, crossBase] = sites[0].width === sites[1].width ? await across() : [null, null];
    return { finetuned: await within(finetuned), base: await within(base), crossFinetuned, crossBase };
  } finally {
    await gemm.dispose();
  }
}

/** The best partners of every row so far; of equal cosines the one that came first stays ahead. */
interface Best {
  depth: number;
  /** [nRows, depth] index into the partners' list, −1: none. */
  partner: Int32Array;
  /** [nRows] f32 cosine that a new partner must exceed. */
  toBeat: Float32Array;
  take(row: number, partner: number, cosine: number): void;
}

function createBest(nRows: number, depth: number): Best {
  const partner = new Int32Array(nRows * depth).fill(-1);
  const score = new Float32Array(nRows * depth).fill(Number.NEGATIVE_INFINITY);
  const toBeat = new Float32Array(nRows).fill(Number.NEGATIVE_INFINITY);
  return {
    depth,
    partner,
    toBeat,
    take(row, candidate, cosine) {
      const first = row * depth;
      let at = first + depth - 1;
      for (; at > first && cosine > score[at - 1]; at -= 1) {
        score[at] = score[at - 1];
        partner[at] = partner[at - 1];
      }
      score[at] = cosine;
      partner[at] = candidate;
      toBeat[row] = score[first + depth - 1];
    },
  };
}

interface Side {
  latents: DecoderRows;
  best: Best;
}

/** Offers every cosine of a tile to its row and to its column; when both are one list, a tile on the diagonal holds each twice. */
function offerTile(tile: CosineTile, rows: Side, columns: Side): void {
  const { rowStart, nRows, columnStart, nColumns, cosine } = tile;
  const toColumns = rows.best !== columns.best || rowStart !== columnStart;
  const [ofRows, ofColumns] = [rows.best, columns.best];
  const [rowLatents, columnLatents] = [rows.latents.latents, columns.latents.latents];
  const columnsToBeat = ofColumns.toBeat;
  for (let r = 0, at = 0; r < nRows; r += 1) {
    const i = rowStart + r;
    const self = rowLatents[i];
    let toBeat = ofRows.toBeat[i];
    for (let k = columnStart; k < columnStart + nColumns; k += 1, at += 1) {
      const value = cosine[at];
      if (value > toBeat && columnLatents[k] !== self) {
        ofRows.take(i, k, value);
        toBeat = ofRows.toBeat[i];
      }
      if (toColumns && value > columnsToBeat[k] && columnLatents[k] !== self) ofColumns.take(k, i, value);
    }
  }
}

/** Orders the kept partners by their f64 cosines and writes them at the latents' places. */
function decide(
  best: Best,
  a: DecoderRows,
  b: DecoderRows,
  { nLatents, count }: { nLatents: number; count: number },
): NearestLatents {
  const neighbour = new Int32Array(nLatents * count).fill(-1);
  const cosine = new Float64Array(nLatents * count).fill(Number.NaN);
  for (let i = 0; i < a.latents.length; i += 1) {
    const kept = [...best.partner.subarray(i * best.depth, (i + 1) * best.depth)]
      .filter((k) => k >= 0)
      .map((k) => ({ latent: b.latents[k], cosine: cosineOf(a, i, b, k) }))
      .sort((x, y) => y.cosine - x.cosine || x.latent - y.latent);
    kept.slice(0, count).forEach((one, rank) => {
      neighbour[a.latents[i] * count + rank] = one.latent;
      cosine[a.latents[i] * count + rank] = one.cosine;
    });
  }
  return { count, neighbour, cosine };
}

/** A latent of the fine-tune's side and one of the base's, and the cosine of d^finetuned of the one with d^base of the other. */
export interface CrossPair {
  finetuned: number;
  base: number;
  cosine: number;
}

export interface CrossPairOptions {
  /** Pairs above it are listed. */
  minimumCosine: number;
  /** [nLatents] 1 where a latent may stand for the fine-tune, resp. the base. */
  finetunedSide: Uint8Array;
  baseSide: Uint8Array;
  threads?: number;
  tile?: CosineTileOptions["tile"];
  signal?: AbortSignal;
}

/**
 * Every pair (j, k), j ≠ k, of the two sides with cos(d_j^finetuned, d_k^base) > minimumCosine; ascending by j, then k.
 * Empty for models of different width, whose directions have no angle. Throws InterruptedError.
 */
export async function crossPairs(dictionary: Dictionary, options: CrossPairOptions): Promise<CrossPair[]> {
  const { minimumCosine, threads, tile, signal } = options;
  const { sites } = dictionary;
  const finetuned = decoderRows(dictionary, 1, options.finetunedSide);
  const base = decoderRows(dictionary, 0, options.baseSide);
  const pairs: CrossPair[] = [];
  if (sites[0].width !== sites[1].width || finetuned.latents.length === 0 || base.latents.length === 0)
    return pairs;
  const gemm: Gemm = await createGemm({ threads });
  try {
    for await (const { rowStart, nRows, columnStart, nColumns, cosine } of cosineTiles(finetuned, base, {
      gemm,
      tile,
      signal,
    })) {
      for (let at = 0; at < nRows * nColumns; at += 1) {
        if (!(cosine[at] > minimumCosine - TILE_ERROR)) continue;
        const i = rowStart + Math.floor(at / nColumns);
        const k = columnStart + (at % nColumns);
        if (finetuned.latents[i] === base.latents[k]) continue;
        const exact = cosineOf(finetuned, i, base, k);
        if (exact > minimumCosine)
          pairs.push({ finetuned: finetuned.latents[i], base: base.latents[k], cosine: exact });
      }
    }
  } finally {
    await gemm.dispose();
  }
  return pairs.sort((a, b) => a.finetuned - b.finetuned || a.base - b.base);
}
