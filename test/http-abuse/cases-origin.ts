// What a page of another site can make a browser send with the person's cookie: none of it may change or show anything.

import { type AbuseCase, changed, type HeaderChanges, NOTE, type World } from "./world.ts";

const change = (
  name: string,
  status: number,
  headers: HeaderChanges | ((world: World) => HeaderChanges),
): AbuseCase => ({
  name: `a change with ${name}`,
  send: changed((world) => ({
    ...{ method: "PUT", path: NOTE, body: { label: "changed by abuse" } },
    headers: typeof headers === "function" ? headers(world) : headers,
  })),
  status,
});

const read = (name: string, headers: HeaderChanges | ((world: World) => HeaderChanges)): AbuseCase => ({
  name: `reading with ${name}`,
  send: changed((world) => ({
    path: NOTE,
    headers: typeof headers === "function" ? headers(world) : headers,
  })),
  status: 403,
});

export const ORIGIN_CASES: AbuseCase[] = [
  { name: "control: reading as the page does", send: changed({ path: NOTE }), status: 200 },
  change("Origin null", 403, { origin: "null" }),
  change("Origin of a file", 403, { origin: "file://" }),
  change("another site's Origin", 403, { origin: "http://evil.example" }),
  change("Origin of another port", 403, ({ port }) => ({ origin: `http://127.0.0.1:${port + 1}` })),
  change("Origin without the port", 403, { origin: "http://127.0.0.1" }),
  change("Origin over https", 403, ({ port }) => ({ origin: `https://127.0.0.1:${port}` })),
  change("Origin localhost for Host 127.0.0.1", 403, ({ port }) => ({ origin: `http://localhost:${port}` })),
  change("an Origin that begins like ours", 403, ({ port }) => ({
    origin: `http://127.0.0.1:${port}.evil.example`,
  })),
  change("an Origin that ends like ours", 403, ({ port }) => ({
    origin: `http://evil.example/127.0.0.1:${port}`,
  })),
  change("Origin in upper case", 403, ({ port }) => ({ origin: `HTTP://127.0.0.1:${port}` })),
  change("an empty Origin", 403, { origin: "" }),
  change("no Origin", 403, { origin: null }),
  change("two Origins", 400, ({ port }) => ({ origin: [`http://127.0.0.1:${port}`, "http://evil.example"] })),
  change("Sec-Fetch-Site cross-site", 403, { "sec-fetch-site": "cross-site" }),
  change("Sec-Fetch-Site same-site", 403, { "sec-fetch-site": "same-site" }),
  change("no Sec-Fetch-Site", 403, { "sec-fetch-site": null }),
  change("two Sec-Fetch-Site", 400, { "sec-fetch-site": ["same-origin", "cross-site"] }),
  change("no header of ours", 403, { "x-tunediff": null }),
  change("another value in our header", 403, { "x-tunediff": "0" }),
  change("JSON as text/plain", 415, { "content-type": "text/plain" }),
  change("JSON as a form", 415, { "content-type": "application/x-www-form-urlencoded" }),
  change("JSON as multipart", 415, { "content-type": "multipart/form-data; boundary=a" }),
  change("two types in one", 415, { "content-type": "text/plain, application/json" }),
  change("a type behind a parameter", 415, { "content-type": "text/plain; a=application/json" }),
  change("no content type", 415, { "content-type": null }),
  {
    name: "a form's POST",
    send: changed({
      ...{ method: "POST", path: "/api/session", body: "token=a" },
      headers: {
        ...{ "content-type": "application/x-www-form-urlencoded", origin: "http://evil.example" },
        ...{ "sec-fetch-site": "cross-site", "x-tunediff": null },
      },
    }),
    status: 403,
  },
  {
    name: "DELETE without a content type",
    send: changed({ method: "DELETE", path: NOTE, headers: { "content-type": null } }),
    status: 415,
  },
  {
    name: "DELETE of another site",
    send: changed({ method: "DELETE", path: NOTE, headers: { origin: "http://evil.example" } }),
    status: 403,
  },
  {
    name: "GET that asks to be a PUT",
    send: changed({
      path: `${NOTE}?_method=PUT&label=changed`,
      headers: { "x-http-method-override": "PUT" },
    }),
    status: 200,
    check: ({ body }) => JSON.parse(body).label === "",
  },
  { name: "GET with a body", send: changed({ path: NOTE, body: { label: "changed" } }), status: 400 },
  {
    name: "a preflight",
    send: changed({
      ...{ method: "OPTIONS", path: NOTE },
      headers: {
        ...{ origin: "http://evil.example", "access-control-request-method": "PUT" },
        "access-control-request-headers": "content-type,x-tunediff",
      },
    }),
    status: 405,
  },
  {
    name: "a preflight for a private network",
    send: changed({
      ...{ method: "OPTIONS", path: NOTE },
      headers: { origin: "http://evil.example", "access-control-request-private-network": "true" },
    }),
    status: 405,
  },
  { name: "PATCH", send: changed({ method: "PATCH", path: NOTE, body: {} }), status: 405 },
  { name: "TRACE", send: changed({ method: "TRACE", path: NOTE }), status: 405 },
  { name: "POST to what is read", send: changed({ method: "POST", path: NOTE, body: {} }), status: 404 },
  read("another site's Origin", { origin: "http://evil.example" }),
  read("Origin null", { origin: "null" }),
  read("Origin of another port", ({ port }) => ({ origin: `http://127.0.0.1:${port + 1}` })),
  read("Sec-Fetch-Site cross-site", { "sec-fetch-site": "cross-site" }),
  read("Sec-Fetch-Site same-site", { "sec-fetch-site": "same-site" }),
  {
    name: "HEAD of another site",
    send: changed({ method: "HEAD", path: NOTE, headers: { "sec-fetch-site": "cross-site" } }),
    status: 403,
  },
  {
    name: "an event stream of another site",
    send: changed({
      path: "/api/studies/0/main/search?q=a",
      headers: { accept: "text/event-stream", origin: "http://evil.example" },
    }),
    status: 403,
  },
  {
    name: "a WebSocket",
    send: changed({
      headers: {
        ...{ connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" },
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      },
    }),
    status: 400,
  },
];
