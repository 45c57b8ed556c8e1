// Encoding at inference: code f = ReLU(x · eᵀ + b), kept where its activation f · W is above the threshold θ.
//
// Minder et al. 2025, App. B.2: θ stands for BatchTopK's selection. Rows and θ are in the dictionary's own (normalised)
// space. θ < 0 means "not calibrated": everything positive is kept, as the reference does. A TopK dictionary keeps the k
// largest activations of every row instead, as it did in training. A ReLU one has θ = 0. Where a normaliser was folded in, every
// latent's code has a threshold of its own.

import { createGemm } from "../compute/gemm.ts";
import { type CodeBuffers, createKernels, type ScoredRows } from "../compute/kernels.ts";
import { ShapeError } from "../errors.ts";
import type { Dictionary, Encoder, SparseCodes } from "./dictionary.ts";
import { latentWeights } from "./latent-norms.ts";
import { selectTopK, selectTopKReference } from "./select.ts";

/** Entries of one tile of pre-activations: bounds the memory (12 bytes each), large enough for the GEMM. */
const TILE_ENTRIES = 4 * 2 ** 20;

/** Below 1 by more than f32's rounding of 1/θ and of the product with it (2^-23). */
const NEARLY_ONE = 1 - 1e-5;

/**
 * An encoder that owns its buffers and holds on to the weights. The dictionary must not change while it lives.
 * maxRows: most rows of one call. threads: of the GEMM. One call at a time; results are fresh arrays or, with reuse, views that the
 * next call overwrites: a pass over many rows then leaves nothing for the garbage collector.
 */
export async function createEncoder(
  dictionary: Dictionary,
  { maxRows, threads, reuse = false }: { maxRows: number; threads?: number; reuse?: boolean },
): Promise<Encoder> {
  const { nLatents, width, encoderWeight, encoderBias, inferenceThreshold, selection, k } = dictionary;
  const { latentThresholds } = dictionary;
  const tileRows = Math.max(1, Math.min(maxRows, Math.floor(TILE_ENTRIES / nLatents)));
  const capacity = tileRows * nLatents;
  const kernels = createKernels({ bytes: 4 * (3 * capacity + nLatents + tileRows) + 4096 });
  const pre = kernels.f32(capacity);
  const weight = kernels.f32(nLatents);
  weight.set(
    latentThresholds ? latentThresholds.map((threshold) => 1 / threshold) : latentWeights(dictionary),
  );
  const tile = {
    capacity,
    rowStart: kernels.u32(tileRows + 1),
    latent: kernels.u32(capacity),
    code: kernels.f32(capacity),
  };
  const gemm = await createGemm({ threads });
  const lists = reuse ? createLists(maxRows) : undefined;
  const select = (scored: ScoredRows): number => {
    if (selection === "topK") return selectTopK(kernels, scored, { k, out: tile });
    if (latentThresholds === undefined)
      return kernels.keepAbove(scored, { value: inferenceThreshold, ties: 0 }, tile);
    // First by the code's ratio to its threshold, a little below 1; then exactly.
    kernels.keepAbove(scored, { value: NEARLY_ONE, ties: 0 }, tile);
    return keepAboveOwn(tile, { nRows: scored.nRows, thresholds: latentThresholds });
  };

  return {
    maxRows,
    async encode(x, nRows) {
      if (nRows > maxRows) throw new ShapeError(`encode: expected at most ${maxRows} rows, got ${nRows}`);
      if (x.length < nRows * width) {
        throw new ShapeError(`encode: expected ${nRows} × ${width} values, got ${x.length}`);
      }
      const rowStart = lists?.rowStart.subarray(0, nRows + 1) ?? new Uint32Array(nRows + 1);
      const latentParts: Uint32Array[] = [];
      const codeParts: Float32Array[] = [];
      let nonZero = 0;
      for (let first = 0; first < nRows; first += tileRows) {
        const rows = Math.min(tileRows, nRows - first);
        await gemm.multiplyTransposed(x.subarray(first * width, (first + rows) * width), encoderWeight, {
          n: rows,
          m: nLatents,
          k: width,
          bias: encoderBias,
          target: pre.subarray(0, rows * nLatents),
        });
        const count = select({ pre, weight, nRows: rows, nLatents });
        for (let row = 0; row < rows; row += 1) rowStart[first + row + 1] = nonZero + tile.rowStart[row + 1];
        if (lists === undefined) {
          latentParts.push(tile.latent.slice(0, count));
          codeParts.push(tile.code.slice(0, count));
        } else lists.append(tile, count, nonZero);
        nonZero += count;
      }
      if (lists !== undefined) return { nRows, rowStart, ...lists.first(nonZero) };
      return {
        nRows,
        rowStart,
        latent: concatenate(latentParts, Uint32Array),
        code: concatenate(codeParts, Float32Array),
      };
    },
    dispose: () => gemm.dispose(),
  };
}

/** Growing arrays that one result after another is written into. */
function createLists(maxRows: number) {
  let latent = new Uint32Array(1024);
  let code = new Float32Array(1024);
  return {
    rowStart: new Uint32Array(maxRows + 1),
    /** Writes the first `count` entries of a tile from entry `at` on. */
    append(tile: CodeBuffers, count: number, at: number): void {
      if (at + count > latent.length) {
        const length = Math.max(at + count, 2 * latent.length);
        const [oldLatent, oldCode] = [latent, code];
        latent = new Uint32Array(length);
        code = new Float32Array(length);
        latent.set(oldLatent.subarray(0, at));
        code.set(oldCode.subarray(0, at));
      }
      latent.set(tile.latent.subarray(0, count), at);
      code.set(tile.code.subarray(0, count), at);
    },
    first: (n: number) => ({ latent: latent.subarray(0, n), code: code.subarray(0, n) }),
  };
}

/** Drops, in place, the entries listed whose code is not above the threshold [nLatents] of its latent; returns how many stay. */
function keepAboveOwn(
  { rowStart, latent, code }: CodeBuffers,
  { nRows, thresholds }: { nRows: number; thresholds: Float32Array },
): number {
  let kept = 0;
  let entry = 0;
  for (let row = 0; row < nRows; row += 1) {
    const end = rowStart[row + 1];
    for (; entry < end; entry += 1) {
      if (!(code[entry] > thresholds[latent[entry]])) continue;
      latent[kept] = latent[entry];
      code[kept] = code[entry];
      kept += 1;
    }
    rowStart[row + 1] = kept;
  }
  return kept;
}

function concatenate<A extends Uint32Array | Float32Array>(parts: A[], Kind: new (length: number) => A): A {
  if (parts.length === 1) return parts[0];
  const whole = new Kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The twin: loops, sums in f64, the comparison in f32 as the fast path makes it. */
export function encodeReference(dictionary: Dictionary, x: Float32Array, nRows: number): SparseCodes {
  const { nLatents, width, encoderWeight, encoderBias, inferenceThreshold, latentThresholds } = dictionary;
  const weight = latentWeights(dictionary);
  const fires = (code: number, latent: number): boolean =>
    latentThresholds === undefined
      ? code > 0 && Math.fround(code * weight[latent]) > Math.fround(inferenceThreshold)
      : code > latentThresholds[latent];
  const pre = new Float32Array(nLatents);
  const rowStart = new Uint32Array(nRows + 1);
  const latents: number[] = [];
  const codes: number[] = [];
  for (let row = 0; row < nRows; row += 1) {
    for (let latent = 0; latent < nLatents; latent += 1) {
      let sum = encoderBias[latent];
      for (let i = 0; i < width; i += 1) sum += x[row * width + i] * encoderWeight[latent * width + i];
      pre[latent] = sum;
    }
    const kept =
      dictionary.selection === "topK"
        ? selectTopKReference(pre, weight, dictionary.k)
        : pre.map((code, latent) => (fires(code, latent) ? code : 0));
    kept.forEach((code, latent) => {
      if (code === 0) return;
      latents.push(latent);
      codes.push(code);
    });
    rowStart[row + 1] = latents.length;
  }
  return { nRows, rowStart, latent: Uint32Array.from(latents), code: Float32Array.from(codes) };
}
