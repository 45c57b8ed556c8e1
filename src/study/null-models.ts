// The models of null draws and the question that each draw answers: the base with noise at its scale, and a control.
//
// What they share, a sample of the pair's store and how far apart the pair is there, is laid out once. Running a draw is
// null-draw.ts, counting what comes of them null-study.ts.

import { join } from "node:path";
import { MismatchError } from "../errors.ts";
import { inspectPair } from "../harvest/inspect-pair.ts";
import { openModel } from "../lm/adapter.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { addWeightNoise } from "../lm/noisy-checkpoint.ts";
import type { ReportProgress } from "../progress.ts";
import { openStore } from "../store/store.ts";
import type { StoreManifest } from "../store/store-contract.ts";
import { storeHash } from "../training/training-record.ts";
import { type ChangeSample, changeRatio, runSample, sampleChange } from "./change-ratio.ts";
import type { StudyConfig } from "./config.ts";
import { outcomeOf, trainConfigOf } from "./dictionary-config.ts";
import { stageKey } from "./journal.ts";
import type { StudyLock } from "./lock.ts";
import { findNoiseScale } from "./noise-scale.ts";
import { type DrawNoise, type DrawQuestion, type FinishedDraw, runDraw } from "./null-draw.ts";
import { studyPaths } from "./run-study.ts";

/** Raised when the same question would make another draw. */
const DRAW_FORMAT = 1;

/** What all draws share. */
export interface Ground {
  folder: string;
  config: StudyConfig;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
  lock: StudyLock;
  manifest: StoreManifest;
  sample: ChangeSample;
  /** [nRows, width] that other models are compared with. */
  baseRows: () => Promise<Float32Array>;
  keep: boolean;
}

/** Returns warnings. Throws what inspectPair throws, and MismatchError for another width than the base's. */
export async function checkControl(
  control: string,
  { config, lock }: Pick<Ground, "config" | "lock">,
): Promise<string[]> {
  const { members, warnings } = await inspectPair({
    base: config.base,
    finetuned: control,
    layer: lock.layer.base,
  });
  const { base, finetuned } = members;
  if (base.dModel !== finetuned.dModel) {
    throw new MismatchError(
      `${control}: expected a control of width ${base.dModel} as the base, got ${finetuned.dModel}`,
      {
        hint: "a control is the base after a training that taught it nothing of the fine-tune",
      },
    );
  }
  return warnings.map((warning) => `control: ${warning}`);
}

export async function layGround(options: Omit<Ground, "manifest" | "sample" | "baseRows">): Promise<Ground> {
  const { folder, config } = options;
  const store = await openStore(join(folder, studyPaths(config).store));
  try {
    const sample = await sampleChange(store);
    let rows = config.store.skipFirst === 0 ? Promise.resolve(sample.base) : undefined;
    const ground: Ground = {
      ...options,
      manifest: store.manifest,
      sample,
      baseRows: () => {
        rows ??= runBase(ground);
        return rows;
      },
    };
    return ground;
  } finally {
    await store.close();
  }
}

/** The base as the noise will be run: what is stored has read tokens before it that a store does not hold. */
async function runBase(ground: Ground): Promise<Float32Array> {
  const base = await openCheckpoint(ground.config.base);
  try {
    return await runSample(base, { ...sampleOptions(ground), stage: "sample base" });
  } finally {
    await base.close();
  }
}

const sampleOptions = ({ sample, lock, config, reportProgress, signal }: Ground) => ({
  sample,
  layer: lock.layer.base,
  threads: config.threads,
  device: config.device,
  reportProgress,
  signal,
});

/** What a draw depends on besides its model. */
function drawQuestion(
  ground: Ground,
  name: string,
  model: unknown,
): Omit<DrawQuestion, "findNoise" | "openModel"> {
  const { sample: _sample, baseRows: _baseRows, reportProgress, ...rest } = ground;
  const { config, manifest } = ground;
  const outcome = outcomeOf(trainConfigOf(config.dictionary, config));
  return {
    ...rest,
    name,
    key: stageKey("null-draw", DRAW_FORMAT, storeHash({ manifest }), outcome, config.report, model),
    reportProgress:
      reportProgress && ((progress) => reportProgress({ ...progress, stage: `${name} ${progress.stage}` })),
  };
}

/** start: a scale to look at first; that of the first draw is about right for all. */
export async function drawNoise(
  ground: Ground,
  { seed, start }: { seed: number; start: number | undefined },
): Promise<FinishedDraw> {
  const { config, sample } = ground;
  const question = drawQuestion(ground, `null-${seed}`, { noise: seed });
  const openNoisy = async ({ scale }: Pick<DrawNoise, "scale">) =>
    addWeightNoise(await openCheckpoint(config.base), { seed, scale });
  const ratioAt = async (scale: number): Promise<number> => {
    const checkpoint = await openNoisy({ scale });
    try {
      const rows = await runSample(checkpoint, {
        ...sampleOptions({ ...ground, reportProgress: question.reportProgress }),
        stage: `noise ${scale.toPrecision(3)}`,
      });
      return changeRatio(rows, await ground.baseRows(), sample.width);
    } finally {
      await checkpoint.close();
    }
  };
  const findNoise = async (): Promise<DrawNoise> => {
    const { scale, ratio } = await findNoiseScale({ ratioAt, target: sample.pairRatio, start });
    return { scale, changeRatio: ratio };
  };
  return runDraw({ ...question, findNoise, openModel: openNoisy });
}

export async function drawControl(
  ground: Ground,
  control: string,
): Promise<FinishedDraw & { name: string; path: string; modelHash: string }> {
  const { config, sample } = ground;
  const openControl = () => openModel(control, { base: config.base });
  const findNoise = async (): Promise<DrawNoise> => {
    const model = await openControl();
    try {
      const rows = await runSample(model, { ...sampleOptions(ground), stage: "null-control sample" });
      return { scale: 0, changeRatio: changeRatio(rows, await ground.baseRows(), sample.width) };
    } finally {
      await model.close();
    }
  };
  const checkpoint = await openControl();
  await checkpoint.close();
  const name = "null-control";
  const question = drawQuestion(ground, name, { control: checkpoint.hash });
  const draw = await runDraw({ ...question, findNoise, openModel: openControl });
  return { ...draw, name, path: control, modelHash: checkpoint.hash };
}
