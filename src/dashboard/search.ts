// Searching as the routes ask for it: batches of hits as they come, cancelled when nobody listens any more, ended when an expression does
// not. The index is made on first use, with progress; labels are few and are looked through as they are.
//
// The work is a thread's (search-worker.ts), one question at a time; a thread that is silent for stallMs is ended and another one started.

import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { errorOf, startWorkerThread } from "../compute/worker-thread.ts";
import { InterruptedError, StorageError } from "../errors.ts";
import { API_LIMITS, type SearchBatch } from "./api-contract.ts";
import { type IndexState, indexState } from "./search-index.ts";
import type { LatentText, Question } from "./search-texts.ts";
import type { SearchJob, SearchMessage } from "./search-worker.ts";

export interface SearchSettings {
  /** Silence after which an expression is taken never to end. */
  stallMs: number;
  /** How often it is seen whether another process has made the index. */
  waitMs: number;
}

export const SEARCH_SETTINGS: SearchSettings = { stallMs: 1000, waitMs: 500 };

export type SearchQuestion = Pick<Question, "mode" | "text"> & { each?: number };

export interface SearchService {
  /** In the examples of a dictionary. Throws StorageError or FormatError for examples that are not there. */
  inExamples(
    examplesPath: string,
    question: SearchQuestion,
    signal: AbortSignal,
  ): AsyncGenerator<SearchBatch>;
  /** In texts that are given. */
  inTexts(texts: LatentText[], question: SearchQuestion, signal: AbortSignal): AsyncGenerator<SearchBatch>;
  close(): Promise<void>;
}

type Work =
  | { kind: "build"; examplesPath: string }
  | { kind: "search"; question: Question; indexPath: string; source: string }
  | { kind: "texts"; question: Question; texts: LatentText[] };

/** How long a thread that makes an index may take to stop and to clear away what it has begun. */
const STOP_MS = 3000;
/** How long a thread may take to notice that nobody waits for it. */
const CANCEL_MS = 300;

const TOO_SLOW =
  "the expression takes too long on one of the texts: write it without a repetition inside a repetition";

export function createSearchService(settings: SearchSettings = SEARCH_SETTINGS): SearchService {
  const searcher = createThread(settings.stallMs);
  /** Indexes under way, by the examples: a second question waits for the first one's. */
  const building = new Map<string, Building>();

  const buildOf = (examplesPath: string): Building => {
    const known = building.get(examplesPath);
    if (known !== undefined) return known;
    const made = startBuilding(examplesPath, () => building.delete(examplesPath));
    building.set(examplesPath, made);
    return made;
  };

  async function* currentIndex(
    examplesPath: string,
    signal: AbortSignal,
  ): AsyncGenerator<SearchBatch, IndexState | undefined> {
    for (;;) {
      const state = await indexState(examplesPath);
      if (state.isCurrent || signal.aborted) return state.isCurrent ? state : undefined;
      const build = buildOf(examplesPath);
      while (!build.isOver && !signal.aborted) {
        yield { ...EMPTY, building: { made: build.made, of: build.of } };
        await Promise.race([build.ended, sleep(settings.waitMs, undefined, { ref: false })]);
      }
      if (signal.aborted) return undefined;
      await build.ended;
      if (build.error === undefined) continue;
      // Another process makes it: wait until it is there.
      if (!(build.error instanceof StorageError && build.error.message.includes("holds the lock")))
        throw build.error;
      yield { ...EMPTY, building: { made: 0, of: 0 } };
      await sleep(settings.waitMs, undefined, { ref: false });
    }
  }

  return {
    async *inExamples(examplesPath, question, signal) {
      const state = yield* currentIndex(examplesPath, signal);
      if (state === undefined) return;
      const { path: indexPath, source } = state;
      yield* searcher.run({ kind: "search", question: bounded(question), indexPath, source }, signal);
    },
    inTexts: (texts, question, signal) =>
      searcher.run({ kind: "texts", question: bounded(question), texts }, signal),
    async close() {
      await Promise.all([searcher.close(), ...[...building.values()].map((build) => build.stop())]);
    },
  };
}

const EMPTY: SearchBatch = { hits: [], looked: 0, candidates: 0, done: false, truncated: false };

function bounded({ mode, text, each = API_LIMITS.hitsOfLatent }: SearchQuestion): Question {
  return { mode, text, each, most: API_LIMITS.hits };
}

interface Building {
  made: number;
  of: number;
  isOver: boolean;
  error: Error | undefined;
  /** Never rejects. */
  ended: Promise<void>;
  stop(): Promise<void>;
}

function startBuilding(examplesPath: string, forget: () => void): Building {
  const worker = newWorker();
  const cancel = flag();
  const { promise: ended, resolve } = promiseOf();
  const build: Building = {
    ...{ made: 0, of: 0, isOver: false, error: undefined, ended },
    async stop() {
      Atomics.store(cancel, 0, 1);
      await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
      finish(new InterruptedError("the server was stopped while the search index was made"));
      await worker.terminate();
    },
  };
  const finish = (error?: Error): void => {
    if (build.isOver) return;
    build.isOver = true;
    build.error = error;
    forget();
    void worker.terminate();
    resolve();
  };
  worker.on("message", (message: SearchMessage) => {
    if (message.kind === "built") {
      build.made = message.made;
      build.of = message.of;
    }
    if (message.kind === "done") finish();
    if (message.kind === "failed") finish(errorOf(message.error));
  });
  worker.on("error", finish);
  const job: SearchJob = { id: 0, cancel, kind: "build", examplesPath };
  worker.postMessage(job);
  return build;
}

/** A thread for one job after another. */
function createThread(stallMs: number) {
  let worker: Worker | undefined;
  let last: Promise<void> = Promise.resolve();
  let nextId = 0;
  const end = async (): Promise<void> => {
    const ended = worker;
    worker = undefined;
    await ended?.terminate();
  };

  async function* run(work: Work, signal: AbortSignal): AsyncGenerator<SearchBatch> {
    const before = last;
    const { promise: over, resolve: finish } = promiseOf();
    last = before.then(() => over);
    await before;
    nextId += 1;
    const id = nextId;
    const cancel = flag();
    const onAbort = (): void => void Atomics.store(cancel, 0, 1);
    signal.addEventListener("abort", onAbort, { once: true });
    const messages: (SearchMessage | Error)[] = [];
    let wake = (): void => {};
    const put = (message: SearchMessage | Error): void => {
      if (message instanceof Error || message.id === id) messages.push(message);
      wake();
    };
    const onExit = (): void => put(new InterruptedError("the search was stopped"));
    let isOver = false;
    let own: Worker | undefined;
    /** A thread that was told to stop says so soon, unless it is inside an expression that never ends. */
    const isSoonOver = async (): Promise<boolean> => {
      const ends = (): boolean =>
        messages.some((message) => !(message instanceof Error) && ["done", "failed"].includes(message.kind));
      while (!ends()) {
        const { promise: woken, resolve } = promiseOf();
        wake = resolve;
        if (await silence(woken, CANCEL_MS)) return false;
        if (messages.some((message) => message instanceof Error)) return false;
      }
      return true;
    };
    try {
      if (signal.aborted) return;
      worker ??= newWorker();
      own = worker;
      own.on("message", put);
      own.on("error", put);
      own.on("exit", onExit);
      own.postMessage({ id, cancel, ...work } satisfies SearchJob);
      const seen = { looked: 0, candidates: 0 };
      let hasBegun = false;
      for (;;) {
        if (messages.length === 0) {
          const { promise: woken, resolve } = promiseOf();
          wake = resolve;
          // The first word may take as long as a thread needs to start and to count its candidates.
          if (!hasBegun) await woken;
          else if (await silence(woken, stallMs)) {
            yield { hits: [], ...seen, done: true, truncated: true, stopped: TOO_SLOW };
            return;
          }
          continue;
        }
        const message = messages.shift() as SearchMessage | Error;
        hasBegun = true;
        if (message instanceof Error) {
          isOver = true; // the thread is no more
          if (worker === own) worker = undefined;
          throw message;
        }
        if (message.kind === "failed") {
          isOver = true;
          throw errorOf(message.error);
        }
        if (message.kind === "done") {
          isOver = true;
          if (!signal.aborted) yield { hits: [], ...seen, done: true, truncated: message.truncated };
          return;
        }
        if (message.kind !== "found") continue;
        seen.looked = message.looked;
        seen.candidates = message.candidates;
        if (!signal.aborted && (message.hits.length > 0 || seen.looked > 0))
          yield { hits: message.hits, ...seen, done: false, truncated: false };
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      onAbort(); // a reader that went away without a signal
      if (!isOver && own !== undefined && !(await isSoonOver())) {
        if (worker === own) worker = undefined;
        await own.terminate();
      }
      own?.off("message", put);
      own?.off("error", put);
      own?.off("exit", onExit);
      finish();
    }
  }
  return { run, close: end };
}

/** Whether nothing came for so long. */
async function silence(woken: Promise<void>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      woken.then(() => false),
      sleep(ms, true, { signal: timer.signal }).catch(() => false),
    ]);
  } finally {
    timer.abort();
  }
}

function newWorker(): Worker {
  return startWorkerThread(new URL("./search-worker", import.meta.url), undefined);
}

function flag(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

function promiseOf(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
