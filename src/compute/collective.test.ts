// Worker threads and their readable twin, holders in one thread, do the same sums.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { gatherNumbers, localCollectives, soloCollective } from "./collective.ts";
import { abortCollective, createSharedCollective, joinCollective } from "./thread-collective.ts";

const tsx = pathToFileURL(
  createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/cjs$/, "mjs"),
).href;
const thread = new URL("./thread-collective.ts", import.meta.url).href;

/** Worker `rank`: joins, all-reduces its vectors one after another, broadcasts, and answers with what it got. */
const PROGRAM = `
import("${tsx}").then(({ tsImport }) => tsImport("${thread}", "${thread}")).then(async ({ joinCollective }) => {
  const { parentPort, workerData } = require("node:worker_threads");
  const { shared, rank, vectors, operations } = workerData;
  try {
    const collective = joinCollective(shared, rank);
    for (let i = 0; i < operations; i += 1) {
      for (const vector of vectors) {
        await collective.allReduce(vector);
        for (let j = 0; j < vector.length; j += 1) vector[j] = vector[j] / 3 + rank;
      }
      await collective.barrier();
    }
    await collective.broadcast(vectors[0], 1);
    parentPort.postMessage({ vectors });
  } catch (error) {
    parentPort.postMessage({ error: error.message });
  }
});`;

const vectorsOf = (rank: number): (Float32Array | Float64Array)[] => [
  Float32Array.from({ length: 1001 }, (_, i) => Math.sin(i + 17 * rank)),
  Float64Array.from({ length: 5 }, (_, i) => 1 / (i + 3 + rank)),
  new Float32Array(0),
];

describe("three holders", () => {
  test("in worker threads get what holders in one thread get, bit for bit, over many operations", async () => {
    const shared = createSharedCollective({ size: 3, slotBytes: 4004 });
    const workers = [0, 1, 2].map(
      (rank) =>
        new Worker(PROGRAM, {
          eval: true,
          execArgv: [],
          workerData: { shared, rank, vectors: vectorsOf(rank), operations: 50 },
        }),
    );
    const got = await Promise.all(
      workers.map(
        (worker) =>
          new Promise<{ vectors: unknown; error?: string }>((resolve, reject) => {
            worker.once("message", resolve);
            worker.once("error", reject);
          }),
      ),
    );
    await Promise.all(workers.map((worker) => worker.terminate()));

    const want = await Promise.all(
      localCollectives(3).map(async (collective, rank) => {
        const vectors = vectorsOf(rank);
        for (let i = 0; i < 50; i += 1) {
          for (const vector of vectors) {
            await collective.allReduce(vector);
            for (let j = 0; j < vector.length; j += 1) vector[j] = vector[j] / 3 + rank;
          }
          await collective.barrier();
        }
        await collective.broadcast(vectors[0], 1);
        return { vectors };
      }),
    );
    expect(got).toEqual(want);
  });

  test("add up in f64 and round once, in order of rank", async () => {
    const sums = await Promise.all(
      localCollectives(3).map(async (collective, rank) => {
        const values = Float32Array.of([1, 2 ** -24, 2 ** -24][rank]);
        await collective.allReduce(values);
        return values[0];
      }),
    );
    expect(sums).toEqual([1 + 2 ** -23, 1 + 2 ** -23, 1 + 2 ** -23]);
  });

  test("learn each other's numbers", async () => {
    const all = await Promise.all(
      localCollectives(3).map((collective, rank) => gatherNumbers(collective, rank * 2)),
    );
    expect(all).toEqual([0, 1, 2].map(() => Float64Array.of(0, 2, 4)));
  });
});

test("an aborted collective throws in whoever comes next, and an array above the slot's size is refused", async () => {
  const shared = createSharedCollective({ size: 1, slotBytes: 64 });
  const collective = joinCollective(shared, 0);
  await expect(collective.allReduce(new Float32Array(17))).rejects.toThrow(/at most 64 bytes, got 68/);
  await collective.allReduce(new Float32Array(16));
  abortCollective(shared);
  await expect(collective.barrier()).rejects.toThrow(/another one failed/);
});

test("a single holder keeps its values", async () => {
  const values = Float64Array.of(1, 2);
  await soloCollective.allReduce(values);
  await soloCollective.broadcast(values, 0);
  await soloCollective.barrier();
  expect([...values]).toEqual([1, 2]);
});
