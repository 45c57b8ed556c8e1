// The training logs of several dictionaries in one stream: what there is, and then what comes. Read-only.
//
// One connection for all of them, because a browser has six to a server. Reading a log: training-log.ts; when it is said to be live:
// training-state.ts.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { METRICS_FILE } from "../training/metrics.ts";
import type { TrainingEvent, TrainingLine } from "./api-contract.ts";
import { followLog } from "./training-log.ts";
import { readTrainingState } from "./training-state.ts";

export const TRAINING_STREAM = {
  pollMs: 1000,
} as const;

/** A dictionary that is followed. */
export interface FollowedTraining {
  study: number;
  dictionary: string;
  folder: string;
}

/** All whole lines of metrics.jsonl that are of training batches, thinned when they are many; empty where there is none. */
export async function readTrainingLines(dictionaryFolder: string): Promise<TrainingLine[]> {
  return (await followLog(join(dictionaryFolder, METRICS_FILE)).look()).lines;
}

/** An event of each at once, with all its lines; then one whenever something of it has changed, until the signal is aborted. */
export async function* followTrainings(
  followed: readonly FollowedTraining[],
  { signal, pollMs = TRAINING_STREAM.pollMs }: { signal: AbortSignal; pollMs?: number },
): AsyncGenerator<TrainingEvent> {
  const logs = followed.map(({ study, dictionary, folder }) => ({
    ...{ study, dictionary, folder, said: "" },
    log: followLog(join(folder, METRICS_FILE)),
  }));
  while (!signal.aborted) {
    for (const one of logs) {
      const news = await one.log.look();
      const state = await readTrainingState(one.folder);
      const isNews = news.reset || news.lines.length + news.validations.length + news.passedSteps.length > 0;
      if (!isNews && state.kind === one.said) continue;
      one.said = state.kind;
      yield { study: one.study, dictionary: one.dictionary, state, ...news };
      if (signal.aborted) return;
    }
    await sleep(pollMs, undefined, { signal, ref: false }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
