// From Node's request and response to the Request and Response that hono speaks, and back.
//
// @hono/node-server does the same for every use; this one does less on purpose: bodies are small and read whole, an error while
// streaming ends the connection without a word of it to the client or the console, and no global is replaced.

import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { refusal, SERVER_LIMITS } from "./security.ts";
import { writeRefusal } from "./write-refusal.ts";

export interface AdapterOptions {
  handle: (request: Request) => Response | Promise<Response>;
  /** Aborted when the server closes: streams end then. */
  closing: AbortSignal;
  /** Milliseconds to the answer's first byte. */
  answerMs?: number;
  reportFault: (error: unknown) => void;
}

/**
 * Answers one request that the gate has let through: its body is at most API_LIMITS.body bytes by Content-Length.
 *
 * The Request's signal is aborted when the client goes, the server closes or the answer takes too long. Never throws.
 */
export async function answerRequest(
  { incoming, outgoing }: { incoming: IncomingMessage; outgoing: ServerResponse },
  { handle, closing, answerMs = SERVER_LIMITS.answerMs, reportFault }: AdapterOptions,
): Promise<void> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  outgoing.once("close", abort);
  closing.addEventListener("abort", abort, { once: true });
  if (closing.aborted) abort();
  try {
    const request = await requestOf(incoming, stop.signal);
    const response = await inTime(handle(request), { answerMs, signal: stop.signal });
    if (outgoing.destroyed) await response?.body?.cancel();
    else if (response === null) {
      abort();
      writeRefusal(outgoing, refusal(503, "the answer took too long", "ask for less, or once more"));
    } else await writeResponse(outgoing, { response, signal: stop.signal });
  } catch (error) {
    // Of a client that went there is nobody to tell and nothing to mend.
    if (!stop.signal.aborted) reportFault(error);
    outgoing.destroy();
  } finally {
    closing.removeEventListener("abort", abort);
  }
}

async function requestOf(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const headers = new Headers();
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    headers.append(incoming.rawHeaders[i], incoming.rawHeaders[i + 1]);
  }
  const method = incoming.method ?? "GET";
  const url = `http://${incoming.headers.host}${incoming.url}`;
  if (method === "GET" || method === "HEAD") return new Request(url, { method, headers, signal });
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return new Request(url, { method, headers, signal, body: Buffer.concat(chunks) });
}

/** The response; null when it is not there in time. What comes later is let go. */
async function inTime(
  answer: Response | Promise<Response>,
  { answerMs, signal }: { answerMs: number; signal: AbortSignal },
): Promise<Response | null> {
  if (answer instanceof Response) return answer;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), answerMs);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  try {
    const first = await Promise.race([answer, late]);
    if (first === null) answer.then((response) => response.body?.cancel()).catch(() => {}); // its time is over
    return first;
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects when the body fails, and when `signal` ends it before it is through. */
async function writeResponse(
  outgoing: ServerResponse,
  { response, signal }: { response: Response; signal: AbortSignal },
): Promise<void> {
  for (const [name, value] of response.headers) {
    if (name === "set-cookie") outgoing.appendHeader(name, value);
    else outgoing.setHeader(name, value);
  }
  outgoing.writeHead(response.status);
  if (response.body === null) {
    outgoing.end();
    return;
  }
  outgoing.flushHeaders();
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  outgoing.once("close", () => body.destroy());
  for await (const chunk of body) {
    if (outgoing.destroyed) return;
    if (!outgoing.write(chunk)) await once(outgoing, "drain", { signal });
  }
  outgoing.end();
}
