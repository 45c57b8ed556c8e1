// Events arrive whole however the network cuts them, and a failure in a stream is an error here.

import { expect, test } from "vitest";
import { createEventParser, readEvents } from "./event-stream.ts";

const TEXT =
  ': beat\n\nid: 1\ndata: {"a":1}\n\nid: 2\r\ndata: {"b":\r\ndata: "c: d"}\r\n\r\nevent: failed\ndata: {"error":"no","hint":"h"}\n\n';

test("any cut of the text gives the same events", () => {
  const whole = createEventParser()(TEXT);
  expect(whole).toEqual([
    { name: "", data: '{"a":1}' },
    { name: "", data: '{"b":\n"c: d"}' },
    { name: "failed", data: '{"error":"no","hint":"h"}' },
  ]);
  for (let at = 0; at <= TEXT.length; at += 1) {
    const parse = createEventParser();
    expect([...parse(TEXT.slice(0, at)), ...parse(TEXT.slice(at))]).toEqual(whole);
  }
});

test("a stream that fails gives what came before and then its words", async () => {
  const seen: unknown[] = [];
  const read = async (): Promise<void> => {
    for await (const event of readEvents(async () => new Response(TEXT))) seen.push(event);
  };
  await expect(read()).rejects.toThrow("no");
  expect(seen).toEqual([{ a: 1 }, { b: "c: d" }]);
});
