// The listening server with routes of the test's own: answers, deadlines, streams, faults, and its end. Abuse: test/http-abuse/.

import { Hono } from "hono";
import { afterEach, expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { answerFor } from "./errors-out.ts";
import { eventStream } from "./event-stream.ts";
import { SECURITY_HEADERS } from "./security.ts";
import { type DashboardServer, isLoopback, type ServeOptions, serveDashboard } from "./serve.ts";

let server: DashboardServer | undefined;
afterEach(() => server?.close());

interface Started {
  get(path: string, init?: RequestInit): Promise<Response>;
  faults: unknown[];
}

async function start(app: Hono, options: Partial<ServeOptions> = {}): Promise<Started> {
  const faults: unknown[] = [];
  let cookie = "";
  server = await serveDashboard({
    createApp: (launch) => {
      const result = launch.exchange(launch.token);
      cookie = result.outcome === "ok" ? result.cookie.split(";")[0] : "";
      return app;
    },
    reportFault: (error) => faults.push(error),
    ...options,
  });
  const { port } = server;
  const get = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers: { cookie, ...init.headers } });
  return { get, faults };
}

test("an answer comes as the route made it, with the headers of every answer over its own", async () => {
  const app = new Hono()
    .get("/api/a", (c) => {
      c.header("cache-control", "public");
      c.header("Content-Security-Policy", "default-src *");
      return c.body(new Uint8Array([0, 255, 10]), 201, { "content-type": "application/octet-stream" });
    })
    .put("/api/a", async (c) => c.json(await c.req.json()));
  const { get } = await start(app);
  const response = await get("/api/a");
  expect([response.status, [...new Uint8Array(await response.arrayBuffer())]]).toEqual([201, [0, 255, 10]]);
  for (const [name, value] of Object.entries(SECURITY_HEADERS))
    expect(response.headers.get(name)).toBe(value);
  const head = await get("/api/a", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([201, ""]);
  const origin = `http://127.0.0.1:${server?.port}`;
  const headers = {
    origin,
    "sec-fetch-site": "same-origin",
    "content-type": "application/json",
    "x-tunediff": "1",
  };
  const put = await get("/api/a", { method: "PUT", body: '{"é": 1}', headers });
  expect(await put.json()).toEqual({ é: 1 });
});

test("a large answer comes whole, a piece at a time", async () => {
  const nBytes = 1_000_000;
  async function* numbers() {
    for (let i = 0; i < 50; i++) yield "a".repeat(nBytes / 50);
  }
  const app = new Hono().get("/api/a", (c) =>
    eventStream(numbers(), { signal: c.req.raw.signal, reportFault: () => {} }),
  );
  const { get } = await start(app);
  const text = await (await get("/api/a")).text();
  // Each of the fifty events has two more in "data".
  expect(text.match(/a/g)).toHaveLength(nBytes + 100);
});

test("an answer that takes too long is given up: 503 in time, and the route is told", async () => {
  let wasTold = false;
  const app = new Hono().get("/api/a", (c) => {
    c.req.raw.signal.addEventListener("abort", () => {
      wasTold = true;
    });
    return new Promise<Response>(() => {});
  });
  const { get, faults } = await start(app, { limits: { answerMs: 20 } });
  const response = await get("/api/a");
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: "the answer took too long" });
  expect(response.headers.get("content-security-policy")).toBe(SECURITY_HEADERS["content-security-policy"]);
  expect([wasTold, faults]).toEqual([true, []]);
});

test("a body that fails on the way ends the connection, is reported, and none of the error's words is sent", async () => {
  const fault = new Error("/srv/data/secret.json");
  let sent: ReadableStreamDefaultController | undefined;
  const app = new Hono()
    .get(
      "/api/first",
      () => new Response(new ReadableStream({ start: (controller) => controller.error(fault) })),
    )
    .get("/api/later", () => {
      return new Response(
        new ReadableStream({
          start(controller) {
            sent = controller;
            controller.enqueue(Buffer.from("begun "));
          },
        }),
      );
    });
  const { get, faults } = await start(app);
  const first = await get("/api/first")
    .then((response) => response.text())
    .catch(() => "broken off");
  expect(first).toBe("broken off");
  const later = await get("/api/later");
  const reader = later.body!.getReader();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("begun ");
  sent?.error(fault);
  await expect(reader.read()).rejects.toThrow();
  expect(faults).toEqual([fault, fault]);
});

test("a client that goes ends its stream and is no fault", async () => {
  let ended: () => void = () => {};
  const hasEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const app = new Hono().get("/api/a", (c) => {
    async function* endless() {
      try {
        for (let i = 0; ; i++) {
          yield i;
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        ended();
      }
    }
    return eventStream(endless(), { signal: c.req.raw.signal, reportFault: () => {} });
  });
  const { get, faults } = await start(app);
  const stop = new AbortController();
  const response = await get("/api/a", { signal: stop.signal });
  await response.body?.getReader().read();
  stop.abort();
  await hasEnded;
  expect(faults).toEqual([]);
});

test("close ends open streams and waiting connections, and nothing listens afterwards", async () => {
  async function* silent(): AsyncGenerator<number> {
    yield 1;
    await new Promise(() => {});
  }
  const app = new Hono().get("/api/a", (c) =>
    eventStream(silent(), { signal: c.req.raw.signal, reportFault: () => {} }),
  );
  const { get, faults } = await start(app);
  const stream = await get("/api/a");
  await server?.close();
  expect(await stream.text()).toBe("id: 1\ndata: 1\n\n");
  await expect(get("/")).rejects.toThrow();
  expect(faults).toEqual([]);
});

test("an error of a route is an ApiError on the wire", async () => {
  const app = new Hono().get("/api/a", () => {
    throw new ConfigError("/srv/data/study.yaml: bad");
  });
  app.onError((error, c) => c.json(answerFor(error).body, answerFor(error).status));
  const { get } = await start(app);
  const response = await get("/api/a");
  expect([response.status, await response.json()]).toEqual([400, { error: "study.yaml: bad", hint: "" }]);
});

test("the address has the token in its fragment and is this machine's; another host is said to be open", async () => {
  await start(new Hono());
  expect(server?.url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${server?.port}/#token=[\\w-]{43}$`));
  expect(server?.isOpenToNetwork).toBe(false);
  expect(["localhost", "::1", "127.0.0.1", "127.9.9.9"].every(isLoopback)).toBe(true);
  expect(["0.0.0.0", "::", "192.168.1.2", "127.evil.example", "box"].some(isLoopback)).toBe(false);
});

test("a port in use and a host of another machine are refused with the option's name", async () => {
  await start(new Hono());
  const createApp = () => new Hono();
  await expect(serveDashboard({ createApp, port: server?.port })).rejects.toThrow(/^--port \d+: .*in use/);
  // TEST-NET-1: the address of no machine.
  await expect(serveDashboard({ createApp, host: "192.0.2.1" })).rejects.toThrow(ConfigError);
});
