// Requests that are slow, large, many or lie about themselves.

import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { API_LIMITS } from "../../src/dashboard/api-contract.ts";
import { SERVER_LIMITS } from "../../src/dashboard/security.ts";
import { collect, openSocket, sendRaw } from "./raw-request.ts";
import { type AbuseCase, changed, MARKER, NOTE, request } from "./world.ts";

/** Of the server under SLOW_CASES: what takes longer is cut off. */
export const SLOW_LIMITS = { headersMs: 300, requestMs: 500, keepAliveMs: 500 };

/** Of the server under LIMIT_CASES. */
export const LIMITS = { connections: 40 };

/** Sockets opened at once: many times the cap. */
const N_SOCKETS = 400;

const put = (name: string, body: string, status: number): AbuseCase => ({
  name,
  send: changed({ method: "PUT", path: NOTE, body }),
  status,
});

/** A right change whose length is told by other headers. */
const length = (
  name: string,
  headers: Record<string, string | string[] | null>,
  status: number,
): AbuseCase => ({
  name,
  send: changed({ method: "PUT", path: NOTE, body: "{}", headers: { "content-length": null, ...headers } }),
  status,
});

/** Bytes that are no request of ours. */
const bytes = (name: string, sent: string | Buffer): AbuseCase => ({ name, send: () => sent, status: 400 });

const EXAMPLES = "/api/studies/0/main/latents/1/examples";
const SEARCH = "/api/studies/0/main/search";

const headerLines = (n: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, "a"]));

const noteWithLabel = (bytes: number): string => {
  const empty = JSON.stringify({ label: "" }).length;
  return JSON.stringify({ label: "a".repeat(bytes - empty) });
};

export const SLOW_CASES: AbuseCase[] = [
  {
    name: "headers that never end",
    send: async ({ port }) => {
      const socket = await openSocket(port);
      socket.write("GET / HTTP/1.1\r\nhost: a\r\n");
      const drip = setInterval(() => socket.write("x: a\r\n"), 100);
      return collect(socket).finally(() => clearInterval(drip));
    },
    status: 408,
  },
  {
    name: "a body that never ends",
    send: async (world) => {
      const socket = await openSocket(world.port);
      socket.write(
        request(world, { method: "PUT", path: NOTE, body: "{", headers: { "content-length": "1000" } }),
      );
      const drip = setInterval(() => socket.write(" "), 100);
      return collect(socket).finally(() => clearInterval(drip));
    },
    status: 408,
  },
  {
    name: "a connection that says nothing",
    send: async ({ port }) => collect(await openSocket(port)),
    status: 408,
  },
];

export const LIMIT_CASES: AbuseCase[] = [
  {
    name: "a client that goes in the middle of its body",
    send: async (world) => {
      const socket = await openSocket(world.port);
      socket.end(
        request(world, { method: "PUT", path: NOTE, body: "{", headers: { "content-length": "9" } }),
      );
      return collect(socket);
    },
    status: 400,
  },
  {
    name: "a body of 1 GB",
    send: changed({ method: "PUT", path: NOTE, body: "a", headers: { "content-length": "1000000000" } }),
    status: 413,
  },
  put("a body one byte above the bound", noteWithLabel(API_LIMITS.body + 1), 413),
  put("control: a body at the bound reaches the schema", noteWithLabel(API_LIMITS.body), 400),
  {
    name: "a body of 1 GB that waits to be told to go on",
    send: changed({
      ...{ method: "PUT", path: NOTE },
      headers: { "content-length": "1000000000", expect: "100-continue" },
    }),
    status: 413,
  },
  {
    name: "another expectation",
    send: changed({ headers: { expect: "200-perhaps" } }),
    status: 417,
  },
  { name: "ten thousand headers", send: changed({ headers: headerLines(10_000) }), status: 431 },
  {
    name: "one header more than the bound",
    send: changed({ headers: headerLines(SERVER_LIMITS.headers) }),
    status: 431,
  },
  { name: "a header of 20 KB", send: changed({ headers: { "x-a": "a".repeat(20_000) } }), status: 431 },
  {
    name: "an address of 13,000 characters",
    send: changed({ path: `/?${"a".repeat(13_000)}` }),
    status: 414,
  },
  { name: "a path of 1,100 characters", send: changed({ path: `/${"a".repeat(1100)}` }), status: 414 },
  length("chunks", { "transfer-encoding": "chunked" }, 411),
  length("chunks said twice", { "transfer-encoding": ["chunked", "chunked"] }, 400),
  length("another transfer encoding", { "transfer-encoding": "gzip" }, 411),
  length("chunks and a length", { "transfer-encoding": "chunked", "content-length": "2" }, 400),
  length("two lengths", { "content-length": ["2", "3"] }, 400),
  length("a negative length", { "content-length": "-1" }, 400),
  length("a length in hexadecimal", { "content-length": "0x2" }, 400),
  length("a length with a plus", { "content-length": "+2" }, 400),
  length("a length that overflows", { "content-length": "18446744073709551617" }, 400),
  {
    name: "a second request in the first one's body is no request",
    send: (world) =>
      request(world, {
        ...{ method: "PUT", path: NOTE },
        body: `GET /${MARKER} HTTP/1.1\r\nhost: 127.0.0.1:${world.port}\r\n\r\n`,
      }),
    status: 400,
    check: ({ raw }) => raw.split("HTTP/1.1 ").length === 2,
  },
  {
    name: "control: requests in one go are answered one by one",
    send: (world) =>
      request(world, { path: "/", headers: { connection: "keep-alive" } }).repeat(20) + request(world),
    status: 200,
    check: ({ raw }) => raw.split("HTTP/1.1 200 OK").length === 22,
  },
  put("no JSON", MARKER, 400),
  put("half a JSON", `{"label": "${MARKER}`, 400),
  put("nothing", "", 400),
  put("brackets in brackets", "[".repeat(100_000), 400),
  put("objects in objects", `${'{"label":'.repeat(20_000)}1${"}".repeat(20_000)}`, 400),
  put("a number beyond all numbers", '{"label": 1e999999}', 400),
  put("a string beyond its bound", JSON.stringify({ text: "a".repeat(API_LIMITS.noteText + 1) }), 400),
  put("more tags than the bound", JSON.stringify({ tags: Array.from({ length: 41 }, String) }), 400),
  {
    name: "compressed bytes",
    send: async (world) => {
      const body = gzipSync(Buffer.alloc(100_000));
      const headers = { "content-encoding": "gzip", "content-length": String(body.length) };
      const head = Buffer.from(request(world, { method: "PUT", path: NOTE, headers }));
      return sendRaw(world.port, Buffer.concat([head, body]));
    },
    status: 400,
  },
  {
    name: "an immense latent",
    send: changed({ path: "/api/studies/0/main/notes/99999999999999999999" }),
    status: 404,
  },
  { name: "a latent past the end", send: changed({ path: "/api/studies/0/main/notes/10" }), status: 404 },
  { name: "a negative latent", send: changed({ path: "/api/studies/0/main/notes/-1" }), status: 404 },
  { name: "a negative page", send: changed({ path: `${EXAMPLES}?from=-1` }), status: 400 },
  { name: "a page of a million", send: changed({ path: `${EXAMPLES}?count=1000000` }), status: 400 },
  { name: "a page beyond all numbers", send: changed({ path: `${EXAMPLES}?from=1e999` }), status: 400 },
  { name: "an unknown bin", send: changed({ path: `${EXAMPLES}?bin=${MARKER}` }), status: 400 },
  {
    name: "a search of 1,000 characters",
    send: changed({ path: `${SEARCH}?q=${"a".repeat(1000)}` }),
    status: 400,
  },
  { name: "a search for nothing", send: changed({ path: `${SEARCH}?q=` }), status: 400 },
  {
    name: "an expression that is none",
    send: changed({ path: `${SEARCH}?mode=regex&q=(${MARKER}` }),
    status: 400,
  },
  { name: "a broken latent", send: changed({ path: "/api/studies/0/main/notes/1e0" }), status: 404 },
  bytes("another version of HTTP", "GET / HTTP/9.9\r\nhost: a\r\n\r\n"),
  bytes("HTTP/0.9", "GET /\r\n\r\n"),
  bytes("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  bytes("TLS", Buffer.from("16030100c8010000c40303", "hex")),
  bytes("bytes by chance", Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 151 + 7) % 256))),
  bytes("NUL in a header", "GET / HTTP/1.1\r\nhost: a\u0000b\r\n\r\n"),
  bytes("a space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
  bytes("a header over two lines", "GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n"),
  bytes("a method that is none", "GE(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
  {
    name: "hundreds of sockets that wait: the next request is answered, and there are never more than the cap",
    send: async (world) => {
      const sockets = await Promise.all(Array.from({ length: N_SOCKETS }, () => openSocket(world.port)));
      for (const socket of sockets) socket.on("error", () => {});
      const answer = await sendRaw(world.port, request(world));
      const closed = sockets.filter((socket) => socket.destroyed || socket.readableEnded).length;
      const open = await stillOpen(sockets);
      for (const socket of sockets) socket.destroy();
      if (open > LIMITS.connections) throw new Error(`${open} sockets open, ${closed} closed`);
      return answer;
    },
    status: 200,
  },
];

/** How many of them the server keeps, once what it has closed has been heard of: an exchange on each one. */
async function stillOpen(sockets: Awaited<ReturnType<typeof openSocket>>[]): Promise<number> {
  const states = await Promise.all(
    sockets.map(async (socket) => {
      if (socket.destroyed) return false;
      socket.resume();
      const closed = once(socket, "close").then(() => false);
      const waited = new Promise<true>((resolve) => setTimeout(() => resolve(true), 100));
      return Promise.race([closed, waited]);
    }),
  );
  return states.filter(Boolean).length;
}
