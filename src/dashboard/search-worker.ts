// The worker thread of searching and of making the index: so that neither a slow expression nor a million examples hold up the server.
//
// One job at a time. It says how far it is at least every reportMs while it is not inside one expression; whoever waits may take silence for
// an expression that never ends, and end this thread.

import { type MessagePort, parentPort } from "node:worker_threads";
import { type CarriedError, carriedError } from "../compute/worker-thread.ts";
import type { SqliteDatabase } from "../formats/sqlite.ts";
import type { SearchHit } from "./api-contract.ts";
import { buildIndex, openIndex } from "./search-index.ts";
import { candidatesIn, type LatentText, type Question, search } from "./search-texts.ts";

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
  /** Hits of one message. */
  hits: 100,
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
    const { question } = job;
    const { count, texts } =
      job.kind === "texts"
        ? { count: job.texts.length, texts: job.texts }
        : candidatesIn(databaseOf(job), question);
    post({ id, kind: "done", truncated: run({ job, count, texts, post }) });
  } catch (error) {
    post({ id, kind: "failed", error: carriedError(error) });
  }
}

/** Returns whether it ended before the last candidate. */
function run(options: {
  job: SearchJob & { question: Question };
  count: number;
  texts: Iterable<LatentText>;
  post: (message: SearchMessage) => void;
}): boolean {
  const { job, count, texts, post } = options;
  const { id, question } = job;
  const started = performance.now();
  let reported = started;
  let hits: SearchHit[] = [];
  let looked = 0;
  let found = 0;
  const report = (): void => {
    post({ id, kind: "found", hits, looked, candidates: count });
    hits = [];
    reported = performance.now();
  };
  report(); // an expression that never ends is told from a thread that has not begun
  for (const hit of search(question, texts)) {
    looked += 1;
    if (hit !== undefined) {
      hits.push(hit);
      found += 1;
    }
    const now = performance.now();
    if (hits.length >= WORKER_SETTINGS.hits || now - reported > WORKER_SETTINGS.reportMs) {
      report();
      if (Atomics.load(job.cancel, 0) !== 0 || now - started > WORKER_SETTINGS.mostMs) return true;
    }
  }
  report();
  return found >= question.most && looked < count;
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
