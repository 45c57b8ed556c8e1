// The worker thread of one latent shard: makes it, then answers calls one after another. Started by shard-threads.ts.

import { parentPort, workerData } from "node:worker_threads";
import { joinCollective } from "../compute/thread-collective.ts";
import { TunediffError } from "../errors.ts";
import { createShard, type Shard } from "./shard.ts";
import { READY, type ShardCall, type ShardReply, type ShardWorkerData } from "./shard-threads.ts";

const { options, nLatents, rank, threads, collective, batch } = workerData as ShardWorkerData;
const batchView = new Float32Array(batch);

function send(reply: ShardReply): void {
  parentPort?.postMessage(reply);
}

function sendError(id: number, error: unknown): void {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const hint = error instanceof TunediffError ? error.hint : undefined;
  send({ id, error: { name, message, hint } });
}

async function answer(shard: Shard, call: ShardCall): Promise<void> {
  try {
    const values = [...call.arguments];
    if (call.method === "backward") values[0] = batchView.subarray(0, values[0] as number);
    const method = shard[call.method] as (...values: unknown[]) => Promise<unknown>;
    send({ id: call.id, value: await method(...values) });
  } catch (error) {
    sendError(call.id, error);
  }
}

try {
  const shard = await createShard({
    options,
    nLatents,
    threads,
    collective: joinCollective(collective, rank),
  });
  let last: Promise<void> = Promise.resolve();
  parentPort?.on("message", (call: ShardCall) => {
    last = last.then(() => answer(shard, call));
  });
  send({ id: READY, value: undefined });
} catch (error) {
  sendError(READY, error);
}
