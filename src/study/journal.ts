// journal.jsonl: what happened to a study, one line an event, appended and never rewritten.
//
// It also answers "is this stage done?": a stage's key is the hash of everything it depends on, and a `done` line with
// that key, whose outputs still exist, need not be repeated.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { appendJsonLine, readJsonLinesArray } from "../formats/jsonl.ts";

export type StageName = "harvest" | "train" | "measure" | "lens" | "truth" | "report";

export interface JournalEvent {
  time: string;
  stage: StageName;
  event: "start" | "done" | "failed";
  key: string;
  /** Seconds this run of the stage took; on done and failed. */
  seconds?: number;
  /** Files the stage promises, relative to the study; on done. */
  outputs?: string[];
  message?: string;
}

export interface Journal {
  folder: string;
  events: JournalEvent[];
  append(event: Omit<JournalEvent, "time">): Promise<void>;
}

/** Hash of anything that JSON can write, keys in the order given: the identity of a stage's inputs. */
export function stageKey(...parts: unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Opens (or begins) the journal of a study folder. A torn last line, left by a crash, is ignored by the reader. */
export async function openJournal(folder: string): Promise<Journal> {
  const path = join(folder, "journal.jsonl");
  const events: JournalEvent[] = existsSync(path)
    ? ((await readJsonLinesArray(path, { tolerateTornEnd: true })) as JournalEvent[])
    : [];
  return {
    folder,
    events,
    append: async (event) => {
      const line: JournalEvent = { time: new Date().toISOString(), ...event };
      events.push(line);
      await appendJsonLine(path, line);
    },
  };
}

/** True when the newest `done` of this stage has this key and all its outputs are still there. */
export function isDone(journal: Journal, stage: StageName, key: string): boolean {
  const last = journal.events.findLast(
    (event) => event.stage === stage && event.event === "done" && event.key === key,
  );
  return (
    last !== undefined && (last.outputs ?? []).every((output) => existsSync(join(journal.folder, output)))
  );
}

/** Seconds spent on a stage with this key over all runs, interrupted ones included. */
export function secondsSpent(journal: Journal, stage: StageName, key: string): number {
  return journal.events
    .filter((event) => event.stage === stage && event.key === key)
    .reduce((sum, event) => sum + (event.seconds ?? 0), 0);
}
