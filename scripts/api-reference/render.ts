// docs/api.md: the reference of the dashboard's API as one page, from the running program's routes and what their source says.

import type { ZodType } from "zod";
import { API_LIMITS } from "../../src/dashboard/api-contract.ts";
import { createDashboardApp } from "../../src/dashboard/app.ts";
import { checkOf, type RouteCheck } from "../../src/dashboard/errors-out.ts";
import { CUSTOM_HEADER, SERVER_LIMITS } from "../../src/dashboard/security.ts";
import type { StudySource } from "../../src/dashboard/study-source.ts";
import {
  type RouteSource,
  readSources,
  type SourceComment,
  type SourceFacts,
  STUDY_PATH,
} from "./route-sources.ts";
import { exampleOf, schemaFields } from "./schema-fields.ts";

export interface AppRoute {
  method: string;
  path: string;
  checks: RouteCheck[];
}

/** Parts of a path that stand for something, as they are written in an example. */
const PARAMETERS: Record<string, { words: string; example: string }> = {
  study: { words: "number of the study, from GET /api/session", example: "0" },
  dictionary: { words: "name of one of its dictionaries", example: "main" },
  latent: { words: "number of a latent, from 0", example: "0" },
};
const OTHER_PARAMETER = { words: "", example: "0" };

/** The routes of the app in the order in which they were made, without the pages' own files. */
export function appRoutes(): AppRoute[] {
  const unused = new Proxy({} as StudySource, {
    get: () => () => {
      throw new Error("no route is asked for anything here");
    },
  });
  const app = createDashboardApp({
    source: unused,
    notesOf: () => {
      throw new Error("no route is asked for anything here");
    },
    security: { exchange: () => ({ outcome: "wrong" }) },
  });
  const routes = new Map<string, AppRoute>();
  for (const { method, path, handler } of app.routes) {
    if (path.includes("*")) continue;
    const key = `${method} ${path}`;
    const route = routes.get(key) ?? { method, path, checks: [] };
    const check = checkOf(handler);
    if (check !== undefined) route.checks.push(check);
    routes.set(key, route);
  }
  return [...routes.values()];
}

/** The page. root: the package's folder. Throws Error for a route whose source or words are not found, naming what to write. */
export function renderApiReference(root: string): string {
  const facts = readSources(root);
  const routes = appRoutes();
  const sections = routes.map((route) => renderRoute(route, facts));
  const types = [...facts.types].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    `# API of the dashboard`,
    `<!-- Made by \`npm run docs:api\` from src/dashboard; not to be edited by hand. -->`,
    INTRODUCTION,
    `## Routes`,
    routes
      .map(({ method, path }) => `- [${method} ${shortPath(path)}](#${anchorOf(`${method} ${path}`)})`)
      .join("\n"),
    ...sections,
    `## Limits`,
    `A request beyond one of these is refused with 400, a body of more than \`body\` bytes with 413.`,
    table(
      ["name", "value", ""],
      Object.entries(API_LIMITS).map(([name, value]) => [
        `\`${name}\``,
        String(value),
        facts.limitWords[name] ?? "",
      ]),
    ),
    `## Types`,
    `As the server's source has them. Numbers are JSON numbers; where a value is not finite its type says how it is written.`,
    ...types.map(([name, text]) => `### ${name}\n\n\`\`\`ts\n${withoutMargin(text)}\n\`\`\``),
    "",
  ].join("\n\n");
}

const INTRODUCTION = `What the server of \`tunediff serve STUDY\` answers. It listens on loopback alone unless \`--host\` is given, and prints an address that ends in
\`#token=…\`: the token is exchanged once for a cookie, and every other route below /api wants that cookie.

\`\`\`sh
URL=http://127.0.0.1:PORT    # as printed, without the token
TOKEN=…                      # what follows #token=
change() { curl -s -b jar -c jar -H "Origin: $URL" -H "Sec-Fetch-Site: same-origin" -H "${CUSTOM_HEADER}: 1" -H "Content-Type: application/json" "$@"; }
change -X POST -d "{\\"token\\":\\"$TOKEN\\"}" "$URL/api/session"
curl -s -b jar "$URL/api/session"
\`\`\`

- **Headers.** \`Host\` must be the printed one. POST, PUT and DELETE want \`Origin\` of the same address, \`Sec-Fetch-Site: same-origin\`,
  \`${CUSTOM_HEADER}: 1\` and \`Content-Type: application/json\`; their bodies are JSON with a \`Content-Length\`. GET has no body.
- **Refusals** are an [ApiError](#apierror) with the status. Any route can answer 400 (a field is missing, unknown or beyond its limit), 401 (no
  cookie), 403 (the request of another page), 404 (no such study, dictionary or address), 405, 409 (two files that do not belong together), 411,
  413, 414, 415, 421 (another host), 431, 500 (a damaged file, or a defect) and 503 (the disk, or an answer that took longer than
  ${SERVER_LIMITS.answerMs / 1000} s). What a route refuses beyond that stands with it.
- **Part.** What a study does not have is not an error: [Part](#part) says why it is missing and the command that makes it.
- **Streams** are server-sent events: \`id\` from 1, \`data\` one JSON value of the type that stands with the route, comments while nothing happens.
  An error after the stream has begun is a last event named \`failed\` with an [ApiError](#apierror). Close the connection to stop the work.
- **Columns of numbers** are f64, of categories u16, both little-endian, an entry a latent; see [the route](#get-apistudiesstudydictionarycolumn).
- Below, \`…\` is \`${STUDY_PATH}\`: ${Object.entries(PARAMETERS)
  .map(([name, { words }]) => `\`:${name}\` is the ${words}`)
  .join("; ")}.`;

function renderRoute(route: AppRoute, facts: SourceFacts): string {
  const { method, path, checks } = route;
  const isSame = (other: { method: string; path: string }): boolean =>
    other.method === method && other.path === path;
  const source = facts.routes.find(isSame);
  if (source === undefined) {
    throw new Error(
      `${method} ${path}: its source was not found. Write it as .${method.toLowerCase()}("/path", …, handler) in a function createXRoutes of src/dashboard that app.ts mounts by .route(base, createXRoutes(context))`,
    );
  }
  const comment = facts.comments.find(isSame);
  if (comment === undefined) {
    throw new Error(
      `${method} ${path}: nothing says what it does. Begin a doc comment of src/dashboard/api-contract.ts with "${method} ${shortPath(path)}: …"`,
    );
  }
  const parts = [
    `### ${method} ${path}`,
    comment.words === "" ? "" : sentence(comment.words),
    ...checks.map((check) => renderCheck(check, comment)),
    `**Answer:** ${answerWords(source, facts)}`,
    refusalWords(source),
    `\`\`\`sh\n${exampleCall(route, source.events.length > 0)}\n\`\`\``,
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function renderCheck({ target, schema }: RouteCheck, { fields }: SourceComment): string {
  const rows = schemaFields(schema as ZodType, { isText: target !== "json" });
  const heading = target === "json" ? "**Body:**" : target === "query" ? "**Query:**" : "**Path:**";
  return `${heading}\n\n${table(
    [target === "json" ? "field" : "name", "type", "limits", "", "meaning"],
    rows.map(({ name, type, limits, need, words }) => [
      `\`${name}\``,
      type,
      limits,
      need,
      words || (fields[name] ?? ""),
    ]),
  )}`;
}

function answerWords({ json, events, contentTypes }: RouteSource, { types }: SourceFacts): string {
  const told = [
    ...unique(json.map(({ status, type }) => `${status} ${typeWords(type, types)}`)),
    ...unique(events.map((type) => `200 \`text/event-stream\`, each event ${typeWords(type, types)}`)),
    ...unique(contentTypes.map((type) => `200 \`${type}\``)),
  ];
  return told.length === 0 ? "nothing" : told.join("; or ");
}

function typeWords(type: string, types: ReadonlyMap<string, string>): string {
  const named = unique(type.match(/\b[A-Z]\w*\b/g) ?? []).filter((name) => types.has(name));
  const links = named.map((name) => `[${name}](#${name.toLowerCase()})`);
  return named.length === 1 && named[0] === type
    ? links[0]
    : `\`${type}\`${links.length > 0 ? ` (${links.join(", ")})` : ""}`;
}

function refusalWords({ refusals }: RouteSource): string {
  const byStatus = new Map<number, string[]>();
  for (const { status, words } of refusals) {
    const known = byStatus.get(status) ?? [];
    byStatus.set(status, known.includes(words) ? known : [...known, words]);
  }
  if (byStatus.size === 0) return "";
  const list = [...byStatus]
    .sort(([a], [b]) => a - b)
    .map(([status, words]) => `${status} ${words.join(" or ")}`);
  return `**Refusals:** ${list.join("; ")}.`;
}

function exampleCall({ method, path, checks }: AppRoute, isStream: boolean): string {
  const place = path.replaceAll(
    /:(\w+)/g,
    (_, name: string) => (PARAMETERS[name] ?? OTHER_PARAMETER).example,
  );
  const of = (target: RouteCheck["target"]): unknown => {
    const check = checks.find((one) => one.target === target);
    return check === undefined ? undefined : exampleOf(check.schema);
  };
  const query = Object.entries((of("query") ?? {}) as Record<string, unknown>).map(
    ([name, value]) => `${name}=${encodeURIComponent(String(value))}`,
  );
  const address = `"$URL${place}${query.length > 0 ? `?${query.join("&")}` : ""}"`;
  const options = isStream ? " -N" : "";
  if (method === "GET") return `curl -s${options} -b jar ${address}`;
  const body = of("json");
  const data = body === undefined ? "" : ` -d '${JSON.stringify(body)}'`;
  return `change${options} -X ${method}${data} ${address}`;
}

export function shortPath(path: string): string {
  return path.replace(STUDY_PATH, "…");
}

function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s-]/gu, "")
    .replaceAll(/\s+/g, "-");
}

function withoutMargin(text: string): string {
  return text.replace(/^export (declare )?/gm, "");
}

function unique<T>(list: readonly T[]): T[] {
  return [...new Set(list)];
}
