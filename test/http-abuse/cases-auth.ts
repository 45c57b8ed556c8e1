// Getting in without the token of this launch, or getting the token out.

import { SERVER_LIMITS } from "../../src/dashboard/security.ts";
import { sendRaw } from "./raw-request.ts";
import { type AbuseCase, changed, NOTE, request, type World } from "./world.ts";

const cookie = (name: string, of: (world: World) => string | string[] | null, status = 401): AbuseCase => ({
  name: `cookie: ${name}`,
  send: changed((world) => ({ headers: { cookie: of(world) } })),
  status,
});

const exchange = (name: string, of: (world: World) => unknown, status: number): AbuseCase => ({
  name: `token: ${name}`,
  send: changed((world) => ({
    ...{ method: "POST", path: "/api/session", body: { token: of(world) } },
    headers: { cookie: null },
  })),
  status,
  check: ({ headers }) => !headers.has("set-cookie"),
});

export const AUTH_CASES: AbuseCase[] = [
  {
    name: "control: the page itself holds nothing and needs no cookie",
    send: changed({ path: "/", headers: { cookie: null } }),
    status: 200,
  },
  cookie("control: ours", ({ cookie }) => cookie, 200),
  cookie("ours among others", ({ cookie }) => `a=b; ${cookie}; c=d`, 200),
  cookie(
    "ours, and a foreign one of the same name before it",
    ({ cookie, port }) => `tunediff-${port}=x; ${cookie}`,
    200,
  ),
  cookie("none", () => null),
  cookie("empty", () => ""),
  cookie("our name without a value", ({ port }) => `tunediff-${port}=`),
  cookie("of an earlier launch", ({ port }) => `tunediff-${port}=${"A".repeat(43)}`),
  cookie("the token in its place", ({ port, token }) => `tunediff-${port}=${token}`),
  cookie("of another port's name", ({ cookie }) => cookie.replace(/^tunediff-\d+/, "tunediff-1")),
  cookie("its beginning", ({ cookie }) => cookie.slice(0, -1)),
  cookie("it and more", ({ cookie }) => `${cookie}A`),
  cookie("in other case", ({ cookie }) => cookie.replace(/=.*/, (value) => value.toLowerCase())),
  cookie("in quotes", ({ cookie }) => cookie.replace(/=(.*)/, '="$1"')),
  cookie("two headers", ({ cookie }) => [cookie, "a=b"], 400),
  {
    name: "the token in the query",
    send: changed(({ token }) => ({ path: `/api/session?token=${token}`, headers: { cookie: null } })),
    status: 401,
  },
  {
    name: "the token as a bearer",
    send: changed(({ token }) => ({ headers: { cookie: null, authorization: `Bearer ${token}` } })),
    status: 401,
  },
  {
    name: "a change without a cookie",
    send: changed({ method: "PUT", path: NOTE, body: { label: "a" }, headers: { cookie: null } }),
    status: 401,
  },
  {
    name: "an address that does not exist, without a cookie",
    send: changed({ path: "/api/nothing", headers: { cookie: null } }),
    status: 401,
  },
  {
    name: "the API's root without a cookie",
    send: changed({ path: "/api", headers: { cookie: null } }),
    status: 401,
  },
  {
    name: "the API in upper case is not the API",
    send: changed({ path: "/API/session", headers: { cookie: null } }),
    status: 404,
  },
  {
    name: "the exchange's address with a query is not the exchange",
    send: changed(({ token }) => ({
      ...{ method: "POST", path: "/api/session?a=b", body: { token } },
      headers: { cookie: null },
    })),
    status: 401,
  },
  exchange("wrong", () => "A".repeat(43), 401),
  exchange("in other case", ({ token }) => token.toLowerCase(), 401),
  exchange("its beginning", ({ token }) => token.slice(0, -1), 401),
  exchange("with a space", ({ token }) => ` ${token}`, 401),
  exchange("empty", () => "", 400),
  exchange("a list", ({ token }) => [token], 400),
  exchange("true", () => true, 400),
  exchange("very long", () => "A".repeat(10_000), 400),
  {
    name: "control: the right token gives a cookie that scripts cannot read and other sites cannot send",
    send: changed(({ token }) => ({
      ...{ method: "POST", path: "/api/session", body: { token } },
      headers: { cookie: null },
    })),
    status: 200,
    check: ({ headers, body }, { token, port }) =>
      new RegExp(`^tunediff-${port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`).test(
        headers.get("set-cookie") ?? "",
      ) && !body.includes(token),
  },
  {
    name: "after many wrong tokens not even the right one is looked at; who is in stays in",
    send: async (world) => {
      const attempt = (token: string) =>
        sendRaw(
          world.port,
          request(world, {
            method: "POST",
            path: "/api/session",
            body: { token },
            headers: { cookie: null },
          }),
        );
      for (let i = 0; i < SERVER_LIMITS.wrongTokens; i++) await attempt(`wrong-${i}`);
      const inside = await sendRaw(world.port, request(world));
      if (inside.status !== 200) throw new Error("a browser with a cookie was shut out");
      return attempt(world.token);
    },
    status: 429,
    check: ({ headers }) => !headers.has("set-cookie"),
  },
];
