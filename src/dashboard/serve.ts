// The listening server: binds, gates every request, answers it, and ends cleanly with streams open.
//
// The one way from a socket to a route leads through `refuse` of security.ts. Loopback unless a host is named; `listen` without one
// would open every interface of the machine.

import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { ConfigError } from "../errors.ts";
import { type Connections, createConnections } from "./connections.ts";
import { answerRequest } from "./fetch-adapter.ts";
import { createLaunchToken, type LaunchToken } from "./launch-token.ts";
import { allowedHosts, hostInUrl, type Refusal, refusal, refuse, SERVER_LIMITS } from "./security.ts";
import { hardenResponse, writeRawRefusal, writeRefusal } from "./write-refusal.ts";

export const LOOPBACK = "127.0.0.1";

export interface ServeOptions {
  /** Makes the routes, once the port and with it the token are known. */
  createApp: (launch: LaunchToken) => { fetch: (request: Request) => Response | Promise<Response> };
  /** 0: a free one. */
  port?: number;
  /** Address or name to bind; anything but loopback opens the dashboard to the network. */
  host?: string;
  /** Shorter times, for tests. */
  limits?: Partial<typeof SERVER_TIMES>;
  /** Gets every error that is a defect of the program. */
  reportFault?: (error: unknown) => void;
}

export interface DashboardServer {
  port: number;
  /** The address to open, with the token in its fragment. */
  url: string;
  /** Reachable from other machines. */
  isOpenToNetwork: boolean;
  /** Stops listening, ends streams, waits a moment for answers in work, then closes every connection. */
  close(): Promise<void>;
}

const { headersMs, requestMs, answerMs, idleMs, keepAliveMs, connections } = SERVER_LIMITS;
const SERVER_TIMES: Record<
  "headersMs" | "requestMs" | "answerMs" | "idleMs" | "keepAliveMs" | "connections",
  number
> = { headersMs, requestMs, answerMs, idleMs, keepAliveMs, connections };

/** Milliseconds between looks for connections that are too slow. */
const CHECK_MS = 1000;

/** Milliseconds that answers in work have when the server closes, and between looks whether they have ended. */
const CLOSE_MS = 1000;
const WAITING_CHECK_MS = 20;

/**
 * Listens and answers until closed.
 *
 * Throws ConfigError when the port is taken or not allowed, or the host is none of this machine.
 */
export async function serveDashboard(options: ServeOptions): Promise<DashboardServer> {
  const { createApp, port = 0, host = LOOPBACK, reportFault = () => {} } = options;
  const limits = { ...SERVER_TIMES, ...options.limits };
  const closing = new AbortController();
  // One listener a request in work.
  setMaxListeners(0, closing.signal);
  const open = createConnections(limits.connections);
  const server = createServer({
    maxHeaderSize: SERVER_LIMITS.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, limits.headersMs),
    // Node's own answer to a missing Host would be without our headers.
    requireHostHeader: false,
    insecureHTTPParser: false,
  });
  server.timeout = limits.idleMs;
  // Until the routes are there: listening comes first, because the port is in the cookie's name and in Host.
  let answer = (_incoming: IncomingMessage, outgoing: ServerResponse): void => {
    hardenResponse(outgoing);
    writeRefusal(outgoing, refusal(503, "the server is starting", "try again in a moment"));
  };
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    open.busy(incoming.socket, outgoing);
    answer(incoming, outgoing);
  };
  server.on("connection", open.open);
  server.on("request", onRequest);
  // Expect: 100-continue is judged like any request, and told to go on only when it may.
  server.on("checkContinue", (incoming, outgoing) => onRequest(incoming, outgoing));
  server.on("checkExpectation", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    open.busy(incoming.socket, outgoing);
    hardenResponse(outgoing);
    writeRefusal(outgoing, refusal(417, "this server expects nothing", "send no Expect header"));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) =>
    answerClientError(error, { socket: socket as Socket, open }),
  );
  await listen(server, { port, host });
  const bound = (server.address() as AddressInfo).port;
  const launch = createLaunchToken({ port: bound });
  const app = createApp(launch);
  const isOpenToNetwork = !isLoopback(host);
  const hosts = allowedHosts({ port: bound, hosts: isOpenToNetwork ? namesOf(host) : [] });
  answer = (incoming, outgoing) => {
    hardenResponse(outgoing);
    const head = {
      method: incoming.method ?? "",
      target: incoming.url ?? "",
      httpVersion: incoming.httpVersion,
      rawHeaders: incoming.rawHeaders,
    };
    const refused = refuse(head, { hosts, isSignedIn: launch.isSignedIn });
    if (refused !== null) {
      writeRefusal(outgoing, refused);
      return;
    }
    if (incoming.headers.expect !== undefined) outgoing.writeContinue();
    void answerRequest(
      { incoming, outgoing },
      { handle: app.fetch, closing: closing.signal, answerMs: limits.answerMs, reportFault },
    );
  };
  const shown = host === "0.0.0.0" ? LOOPBACK : host === "::" ? "::1" : host;
  return {
    port: bound,
    url: `http://${hostInUrl(shown)}:${bound}/#token=${launch.token}`,
    isOpenToNetwork,
    close: () => closeServer(server, { closing, open }),
  };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** What a browser may call this machine when it is bound to `host`: every address of it when bound to all. */
function namesOf(host: string): string[] {
  if (host !== "0.0.0.0" && host !== "::") return [host];
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [hostname(), ...addresses.map(({ address }) => address)];
}

async function listen(server: Server, { port, host }: { port: number; host: string }): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, host, exclusive: true }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EADDRINUSE" || code === "EACCES") {
      const got = code === "EACCES" ? "one that needs rights" : "one in use";
      throw new ConfigError(`--port ${port}: expected a free port, got ${got}`, {
        hint: "leave --port out: a free one is found",
        cause,
      });
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "EINVAL") {
      throw new ConfigError(`--host ${host}: expected an address of this machine, got another`, {
        hint: "leave --host out: the dashboard is for this machine alone then",
        cause,
      });
    }
    throw cause;
  }
}

/** What Node could not read as a request, or not in time. Nothing is added to an answer that has begun. */
function answerClientError(
  error: NodeJS.ErrnoException,
  { socket, open }: { socket: Socket; open: Connections },
): void {
  if (!socket.writable || error.code === "ECONNRESET" || open.isAnswering(socket)) {
    socket.destroy();
    return;
  }
  writeRawRefusal(socket, CLIENT_ERRORS[error.code ?? ""] ?? NOT_HTTP);
}

const NOT_HTTP = refusal(400, "this is not a request that can be read", "use a browser");

const CLIENT_ERRORS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: refusal(431, "the request's headers are too large", "send fewer or shorter ones"),
  ERR_HTTP_REQUEST_TIMEOUT: refusal(408, "the request did not come in time", "send it again"),
};

async function closeServer(
  server: Server,
  { closing, open }: { closing: AbortController; open: Connections },
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  closing.abort();
  open.closeWaiting();
  // A connection waits when its answer has ended: streams do a moment from now.
  const waiting = setInterval(open.closeWaiting, WAITING_CHECK_MS);
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
  await closed;
  clearInterval(waiting);
  clearTimeout(timer);
}
