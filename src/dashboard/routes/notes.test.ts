import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { API_LIMITS, type Note } from "../api-contract.ts";
import { answerFor } from "../errors-out.ts";
import { openNotes } from "../notes.ts";
import type { StudyFacts } from "../study-folder.ts";
import { createNotesRoutes } from "./notes.ts";

const study = mkdtempSync(join(tmpdir(), "notes-routes-"));
const notes = openNotes(study);
afterAll(() => {
  notes.close();
  rmSync(study, { recursive: true, force: true });
});
const dictionaries = [
  { name: "main", nLatents: 10 },
  { name: "later", nLatents: 10 },
];
const facts = async () => ({ entry: { dictionaries } }) as unknown as StudyFacts;
const app = createNotesRoutes({
  source: {
    dictionary: async (id, name) =>
      id === 0 && dictionaries.some((entry) => entry.name === name)
        ? {
            name,
            study: { id, folder: study, facts },
            sha256: async () => (name === "main" ? "ab".repeat(32) : ""),
          }
        : undefined,
  },
  notesOf: () => notes,
}).onError((error, c) => {
  const { status, body } = answerFor(error);
  return c.json(body, status);
});
const AT = "/0/main";

async function ask(method: string, path: string, body?: unknown) {
  const response = await app.request(path, {
    method,
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

test("a note is written, changed by field, listed with its tags, and removed; GETs write nothing", async () => {
  expect((await ask("GET", `${AT}/notes/3`)).json).toMatchObject({ label: "", updated: "" });
  expect((await ask("GET", `${AT}/notes`)).json).toEqual({ notes: [], tags: [], elsewhere: [] });
  expect((await ask("GET", `${AT}/views`)).json).toEqual([]);
  expect(readdirSync(study)).toEqual([]);
  const put = await ask("PUT", `${AT}/notes/3`, { label: "<b>refusal</b>", tags: ["t"] });
  expect([put.status, put.json.label]).toEqual([200, "<b>refusal</b>"]);
  const starred = await ask("PUT", `${AT}/notes/3`, { starred: true, seen: put.json.updated });
  expect(starred.json).toMatchObject({ label: "<b>refusal</b>", starred: true });
  const late = await ask("PUT", `${AT}/notes/3`, { label: "late", seen: put.json.updated });
  expect(late.status).toBe(409);
  expect((late.json.note as Note).label).toBe("<b>refusal</b>");
  expect((await ask("GET", `${AT}/notes`)).json).toMatchObject({
    notes: [{ latent: 3, label: "<b>refusal</b>" }],
    tags: [{ tag: "t", count: 1 }],
  });
  expect((await ask("DELETE", `${AT}/notes/3`)).json.label).toBe("");
  expect((await ask("GET", `${AT}/notes`)).json).toEqual({ notes: [], tags: [], elsewhere: [] });
});

test("views are saved, listed and removed by name, whatever characters the name has", async () => {
  const name = "../../etc/passwd?&#\u0000é";
  expect((await ask("PUT", `${AT}/views`, { name, query: "sort=q" })).json).toEqual([
    { name, query: "sort=q", ofOtherDictionary: false },
  ]);
  expect((await ask("DELETE", `${AT}/views?name=${encodeURIComponent(name)}`)).json).toEqual([]);
});

test("what is too long, of another kind, unknown or not JSON is refused with its field, and is not repeated", async () => {
  const secret = "SECRET";
  const long = (n: number) => secret.repeat(n).slice(0, n);
  const bad: [string, string, unknown][] = [
    ["label", `${AT}/notes/1`, { label: long(API_LIMITS.label + 1) }],
    ["text", `${AT}/notes/1`, { text: long(API_LIMITS.noteText + 1) }],
    ["tags.0", `${AT}/notes/1`, { tags: [long(API_LIMITS.tag + 1)] }],
    ["tags.0", `${AT}/notes/1`, { tags: [""] }],
    ["tags", `${AT}/notes/1`, { tags: Array.from({ length: API_LIMITS.tags + 1 }, (_, i) => `${i}`) }],
    ["tags", `${AT}/notes/1`, { tags: ["a", "a"] }],
    ["starred", `${AT}/notes/1`, { starred: secret }],
    ["label", `${AT}/notes/1`, '{"label": "half \\ud800"}'],
    ["the request", `${AT}/notes/1`, "not json SECRET"],
    ["a value", `${AT}/notes/1`, [secret]],
    ["a value", `${AT}/notes/1`, { label: "a", [secret]: "b" }],
    ["name", `${AT}/views`, { name: long(API_LIMITS.viewName + 1), query: "" }],
    ["name", `${AT}/views`, { name: "", query: "" }],
    ["query", `${AT}/views`, { name: "a", query: long(API_LIMITS.viewQuery + 1) }],
    ["the request", `${AT}/views`, "["],
  ];
  for (const [field, path, body] of bad) {
    const { status, json } = await ask("PUT", path, body);
    const said = [status, String(json.error).startsWith(`${field} `)];
    expect(said, `${path} ${JSON.stringify(json)}`).toEqual([400, true]);
    expect(JSON.stringify(json)).not.toContain(secret);
  }
  expect((await ask("DELETE", `${AT}/views`)).status).toBe(400);
  const most = { label: long(API_LIMITS.label), text: long(API_LIMITS.noteText), tags: ["t"] };
  expect((await ask("PUT", `${AT}/notes/1`, most)).status).toBe(200);
});

test("studies, dictionaries and latents that are not there are 404", async () => {
  for (const latent of ["10", "-1", "1.0", "1e0", "01", "99999999999", "%00", "..%2f..%2fnotes", "x", "NaN"])
    for (const method of ["GET", "PUT", "DELETE"])
      expect(
        (await ask(method, `${AT}/notes/${latent}`, method === "PUT" ? {} : undefined)).status,
        latent,
      ).toBe(404);
  for (const place of ["1/main", "0/other", "0/..%2fmain", "0/__proto__", "x/main", "00/main"])
    for (const path of ["notes", "notes/1", "views"])
      expect((await ask("GET", `/${place}/${path}`)).status).toBe(404);
  expect((await ask("PUT", "/0/later/notes/1", { label: "early" })).status).toBe(409);
});
