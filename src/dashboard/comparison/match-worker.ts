// The thread that matches two dictionaries, so that products and sorting never hold up the server; one job, then it ends.
//
// It says how far it is at least every reportMs, hears that it is to stop between two tiles, and closes its files whatever happens.

import { parentPort, workerData } from "node:worker_threads";
import { type CarriedError, carriedError } from "../../compute/worker-thread.ts";
import { openDecoder } from "./decoder-rows.ts";
import type { MatchJob, MatchResult, MatchRun } from "./match-contract.ts";
import { matchDirections } from "./match-directions.ts";
import { matchPlaces } from "./match-places.ts";

export type MatchMessage =
  | { kind: "progress"; words: string; done: number; total: number }
  | { kind: "matched"; result: MatchResult }
  | { kind: "failed"; error: CarriedError };

const REPORT_MS = 100;

export async function runMatchJob(job: MatchJob, run: MatchRun): Promise<MatchResult> {
  if (job.by === "place") return matchPlaces({ ...run, a: job.a, b: job.b });
  const a = await openDecoder(job.a.modelPath);
  try {
    const b = await openDecoder(job.b.modelPath);
    try {
      const { halves } = job;
      return await matchDirections({
        ...{ ...run, halves, a: { decoder: a, asked: job.a.asked }, b: { decoder: b, asked: job.b.asked } },
      });
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

// Loaded by a test on the main thread, there is no port.
const port = parentPort;
if (port !== null) {
  const stop = new AbortController();
  port.once("message", () => stop.abort());
  const post = (message: MatchMessage): void => port.postMessage(message);
  let reported = 0;
  const report = (words: string, done: number, total: number): void => {
    const now = performance.now();
    if (now - reported < REPORT_MS) return;
    reported = now;
    post({ kind: "progress", words, done, total });
  };
  runMatchJob(workerData as MatchJob, { signal: stop.signal, report })
    .then((result) => post({ kind: "matched", result }))
    .catch((error: unknown) => post({ kind: "failed", error: carriedError(error) }))
    .finally(() => port.close());
}
