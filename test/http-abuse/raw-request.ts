// Requests written byte by byte on a socket: what fetch cleans up or refuses to send goes out as it is.

import { connect, type Socket } from "node:net";

export interface Answer {
  /** Of the first answer on the connection; null when the server closed it without one. */
  status: number | null;
  /** Names in lower case; a header that came twice has its values joined by a line feed. */
  headers: Map<string, string>;
  body: string;
  /** Everything that came. */
  raw: string;
}

/** How long a connection may stay open after the last byte was sent: a server that keeps it longer fails the case. */
const OPEN_MS = 8000;

/** Sends bytes on a connection of its own and collects until the server closes it. Throws when it stays open. */
export async function sendRaw(port: number, bytes: string | Buffer): Promise<Answer> {
  const socket = await openSocket(port);
  socket.write(bytes);
  return collect(socket);
}

export function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Reads to the end of the connection. A reset is an end, too: a server may refuse without reading on. */
export function collect(socket: Socket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server kept the connection open; it sent ${Buffer.concat(chunks).toString()}`));
    }, OPEN_MS);
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(parseAnswer(Buffer.concat(chunks).toString()));
    });
  });
}

export function parseAnswer(raw: string): Answer {
  const end = raw.indexOf("\r\n\r\n");
  const [statusLine, ...lines] = raw.slice(0, Math.max(0, end)).split("\r\n");
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [name, value] = [
      line.slice(0, line.indexOf(":")).toLowerCase(),
      line.slice(line.indexOf(":") + 1).trim(),
    ];
    headers.set(name, headers.has(name) ? `${headers.get(name)}\n${value}` : value);
  }
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine ?? "")?.[1];
  const rest = end < 0 ? "" : raw.slice(end + 4);
  const body = headers.get("transfer-encoding") === "chunked" ? unchunked(rest) : rest;
  return { status: status === undefined ? null : Number(status), headers, body, raw };
}

function unchunked(text: string): string {
  const bytes = Buffer.from(text);
  let body = "";
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(size > 0)) break;
    body += bytes.toString("utf8", lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 4 + size;
  }
  return body;
}
