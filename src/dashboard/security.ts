// The gate before every route: which requests the dashboard answers at all, and the headers that every answer carries.
//
// A page of another site can reach a server on this machine in three ways: by a name that it points at 127.0.0.1 (so Host
// must be ours, letter for letter), by a form or fetch without reading the answer (so a change needs what a foreign page
// cannot send), and by embedding what is served (so nothing may be embedded). Everything here is a pure function of what
// was sent; serve.ts applies it before a route sees the request. The launch token is launch-token.ts.

import { API_LIMITS, type ApiError } from "./api-contract.ts";

/** On every answer: pages, data, errors, and answers to what is not HTTP. Handlers cannot weaken them. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/** Sent by our page with every change; another site's page cannot add it without a preflight, and none is answered. */
export const CUSTOM_HEADER = "x-tunediff";

export const SERVER_LIMITS = {
  /** Characters of an address's path, and of path and query together. */
  path: 1024,
  target: 12_000,
  /** Header lines. Their bytes are bounded by headerBytes. */
  headers: 100,
  headerBytes: 16_384,
  /** From the opening of a connection, or the end of the last answer, to the end of the next request's headers. */
  headersMs: 10_000,
  /** The same to the end of its body. */
  requestMs: 20_000,
  /** From a whole request to the first byte of its answer. */
  answerMs: 60_000,
  /** A connection on which nothing moves is closed; streams send a comment more often. */
  idleMs: 90_000,
  keepAliveMs: 10_000,
  /** Above it the connection that has waited longest without a request is closed. */
  connections: 128,
  /** Wrong tokens in a window, after which none is looked at until the window has passed. */
  wrongTokens: 20,
  wrongTokensWindowMs: 60_000,
} as const;

/** What a request said before its body, as it came over the wire. */
export interface RequestHead {
  method: string;
  /** The request line's target: path and query. */
  target: string;
  /** "1.0" or "1.1". */
  httpVersion: string;
  /** Names and values in turn. */
  rawHeaders: readonly string[];
}

export interface Refusal {
  status: number;
  body: ApiError;
  /** Further headers of the answer, e.g. Allow. */
  headers?: Record<string, string>;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"];
const READING = ["GET", "HEAD"];

/** Headers on which a decision hangs: two of one are refused, so that no two readers can take different ones. */
const SINGLE = [
  "host",
  "origin",
  "content-type",
  "content-length",
  "transfer-encoding",
  "cookie",
  "sec-fetch-site",
  CUSTOM_HEADER,
];

/** What an address may be written in; no empty part, no percent-encoded slash, backslash, percent sign, dot or control character. */
const PATH = /^(?:\/(?!\/)|[A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2[5eEfF]|5[cC]|[01]|7[fF])[0-9A-Fa-f]{2})*$/;

const LOOPBACK_NAMES = ["127.0.0.1", "[::1]", "localhost"];

export function refusal(status: number, error: string, hint: string): Refusal {
  return { status, body: { error, hint } };
}

/**
 * The Host values that are ours: the loopback names with our port, and what --host has opened beside them.
 *
 * hosts: names or addresses without a port; IPv6 addresses without brackets. Browsers leave out port 80.
 */
export function allowedHosts({ port, hosts }: { port: number; hosts: readonly string[] }): Set<string> {
  const names = [...LOOPBACK_NAMES, ...hosts.map(hostInUrl)];
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])));
}

/** An address as it stands in a URL: IPv6 in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host.toLowerCase();
}

/**
 * Why a request is refused before any route sees it; null when it may pass.
 *
 * isSignedIn: whether this Cookie value carries the launch's secret. Everything under /api/ but the exchange of the token
 * needs it; pages and scripts hold nothing of a study and do not.
 */
export function refuse(
  head: RequestHead,
  { hosts, isSignedIn }: { hosts: ReadonlySet<string>; isSignedIn: (cookie: string) => boolean },
): Refusal | null {
  const headers = singleHeaders(head.rawHeaders);
  if ("status" in headers) return headers;
  return (
    refuseHost(head, { headers: headers.values, hosts }) ??
    refuseShape(head, headers.values) ??
    refuseOrigin(head, { headers: headers.values, hosts }) ??
    refuseStranger(head, { headers: headers.values, isSignedIn })
  );
}

type Headers = ReadonlyMap<string, string>;

function singleHeaders(rawHeaders: readonly string[]): { values: Headers } | Refusal {
  if (rawHeaders.length / 2 > SERVER_LIMITS.headers) {
    return refusal(431, "the request has too many headers", "send fewer than one hundred");
  }
  const values = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    if (SINGLE.includes(name) && values.has(name)) {
      return refusal(400, `the request has two ${name} headers`, "send it once");
    }
    values.set(name, rawHeaders[i + 1]);
  }
  return { values };
}

function refuseHost(
  { target }: RequestHead,
  { headers, hosts }: { headers: Headers; hosts: ReadonlySet<string> },
): Refusal | null {
  const host = headers.get("host");
  if (host === undefined)
    return refusal(400, "the request names no host", "use the address that was printed");
  if (!target.startsWith("/"))
    return refusal(400, "the request is not for this server", "send the path alone");
  if (!hosts.has(host)) {
    return refusal(421, "this server does not answer to that name", "use the address that was printed");
  }
  return null;
}

function refuseShape({ method, target }: RequestHead, headers: Headers): Refusal | null {
  if (!METHODS.includes(method)) {
    return {
      ...refusal(405, "this server has no such method", "use GET, POST, PUT or DELETE"),
      headers: { allow: METHODS.join(", ") },
    };
  }
  if (headers.has("upgrade"))
    return refusal(400, "this server speaks HTTP/1.1 alone", "send no Upgrade header");
  const [path] = target.split("?", 1);
  if (path.length > SERVER_LIMITS.path || target.length > SERVER_LIMITS.target) {
    return refusal(414, "the address is too long", "shorten it");
  }
  if (!isPlainPath(path)) {
    return refusal(400, "the address has characters that no address here has", "use the links of the page");
  }
  if (headers.has("transfer-encoding")) {
    return refusal(411, "the length of the body must be said beforehand", "send Content-Length");
  }
  const length = headers.get("content-length") ?? "0";
  if (!/^\d{1,15}$/.test(length))
    return refusal(400, "Content-Length is not a number", "send the body's bytes");
  if (Number(length) > API_LIMITS.body) {
    return refusal(413, "the body is too large", `send at most ${API_LIMITS.body} bytes`);
  }
  if (READING.includes(method) && Number(length) > 0) {
    return refusal(400, `${method} has no body here`, "use POST or PUT for changes");
  }
  return null;
}

function isPlainPath(path: string): boolean {
  if (!PATH.test(path) || path.split("/").some((part) => part === "." || part === "..")) return false;
  try {
    decodeURIComponent(path);
    return true;
  } catch (error) {
    // Bytes that are not UTF-8: as good as a forbidden character.
    if (error instanceof URIError) return false;
    throw error;
  }
}

const isApi = (target: string): boolean => target === "/api" || /^\/api[/?]/.test(target);

function refuseOrigin(
  { method, target }: RequestHead,
  { headers, hosts }: { headers: Headers; hosts: ReadonlySet<string> },
): Refusal | null {
  const isReading = READING.includes(method);
  if (isReading && !isApi(target)) return null;
  const foreign = refusal(403, "requests of other pages are not answered", "use the page of this server");
  const site = headers.get("sec-fetch-site");
  if (site !== undefined && site !== "same-origin" && site !== "none") return foreign;
  const origin = headers.get("origin");
  // The page's own host, not any of ours: localhost:N and 127.0.0.1:N are two origins.
  const own = `http://${headers.get("host")}`;
  if (origin !== undefined && (origin !== own || !hosts.has(origin.slice("http://".length)))) return foreign;
  if (isReading) return null;
  if (site === undefined && isTrustworthy(headers)) return foreign;
  if (origin === undefined || headers.get(CUSTOM_HEADER) !== "1") return foreign;
  if (!/^application\/json(?:; ?charset=utf-8)?$/i.test(headers.get("content-type") ?? "")) {
    return refusal(415, "a change is sent as JSON", "set Content-Type: application/json");
  }
  return null;
}

/** Browsers send Sec-Fetch-Site to https and loopback alone; to an address that --host has opened they send none. */
function isTrustworthy(headers: Headers): boolean {
  return LOOPBACK_NAMES.includes((headers.get("host") ?? "").replace(/:\d+$/, ""));
}

function refuseStranger(
  { method, target }: RequestHead,
  { headers, isSignedIn }: { headers: Headers; isSignedIn: (cookie: string) => boolean },
): Refusal | null {
  if (!isApi(target) || (method === "POST" && target === "/api/session")) return null;
  if (isSignedIn(headers.get("cookie") ?? "")) return null;
  return refusal(401, "this browser has not been let in", "open the address that `tunediff serve` printed");
}
