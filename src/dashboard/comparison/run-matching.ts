// One matching in a thread of its own, with progress; told to stop, it ends at the next tile, and is ended if it does not.

import type { Worker } from "node:worker_threads";
import { errorOf, startWorkerThread } from "../../compute/worker-thread.ts";
import { InterruptedError } from "../../errors.ts";
import type { MatchJob, MatchResult } from "./match-contract.ts";
import type { MatchMessage } from "./match-worker.ts";
import type { WorkProgress } from "./shared-work.ts";

/** How long a thread may take to notice that it is to stop. */
const STOP_MS = 3000;

/** Throws what the job throws (match-worker.ts), InterruptedError. */
export function runMatching(
  job: MatchJob,
  { signal, report }: { signal: AbortSignal; report: (progress: WorkProgress) => void },
): Promise<MatchResult> {
  return new Promise((resolve, reject) => {
    const worker: Worker = startWorkerThread(new URL("./match-worker", import.meta.url), job);
    let deadline: NodeJS.Timeout | undefined;
    const finish = (settle: () => void): void => {
      clearTimeout(deadline);
      signal.removeEventListener("abort", stop);
      settle();
    };
    const stop = (): void => {
      worker.postMessage("stop");
      deadline = setTimeout(() => void worker.terminate(), STOP_MS);
      deadline.unref();
    };
    worker.on("message", (message: MatchMessage) => {
      if (message.kind === "progress") {
        const { words, done, total } = message;
        report({ words, done, total });
      } else if (message.kind === "matched") finish(() => resolve(message.result));
      else finish(() => reject(errorOf(message.error)));
    });
    worker.once("error", (error) => finish(() => reject(error)));
    worker.once("exit", () =>
      finish(() => reject(new InterruptedError("the comparison was stopped before its end"))),
    );
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  });
}
