// The abuse of spec R6 as a storm of steady rates: slow requests, wrong tokens, large bodies, searches that nobody waits for.
//
// Rates and not as fast as can be: on one machine an unbounded flood takes the processor from the server, which says nothing of the server.

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { API_LIMITS } from "../src/dashboard/api-contract.ts";
import { openSocket } from "../test/http-abuse/raw-request.ts";
import { BENCH_DICTIONARY } from "./dashboard-study.ts";

export const STORM = {
  /** Connections whose headers never end, a line a second each. */
  slow: 60,
  wrongTokensASecond: 50,
  largeBodiesASecond: 10,
  searchesASecond: 5,
  /** Expressions without literals, let go of after this. */
  searchMs: 60,
} as const;

export async function storm(options: {
  port: number;
  cookie: string;
  signal: AbortSignal;
  onBegun: () => void;
}): Promise<void> {
  const { port, cookie, signal, onBegun } = options;
  setMaxListeners(0, signal);
  const own = `127.0.0.1:${port}`;
  const right = `host: ${own}\r\ncookie: ${cookie}\r\nsec-fetch-site: same-origin\r\norigin: http://${own}\r\n`;
  const change = `${right}content-type: application/json\r\nx-tunediff: 1\r\nconnection: close\r\n`;
  /** Sends and reads what comes, until the server or `ms` ends it. A connection that is refused is what a storm meets. */
  const send = async (bytes: string, ms = 5000): Promise<void> => {
    const socket = await openSocket(port).catch(() => undefined);
    if (socket === undefined) return;
    socket.on("error", () => {});
    socket.resume();
    socket.write(bytes);
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await Promise.race([closed, sleep(ms, undefined, { ref: false })]);
    socket.destroy();
  };
  const drip = async (): Promise<void> => {
    while (!signal.aborted) {
      const socket = await openSocket(port).catch(() => undefined);
      if (socket === undefined) continue;
      socket.on("error", () => {});
      socket.resume();
      socket.write(`GET / HTTP/1.1\r\nhost: ${own}\r\n`);
      while (!signal.aborted && !socket.destroyed && !socket.readableEnded) {
        socket.write("x-slow: a\r\n");
        await sleep(1000, undefined, { signal }).catch(() => {});
      }
      socket.destroy();
    }
  };
  const often = async (aSecond: number, work: () => Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      void work();
      await sleep(1000 / aSecond, undefined, { signal }).catch(() => {});
    }
  };
  const token = JSON.stringify({ token: "0".repeat(43) });
  const large = "a".repeat(API_LIMITS.body);
  const body = (method: string, path: string, text: string): string =>
    `${method} ${path} HTTP/1.1\r\n${change}content-length: ${text.length}\r\n\r\n${text}`;
  const search = `/api/studies/0/${BENCH_DICTIONARY}/search?mode=regex&q=${encodeURIComponent("[A-Z]{5}")}`;
  const running = [
    ...Array.from({ length: STORM.slow }, drip),
    often(STORM.wrongTokensASecond, () => send(body("POST", "/api/session", token))),
    often(STORM.largeBodiesASecond, () =>
      send(body("PUT", `/api/studies/0/${BENCH_DICTIONARY}/notes/1`, large)),
    ),
    often(STORM.searchesASecond, () => send(`GET ${search} HTTP/1.1\r\n${right}\r\n`, STORM.searchMs)),
  ];
  onBegun();
  await Promise.all(running);
}
