// What a run starts from: random rows and the first batch's median, or another dictionary's parameters (warm-start.ts).
//
// Minder et al. 2025 (arXiv:2504.02922), App. K for the rows; the decoder bias is the geometric median of the first batch that
// is applied, as in dictionary_learning; ReLU + L1 leaves it at 0, as its trainer there. Moments and counters are 0 in any case.

import { initialDictionary } from "../dictionary/init.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import type { Store } from "../store/store-contract.ts";
import type { TrainConfig } from "./config.ts";
import { type Engine, PARAMETER_NAMES, STATE_KINDS, shapeOf } from "./engine-contract.ts";
import { geometricMedian } from "./geometric-median.ts";
import { chunksOf } from "./row-chunks.ts";
import type { WarmStart } from "./warm-start.ts";

export interface InitialOptions {
  store: Store;
  config: TrainConfig;
  warmStart: WarmStart | undefined;
}

/** Into an engine whose state is all zero. Throws what reading the warm dictionary throws. */
export async function writeInitialParameters(
  engine: Engine,
  { store, config, warmStart }: InitialOptions,
): Promise<void> {
  const initial = (await warmStart?.load()) ?? initialDictionary({ ...config, sites: store.manifest.sites });
  for (const name of PARAMETER_NAMES) await engine.write("parameter", name, initial[name]);
}

/** Whether the first applied batch sets the decoder bias. */
export function biasComesFromBatch({ config, warmStart }: InitialOptions): boolean {
  return warmStart === undefined && config.sparsity?.kind !== "reluL1";
}

/** x [nRows, width] finite, normalised units. */
export async function writeDecoderBias(
  engine: Engine,
  { store, config }: InitialOptions,
  x: Float32Array,
): Promise<void> {
  const median = geometricMedian(x, {
    nRows: config.batchRows,
    width: store.width,
    siteOffsets: siteOffsets(store.manifest.sites),
  });
  await engine.write("parameter", "decoderBias", median);
}

/** Everything an engine keeps between steps back to zero. */
export async function clearEngine(engine: Engine, shape: { nLatents: number; width: number }): Promise<void> {
  for (const kind of STATE_KINDS) {
    for (const name of PARAMETER_NAMES) {
      const { nRows, rowLength } = shapeOf(name, shape);
      for (const { from, to } of chunksOf(nRows, rowLength)) {
        await engine.write(kind, name, new Float32Array((to - from) * rowLength), from);
      }
    }
  }
  await engine.writeRowsSinceFired(new Float64Array(shape.nLatents));
  engine.updates = 0;
}
