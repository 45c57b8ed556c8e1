// Latent shards on worker threads: starts them, hands them batches through shared memory, turns calls into messages.
//
// One worker a shard, each with its own WASM memory and its own onnxruntime session (shard-worker.ts); they meet in a
// thread-collective. The main thread only waits for messages, so it can read the next batch meanwhile. A shard that fails lets
// the others out, and every later call rejects with its error.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import {
  abortCollective,
  createSharedCollective,
  type SharedCollective,
} from "../compute/thread-collective.ts";
import * as errors from "../errors.ts";
import { StorageError, type TunediffError } from "../errors.ts";
import type { EngineOptions } from "./engine-contract.ts";
import type { Shard } from "./shard.ts";

/** What a worker is started with. */
export interface ShardWorkerData {
  options: EngineOptions;
  /** Its own number of latents. */
  nLatents: number;
  rank: number;
  threads: number;
  collective: SharedCollective;
  /** [batchRows · width] f32, the batch of the step. */
  batch: SharedArrayBuffer;
}

/** A call of a Shard's method; backward carries the number of rows instead of the batch. */
export interface ShardCall {
  id: number;
  method: keyof Shard;
  arguments: unknown[];
}

export type ShardReply =
  | { id: number; value: unknown }
  | { id: number; error: { name: string; message: string; hint?: string } };

/** The reply to being started. */
export const READY = -1;

const isSource = import.meta.url.endsWith(".ts");

function startWorker(data: ShardWorkerData): Worker {
  if (!isSource) return new Worker(new URL("./shard-worker.js", import.meta.url), { workerData: data });
  // Node 20 cannot load TypeScript itself; this branch serves tests and benchmarks alone.
  const loader = pathToFileURL(
    createRequire(import.meta.url)
      .resolve("tsx/esm/api")
      .replace(/cjs$/, "mjs"),
  ).href;
  const worker = new URL("./shard-worker.ts", import.meta.url).href;
  const load = `import("${loader}").then(({ tsImport }) => tsImport("${worker}", "${worker}"))`;
  return new Worker(load, { workerData: data, eval: true, execArgv: [] });
}

export interface ShardThreads {
  shards: Shard[];
  dispose(): Promise<void>;
}

/** borders: [nShards + 1] latents. Throws what a shard throws while it makes its memory. */
export async function startShardThreads({
  options,
  borders,
  threads,
}: {
  options: EngineOptions;
  borders: number[];
  threads: number;
}): Promise<ShardThreads> {
  const size = borders.length - 1;
  const { batchRows, width } = options;
  const batchBytes = 4 * batchRows * width;
  const collective = createSharedCollective({
    size,
    // Histograms of f64 and, for ties of rows, a number a row and shard are the other arrays that are added up.
    slotBytes: Math.max(batchBytes, 8 * 2048, 4 * batchRows * size),
  });
  const batch = new SharedArrayBuffer(batchBytes);
  const batchView = new Float32Array(batch);
  const started = Array.from({ length: size }, (_, rank) =>
    startShard({
      data: { options, nLatents: borders[rank + 1] - borders[rank], rank, threads, collective, batch },
      batchView,
      fail: () => abortCollective(collective),
    }),
  );
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map(({ stop }) => stop()));
  };
  try {
    const shards = await Promise.all(started.map(({ ready }) => ready));
    return { shards, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface StartedShard {
  ready: Promise<Shard>;
  stop(): Promise<void>;
}

function startShard({
  data,
  batchView,
  fail,
}: {
  data: ShardWorkerData;
  batchView: Float32Array;
  /** Lets the other shards out of their waiting. */
  fail: () => void;
}): StartedShard {
  const worker = startWorker(data);
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let nextId = 0;
  let ended: Error | undefined;
  const end = (error: Error): void => {
    ended ??= error;
    fail();
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  worker.on("message", (reply: ShardReply) => {
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ("value" in reply) {
      call?.resolve(reply.value);
      return;
    }
    call?.reject(errorOf(reply.error));
    fail();
  });
  worker.on("error", (cause) => end(shardEnded(data.rank, cause.message, cause)));
  worker.on("exit", (code) => end(shardEnded(data.rank, `exit code ${code}`)));

  const reply = (id: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (ended) reject(ended);
      else waiting.set(id, { resolve, reject });
    });
  const call = <T>(method: keyof Shard, ...values: unknown[]): Promise<T> => {
    const id = nextId++;
    const answer = reply(id) as Promise<T>;
    worker.postMessage({ id, method, arguments: values } satisfies ShardCall);
    return answer;
  };
  const shard: Shard = {
    backward(batch, level) {
      // All shards read the same shared batch: the first one's call fills it before any is told to start.
      if (data.rank === 0) batchView.set(batch);
      return call("backward", batch.length, level);
    },
    update: (options) => call("update", options),
    read: (kind, name, rows) => call("read", kind, name, rows),
    write: (kind, name, values, fromRow) => call("write", kind, name, values.slice(), fromRow),
    readRowsSinceFired: () => call("readRowsSinceFired"),
    writeRowsSinceFired: (rows) => call("writeRowsSinceFired", rows),
    lastBatch: () => call("lastBatch"),
    times: () => call("times"),
    dispose: () => call("dispose"),
  };
  return {
    ready: reply(READY).then(() => shard),
    async stop() {
      ended ??= new StorageError(`latent shard ${data.rank}: expected a running one, it was stopped`);
      await worker.terminate();
    },
  };
}

function shardEnded(rank: number, reason: string, cause?: unknown): StorageError {
  return new StorageError(`latent shard ${rank}: its thread ended (${reason})`, {
    hint: "if memory is short, use fewer latents, a smaller batch or another number of shards",
    cause,
  });
}

/** The worker's error as the same class here, when it is one of ours. */
function errorOf({ name, message, hint }: { name: string; message: string; hint?: string }): Error {
  const classes = errors as unknown as Record<
    string,
    (new (message: string, details: { hint?: string }) => TunediffError) | undefined
  >;
  const Kind = classes[name];
  return Kind === undefined ? new Error(`${name}: ${message}`) : new Kind(message, { hint });
}
