// A training of a second, for the tests that break its checkpoints: what they share of store and configuration.

import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";

const WIDTH = 6;
const concepts = Array.from({ length: 6 }, (_, c) => ({ base: c === 0 ? 0 : 1, finetuned: c === 1 ? 0 : 1 }));
const activations = plantedActivations({ concepts, width: WIDTH, nRows: 220, density: 0.2, noise: 0.02 });

/** 220 rows in memory, always the same. */
export const jobStore = () => memoryStore(activations, { sites: pairOfSites(WIDTH) });

/** Checkpoints every other step. */
export const JOB_CONFIG: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 12,
  k: 1,
  steps: 6,
  batchRows: 32,
  checkpointEverySteps: 2,
  logEverySteps: 2,
  calibrationRows: 32,
  threads: 1,
  shards: 3,
};
