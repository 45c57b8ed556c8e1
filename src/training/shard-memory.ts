// The arrays of one latent shard in its WASM arena: parameters, Adam's moments, gradients and the buffers of a step.
//
// A shard owns a contiguous range of latents. Peak: 16 bytes a parameter, the pre-activations [batchRows, nLatents], three
// arrays [batchRows, width] and the lists of what was kept.

import { createKernels, type Entries, type EntryGroups, type KernelArena } from "../compute/kernels.ts";
import type { EngineOptions, StateKind } from "./engine-contract.ts";
import type { Parameters } from "./loss.ts";

/** Latents and rows of a shard; nLatents is the shard's own number. */
export interface ShardShape {
  nLatents: number;
  width: number;
  batchRows: number;
}

export interface EntryLists {
  entries: Entries;
  byRow: EntryGroups;
  byLatent: EntryGroups;
}

export interface ShardMemory {
  kernels: KernelArena;
  arrays: Record<StateKind | "gradient", Parameters<Float32Array>>;
  x: Float32Array;
  residual: Float32Array;
  direction: Float32Array;
  /** [batchRows · nLatents] in tiles of tileLatents. */
  pre: Float32Array;
  tileLatents: number;
  /** Of the dense route alone: [batchRows · nLatents]. */
  codeGradient: Float32Array;
  /** [nLatents] W; norms and penalty: scratch. */
  weight: Float32Array;
  norms: Float32Array;
  penalty: Float32Array;
  /** [nLatents] 1 where the last backward wrote a gradient. */
  touched: Uint8Array;
  /** [1] of 1, for the decoder bias. */
  always: Uint8Array;
  kept: EntryLists;
  auxiliary: EntryLists;
  histogram: Uint32Array;
  /** [nLatents] scratch of the selection by rows. */
  score: Float32Array;
  place: Uint32Array;
  latentList: Uint32Array;
  /** [batchRows] scratch. */
  rowBound: Float32Array;
  rowCount: Float32Array;
  /** [max(width, nLatents)] f64 scratch. */
  sums: Float64Array;
}

/** Values of a tile of pre-activations, so that it is scanned while it lies in cache. */
const TILE_VALUES = 2 ** 19;
const TILE_LATENTS_MULTIPLE = 16;
/** Room for candidates of BatchTopK, per entry that will be kept in the worst case (all in this shard). */
const CANDIDATES_PER_KEPT = 2;
/** Share of codes above which ReLU + L1 is computed by dense products. */
export const DENSE_SHARE = 0.05;

interface Capacities {
  /** Candidates of the selection, and how many of them can be left. */
  candidates: number;
  kept: number;
  auxiliary: number;
  dense: number;
  tileLatents: number;
}

function capacitiesOf(options: EngineOptions, { nLatents, batchRows }: ShardShape): Capacities {
  const { largestK, auxLatents, auxAlpha, sparsity } = options;
  const cells = batchRows * nLatents;
  const isPenalised = sparsity?.kind === "reluL1";
  const sparse = Math.ceil(DENSE_SHARE * cells);
  const fitting = Math.floor(TILE_VALUES / batchRows / TILE_LATENTS_MULTIPLE) * TILE_LATENTS_MULTIPLE;
  return {
    candidates: isPenalised ? sparse : Math.min(cells, CANDIDATES_PER_KEPT * batchRows * largestK),
    kept: isPenalised ? sparse : Math.min(cells, batchRows * largestK),
    auxiliary: isPenalised || auxAlpha === 0 ? 0 : batchRows * Math.min(auxLatents, nLatents),
    dense: isPenalised ? cells : 0,
    // The dense route needs rows of codes in one piece.
    tileLatents: isPenalised ? nLatents : Math.min(nLatents, Math.max(TILE_LATENTS_MULTIPLE, fitting)),
  };
}

/** Bytes of the arena of such a shard. */
export function shardBytes(options: EngineOptions, shape: ShardShape): number {
  const { nLatents, width, batchRows } = shape;
  const { candidates, kept, auxiliary, dense } = capacitiesOf(options, shape);
  const nParameters = 2 * nLatents * width + nLatents + width;
  const lists = (found: number, left: number): number =>
    4 * found + 4 * left + 2 * (batchRows + nLatents + 2);
  const words =
    4 * nParameters +
    3 * batchRows * width +
    batchRows * nLatents +
    dense +
    lists(candidates, kept) +
    lists(auxiliary, auxiliary) +
    8 * nLatents +
    2 * batchRows +
    2 * Math.max(width, nLatents) +
    4096;
  return 4 * words + 64 * 128;
}

/** Throws StorageError when the arena would pass 4 GiB. */
export function createShardMemory(options: EngineOptions, shape: ShardShape): ShardMemory {
  const { nLatents, width, batchRows } = shape;
  const capacities = capacitiesOf(options, shape);
  const kernels = createKernels({ bytes: shardBytes(options, shape) });
  const parameters = (): Parameters<Float32Array> => ({
    encoderWeight: kernels.f32(nLatents * width),
    encoderBias: kernels.f32(nLatents),
    decoderWeight: kernels.f32(nLatents * width),
    decoderBias: kernels.f32(width),
  });
  const groups = (nGroups: number, capacity: number): EntryGroups => ({
    start: kernels.u32(nGroups + 1),
    other: kernels.u32(capacity),
    code: kernels.f32(capacity),
  });
  const lists = (capacity: number, left: number): EntryLists => ({
    entries: {
      capacity,
      row: kernels.u32(capacity),
      latent: kernels.u32(capacity),
      code: kernels.f32(capacity),
      activation: kernels.f32(capacity),
    },
    byRow: groups(batchRows, left),
    byLatent: groups(nLatents, left),
  });
  return {
    kernels,
    arrays: {
      parameter: parameters(),
      firstMoment: parameters(),
      secondMoment: parameters(),
      gradient: parameters(),
    },
    x: kernels.f32(batchRows * width),
    residual: kernels.f32(batchRows * width),
    direction: kernels.f32(batchRows * width),
    pre: kernels.f32(batchRows * nLatents),
    tileLatents: capacities.tileLatents,
    codeGradient: kernels.f32(capacities.dense),
    weight: kernels.f32(nLatents),
    norms: kernels.f32(nLatents),
    penalty: kernels.f32(nLatents),
    touched: kernels.u8(nLatents),
    always: kernels.u8(1).fill(1),
    kept: lists(capacities.candidates, capacities.kept),
    auxiliary: lists(capacities.auxiliary, capacities.auxiliary),
    histogram: kernels.u32(2048),
    score: kernels.f32(nLatents),
    place: kernels.u32(nLatents),
    latentList: kernels.u32(nLatents),
    rowBound: kernels.f32(batchRows),
    rowCount: kernels.f32(batchRows),
    sums: kernels.f64(Math.max(width, nLatents)),
  };
}
