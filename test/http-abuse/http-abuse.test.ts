// What a hostile page, program or network can send to a listening dashboard, one line a case, and what must come back.
//
// Every answer, of whatever kind, must carry the security headers and tell nothing: no stack, no path of the disk, no file of
// the outside, no secret, nothing of what was refused. After each table a right request is answered as before it.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SECURITY_HEADERS } from "../../src/dashboard/security.ts";
import type { ServeOptions } from "../../src/dashboard/serve.ts";
import { packageRoot } from "../../src/package-root.ts";
import { AUTH_CASES } from "./cases-auth.ts";
import { CAUSAL_CASES } from "./cases-causal.ts";
import { COMPARE_CASES } from "./cases-compare.ts";
import { HOST_CASES } from "./cases-host.ts";
import { INJECTION_CASES } from "./cases-injection.ts";
import { LABS_CASES } from "./cases-labs.ts";
import { LIMIT_CASES, LIMITS, SLOW_CASES, SLOW_LIMITS } from "./cases-limits.ts";
import { ORIGIN_CASES } from "./cases-origin.ts";
import { TRAINING_DATA_CASES } from "./cases-training-data.ts";
import { TRAVERSAL_CASES } from "./cases-traversal.ts";
import { type Answer, sendRaw } from "./raw-request.ts";
import {
  type AbuseCase,
  HOSTILE_NAME,
  MARKER,
  makeWorld,
  NOTE,
  OUTSIDE,
  request,
  type World,
} from "./world.ts";

const TABLES: { name: string; cases: AbuseCase[]; atLeast: number; limits?: ServeOptions["limits"] }[] = [
  { name: "Host", cases: HOST_CASES, atLeast: 20 },
  { name: "Origin and forged requests", cases: ORIGIN_CASES, atLeast: 20 },
  { name: "traversal", cases: TRAVERSAL_CASES, atLeast: 25 },
  { name: "injection", cases: INJECTION_CASES, atLeast: 20 },
  { name: "slow", cases: SLOW_CASES, atLeast: 3, limits: SLOW_LIMITS },
  { name: "limits", cases: LIMIT_CASES, atLeast: 20, limits: LIMITS },
  { name: "training and data", cases: TRAINING_DATA_CASES, atLeast: 20 },
  { name: "sign-in", cases: AUTH_CASES, atLeast: 15 },
  { name: "comparison", cases: COMPARE_CASES, atLeast: 15 },
  { name: "causal", cases: CAUSAL_CASES, atLeast: 10 },
  { name: "labs", cases: LABS_CASES, atLeast: 30 },
];

/** What no answer may hold, and why. */
function leaks({ raw, headers, status }: Answer, world: World): string[] {
  const faults = Object.entries(SECURITY_HEADERS)
    .filter(([name, value]) => status !== null && headers.get(name) !== value)
    .map(([name]) => `${name} is ${headers.get(name)}`);
  for (const name of headers.keys()) {
    if (/^(access-control-.*|x-powered-by|server|location)$/.test(name)) faults.push(`there is ${name}`);
  }
  const kind = headers.get("content-type") ?? "application/json";
  if (!/^(application\/json|text\/(html|javascript); charset=utf-8)$/.test(kind)) faults.push(`kind ${kind}`);
  const secrets = {
    root: world.root,
    package: packageRoot(),
    outside: OUTSIDE,
    token: world.token,
    marker: MARKER,
  };
  for (const [name, text] of Object.entries(secrets)) if (raw.includes(text)) faults.push(`it tells ${name}`);
  const [, cookie] = world.cookie.split("=");
  if (raw.replace(/^set-cookie:.*$/im, "").includes(cookie)) faults.push("it tells the cookie");
  if (/\bat \S+ ?\(|\.ts:\d|node:internal/.test(raw)) faults.push("it tells a stack");
  if (status !== null && status >= 400) {
    const { error, hint } = headers.get("content-length") === "0" ? { error: "", hint: "" } : errorOf(raw);
    if (typeof error !== "string" || typeof hint !== "string") faults.push("it is no ApiError");
    if (raw.includes(HOSTILE_NAME)) faults.push("it repeats what was sent");
  }
  if (status !== null && status >= 500) faults.push("it is a failure of the server");
  return faults;
}

function errorOf(raw: string): { error?: unknown; hint?: unknown } {
  const body = raw.slice(raw.indexOf("\r\n\r\n") + 4);
  // HEAD has no body.
  return body === ""
    ? { error: "", hint: "" }
    : JSON.parse(body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1));
}

describe.each(TABLES)("$name", ({ cases, atLeast, limits }) => {
  let world: World;
  beforeAll(async () => {
    world = await makeWorld(limits);
  });
  afterAll(() => world?.close());

  test.each(cases)("$name → $status", async ({ send, status, check }) => {
    const sent = await send(world);
    const answer = typeof sent === "string" || Buffer.isBuffer(sent) ? await sendRaw(world.port, sent) : sent;
    expect(answer.status).toBe(status);
    expect(leaks(answer, world)).toEqual([]);
    expect(check?.(answer, world) ?? true, answer.raw).toBe(true);
  });

  test("the table has its cases, nothing was changed, nothing was a defect, and a right request is answered", async () => {
    expect(cases.length).toBeGreaterThanOrEqual(atLeast);
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    const answer = await sendRaw(world.port, request(world, { path: NOTE }));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ label: "", text: "", tags: [], starred: false });
    expect(world.faults).toEqual([]);
  });
});

test("a change as the page sends it is made: the tables do not pass because everything is refused", async () => {
  const world = await makeWorld();
  try {
    const put = await sendRaw(
      world.port,
      request(world, { method: "PUT", path: NOTE, body: { label: "a" } }),
    );
    expect([put.status, JSON.parse(put.body).label]).toEqual([200, "a"]);
    expect(leaks(put, world)).toEqual([]);
  } finally {
    await world.close();
  }
});
