// The server of `npm run bench -- dashboard` as a process of its own, and a client that asks it as the page does, without a browser.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SearchBatch } from "../src/dashboard/api-contract.ts";
import { webFolder } from "../src/dashboard/static-files.ts";
import { BENCH_DICTIONARY } from "./dashboard-study.ts";

const CHILD = fileURLToPath(new URL("./dashboard-child.ts", import.meta.url));

export interface BenchServer {
  /** The address to open, with the token. */
  url: string;
  port: number;
  token: string;
  /** MB, of the process: now, and at its greatest. NaN where there is no /proc. */
  memory(): { now: number; peak: number };
  close(): Promise<void>;
}

/** A job of dashboard-child.ts, from source as this process is. */
export function startChild(...args: string[]): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, CHILD, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

export async function runChild(...args: string[]): Promise<void> {
  const child = startChild(...args);
  child.stdout?.resume();
  const [status] = await once(child, "exit");
  if (status !== 0) throw new Error(`dashboard: ${args[0]} ended with ${status}`);
}

/** The built page: that of the package, or of TUNEDIFF_BENCH_PAGE. */
export const PAGE_FOLDER = process.env.TUNEDIFF_BENCH_PAGE ?? webFolder();

export async function startServer(folder: string): Promise<BenchServer> {
  const child = startChild("serve", folder, PAGE_FOLDER);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [url] = (await Promise.race([
    once(lines, "line"),
    once(child, "exit").then(([status]) => Promise.reject(new Error(`the server ended with ${status}`))),
  ])) as [string];
  const { port, hash } = new URL(url);
  return {
    ...{ url, port: Number(port), token: hash.replace("#token=", "") },
    memory: () => memoryOf(child.pid as number),
    async close() {
      if (child.exitCode !== null) return;
      child.stdin?.end();
      await once(child, "exit");
    },
  };
}

function memoryOf(pid: number): { now: number; peak: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const of = (name: string): number =>
      (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024) / 1e6;
    return { now: of("VmRSS"), peak: of("VmHWM") };
  } catch {
    return { now: Number.NaN, peak: Number.NaN };
  }
}

export interface BenchClient {
  /** Milliseconds to the last byte of a path below the dictionary's. Throws for any status but 200. */
  get(path: string): Promise<number>;
  /** Milliseconds to the first batch with hits (or to the end), and to the end. */
  search(query: SearchQuery): Promise<SearchTimes>;
  /** One that is let go of after so many milliseconds. */
  abandon(query: SearchQuery, ms: number): Promise<void>;
  cookie: string;
  close(): void;
}

export interface SearchQuery {
  /** Of the mix: "rare words", … */
  kind: string;
  text: string;
  mode: "text" | "regex";
  where: "examples" | "labels";
}

export interface SearchTimes {
  firstMs: number;
  completeMs: number;
  hits: number;
  /** The bound on hits or time ended it. */
  truncated: boolean;
  /** From the first word of an index that is being made to the last; 0 when it was there. */
  buildingMs: number;
}

const BASE = `/api/studies/0/${BENCH_DICTIONARY}`;

export async function signedIn({ port, token }: Pick<BenchServer, "port" | "token">): Promise<BenchClient> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  let cookie = "";
  const open = (path: string, options: { body?: string; signal?: AbortSignal } = {}) => {
    const { body, signal } = options;
    const sent = request({
      ...{ port, path, agent, host: "127.0.0.1", method: body === undefined ? "GET" : "POST", signal },
      headers: {
        ...(cookie !== "" && { cookie }),
        "sec-fetch-site": "same-origin",
        ...(body !== undefined && {
          ...{ "content-type": "application/json", "x-tunediff": "1" },
          ...{ origin: `http://127.0.0.1:${port}`, "content-length": String(Buffer.byteLength(body)) },
        }),
      },
    });
    sent.end(body);
    return once(sent, "response").then(([answer]) => answer as import("node:http").IncomingMessage);
  };
  const whole = async (path: string, body?: string) => {
    const answer = await open(path, body === undefined ? {} : { body });
    answer.resume();
    await once(answer, "end");
    if (answer.statusCode !== 200) throw new Error(`${path}: status ${answer.statusCode}`);
    return answer;
  };
  const started = await whole("/api/session", JSON.stringify({ token }));
  cookie = (started.headers["set-cookie"] ?? [""])[0].split(";")[0];
  const pathOf = ({ text, mode, where }: SearchQuery): string =>
    `${BASE}/search?${new URLSearchParams({ q: text, mode, in: where, each: "1" })}`;
  return {
    cookie,
    async get(path) {
      const from = performance.now();
      await whole(`${BASE}/${path}`);
      return performance.now() - from;
    },
    async search(query) {
      const from = performance.now();
      const times: SearchTimes = { firstMs: 0, completeMs: 0, hits: 0, truncated: false, buildingMs: 0 };
      const answer = await open(pathOf(query));
      if (answer.statusCode !== 200) throw new Error(`search ${query.text}: status ${answer.statusCode}`);
      for await (const line of createInterface({ input: answer })) {
        if (!line.startsWith("data: ")) continue;
        const batch = JSON.parse(line.slice(6)) as SearchBatch;
        if (batch.building !== undefined) times.buildingMs = performance.now() - from;
        times.hits += batch.hits.length;
        if (batch.hits.length > 0 && times.firstMs === 0) times.firstMs = performance.now() - from;
        times.truncated ||= batch.truncated;
      }
      times.completeMs = performance.now() - from;
      times.firstMs ||= times.completeMs;
      return times;
    },
    async abandon(query, ms) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), ms);
      try {
        const answer = await open(pathOf(query), { signal: stop.signal });
        for await (const _ of answer);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => agent.destroy(),
  };
}
