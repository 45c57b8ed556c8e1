// One latent shard's part of a training step: its latents' rows, gradients and Adam state never leave it.
//
// The equations of loss.ts and gradients.ts, on what fired alone. Shards meet in a Collective: for the threshold of selection,
// for the sum of their partial reconstructions [rows, width] and for a few numbers; the residual and the loss's derivative are then
// the same everywhere and computed by each. This is also the seam for devices: what offers Shard can hold latents (a GPU, too).
// The first shard owns the decoder bias. Twin: reference-engine.ts.

import type { Collective } from "../compute/collective.ts";
import { createGemm } from "../compute/gemm.ts";
import type { EntryGroups, TiledRows } from "../compute/kernels.ts";
import {
  type EngineOptions,
  type ParameterName,
  type RowRange,
  type StateKind,
  type StepResult,
  shapeOf,
} from "./engine-contract.ts";
import { VARIANCE_ROUNDING } from "./loss.ts";
import { selectTopOfRows } from "./row-selection.ts";
import { createShardClock, type ShardTimes } from "./shard-clock.ts";
import { createDenseRoute } from "./shard-dense.ts";
import { createShardMemory, DENSE_SHARE, type EntryLists } from "./shard-memory.ts";
import { nextBoundFactor, selectBatchTopK, smallestOver, tilesOf } from "./shard-selection.ts";
import { type AdamUpdate, createShardUpdater } from "./shard-update.ts";

export interface Shard {
  /** batch [nRows, width], any memory; the same for all shards. The result is the same in all shards. */
  backward(batch: Float32Array, level: number): Promise<StepResult>;
  update(adam: AdamUpdate): Promise<void>;
  /** Rows of the shard's own latents, counted from its first: a copy, in `target` when one is given. */
  read(
    kind: StateKind | "gradient",
    name: ParameterName,
    rows: RowRange,
    target?: Float32Array,
  ): Promise<Float32Array>;
  write(kind: StateKind, name: ParameterName, data: Float32Array, fromRow: number): Promise<void>;
  readRowsSinceFired(): Promise<Float64Array>;
  writeRowsSinceFired(rows: Float64Array): Promise<void>;
  lastBatch(): Promise<{ nRows: number; x: Float32Array; residual: Float32Array }>;
  times(): Promise<ShardTimes>;
  dispose(): Promise<void>;
}

export interface ShardOptions {
  options: EngineOptions;
  /** Its own number of latents. */
  nLatents: number;
  collective: Collective;
  /** Threads of its dense product. */
  threads: number;
}

/** All state zero. Throws StorageError when its memory would pass 4 GiB. */
export async function createShard({ options, nLatents, collective, threads }: ShardOptions): Promise<Shard> {
  const { width, siteOffsets, batchRows, auxAlpha, auxLatents, deadAfterRows } = options;
  const { reconstruction = "norm" } = options;
  const kind = options.sparsity?.kind ?? "batchTopK";
  const nSites = siteOffsets.length - 1;
  const memory = createShardMemory(options, { nLatents, width, batchRows });
  const { kernels, arrays, weight, touched, kept, auxiliary } = memory;
  const { parameter, gradient } = arrays;
  const gemm = await createGemm({ threads });
  const dense = createDenseRoute({ memory, gemm, shape: { nLatents, width }, options });
  const rowsSinceFired = new Float64Array(nLatents);
  const shape = { nLatents, width };
  const isFirst = collective.rank === 0;
  const updater = createShardUpdater({ memory, options, shape, ownsDecoderBias: isFirst });
  let nRows = 0;
  let isWeightStale = true;
  let smallestKept = 0;
  let boundFactor = nextBoundFactor();
  const clock = createShardClock();
  const { spent } = clock;

  const tiles = (): TiledRows => ({
    pre: memory.pre.subarray(0, nRows * nLatents),
    weight,
    nRows,
    nLatents,
    tileLatents: memory.tileLatents,
  });

  /** Pre-activations, tile by tile; what reaches the bound is collected while the tile lies in cache. Returns how many did. */
  async function encode(bound: number): Promise<number> {
    const x = memory.x.subarray(0, nRows * width);
    let found = 0;
    for (const { firstLatent, ...tile } of tilesOf(tiles())) {
      const rows = [firstLatent * width, (firstLatent + tile.nLatents) * width] as const;
      await gemm.multiplyTransposed(x, parameter.encoderWeight.subarray(...rows), {
        n: nRows,
        m: tile.nLatents,
        k: width,
        bias: parameter.encoderBias.subarray(firstLatent, firstLatent + tile.nLatents),
        target: tile.pre,
      });
      spent("dense");
      if (bound > 0) {
        found = kernels.collectEntries(tile, { firstLatent, bound, entries: kept.entries, count: found });
        spent("select");
      }
    }
    return found;
  }

  interface Kept {
    /** Entries of this shard in kept.entries, or codes > 0 in memory.pre when isDense. */
    count: number;
    smallest: number;
    isDense: boolean;
  }

  async function select(level: number): Promise<Kept> {
    if (kind === "reluL1") {
      await encode(0);
      const count = kernels.reluInPlace(memory.pre.subarray(0, nRows * nLatents));
      const isDense = count > DENSE_SHARE * nRows * nLatents;
      if (!isDense && nLatents > 0) {
        kernels.collectEntries(
          { pre: memory.pre, weight, nRows, nLatents },
          { firstLatent: 0, bound: 0, entries: kept.entries, count: 0 },
        );
      }
      return { count, smallest: 0, isDense };
    }
    if (kind === "topK") {
      await encode(0);
      for (let j = 0; j < nLatents; j += 1) memory.latentList[j] = j;
      const entries = kept.entries;
      const found = { memory, tiles: tiles(), collective, entries, nList: nLatents, most: level };
      const count = await selectTopOfRows(found);
      return { count, smallest: await smallestOver(collective, entries, count), isDense: false };
    }
    const bound = Math.fround(smallestKept * boundFactor);
    const found = await encode(bound);
    const rank = nRows * Math.min(level, options.nLatents);
    const selected = await selectBatchTopK({ memory, tiles: tiles(), collective, rank, bound, found });
    smallestKept = selected.smallest;
    if (bound > 0) boundFactor = nextBoundFactor(boundFactor, selected.candidates);
    return { ...selected, isDense: false };
  }

  function group({ entries, byRow, byLatent }: EntryLists, count: number): void {
    kernels.groupEntries(entries, { by: "row", count, nKeys: nRows, out: byRow });
    kernels.groupEntries(entries, { by: "latent", count, nKeys: nLatents, out: byLatent });
  }

  /** target = the sum over shards of Σ code · decoder row (+ the decoder bias). */
  async function decode(groups: EntryGroups, target: Float32Array, withBias: boolean): Promise<void> {
    kernels.decodeSparse(
      { capacity: groups.other.length, rowStart: groups.start, latent: groups.other, code: groups.code },
      {
        nRows,
        decoder: parameter.decoderWeight,
        width,
        bias: withBias && isFirst ? parameter.decoderBias : undefined,
        target,
      },
    );
    spent("decode");
    await collective.allReduce(target.subarray(0, nRows * width));
    spent("exchange");
  }

  function latentGradients(groups: EntryGroups, penalty?: Float32Array): number {
    return kernels.latentGradients(groups, {
      nLatents,
      width,
      x: memory.x,
      direction: memory.direction,
      decoder: parameter.decoderWeight,
      penalty,
      dEncoder: gradient.encoderWeight,
      dEncoderBias: gradient.encoderBias,
      dDecoder: gradient.decoderWeight,
    });
  }

  /** From reconstruction to residual and direction, in every shard alike. Returns the loss. */
  function reconstructionTerm(): number {
    let sum = 0;
    const share = 1 / (nRows * nSites);
    for (let site = 0; site < nSites; site += 1) {
      sum += kernels.residualTerm({
        x: memory.x,
        residual: memory.residual,
        direction: memory.direction,
        nRows,
        width,
        from: siteOffsets[site],
        to: siteOffsets[site + 1],
        share,
        squared: reconstruction === "squared",
      });
    }
    return sum * share;
  }

  function decoderBiasGradient(): number {
    const sums = memory.sums.subarray(0, width);
    kernels.columnSums(memory.direction, { nRows, width, out: sums });
    gradient.decoderBias.set(sums);
    return kernels.sumOfSquares(gradient.decoderBias);
  }

  /** Auxiliary loss over the dead latents listed in memory.latentList; direction is overwritten, gradients are added. */
  async function auxiliaryTerm(nDead: number): Promise<{ auxLoss: number; squares: number }> {
    const residual = memory.residual.subarray(0, nRows * width);
    const target = memory.direction.subarray(0, nRows * width);
    const variance = residualVariance(residual);
    if (variance === 0) return { auxLoss: 0, squares: 0 };
    const count = await selectTopOfRows({
      memory,
      tiles: tiles(),
      collective,
      entries: auxiliary.entries,
      nList: nDead,
      most: auxLatents,
    });
    group(auxiliary, count);
    spent("select");
    await decode(auxiliary.byRow, target, false);
    const errors = kernels.auxiliaryTerm(residual, target, (-2 * auxAlpha) / (nRows * variance));
    spent("rest");
    const squares = latentGradients(auxiliary.byLatent);
    markTouched(auxiliary.byLatent);
    return { auxLoss: errors / nRows / variance, squares };
  }

  /** batchVariance of loss.ts. */
  function residualVariance(residual: Float32Array): number {
    const mean = memory.sums.subarray(0, width);
    kernels.columnSums(residual, { nRows, width, out: mean });
    for (let i = 0; i < width; i += 1) mean[i] /= nRows;
    const centred = kernels.centredSquares(residual, { nRows, width, mean });
    return centred > VARIANCE_ROUNDING * kernels.sumOfSquares(residual) ? centred / nRows : 0;
  }

  function markTouched({ start }: EntryGroups): void {
    for (let j = 0; j < nLatents; j += 1) if (start[j] !== start[j + 1]) touched[j] = 1;
  }

  /** Counters first: a latent that fires in this batch is not dead in it. Lists the dead; returns their number here. */
  function countDead(): number {
    let nDead = 0;
    for (let j = 0; j < nLatents; j += 1) {
      rowsSinceFired[j] = touched[j] === 1 ? 0 : rowsSinceFired[j] + nRows;
      if (rowsSinceFired[j] < deadAfterRows) continue;
      memory.latentList[nDead] = j;
      nDead += 1;
    }
    return nDead;
  }

  return {
    async backward(batch, level) {
      clock.reset();
      nRows = batch.length / width;
      memory.x.set(batch);
      if (isWeightStale) updater.updateWeights(0, nLatents);
      isWeightStale = false;
      spent("rest");

      const { count, smallest, isDense } = await select(level);
      touched.fill(0);
      if (isDense) dense.markTouched(nRows);
      else {
        group(kept, count);
        markTouched(kept.byLatent);
      }
      const nDeadHere = countDead();
      const totals = Float64Array.of(count, nDeadHere);
      await collective.allReduce(totals);
      const [total, nDead] = totals;
      spent("select");

      if (isDense) {
        await dense.decode(nRows, isFirst);
        spent("dense");
        await collective.allReduce(memory.residual.subarray(0, nRows * width));
        spent("exchange");
      } else await decode(kept.byRow, memory.residual, true);
      const loss = reconstructionTerm();
      let squares = isFirst ? decoderBiasGradient() : 0;
      spent("rest");

      let penaltyHere = 0;
      if (kind === "reluL1") {
        const found = isDense
          ? await dense.gradients(nRows, level)
          : dense.sparseGradients(nRows, level, (penalty) => latentGradients(kept.byLatent, penalty));
        squares += found.squares;
        penaltyHere = found.penaltyLoss;
      } else squares += latentGradients(kept.byLatent);
      spent("gradients");
      let auxLoss = 0;
      if (kind !== "reluL1" && nDead > 0 && auxAlpha > 0) {
        const found = await auxiliaryTerm(nDeadHere);
        auxLoss = found.auxLoss;
        squares += found.squares;
        spent("gradients");
      }
      const sums = Float64Array.of(squares, penaltyHere);
      await collective.allReduce(sums);
      spent("exchange");
      return {
        loss,
        auxLoss,
        ...(kind === "reluL1" ? { penaltyLoss: sums[1] } : {}),
        gradientNorm: Math.sqrt(sums[0]),
        l0: total / nRows,
        nDead,
        smallestActivation: smallest,
      };
    },

    async update(adam) {
      clock.start();
      updater.update(adam);
      isWeightStale = false;
      spent("adam");
    },

    async read(which, name, { from, to }, target) {
      const { rowLength } = shapeOf(name, shape);
      const rows = target ?? new Float32Array((to - from) * rowLength);
      rows.set(arrays[which][name].subarray(from * rowLength, to * rowLength));
      if (which !== "gradient" || name === "decoderBias") return rows;
      // Rows that nothing was written to are zero whatever an earlier step left there.
      for (let row = from; row < to; row += 1) {
        if (touched[row] === 0) rows.fill(0, (row - from) * rowLength, (row - from + 1) * rowLength);
      }
      return rows;
    },

    async write(which, name, data, fromRow) {
      arrays[which][name].set(data, fromRow * shapeOf(name, shape).rowLength);
      if (which === "parameter") isWeightStale = true;
    },

    readRowsSinceFired: async () => rowsSinceFired.slice(),
    writeRowsSinceFired: async (rows) => rowsSinceFired.set(rows),
    lastBatch: async () => ({
      nRows,
      x: memory.x.slice(0, nRows * width),
      residual: memory.residual.slice(0, nRows * width),
    }),
    times: async () => clock.times(),
    dispose: () => gemm.dispose(),
  };
}
