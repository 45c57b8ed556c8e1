// The worker thread of a measuring pass: opens the store and the dictionary itself, then measures the groups it is told to.
// Started by measure-groups.ts.

import { parentPort, workerData } from "node:worker_threads";
import { carriedError } from "../compute/worker-thread.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { openRowSource } from "../store/row-source.ts";
import { createGroupMeasurer } from "./group-pass.ts";
import type { MeasureCall, MeasureReply, MeasureWorkerData } from "./measure-groups.ts";

const { storeFolder, dictionaryFolder, options } = workerData as MeasureWorkerData;

function send(reply: MeasureReply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(reply, transfer);
}

try {
  const source = await openRowSource(storeFolder, { verify: false });
  const dictionary = await loadDictionary(dictionaryFolder);
  const measurer = await createGroupMeasurer({ source, dictionary, options });
  let last: Promise<void> = Promise.resolve();
  const measure = async ({ group }: MeasureCall): Promise<void> => {
    try {
      const part = await measurer.measureGroup(group, { onRows: (nRows) => send({ kind: "rows", nRows }) });
      const buffers = Object.values(part).map(({ buffer }) => buffer as ArrayBuffer);
      send({ kind: "part", group, part }, [...new Set(buffers)]);
    } catch (error) {
      send({ kind: "error", error: carriedError(error) });
    }
  };
  parentPort?.on("message", (call: MeasureCall) => {
    last = last.then(() => measure(call));
  });
  send({ kind: "ready" });
} catch (error) {
  send({ kind: "error", error: carriedError(error) });
}
