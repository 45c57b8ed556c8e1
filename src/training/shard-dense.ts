// ReLU + L1 in a shard: every positive code counts, so at the start half of all codes do and dense products are faster.
//
// Dense route while more than DENSE_SHARE of the codes are positive, after that the sparse one; both add the penalty's gradients.
// Equations: sparsity.ts (codePenalty, addPenaltyGradients) and gradients.ts, in reference-engine.ts the twin.

import type { Gemm } from "../compute/gemm.ts";
import type { EngineOptions } from "./engine-contract.ts";
import type { ShardMemory } from "./shard-memory.ts";

export interface PenalisedGradients {
  /** Σ of squares of all gradients of this shard's latents. */
  squares: number;
  /** This shard's part of the mean over rows of Σ_j f_j W_j. */
  penaltyLoss: number;
}

export interface DenseRoute {
  /** Sets memory.touched where any code of a latent is > 0, and keeps the sums of codes for the penalty. */
  markTouched(nRows: number): void;
  /** memory.residual = this shard's partial reconstruction; memory.pre holds the codes. */
  decode(nRows: number, withBias: boolean): Promise<void>;
  /** All gradients of this shard, from memory.direction; penalty: μ. */
  gradients(nRows: number, penalty: number): Promise<PenalisedGradients>;
  /** The same over the lists in memory.kept: `sparse` makes the gradients without the decoder's part of the penalty. */
  sparseGradients(
    nRows: number,
    penalty: number,
    sparse: (penaltyOfCode: Float32Array) => number,
  ): PenalisedGradients;
}

export function createDenseRoute({
  memory,
  gemm,
  shape: { nLatents, width },
  options: { siteOffsets, codeNormalisation = "crosscoder" },
}: {
  memory: ShardMemory;
  gemm: Gemm;
  shape: { nLatents: number; width: number };
  options: EngineOptions;
}): DenseRoute {
  const { kernels, arrays, weight, touched } = memory;
  const { parameter, gradient } = arrays;
  const codes = (nRows: number): Float32Array => memory.pre.subarray(0, nRows * nLatents);
  const rowsOf = (array: Float32Array, nRows: number): Float32Array => array.subarray(0, nRows * width);

  /** [nLatents] f64 Σ over rows of the codes. */
  function codeSums(nRows: number): Float64Array {
    const out = memory.sums.subarray(0, nLatents);
    kernels.columnSums(codes(nRows), { nRows, width: nLatents, out });
    return out;
  }

  /** Adds the penalty's gradient by the decoder rows, μ · mean code · d W / d row, and returns Σ_j Σ_rows f W / nRows. */
  function addDecoderPenalty(nRows: number, penalty: number): number {
    const sums = codeSums(nRows);
    const borders = codeNormalisation === "sae" ? [0, width] : siteOffsets;
    let penaltyLoss = 0;
    for (let j = 0; j < nLatents; j += 1) {
      if (sums[j] === 0) continue;
      penaltyLoss += (sums[j] * weight[j]) / nRows;
      if (codeNormalisation === "none") continue;
      for (let part = 0; part + 1 < borders.length; part += 1) {
        const [from, to] = [j * width + borders[part], j * width + borders[part + 1]];
        const row = parameter.decoderWeight.subarray(from, to);
        const norm = Math.sqrt(kernels.sumOfSquares(row));
        if (norm === 0) continue;
        const factor = (penalty * sums[j]) / (nRows * norm);
        kernels.addScaled(gradient.decoderWeight.subarray(from, to), row, factor);
      }
    }
    return penaltyLoss;
  }

  function squaresOfTouched(): number {
    let squares = 0;
    for (let j = 0; j < nLatents; j += 1) {
      if (touched[j] === 0) continue;
      for (const matrix of [gradient.encoderWeight, gradient.decoderWeight]) {
        squares += kernels.sumOfSquares(matrix.subarray(j * width, (j + 1) * width));
      }
      squares += gradient.encoderBias[j] ** 2;
    }
    return squares;
  }

  return {
    markTouched(nRows) {
      const sums = codeSums(nRows);
      for (let j = 0; j < nLatents; j += 1) touched[j] = sums[j] > 0 ? 1 : 0;
    },

    async decode(nRows, withBias) {
      await gemm.multiply(codes(nRows), parameter.decoderWeight, {
        transposed: "none",
        n: nRows,
        m: width,
        k: nLatents,
        bias: withBias ? parameter.decoderBias : undefined,
        target: rowsOf(memory.residual, nRows),
      });
    },

    async gradients(nRows, penalty) {
      const direction = rowsOf(memory.direction, nRows);
      const code = codes(nRows);
      const codeGradient = memory.codeGradient.subarray(0, nRows * nLatents);
      await gemm.multiply(direction, parameter.decoderWeight, {
        transposed: "b",
        n: nRows,
        m: nLatents,
        k: width,
        target: codeGradient,
      });
      kernels.gateCodeGradients(
        { code, codeGradient, weight },
        { nRows, nLatents, penalty: penalty / nRows },
      );
      const shape = { transposed: "a" as const, n: nLatents, m: width, k: nRows };
      await gemm.multiply(code, direction, { ...shape, target: gradient.decoderWeight });
      const x = rowsOf(memory.x, nRows);
      await gemm.multiply(codeGradient, x, { ...shape, target: gradient.encoderWeight });
      const biasSums = memory.sums.subarray(0, nLatents);
      kernels.columnSums(codeGradient, { nRows, width: nLatents, out: biasSums });
      gradient.encoderBias.set(biasSums);
      const penaltyLoss = addDecoderPenalty(nRows, penalty);
      return { squares: squaresOfTouched(), penaltyLoss };
    },

    sparseGradients(nRows, penalty, sparse) {
      for (let j = 0; j < nLatents; j += 1) memory.penalty[j] = (penalty * weight[j]) / nRows;
      sparse(memory.penalty);
      const penaltyLoss = addDecoderPenalty(nRows, penalty);
      return { squares: squaresOfTouched(), penaltyLoss };
    },
  };
}
