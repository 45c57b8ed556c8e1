// Whether a dictionary's training goes on, has ended, or was stopped, told from its folder: the lock, the record, the log's age.
//
// A lock is asked for first: its process lives, or was killed. A log that grew just now is live without one, as when another program
// writes it.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { METRICS_FILE } from "../training/metrics.ts";
import { RECORD_FILE } from "../training/training-record.ts";
import type { TrainingState } from "./api-contract.ts";
import { isHeld } from "./study-folder.ts";

export const TRAINING_STATE = {
  /** A log without a lock that has not changed for so long was stopped. */
  quietMs: 10_000,
  /** The record is written after the log; copying may turn them about by this much. */
  recordSlackMs: 60_000,
} as const;

/** As training/train-many.ts names it. */
const LOCK_FILE = ".lock";

export async function readTrainingState(
  dictionaryFolder: string,
  { now = Date.now() }: { now?: number } = {},
): Promise<TrainingState> {
  const lockPath = join(dictionaryFolder, LOCK_FILE);
  const [log, record, lock] = await Promise.all(
    [METRICS_FILE, RECORD_FILE, LOCK_FILE].map((name) => changedAt(join(dictionaryFolder, name))),
  );
  const changed = log === undefined ? null : new Date(log).toISOString();
  if (record !== undefined && (log ?? 0) <= record + TRAINING_STATE.recordSlackMs)
    return { kind: "finished", changed };
  if (lock !== undefined && (await isHeld(lockPath))) return { kind: "live", changed };
  if (log === undefined) return { kind: "none", changed };
  if (lock !== undefined) return { kind: "stopped", changed };
  return { kind: now - log < TRAINING_STATE.quietMs ? "live" : "stopped", changed };
}

/** ms since 1970; undefined for a file that is not there. */
async function changedAt(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}
