// The runs of a lab in this page: started, streamed into, cancelled, kept to go back to. Outside React, so that a run goes on while
// another screen is looked at.
//
// Each change makes a new list and a new run (useSyncExternalStore compares by identity). What came before a failure stays. Listeners
// hear of a run's beginning and end at once, of events some times a second: small models write thousands of tokens in one, and drawing
// the answers for each would leave the page no time for "Cancel".

import type { LabProgress } from "../../../src/dashboard/api-contract.ts";
import { RequestError } from "../request-error.ts";
import { LAB_FIGURES } from "./lab-limits.ts";

export interface LabRun<Request, Result> {
  /** Ascending in time. */
  id: number;
  request: Request;
  result: Result;
  state: "running" | "done" | "cancelled" | "failed";
  progress: LabProgress | null;
  error: Error | null;
}

export interface LabRuns<Request, Result> {
  /** Newest first. */
  list(): readonly LabRun<Request, Result>[];
  subscribe(listener: () => void): () => void;
  /** The new run's id. A run that is still going on is cancelled: the models serve one at a time. */
  start(request: Request): number;
  cancel(id: number): void;
}

export interface LabRunsOptions<Request, Event, Result> {
  ask: (request: Request, signal: AbortSignal) => AsyncIterable<Event | LabProgress>;
  empty: Result;
  merge: (result: Result, event: Event) => Result;
  /** Whether it is the event with which a whole stream ends. */
  isLast: (event: Event) => boolean;
}

const isProgress = (event: object): event is LabProgress => "kind" in event && event.kind === "progress";

export function createLabRuns<Request, Event extends object, Result>(
  options: LabRunsOptions<Request, Event, Result>,
): LabRuns<Request, Result> {
  type Run = LabRun<Request, Result>;
  const { ask, empty, merge, isLast } = options;
  const listeners = new Set<() => void>();
  const stops = new Map<number, AbortController>();
  let runs: readonly Run[] = [];
  let nStarted = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const announce = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (const listener of listeners) listener();
  };
  const set = (next: readonly Run[]): void => {
    runs = next;
    announce();
  };
  const changed = (id: number, change: (run: Run) => Partial<Run>): readonly Run[] =>
    runs.map((run) => (run.id === id ? { ...run, ...change(run) } : run));
  const update = (id: number, change: (run: Run) => Partial<Run>): void => set(changed(id, change));
  /** Of an event: listeners hear of it with those that come soon after it. */
  const take = (id: number, change: (run: Run) => Partial<Run>): void => {
    runs = changed(id, change);
    timer ??= setTimeout(announce, LAB_FIGURES.drawEveryMs);
  };

  const stream = async (id: number, request: Request, signal: AbortSignal): Promise<void> => {
    let isWhole = false;
    try {
      for await (const event of ask(request, signal)) {
        if (signal.aborted) return;
        if (isProgress(event)) {
          take(id, () => ({ progress: event }));
          continue;
        }
        isWhole ||= isLast(event);
        take(id, ({ result }) => ({ result: merge(result, event) }));
      }
      if (signal.aborted) return;
      update(id, () =>
        isWhole ? { state: "done", progress: null } : { state: "failed", error: cutShort() },
      );
    } catch (error) {
      if (signal.aborted) return;
      // A connection that breaks within a stream is a TypeError of fetch.
      const words = error instanceof TypeError ? cutShort() : (error as Error);
      update(id, () => ({ state: "failed", error: words }));
    } finally {
      stops.delete(id);
    }
  };

  const cancel = (id: number): void => {
    const stop = stops.get(id);
    if (stop === undefined) return;
    stop.abort();
    stops.delete(id);
    update(id, () => ({ state: "cancelled", progress: null }));
  };

  return {
    list: () => runs,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start(request) {
      for (const id of stops.keys()) cancel(id);
      nStarted += 1;
      const id = nStarted;
      const stop = new AbortController();
      stops.set(id, stop);
      const run: Run = { id, request, result: empty, state: "running", progress: null, error: null };
      set([run, ...runs].slice(0, LAB_FIGURES.keptRuns));
      stream(id, request, stop.signal);
      return id;
    },
    cancel,
  };
}

/** A stream that ended before its last event, or broke: fetch says no more than "network error". */
function cutShort(): RequestError {
  return new RequestError(0, {
    error: "The connection was lost before everything had come.",
    hint: "What came is kept. Is `tunediff serve` still running? Then run it again.",
  });
}
