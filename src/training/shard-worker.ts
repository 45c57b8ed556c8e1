// The worker thread of one latent shard: makes it, then answers calls one after another. Started by shard-threads.ts.

import { parentPort, workerData } from "node:worker_threads";
import { joinCollective } from "../compute/thread-collective.ts";
import { carriedError } from "../compute/worker-thread.ts";
import { type ParameterName, type RowRange, shapeOf } from "./engine-contract.ts";
import { createShard, type Shard } from "./shard.ts";
import {
  batchOf,
  mailboxOf,
  READY,
  type ShardCall,
  type ShardReply,
  type ShardWorkerData,
} from "./shard-threads.ts";

const { options, nLatents, rank, threads, collective } = workerData as ShardWorkerData;
const batch = batchOf(collective);
const mailbox = mailboxOf({ collective, rank });

function send(reply: ShardReply): void {
  parentPort?.postMessage(reply);
}

function sendError(id: number, error: unknown): void {
  send({ id, error: carriedError(error) });
}

/** Puts the arrays in their places; see ShardCall. */
async function perform(shard: Shard, call: ShardCall): Promise<unknown> {
  const values = [...call.arguments];
  const method = shard[call.method] as (...values: unknown[]) => Promise<unknown>;
  if (call.method === "backward") values[0] = batch.subarray(0, values[0] as number);
  if (call.method === "write") values[2] = mailbox.subarray(0, values[2] as number);
  if (call.method !== "read") return method(...values);
  const [, name, { from, to }] = values as [string, ParameterName, RowRange];
  const nValues = (to - from) * shapeOf(name, { nLatents, width: options.width }).rowLength;
  await method(...values, mailbox.subarray(0, nValues));
  return nValues;
}

async function answer(shard: Shard, call: ShardCall): Promise<void> {
  try {
    send({ id: call.id, value: await perform(shard, call) });
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
