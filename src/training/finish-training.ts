// After the last step: θ set and the dictionary judged on held-out rows, then the files that make its folder finished.
//
// training.json is written last. Whatever fails before is done again by the next run, from the newest checkpoint.

import { join } from "node:path";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { MODEL_FILE, saveDictionary } from "../dictionary/dictionary-file.ts";
import { packageVersion } from "../package-root.ts";
import { backendOf } from "./backend.ts";
import { calibrateThreshold } from "./calibrate.ts";
import type { RunOptions } from "./run-options.ts";
import { fileSha256, type TrainingRecord, writeTrainingRecord } from "./training-record.ts";
import type { TrainingRows } from "./training-rows.ts";
import type { FinishedSteps } from "./training-run.ts";

export interface Trained {
  dictionary: Dictionary;
  training: TrainingRecord;
}

export interface FinishOptions extends RunOptions {
  rows: TrainingRows;
  /** Of what was done before. */
  seconds: { prepare: number; steps: number };
}

/** Changes run.dictionary: its θ becomes the calibrated one. */
export async function finishTraining(options: FinishOptions, run: FinishedSteps): Promise<Trained> {
  const { store, config, folder, identity, warmStart, rows, seconds, warnings } = options;
  const { dictionary, passedSteps } = run;
  const started = performance.now();
  const runningThreshold = dictionary.inferenceThreshold;
  const calibration = await calibrateThreshold({ ...options, ...config, dictionary });
  dictionary.inferenceThreshold = calibration.threshold;
  const validation = await run.validator.measure(dictionary);
  if (config.validateEverySteps !== undefined) {
    await run.metrics.append({ kind: "validation", step: config.steps, calibrated: true, ...validation });
  }
  const calibrate = (performance.now() - started) / 1000;

  await saveDictionary(folder, dictionary, { ...identity, version: packageVersion(), seed: config.seed });
  const training: TrainingRecord = {
    schemaVersion: 1,
    version: packageVersion(),
    backend: backendOf(config),
    ...identity,
    config,
    constants: run.constants,
    store: store.manifest.name,
    rows: {
      trained: rows.nIncluded,
      bosLeftOut: rows.nBos,
      outliersLeftOut: rows.nOutliers,
      normLimits: rows.normLimits,
    },
    ...(warmStart === undefined ? {} : { warmStart: { path: warmStart.path, sha256: warmStart.sha256 } }),
    lastMetrics: run.lastMetrics,
    calibration,
    validation,
    ...(passedSteps.length === 0 ? {} : { passedSteps }),
    runningThreshold,
    seconds: { ...seconds, calibrate, total: seconds.prepare + seconds.steps + calibrate },
    resumedFromStep: run.resumedFromStep,
    shards: run.nShards,
    modelSha256: await fileSha256(join(folder, MODEL_FILE)),
    warnings,
  };
  await writeTrainingRecord(folder, training);
  return { dictionary, training };
}
