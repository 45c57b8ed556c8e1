// Document groups measured one after another on this thread, or side by side on worker threads.
//
// Groups share nothing, so this file only hands them out. Each worker opens the store by itself and holds the dictionary: that is
// what the number of workers costs in memory.

import { availableParallelism, totalmem } from "node:os";
import { type CarriedError, errorOf, startWorkerThread } from "../compute/worker-thread.ts";
import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { StorageError, throwIfInterrupted } from "../errors.ts";
import type { RowSource } from "../store/row-source.ts";
import { createGroupMeasurer, type GroupOptions, type GroupPart } from "./group-pass.ts";

/** What a worker is started with. */
export interface MeasureWorkerData {
  storeFolder: string;
  dictionaryFolder: string;
  options: GroupOptions;
}

export interface MeasureCall {
  group: number;
}

export type MeasureReply =
  | { kind: "ready" }
  | { kind: "rows"; nRows: number }
  | { kind: "part"; group: number; part: GroupPart }
  | { kind: "error"; error: CarriedError };

export interface GroupsToMeasure {
  groups: readonly number[];
  source: RowSource;
  dictionary: Dictionary;
  /** Of model.safetensors, for workers to open. */
  dictionaryFolder: string;
  options: GroupOptions;
  /** 1: on this thread. */
  workers: number;
  /** Used instead of one made here, on this thread only. */
  encoder?: Encoder | undefined;
  onPart: (group: number, part: GroupPart) => Promise<void>;
  onRows: (nRows: number) => void;
  signal?: AbortSignal | undefined;
}

/** Multiply-adds of the encoder below which starting threads costs more than it saves. */
const SMALL_PASS = 2 ** 35;
/** Copies of one weight matrix that a worker holds: encoder, decoder, and the kernels' own decoder. */
const MATRICES_A_WORKER = 3;
/** Share of the machine's memory that workers may fill with them. */
const MEMORY_SHARE = 0.5;

/** threads: what the caller allows; default: all cores. */
export function workersFor(
  { nLatents, width }: Pick<Dictionary, "nLatents" | "width">,
  { nRows, threads = availableParallelism() }: { nRows: number; threads?: number | undefined },
): number {
  if (nRows * nLatents * width < SMALL_PASS) return 1;
  const bytes = 4 * nLatents * width * MATRICES_A_WORKER;
  return Math.max(1, Math.min(threads, Math.floor((MEMORY_SHARE * totalmem()) / bytes)));
}

/** Throws what a group's measurement throws, and InterruptedError; parts handed over before stay handed over. */
export async function measureGroups(work: GroupsToMeasure): Promise<void> {
  const workers = Math.min(work.workers, work.groups.length);
  if (workers > 1 && work.encoder === undefined) return onWorkers(work, workers);
  const { source, dictionary, options, encoder, onRows, signal } = work;
  const measurer = await createGroupMeasurer({ source, dictionary, options, encoder });
  try {
    for (const group of work.groups) {
      throwIfInterrupted(signal);
      await work.onPart(group, await measurer.measureGroup(group, { onRows, signal }));
    }
  } finally {
    await measurer.dispose();
  }
}

async function onWorkers(work: GroupsToMeasure, nWorkers: number): Promise<void> {
  const { source, dictionaryFolder, options, signal } = work;
  const data: MeasureWorkerData = { storeFolder: source.folder, dictionaryFolder, options };
  const threads = Array.from({ length: nWorkers }, () =>
    startWorkerThread(new URL("./measure-worker", import.meta.url), data),
  );
  const queue = [...work.groups];
  let handedOver: Promise<void> = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      let left = queue.length;
      const stopIfAborted = (): void => {
        try {
          throwIfInterrupted(signal);
        } catch (error) {
          reject(error);
        }
      };
      stopIfAborted();
      signal?.addEventListener("abort", stopIfAborted, { once: true });
      const take = (thread: (typeof threads)[number]): void => {
        const group = queue.shift();
        if (group !== undefined) thread.postMessage({ group } satisfies MeasureCall);
      };
      for (const thread of threads) {
        thread.on("error", (cause) => reject(ended(cause.message, cause)));
        thread.on("exit", (code) => reject(ended(`exit code ${code}`)));
        thread.on("message", (reply: MeasureReply) => {
          if (reply.kind === "error") reject(errorOf(reply.error));
          if (reply.kind === "ready") take(thread);
          if (reply.kind === "rows") work.onRows(reply.nRows);
          if (reply.kind !== "part") return;
          take(thread);
          handedOver = handedOver.then(() => work.onPart(reply.group, reply.part));
          handedOver.then(() => {
            left -= 1;
            if (left === 0) resolve();
          }, reject);
        });
      }
    });
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
    await handedOver.catch(() => {}); // a failure to hand over has already rejected the promise above
  }
}

function ended(reason: string, cause?: unknown): StorageError {
  return new StorageError(`measuring: expected its threads to finish, one ended (${reason})`, {
    hint: "if memory is short, use fewer threads",
    cause,
  });
}
