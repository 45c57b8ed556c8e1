// Adam on a shard's latents, and W, the weight of each latent's code, which follows from its decoder row.
//
// W is made anew right after a block of decoder rows was updated, while it lies in cache. Twins: reference-engine.ts (Adam),
// weights in loss.ts.

import { type EngineOptions, type ParameterName, shapeOf } from "./engine-contract.ts";
import type { ShardMemory } from "./shard-memory.ts";

export interface AdamUpdate {
  learningRate: number;
  /** Multiplies the gradients: the clipping factor. */
  gradientScale: number;
  /** 1 for the first update. */
  updateNumber: number;
}

export interface ShardUpdater {
  /** memory.weight of latents [from, to). */
  updateWeights(from: number, to: number): void;
  /** One update of all parameters from memory's gradients, and W. */
  update(adam: AdamUpdate): void;
}

/** Values of a block of decoder rows. */
const BLOCK_VALUES = 2 ** 15;

export function createShardUpdater({
  memory,
  options: { siteOffsets, codeNormalisation = "crosscoder" },
  shape,
  ownsDecoderBias,
}: {
  memory: ShardMemory;
  options: EngineOptions;
  shape: { nLatents: number; width: number };
  ownsDecoderBias: boolean;
}): ShardUpdater {
  const { nLatents, width } = shape;
  const { kernels, arrays, weight, norms, touched } = memory;
  const { parameter, firstMoment, secondMoment, gradient } = arrays;

  /** Sums of the sites' decoder norms, the norm over all sites, or 1. */
  function updateWeights(from: number, to: number): void {
    const [own, part] = [weight.subarray(from, to), norms.subarray(from, to)];
    if (codeNormalisation === "none") {
      own.fill(1);
      return;
    }
    const rows = parameter.decoderWeight.subarray(from * width, to * width);
    const borders = codeNormalisation === "sae" ? [0, width] : siteOffsets;
    own.fill(0);
    for (let site = 0; site + 1 < borders.length; site += 1) {
      const [columnStart, nColumns] = [borders[site], borders[site + 1] - borders[site]];
      kernels.rowNorms(rows, { nRows: to - from, width, columnStart, nColumns, out: part });
      for (let j = 0; j < own.length; j += 1) own[j] += part[j];
    }
  }

  function updateRows(
    name: ParameterName,
    { from, to }: { from: number; to: number },
    adam: AdamUpdate,
  ): void {
    const { rowLength } = shapeOf(name, shape);
    const part = (all: Float32Array): Float32Array => all.subarray(from * rowLength, to * rowLength);
    kernels.adamRows(
      {
        parameter: part(parameter[name]),
        gradient: part(gradient[name]),
        firstMoment: part(firstMoment[name]),
        secondMoment: part(secondMoment[name]),
      },
      { ...adam, touched: name === "decoderBias" ? memory.always : touched.subarray(from, to), rowLength },
    );
  }

  return {
    updateWeights,
    update(adam) {
      updateRows("encoderWeight", { from: 0, to: nLatents }, adam);
      updateRows("encoderBias", { from: 0, to: nLatents }, adam);
      if (ownsDecoderBias) updateRows("decoderBias", { from: 0, to: 1 }, adam);
      const block = Math.max(1, Math.floor(BLOCK_VALUES / width));
      for (let from = 0; from < nLatents; from += block) {
        const to = Math.min(nLatents, from + block);
        updateRows("decoderWeight", { from, to }, adam);
        updateWeights(from, to);
      }
    },
  };
}
