// Answers that no route makes: the gate's refusals, and the answers to what Node could not read as HTTP.

import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type Refusal, SECURITY_HEADERS } from "./security.ts";

/** Writes a refusal as ApiError and closes the connection: what is left of the request is not read. */
export function writeRefusal(outgoing: ServerResponse, { status, body, headers }: Refusal): void {
  const bytes = Buffer.from(JSON.stringify(body));
  outgoing.writeHead(status, {
    ...headers,
    "content-type": "application/json",
    "content-length": bytes.length,
    connection: "close",
  });
  outgoing.end(bytes);
}

/** The same on a bare connection, where there is no response to write to; then ends it. */
export function writeRawRefusal(socket: Duplex, { status, body }: Refusal): void {
  const text = JSON.stringify(body);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    "connection: close",
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${text}`);
}

/** Makes every header of SECURITY_HEADERS part of whatever is written to this response, over what a handler sets. */
export function hardenResponse(outgoing: ServerResponse): void {
  const entries = Object.entries(SECURITY_HEADERS);
  // Set now, so that writeHead merges by name without regard to case; set again last, so that ours win.
  for (const [name, value] of entries) outgoing.setHeader(name, value);
  const writeHead = outgoing.writeHead.bind(outgoing) as (
    status: number,
    headers: Record<string, string | number | string[]>,
  ) => ServerResponse;
  outgoing.writeHead = ((status: number, headers: Record<string, string | number | string[]> = {}) =>
    writeHead(status, { ...headers, ...SECURITY_HEADERS })) as ServerResponse["writeHead"];
}
