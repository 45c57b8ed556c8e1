// The worker thread of searching and of making the index: so that neither a slow expression nor a million examples hold up the server.
//
// One job at a time. It says how far it is at least every reportMs while it is not inside one expression; whoever waits may take silence for
// an expression that never ends, and end this thread.

import { type MessagePort, parentPort } from "node:worker_threads";
import { type CarriedError, carriedError } from "../compute/worker-thread.ts";
import type { SqliteDatabase } from "../formats/sqlite.ts";
import type { SearchHit } from "./api-contract.ts";
import { type Candidates, candidatesIn } from "./search-candidates.ts";
import { buildIndex, openIndex } from "./search-index.ts";
import { createLook, type LatentText, type Look, type Question } from "./search-texts.ts";

export type SearchJob = { id: number; cancel: Int32Array } & (
  | { kind: "build"; examplesPath: string }
  | { kind: "search"; question: Question; indexPath: string; source: string }
  | { kind: "texts"; question: Question; texts: LatentText[] }
);

export type SearchMessage = { id: number } & (
  | { kind: "built"; made: number; of: number }
  | { kind: "found"; hits: SearchHit[]; looked: number; candidates: number }
  | { kind: "done"; truncated: boolean }
  | { kind: "failed"; error: CarriedError }
);

export const WORKER_SETTINGS = {
  reportMs: 50,
  /** Hits of the first message: enough for a screen, sent as soon as they are found. */
  firstHits: 40,
  /** Of one search. */
  mostMs: 20_000,
} as const;

let open: { key: string; database: SqliteDatabase } | undefined;

async function work(job: SearchJob, port: MessagePort): Promise<void> {
  const { id } = job;
  const post = (message: SearchMessage): void => port.postMessage(message);
  try {
    if (job.kind === "build") {
      const report = (made: number, of: number): void => post({ id, kind: "built", made, of });
      const isCancelled = (): boolean => Atomics.load(job.cancel, 0) !== 0;
      await buildIndex({ examplesPath: job.examplesPath, report, isCancelled });
      post({ id, kind: "done", truncated: false });
      return;
    }
    const look = createLook(job.question);
    const candidates =
      job.kind === "texts"
        ? { count: job.texts.length, blocks: [{ nTexts: job.texts.length, texts: job.texts }] }
        : candidatesIn(databaseOf(job), job.question, look.isFull);
    post({ id, kind: "done", truncated: run({ job, look, candidates, post }) });
  } catch (error) {
    post({ id, kind: "failed", error: carriedError(error) });
  }
}

/** Returns whether a bound ended it before the last candidate. */
function run(options: {
  job: SearchJob;
  look: Look;
  candidates: Candidates;
  post: (message: SearchMessage) => void;
}): boolean {
  const { job, look, candidates, post } = options;
  const started = performance.now();
  let reported = started;
  let isFirst = true;
  let hits: SearchHit[] = [];
  let looked = 0;
  const report = (): void => {
    post({ id: job.id, kind: "found", hits, looked, candidates: candidates.count });
    if (hits.length > 0) isFirst = false;
    hits = [];
    reported = performance.now();
  };
  /** Whether to go on. */
  const goOn = (): boolean => {
    const now = performance.now();
    if (now - reported > WORKER_SETTINGS.reportMs || (isFirst && hits.length >= WORKER_SETTINGS.firstHits))
      report();
    return Atomics.load(job.cancel, 0) === 0 && now - started <= WORKER_SETTINGS.mostMs;
  };
  report(); // an expression that never ends is told from a thread that has not begun
  const lookAtAll = (): boolean => {
    for (const { nTexts, texts } of candidates.blocks) {
      for (const text of texts) {
        const hit = look.at(text);
        if (hit !== undefined) hits.push(hit);
        if (look.isOver() || !goOn()) return false;
      }
      looked += nTexts;
      if (!goOn()) return looked === candidates.count;
    }
    return true;
  };
  const isWhole = lookAtAll();
  report();
  return !isWhole;
}

function databaseOf({ indexPath, source }: { indexPath: string; source: string }): SqliteDatabase {
  const key = `${indexPath} ${source}`;
  if (open?.key === key) return open.database;
  open?.database.close();
  open = undefined;
  open = { key, database: openIndex(indexPath) };
  return open.database;
}

// Loaded by a test on the main thread, there is no port.
parentPort?.on("message", (job: SearchJob) => {
  if (parentPort !== null) void work(job, parentPort);
});
