// The gate as a function. What a listening server makes of it, case by case, is test/http-abuse/.

import { expect, test } from "vitest";
import { API_LIMITS } from "./api-contract.ts";
import { allowedHosts, type RequestHead, refuse, SERVER_LIMITS } from "./security.ts";

const hosts = allowedHosts({ port: 8080, hosts: [] });
const isSignedIn = (cookie: string): boolean => cookie === "in";

function head(method: string, target: string, headers: Record<string, string>): RequestHead {
  return { method, target, httpVersion: "1.1", rawHeaders: Object.entries(headers).flat() };
}
const statusOf = (request: RequestHead): number | undefined => refuse(request, { hosts, isSignedIn })?.status;

const PAGE = { Host: "127.0.0.1:8080", Cookie: "in", "Sec-Fetch-Site": "same-origin" };
const CHANGE = {
  ...PAGE,
  Origin: "http://127.0.0.1:8080",
  "Content-Type": "application/json; charset=utf-8",
  "X-Tunediff": "1",
};

test("the hosts are the loopback names with our port; port 80 may be left out; --host adds its own", () => {
  expect([...hosts]).toEqual(["127.0.0.1:8080", "[::1]:8080", "localhost:8080"]);
  expect(allowedHosts({ port: 80, hosts: [] })).toContain("localhost");
  expect(allowedHosts({ port: 81, hosts: ["Box.lan", "fe80::1"] })).toContain("box.lan:81");
  expect(allowedHosts({ port: 81, hosts: ["Box.lan", "fe80::1"] })).toContain("[fe80::1]:81");
});

test("what the page sends passes, and each header of a change is needed", () => {
  expect(statusOf(head("GET", "/api/session", PAGE))).toBeUndefined();
  expect(statusOf(head("PUT", "/api/a", CHANGE))).toBeUndefined();
  expect(statusOf(head("DELETE", "/api/a?name=b%2F%25", CHANGE))).toBeUndefined();
  const expected = {
    Host: 400,
    Cookie: 401,
    "Sec-Fetch-Site": 403,
    Origin: 403,
    "Content-Type": 415,
    "X-Tunediff": 403,
  };
  for (const [name, status] of Object.entries(expected)) {
    const { [name as keyof typeof CHANGE]: _, ...rest } = CHANGE;
    expect(statusOf(head("PUT", "/api/a", rest)), name).toBe(status);
  }
});

test("an address typed by hand, and a program that sends no fetch headers, may read with the cookie", () => {
  const { "Sec-Fetch-Site": _, ...bare } = PAGE;
  expect(statusOf(head("GET", "/api/a", bare))).toBeUndefined();
  expect(statusOf(head("GET", "/api/a", { ...bare, "Sec-Fetch-Site": "none" }))).toBeUndefined();
});

test("a host opened to the network needs no Sec-Fetch-Site, which browsers do not send there, and its own Origin", () => {
  const opened = { hosts: allowedHosts({ port: 8080, hosts: ["192.168.1.2"] }), isSignedIn };
  const { "Sec-Fetch-Site": _, ...bare } = CHANGE;
  const there = { ...bare, Host: "192.168.1.2:8080", Origin: "http://192.168.1.2:8080" };
  expect(refuse(head("PUT", "/api/a", there), opened)).toBeNull();
  const foreign: Record<string, string>[] = [
    { Origin: "http://127.0.0.1:8080" },
    { Origin: "http://evil.example" },
    { "Sec-Fetch-Site": "same-site" },
  ];
  for (const change of foreign) {
    expect(refuse(head("PUT", "/api/a", { ...there, ...change }), opened)?.status).toBe(403);
  }
  for (const host of ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"]) {
    const local = { ...bare, Host: host, Origin: `http://${host}` };
    expect(refuse(head("PUT", "/api/a", local), opened)?.status, host).toBe(403);
  }
});

test("a link from another site opens the page, and nothing below /api", () => {
  const linked = { Host: "localhost:8080", "Sec-Fetch-Site": "cross-site" };
  expect(statusOf(head("GET", "/", linked))).toBeUndefined();
  for (const target of ["/api", "/api/", "/api/a", "/api?a"]) {
    expect(statusOf(head("GET", target, { ...linked, Cookie: "in" })), target).toBe(403);
    expect(statusOf(head("GET", target, { Host: "localhost:8080" })), target).toBe(401);
  }
  expect(statusOf(head("GET", "/apiary", linked))).toBeUndefined();
});

test("bounds are the last that passes", () => {
  const lengthOf = (length: number) =>
    statusOf(head("PUT", "/api/a", { ...CHANGE, "Content-Length": `${length}` }));
  expect([lengthOf(API_LIMITS.body), lengthOf(API_LIMITS.body + 1)]).toEqual([undefined, 413]);
  const pathOf = (length: number) => statusOf(head("GET", `/${"a".repeat(length - 1)}`, PAGE));
  expect([pathOf(SERVER_LIMITS.path), pathOf(SERVER_LIMITS.path + 1)]).toEqual([undefined, 414]);
  const targetOf = (length: number) => statusOf(head("GET", `/?${"a".repeat(length - 2)}`, PAGE));
  expect([targetOf(SERVER_LIMITS.target), targetOf(SERVER_LIMITS.target + 1)]).toEqual([undefined, 414]);
});

test("no refusal repeats anything that was sent", () => {
  const marked = "marked";
  const requests = [
    head("GET", `/${marked}`, { Host: marked }),
    head(marked, "/", PAGE),
    head("GET", `/..%2f${marked}`, PAGE),
    head("PUT", `/api/${marked}`, { ...CHANGE, Origin: marked }),
    head("PUT", `/api/${marked}`, { ...CHANGE, "Content-Type": marked }),
    head("GET", `/api/${marked}`, { ...PAGE, Cookie: marked }),
  ];
  for (const request of requests) {
    const refused = refuse(request, { hosts, isSignedIn });
    expect(refused).not.toBeNull();
    expect(JSON.stringify(refused)).not.toContain(marked);
  }
});
