// docs/api.md says what the program does: every route, every limit, every type, as the source has them today.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { appRoutes, renderApiReference } from "../scripts/api-reference/render.ts";
import { exampleOf, schemaFields } from "../scripts/api-reference/schema-fields.ts";
import { packageRoot } from "../src/package-root.ts";

const page = readFileSync(join(packageRoot(), "docs", "api.md"), "utf8");

test("the API reference is what the source says (if not: npm run docs:api)", () => {
  expect(renderApiReference(packageRoot())).toBe(page);
});

test("every route of the app is in the API reference, with what it answers", () => {
  const routes = appRoutes();
  expect(routes.length).toBeGreaterThan(20);
  const sections = new Map(
    page
      .split("\n### ")
      .slice(1)
      .map((text) => [text.split("\n")[0], text]),
  );
  const faults = routes
    .map(({ method, path }) => `${method} ${path}`)
    .filter((name) => !/\*\*Answer:\*\* 200/.test(sections.get(name) ?? ""));
  expect(faults).toEqual([]);
});

test("the example of every body and query is one that its schema takes", () => {
  const faults = appRoutes().flatMap(({ method, path, checks }) =>
    checks
      .filter(({ schema }) => !schema.safeParse(exampleOf(schema)).success)
      .map(({ target, schema }) => `${method} ${path}: ${target} ${JSON.stringify(exampleOf(schema))}`),
  );
  expect(faults).toEqual([]);
});

test("fields are listed with their limits, nested ones by their path, numbers of an address as text", () => {
  const schema = z.strictObject({
    count: z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(1).max(9)).default(3),
    list: z.array(z.strictObject({ name: z.string().min(1).max(5), of: z.enum(["a", "b"]) })).max(2),
    both: z.union([z.strictObject({ x: z.boolean() }), z.strictObject({ y: z.number() })]).optional(),
  });
  const rows = schemaFields(schema, { isText: true });
  expect(rows.map(({ name, type, limits, need }) => [name, type, limits, need].join(" | "))).toEqual([
    "count | whole number, as text | ≥ 1, ≤ 9 | default 3",
    "list | list of { name, of } | at most 2 entries | required",
    "list[].name | text | not empty, at most 5 characters | required",
    'list[].of | `"a"`, `"b"` |  | required',
    "both | { x } or { y } |  | optional",
    "both.x | boolean |  | in this form",
    "both.y | number |  | in this form",
  ]);
  expect(exampleOf(schema)).toEqual({ list: [] });
});
