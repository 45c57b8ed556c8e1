// Training a crosscoder on a store, from the first row to a finished dictionary folder.
//
// Minder et al. 2025 (arXiv:2504.02922), App. B.2. Interrupted runs go on from the newest checkpoint and end with the same
// bytes. The step is in training-run.ts, the order of things in train-many.ts, of which this is the case of one dictionary.

import type { ReportProgress } from "../progress.ts";
import type { Store } from "../store/store-contract.ts";
import type { TrainConfig } from "./config.ts";
import type { Trained } from "./finish-training.ts";
import { trainMany } from "./train-many.ts";

export type { Trained } from "./finish-training.ts";
export { nextThreshold } from "./training-run.ts";

export interface TrainOptions {
  store: Store;
  config: TrainConfig;
  /** dictionaries/NAME of the study; made when absent. */
  folder: string;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * Trains, calibrates θ on held-out rows and writes model.safetensors, config.json, metrics.jsonl and training.json.
 *
 * A folder finished with the same configuration and store is returned as it is. Throws ConfigError, MismatchError (another
 * run's folder), NumericsError (nothing of the bad step is kept), InterruptedError (after a checkpoint).
 */
export async function train({ config, folder, ...options }: TrainOptions): Promise<Trained> {
  const [trained] = await trainMany({ ...options, runs: [{ config, folder }] });
  return trained;
}
