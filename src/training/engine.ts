// The fast engine: a crosscoder's latents in shards, each on a thread of its own, and the Engine interface over all of them.
//
// A single shard runs on the calling thread. shard.ts has the step, shard-threads.ts the threads; reference-engine.ts is the dense
// twin that a test holds this to. Shards in other processes or on a GPU would be further makers of Shard beside these two.

import { availableParallelism } from "node:os";
import { type Collective, localCollectives, soloCollective } from "../compute/collective.ts";
import { ShapeError } from "../errors.ts";
import {
  type Engine,
  type EngineOptions,
  type ParameterName,
  type RowRange,
  shapeOf,
} from "./engine-contract.ts";
import { createShard, type Shard } from "./shard.ts";
import type { ShardTimes } from "./shard-clock.ts";
import { shardBytes } from "./shard-memory.ts";
import { startShardThreads } from "./shard-threads.ts";

/** Fewer latents are not worth a thread. */
const LEAST_LATENTS_A_SHARD = 512;
/** Below the 4 GiB of a WASM memory. */
const MOST_SHARD_BYTES = 3.9 * 2 ** 30;

/** One a core, twice or more times as many when memory asks for it, one for small dictionaries. */
export function defaultShards(options: EngineOptions): number {
  const { nLatents, width, batchRows } = options;
  const forCores = Math.min(coresOf(options), Math.floor(nLatents / LEAST_LATENTS_A_SHARD));
  const least = Math.max(1, forCores);
  let shards = least;
  while (
    shards < nLatents &&
    shardBytes(options, { nLatents: Math.ceil(nLatents / shards), width, batchRows }) > MOST_SHARD_BYTES
  ) {
    shards += least; // as many on every core
  }
  return shards;
}

/** Threads to compute with: those asked for, else all. */
function coresOf({ threads }: EngineOptions): number {
  return threads !== undefined && threads > 0 ? threads : availableParallelism();
}

export interface FastEngine extends Engine {
  /** Milliseconds of the parts of the last step, by shard. */
  times(): Promise<ShardTimes[]>;
}

/** Borders of `nShards` contiguous ranges of latents of nearly equal size: [nShards + 1]. */
export function shardBorders(nLatents: number, nShards: number): number[] {
  return Array.from({ length: nShards + 1 }, (_, shard) => Math.floor((shard * nLatents) / nShards));
}

/**
 * Makes an engine with all state zero; load a state or write the parameters before the first step. Throws StorageError when a
 * shard would pass the 4 GiB of its memory (more shards mend that).
 */
export async function createEngine(options: EngineOptions): Promise<FastEngine> {
  const nShards = Math.min(options.shards ?? defaultShards(options), options.nLatents);
  const borders = shardBorders(options.nLatents, nShards);
  const threads = Math.max(1, Math.floor(coresOf(options) / nShards));
  if (nShards === 1) {
    const shard = await createShard({
      options,
      nLatents: options.nLatents,
      collective: soloCollective,
      threads: options.threads ?? 0,
    });
    return engineOver([shard], { options, borders, dispose: () => shard.dispose() });
  }
  const { shards, dispose } = await startShardThreads({ options, borders, threads });
  return engineOver(shards, { options, borders, dispose });
}

/** All shards on the calling thread: the same sums in the same order as worker threads, for tests. */
export async function createLocalEngine(options: EngineOptions, nShards: number): Promise<FastEngine> {
  const borders = shardBorders(options.nLatents, nShards);
  const shards = await Promise.all(
    localCollectives(nShards).map((collective: Collective, rank) =>
      createShard({ options, nLatents: borders[rank + 1] - borders[rank], collective, threads: 1 }),
    ),
  );
  const dispose = async (): Promise<void> => {
    await Promise.all(shards.map((shard) => shard.dispose()));
  };
  return engineOver(shards, { options, borders, dispose });
}

function engineOver(
  shards: Shard[],
  { options, borders, dispose }: { options: EngineOptions; borders: number[]; dispose: () => Promise<void> },
): FastEngine {
  const { nLatents, width, batchRows } = options;
  const all = <T>(use: (shard: Shard, rank: number) => Promise<T>): Promise<T[]> =>
    Promise.all(shards.map(use));
  /** The part of a range of latents that lies in a shard, counted from the shard's first. */
  const within = ({ from, to }: RowRange, rank: number): RowRange => ({
    from: Math.max(from, borders[rank]) - borders[rank],
    to: Math.max(from, Math.min(to, borders[rank + 1])) - borders[rank],
  });

  const requireRows = (name: ParameterName, { from, to }: RowRange): void => {
    const { nRows, rowLength } = shapeOf(name, { nLatents, width });
    if (Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to && to <= nRows) return;
    throw new ShapeError(`${name}: expected rows of ${rowLength} within [0, ${nRows}), got [${from}, ${to})`);
  };

  const engine: FastEngine = {
    nShards: shards.length,
    updates: 0,

    async backward(batch, level) {
      if (batch.length > batchRows * width || batch.length % width !== 0) {
        throw new ShapeError(
          `backward: expected up to ${batchRows} rows of ${width} values, got ${batch.length} values`,
        );
      }
      const [result] = await all((shard) => shard.backward(batch, level));
      return result;
    },

    async update({ learningRate, maxGradientNorm, gradientNorm }) {
      engine.updates += 1;
      const gradientScale = clipFactor(gradientNorm, maxGradientNorm);
      await all((shard) => shard.update({ learningRate, gradientScale, updateNumber: engine.updates }));
    },

    async read(kind, name, range) {
      const { nRows, rowLength: length } = shapeOf(name, { nLatents, width });
      const rows = range ?? { from: 0, to: nRows };
      requireRows(name, rows);
      if (name === "decoderBias") return shards[0].read(kind, name, rows);
      const whole = new Float32Array((rows.to - rows.from) * length);
      await all(async (shard, rank) => {
        const own = within(rows, rank);
        if (own.to <= own.from) return;
        whole.set(await shard.read(kind, name, own), (own.from + borders[rank] - rows.from) * length);
      });
      return whole;
    },

    async write(kind, name, data, fromRow = 0) {
      const { rowLength: length } = shapeOf(name, { nLatents, width });
      const rows = { from: fromRow, to: fromRow + data.length / length };
      requireRows(name, rows);
      if (name === "decoderBias") return shards[0].write(kind, name, data, fromRow);
      await all(async (shard, rank) => {
        const own = within(rows, rank);
        if (own.to <= own.from) return;
        const start = (own.from + borders[rank] - fromRow) * length;
        await shard.write(kind, name, data.subarray(start, start + (own.to - own.from) * length), own.from);
      });
    },

    async readRowsSinceFired() {
      const parts = await all((shard) => shard.readRowsSinceFired());
      return Float64Array.from(parts.flatMap((part) => [...part]));
    },

    async writeRowsSinceFired(rows) {
      await all((shard, rank) => shard.writeRowsSinceFired(rows.slice(borders[rank], borders[rank + 1])));
    },

    lastBatch: () => shards[0].lastBatch(),
    times: () => all((shard) => shard.times()),
    dispose,
  };
  return engine;
}

/** Factor that brings a gradient of this norm down to the largest allowed, as torch's clip_grad_norm_. */
export function clipFactor(gradientNorm: number, maxGradientNorm: number): number {
  return Math.min(1, maxGradientNorm / (gradientNorm + 1e-6));
}
