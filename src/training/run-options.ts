// What one dictionary's training is given: the same for its steps, its guard and its end.

import type { Normaliser } from "../dictionary/dictionary.ts";
import type { ReportProgress } from "../progress.ts";
import type { Store } from "../store/store-contract.ts";
import type { RunIdentity } from "./checkpoint.ts";
import type { TrainConfig } from "./config.ts";
import type { WarmStart } from "./warm-start.ts";

export interface RunOptions {
  store: Store;
  config: TrainConfig;
  /** dictionaries/NAME of the study. */
  folder: string;
  identity: RunIdentity;
  warmStart: WarmStart | undefined;
  /** Of the space that batches come in. */
  normaliser: Normaliser | undefined;
  /** Largest ordinary norms, raw units. */
  normLimits: readonly number[];
  /** Receives what the user should know. */
  warnings: string[];
  /** Of the progress reports. */
  stage: string;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}
