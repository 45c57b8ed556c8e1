// The cases of `npm run bench -- train` and what both sides are given: one batch, one start.
//
// Random data of a few hundred directions with sparse coefficients, so that selection has something to choose.

import { createRng } from "../src/numerics/rng.ts";
import { createEngine, type FastEngine } from "../src/training/engine.ts";
import type { ShardTimes } from "../src/training/shard-clock.ts";
import type { Sparsity } from "../src/training/sparsity.ts";

export interface TrainCase {
  name: string;
  /** Per site; two sites. */
  dModel: number;
  nLatents: number;
  k: number;
  batch: number;
  /** Undefined: BatchTopK. */
  sparsity?: Sparsity;
}

/** [batch, 2·dModel] f32: each row a sum of 16 of 512 directions, and a little noise; root mean square norm about 1 a site. */
export function drawBatch({ dModel, batch }: TrainCase, seed = 1): Float32Array {
  const rng = createRng(seed, `bench train ${dModel}`);
  const width = 2 * dModel;
  const [nDirections, nActive] = [512, 16];
  const scale = 1 / Math.sqrt(dModel * nActive);
  const directions = Float32Array.from({ length: nDirections * width }, (_, i) => scale * rng.normal(0, i));
  const x = Float32Array.from({ length: batch * width }, (_, i) => 0.1 * scale * rng.normal(1, i));
  for (let row = 0; row < batch; row += 1) {
    for (let active = 0; active < nActive; active += 1) {
      const direction = Math.floor(rng.uniform(2, row * nActive + active) * nDirections) * width;
      for (let i = 0; i < width; i += 1) x[row * width + i] += directions[direction + i];
    }
  }
  return x;
}

/** An engine with random rows of norm about 0.3 a site, the decoder a copy of the encoder. */
export async function openEngine(which: TrainCase, threads: number, shards?: number): Promise<FastEngine> {
  const { dModel, nLatents, k, batch, sparsity } = which;
  const width = 2 * dModel;
  const engine = await createEngine({
    ...{ nLatents, width, batchRows: batch, largestK: k, auxLatents: 1, auxAlpha: 0 },
    siteOffsets: [0, dModel, width],
    deadAfterRows: Number.MAX_SAFE_INTEGER,
    sparsity,
    threads,
    shards,
  });
  const rng = createRng(0, "bench train init");
  const chunk = 4096;
  for (let from = 0; from < nLatents; from += chunk) {
    const rows = Math.min(chunk, nLatents - from);
    const values = Float32Array.from(
      { length: rows * width },
      (_, i) => (0.3 * rng.normal(0, from * width + i)) / Math.sqrt(dModel),
    );
    await engine.write("parameter", "decoderWeight", values, from);
    await engine.write("parameter", "encoderWeight", values, from);
  }
  return engine;
}

/** One step; returns its seconds. */
export async function stepOnce(engine: FastEngine, x: Float32Array, which: TrainCase): Promise<number> {
  const started = performance.now();
  const isPenalised = which.sparsity?.kind === "reluL1";
  const level = which.sparsity?.kind === "reluL1" ? which.sparsity.penalty : which.k;
  const { gradientNorm } = await engine.backward(x, level);
  const maxGradientNorm = isPenalised ? Number.POSITIVE_INFINITY : 1;
  await engine.update({ learningRate: 1e-4, maxGradientNorm, gradientNorm });
  return (performance.now() - started) / 1000;
}

/**
 * Milliseconds of the parts of the engine's last step: of the slowest shard, but for those in which shards wait for each other
 * (select, exchange), which are the fastest's: what they cost without the waiting.
 */
export async function partsOf(engine: FastEngine): Promise<Record<keyof ShardTimes, number>> {
  const shards = await engine.times();
  const parts = (Object.keys(shards[0]) as (keyof ShardTimes)[]).map((part) => {
    const ms = shards.map((times) => times[part]);
    return [part, part === "select" || part === "exchange" ? Math.min(...ms) : Math.max(...ms)] as const;
  });
  return Object.fromEntries(parts) as Record<keyof ShardTimes, number>;
}
