// Latent shards on worker threads: starts them, hands them batches through shared memory, turns calls into messages.
//
// One worker a shard, each with its own WASM memory and its own onnxruntime session (shard-worker.ts); they meet in a
// thread-collective. The main thread only waits for messages, so it can read the next batch meanwhile. A shard that fails lets
// the others out, and every later call rejects with its error.

import {
  abortCollective,
  createSharedCollective,
  type SharedCollective,
} from "../compute/thread-collective.ts";
import { type CarriedError, errorOf, startWorkerThread } from "../compute/worker-thread.ts";
import { StorageError } from "../errors.ts";
import { type EngineOptions, type ParameterName, type RowRange, shapeOf } from "./engine-contract.ts";
import type { Shard } from "./shard.ts";
import { mostSelectionBytes } from "./shard-selection.ts";

/** What a worker is started with. */
export interface ShardWorkerData {
  options: EngineOptions;
  /** Its own number of latents. */
  nLatents: number;
  rank: number;
  threads: number;
  collective: SharedCollective;
}

/**
 * A call of a Shard's method. Arrays do not travel in it but lie in the collective, which no step uses meanwhile: a batch where
 * the next sum's result will (no sum is made before all shards have taken it), what is read and written in the shard's own
 * slot. The call carries the number of values instead.
 */
export interface ShardCall {
  id: number;
  method: keyof Shard;
  arguments: unknown[];
}

export type ShardReply = { id: number; value: unknown } | { id: number; error: CarriedError };

/** The reply to being started. */
export const READY = -1;

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
    slotBytes: Math.max(batchBytes, mostSelectionBytes({ batchRows, nShards: size })),
  });
  const batch = batchOf(collective);
  const started = Array.from({ length: size }, (_, rank) =>
    startShard({
      data: { options, nLatents: borders[rank + 1] - borders[rank], rank, threads, collective },
      batch,
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

/** A shard's slot of the collective, for its reads and writes between steps. */
export function mailboxOf({ collective, rank }: Pick<ShardWorkerData, "collective" | "rank">): Float32Array {
  return new Float32Array(collective.slots, rank * collective.slotBytes, collective.slotBytes / 4);
}

/** Where the batch of a step is handed over. */
export function batchOf({ slots, slotBytes, size }: SharedCollective): Float32Array {
  return new Float32Array(slots, size * slotBytes, slotBytes / 4);
}

interface StartedShard {
  ready: Promise<Shard>;
  stop(): Promise<void>;
}

function startShard({
  data,
  batch,
  fail,
}: {
  data: ShardWorkerData;
  batch: Float32Array;
  /** Lets the other shards out of their waiting. */
  fail: () => void;
}): StartedShard {
  const worker = startWorkerThread(new URL("./shard-worker", import.meta.url), data);
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
  const mailbox = mailboxOf(data);
  let lastUse: Promise<unknown> = Promise.resolve();
  /** One use of the mailbox after another, whether the one before failed or not. */
  const inTurn = <T>(use: () => Promise<T>): Promise<T> => {
    const result = lastUse.then(use, use);
    lastUse = result.catch(() => {});
    return result;
  };
  const { nLatents, options } = data;
  /** Row ranges of a parameter that fit into the mailbox. */
  const portions = (name: ParameterName, { from, to }: RowRange): RowRange[] => {
    const most = Math.floor(mailbox.length / shapeOf(name, { nLatents, width: options.width }).rowLength);
    return Array.from({ length: Math.ceil((to - from) / most) }, (_, i) => ({
      from: from + i * most,
      to: Math.min(to, from + (i + 1) * most),
    }));
  };
  const shard: Shard = {
    backward(rows, level) {
      // All shards read the same shared batch: the first one's call fills it before any is told to start.
      if (data.rank === 0) batch.set(rows);
      return call("backward", rows.length, level);
    },
    update: (options) => call("update", options),
    read: (kind, name, rows, target) =>
      inTurn(async () => {
        const { rowLength } = shapeOf(name, { nLatents, width: options.width });
        const whole = target ?? new Float32Array((rows.to - rows.from) * rowLength);
        for (const portion of portions(name, rows)) {
          const nValues = await call<number>("read", kind, name, portion);
          whole.set(mailbox.subarray(0, nValues), (portion.from - rows.from) * rowLength);
        }
        return whole;
      }),
    write: (kind, name, values, fromRow) =>
      inTurn(async () => {
        const { rowLength } = shapeOf(name, { nLatents, width: options.width });
        for (const { from, to } of portions(name, { from: 0, to: values.length / rowLength })) {
          mailbox.set(values.subarray(from * rowLength, to * rowLength));
          await call("write", kind, name, (to - from) * rowLength, fromRow + from);
        }
      }),
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
