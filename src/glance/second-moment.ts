// Mean and covariance of rows that arrive one by one, with the products of a block of rows made at once.
//
// Rows are taken relative to the mean of the first block, so that a large common offset does not eat the digits of an f32
// product; blocks are added up in f64. The exact covariance of all rows, not a sketch: [dModel, dModel] numbers are kept.

import { createGemm, type Gemm } from "../compute/gemm.ts";
import { pooledSquaredDeviation } from "../numerics/statistics.ts";

/** Rows of one product. */
const BLOCK_ROWS = 1024;

export interface SecondMoment {
  rows: number;
  /** [dModel] f64. */
  mean: Float64Array;
  /** [dModel, dModel] f64, Σ(x − mean)(x − mean)ᵀ; symmetric. Empty where there are no rows. */
  scatter: Float64Array;
  /** Σ‖x − mean‖², from sums in f64. */
  deviation: number;
  /** Σ‖x‖². */
  squares: number;
}

export interface SecondMomentSums {
  /** row: [dModel] f32, copied. */
  add(row: Float32Array): Promise<void>;
  /** Once, after the last row. */
  finish(): Promise<SecondMoment>;
  dispose(): Promise<void>;
}

export function createSecondMoment({
  dModel,
  threads,
}: {
  dModel: number;
  threads?: number | undefined;
}): SecondMomentSums {
  const block = new Float32Array(BLOCK_ROWS * dModel);
  let filled = 0;
  let rows = 0;
  let squares = 0;
  let deviationSquares = 0;
  let gemm: Gemm | undefined;
  /** Mean of the first block; what follows is relative to it. */
  let origin: Float32Array | undefined;
  const sum = new Float64Array(dModel);
  let scatter = new Float64Array();
  let product = new Float32Array();

  const flush = async (): Promise<void> => {
    if (filled === 0) return;
    if (gemm === undefined || origin === undefined) {
      gemm = await createGemm({ threads });
      origin = meanOf(block, filled, dModel);
      scatter = new Float64Array(dModel * dModel);
      product = new Float32Array(dModel * dModel);
    }
    for (let at = 0; at < filled * dModel; at += dModel) {
      for (let i = 0; i < dModel; i += 1) {
        const value = block[at + i] - origin[i];
        block[at + i] = value;
        sum[i] += block[at + i];
        deviationSquares += block[at + i] * block[at + i];
      }
    }
    const x = block.subarray(0, filled * dModel);
    await gemm.multiply(x, x, { n: dModel, m: dModel, k: filled, target: product, transposed: "a" });
    for (let i = 0; i < product.length; i += 1) scatter[i] += product[i];
    rows += filled;
    filled = 0;
  };

  return {
    async add(row) {
      block.set(row, filled * dModel);
      for (let i = 0; i < dModel; i += 1) squares += row[i] * row[i];
      filled += 1;
      if (filled === BLOCK_ROWS) await flush();
    },
    async finish() {
      await flush();
      const offset = sum.map((value) => value / Math.max(1, rows));
      for (let i = 0; i < scatter.length / dModel; i += 1) {
        for (let j = i; j < dModel; j += 1) {
          const both = (scatter[i * dModel + j] + scatter[j * dModel + i]) / 2 - rows * offset[i] * offset[j];
          scatter[i * dModel + j] = both;
          scatter[j * dModel + i] = both;
        }
      }
      return {
        rows,
        mean: offset.map((value, i) => value + (origin?.[i] ?? 0)),
        scatter,
        deviation: pooledSquaredDeviation(rows, sum, deviationSquares),
        squares,
      };
    },
    async dispose() {
      await gemm?.dispose();
      gemm = undefined;
    },
  };
}

function meanOf(block: Float32Array, rows: number, dModel: number): Float32Array {
  const mean = new Float64Array(dModel);
  for (let at = 0; at < rows * dModel; at += dModel) {
    for (let i = 0; i < dModel; i += 1) mean[i] += block[at + i] / rows;
  }
  return Float32Array.from(mean);
}
