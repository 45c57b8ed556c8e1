// Streams of events: what is sent, and that the generator ends with its reader.

import { expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { eventStream } from "./event-stream.ts";

const { signal } = new AbortController();

test("items become numbered events in order, and the stream ends with the generator", async () => {
  async function* items() {
    yield { text: "a\nb\u2028" };
    yield [1];
  }
  const response = eventStream(items(), { signal, reportFault: () => {} });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(await response.text()).toBe(`id: 1\ndata: {"text":"a\\nb\u2028"}\n\nid: 2\ndata: [1]\n\n`);
});

test("an error is the last event, in words without a path; a defect is reported, and told without its words", async () => {
  const faults: unknown[] = [];
  const streamOf = (error: Error) => {
    async function* items(): AsyncGenerator<number> {
      yield 1;
      throw error;
    }
    return eventStream(items(), { signal, reportFault: (fault) => faults.push(fault) }).text();
  };
  expect(await streamOf(new FormatError("/srv/data/a.json: bad"))).toBe(
    'id: 1\ndata: 1\n\nevent: failed\ndata: {"error":"a.json: bad","hint":""}\n\n',
  );
  expect(faults).toEqual([]);
  const defect = new TypeError("secret");
  expect(await streamOf(defect)).not.toContain("secret");
  expect(faults).toEqual([defect]);
});

test.each(["the reader goes", "the signal aborts"])("the generator's finally runs when %s", async (how) => {
  const stop = new AbortController();
  let ended: () => void = () => {};
  const hasEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });
  async function* endless() {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      ended();
    }
  }
  const reader = eventStream(endless(), { signal: stop.signal, reportFault: () => {} }).body!.getReader();
  await reader.read();
  if (how === "the reader goes") await reader.cancel();
  else stop.abort();
  await hasEnded;
});

test("a generator that waits for ever does not hold a stream that was aborted, and the wait is filled with comments", async () => {
  const stop = new AbortController();
  async function* silent(): AsyncGenerator<number> {
    await new Promise(() => {});
  }
  const response = eventStream(silent(), { signal: stop.signal, reportFault: () => {}, heartbeatMs: 1 });
  const reader = response.body!.getReader();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(":\n\n");
  stop.abort();
  let isDone = false;
  while (!isDone) isDone = (await reader.read()).done;
  expect(isDone).toBe(true);
});

test("a generator is asked for no more than is taken", async () => {
  let made = 0;
  async function* counting() {
    for (; ; made++) yield made;
  }
  const reader = eventStream(counting(), { signal, reportFault: () => {} }).body!.getReader();
  for (let i = 0; i < 5; i++) await reader.read();
  await new Promise((resolve) => setImmediate(resolve));
  // One is waiting to be taken, one more may be under way.
  expect(made).toBeLessThanOrEqual(7);
  await reader.cancel();
});
