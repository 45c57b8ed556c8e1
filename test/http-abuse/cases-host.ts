// Names under which a server on this machine can be reached by a page of another site (DNS rebinding), and mangled Host headers.

import { type AbuseCase, changed, request } from "./world.ts";

const host = (name: string, of: (port: number) => string | string[]): AbuseCase => ({
  name: `Host: ${name}`,
  send: changed(({ port }) => ({ headers: { host: of(port) } })),
  status: 421,
});

export const HOST_CASES: AbuseCase[] = [
  { name: "control: 127.0.0.1 and our port", send: changed({}), status: 200 },
  { ...host("localhost and our port (control)", (port) => `localhost:${port}`), status: 200 },
  { ...host("[::1] and our port (control)", (port) => `[::1]:${port}`), status: 200 },
  host("another name", () => "evil.example"),
  host("another name with our port", (port) => `evil.example:${port}`),
  host("our address without the port", () => "127.0.0.1"),
  host("our address, another port", (port) => `127.0.0.1:${port + 1}`),
  host("our address, the port with a leading zero", (port) => `127.0.0.1:0${port}`),
  host("a trailing dot", (port) => `localhost.:${port}`),
  host("upper case", (port) => `LOCALHOST:${port}`),
  host("userinfo", (port) => `user@127.0.0.1:${port}`),
  host("another name as userinfo", (port) => `evil.example@127.0.0.1:${port}`),
  host("ours as userinfo", (port) => `127.0.0.1:${port}@evil.example`),
  host("any address, IPv6", (port) => `[::]:${port}`),
  host("loopback, IPv6 in full", (port) => `[0:0:0:0:0:0:0:1]:${port}`),
  host("loopback, IPv4 in IPv6", (port) => `[::ffff:127.0.0.1]:${port}`),
  host("IPv6 without brackets", (port) => `::1:${port}`),
  host("loopback as a decimal", (port) => `2130706433:${port}`),
  host("loopback in octal", (port) => `0177.0.0.1:${port}`),
  host("loopback in hexadecimal", (port) => `0x7f.0.0.1:${port}`),
  host("loopback shortened", (port) => `127.1:${port}`),
  host("another loopback address", (port) => `127.0.0.2:${port}`),
  host("any address", (port) => `0.0.0.0:${port}`),
  host("a name that resolves to loopback", (port) => `127.0.0.1.nip.io:${port}`),
  host("a subdomain of localhost", (port) => `a.localhost:${port}`),
  host("ours and another in one", (port) => `127.0.0.1:${port}, evil.example`),
  host("a path behind it", (port) => `127.0.0.1:${port}/`),
  host("nothing", () => ""),
  { ...host("two, ours first", (port) => [`127.0.0.1:${port}`, "evil.example"]), status: 400 },
  { ...host("two, ours last", (port) => ["evil.example", `127.0.0.1:${port}`]), status: 400 },
  { ...host("ours twice", (port) => [`127.0.0.1:${port}`, `127.0.0.1:${port}`]), status: 400 },
  { name: "HTTP/1.0 without Host", send: changed({ version: "1.0", headers: { host: null } }), status: 400 },
  { name: "HTTP/1.1 without Host", send: changed({ headers: { host: null } }), status: 400 },
  {
    name: "a foreign X-Forwarded-Host changes nothing",
    send: changed({ headers: { "x-forwarded-host": "evil.example", forwarded: "host=evil.example" } }),
    status: 200,
  },
  {
    name: "absolute form, another host",
    send: changed({ path: "http://evil.example/api/session" }),
    status: 400,
  },
  {
    name: "absolute form, our host",
    send: (world) => request(world, { path: `http://127.0.0.1:${world.port}/api/session` }),
    status: 400,
  },
  { name: "an asterisk as target", send: changed({ method: "OPTIONS", path: "*" }), status: 400 },
  { name: "authority form", send: changed({ path: "evil.example:80" }), status: 400 },
  { name: "CONNECT", send: changed({ method: "CONNECT", path: "evil.example:80" }), status: null },
];
