// Long computations that several ask for at once: one run of each, one after another, ended when nobody waits for it; the last few results kept.
//
// What is computed, and how, is the caller's: see routes/compare.ts.

import { ApiFailure } from "../errors-out.ts";

export interface WorkProgress {
  words: string;
  done: number;
  total: number | null;
}

export interface SharedWork<T> {
  /** Progress as it comes (the newest, when the reader is slow), then the value. Ends without one when `signal` is aborted. */
  run(
    key: string,
    compute: (run: { signal: AbortSignal; report: (progress: WorkProgress) => void }) => Promise<T>,
    signal: AbortSignal,
  ): AsyncGenerator<{ kind: "progress"; progress: WorkProgress } | { kind: "value"; value: T }>;
}

export interface SharedWorkLimits {
  /** Results kept; the one unused for longest goes first. */
  kept: number;
  /** Computations under way or waiting for their turn. */
  pending: number;
}

interface Running<T> {
  users: number;
  progress: WorkProgress;
  /** Raised with every progress. */
  version: number;
  outcome: { value: T } | { error: unknown } | undefined;
  stop: AbortController;
  waiting: Set<() => void>;
}

const WAITING: WorkProgress = { words: "waiting for another comparison to end", done: 0, total: null };

/** run throws ApiFailure 503 when there are too many under way, and what the computation throws. */
export function createSharedWork<T>(limits: SharedWorkLimits): SharedWork<T> {
  const kept = new Map<string, T>();
  const running = new Map<string, Running<T>>();
  let last: Promise<void> = Promise.resolve();

  const start = (key: string, compute: Parameters<SharedWork<T>["run"]>[1]): Running<T> => {
    const own: Running<T> = {
      ...{ users: 0, progress: WAITING, version: 1, outcome: undefined },
      ...{ stop: new AbortController(), waiting: new Set() },
    };
    const tell = (): void => {
      for (const wake of own.waiting) wake();
      own.waiting.clear();
    };
    const report = (progress: WorkProgress): void => {
      own.progress = progress;
      own.version += 1;
      tell();
    };
    running.set(key, own);
    last = last.then(async () => {
      try {
        own.stop.signal.throwIfAborted(); // nobody waits any more
        const value = await compute({ signal: own.stop.signal, report });
        own.outcome = { value };
        kept.set(key, value);
        for (const oldest of kept.keys()) {
          if (kept.size <= limits.kept) break;
          kept.delete(oldest);
        }
      } catch (error) {
        own.outcome = { error };
      } finally {
        if (running.get(key) === own) running.delete(key);
        tell();
      }
    });
    return own;
  };

  return {
    async *run(key, compute, signal) {
      const known = kept.get(key);
      if (known !== undefined) {
        kept.delete(key);
        kept.set(key, known);
        yield { kind: "value", value: known };
        return;
      }
      const found = running.get(key);
      if (found === undefined && running.size >= limits.pending) {
        throw new ApiFailure(
          503,
          "too many comparisons are under way",
          "try again when one of them has ended",
        );
      }
      const own = found ?? start(key, compute);
      own.users += 1;
      let seen = 0;
      try {
        while (!signal.aborted) {
          if (own.outcome !== undefined) {
            if ("error" in own.outcome) throw own.outcome.error;
            yield { kind: "value", value: own.outcome.value };
            return;
          }
          if (own.version > seen) {
            seen = own.version;
            yield { kind: "progress", progress: own.progress };
            continue;
          }
          await changed(own, signal);
        }
      } finally {
        own.users -= 1;
        if (own.users === 0 && own.outcome === undefined) {
          own.stop.abort();
          // Who asks from now on is not given a computation that is being stopped.
          if (running.get(key) === own) running.delete(key);
        }
      }
    },
  };
}

/** Until there is news of it, or nobody listens any more. */
function changed<T>({ waiting }: Running<T>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      waiting.delete(done);
      resolve();
    };
    waiting.add(done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
