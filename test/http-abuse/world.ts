// What the abuse is aimed at: a listening server over a small study, and around it files that must never be seen.

import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServeOptions } from "../../src/dashboard/serve.ts";
import { startDashboard } from "../../src/dashboard/start.ts";
import { type Answer, sendRaw } from "./raw-request.ts";

/** In every file outside the page's folder, in the study's own files, too. */
export const OUTSIDE = "OUTSIDE-CONTENT-5d1f";

/** In what is sent where nothing of it may come back. */
export const MARKER = "marker7f3a";

/** A study whose every name is an attack on a page. */
export const HOSTILE_NAME = "<img src=x onerror=alert(1)>";

export const PAGE = "<!doctype html><title>page</title><script src=/assets/a-1.js></script>";

export interface World {
  port: number;
  token: string;
  /** A Cookie value that lets in. */
  cookie: string;
  /** Folder of everything; no answer may name it. */
  root: string;
  pageFolder: string;
  /** Defects that the server reported. */
  faults: unknown[];
  close(): Promise<void>;
}

export async function makeWorld(limits?: ServeOptions["limits"]): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), "tunediff-abuse-"));
  const pageFolder = join(root, "page");
  const study = join(root, "study");
  const dictionary = join(study, "dictionaries", "main");
  await mkdir(join(pageFolder, "assets"), { recursive: true });
  await mkdir(dictionary, { recursive: true });
  await writeFile(join(root, "secret.txt"), OUTSIDE);
  await writeFile(join(root, "secret.html"), OUTSIDE);
  await writeFile(join(pageFolder, "index.html"), PAGE);
  await writeFile(join(pageFolder, "assets", "a-1.js"), "void 0;");
  await writeFile(join(pageFolder, "assets", "a-1.js.map"), OUTSIDE);
  await writeFile(join(pageFolder, ".env"), OUTSIDE);
  await symlink(join(root, "secret.html"), join(pageFolder, "link.html"));
  await symlink(root, join(pageFolder, "linked"));
  await writeFile(
    join(study, "study.yaml"),
    `schemaVersion: 1\nbase: base\nfinetuned: ${JSON.stringify(HOSTILE_NAME)}\ndata: ${OUTSIDE}.jsonl\n`,
  );
  await writeFile(join(dictionary, "config.json"), JSON.stringify({ dict_size: 10, k: 2, note: OUTSIDE }));
  await writeFile(join(dictionary, "model.safetensors"), OUTSIDE);
  const faults: unknown[] = [];
  const server = await startDashboard({
    ...{ folders: [study], pageFolder, limits },
    labs: { state: "made", value: { threads: 1 } },
    reportFault: (error) => faults.push(error),
  });
  const token = server.url.split("#token=")[1];
  const bare: World = {
    ...{ port: server.port, token, cookie: "", root, pageFolder, faults },
    async close() {
      await server.close();
      await rm(root, { recursive: true, force: true });
    },
  };
  const answer = await sendRaw(
    server.port,
    request(bare, { method: "POST", path: "/api/session", body: { token } }),
  );
  return { ...bare, cookie: (answer.headers.get("set-cookie") ?? "").split(";")[0] };
}

/** A header's value, or several of one name, or null to leave out one that a right request has. */
export type HeaderChanges = Record<string, string | string[] | null>;

export interface RequestParts {
  method?: string;
  path?: string;
  version?: string;
  headers?: HeaderChanges;
  /** An object is sent as JSON. */
  body?: object | string;
}

/** A request as the page sends it, but for what is changed: the smallest distance between right and wrong. */
export function request(world: World, parts: RequestParts = {}): string {
  const { method = "GET", path = "/api/session", version = "1.1", headers = {} } = parts;
  const own = `127.0.0.1:${world.port}`;
  const body = typeof parts.body === "object" ? JSON.stringify(parts.body) : parts.body;
  const isChange = !["GET", "HEAD", "OPTIONS", "TRACE"].includes(method);
  const right: HeaderChanges = {
    host: own,
    connection: "close",
    ...(world.cookie !== "" && { cookie: world.cookie }),
    "sec-fetch-site": "same-origin",
    ...(isChange && { origin: `http://${own}`, "content-type": "application/json", "x-tunediff": "1" }),
    ...(body !== undefined && { "content-length": String(Buffer.byteLength(body)) }),
  };
  const lines = Object.entries({ ...right, ...headers }).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((one) => `${name}: ${one}`),
  );
  return [`${method} ${path} HTTP/${version}`, ...lines, "", body ?? ""].join("\r\n");
}

export interface AbuseCase {
  name: string;
  send: (world: World) => string | Buffer | Promise<Answer>;
  /** What must come back; null: the connection closed without an answer. */
  status: number | null;
  /** More about the answer. Throws, or returns false, when it is wrong. */
  check?: (answer: Answer, world: World) => boolean;
}

/** Shorthand of most cases: a right request with one thing changed. */
export const changed = (parts: RequestParts | ((world: World) => RequestParts)) => (world: World) =>
  request(world, typeof parts === "function" ? parts(world) : parts);

export const NOTE = "/api/studies/0/main/notes/1";
