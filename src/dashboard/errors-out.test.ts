// What the browser is told of errors: the right status, words without paths, nothing of what was sent.

import { Hono } from "hono";
import { expect, test } from "vitest";
import { z } from "zod";
import { ConfigError, FormatError, MismatchError, StorageError } from "../errors.ts";
import { ApiFailure, answerFor, checked, withoutPaths } from "./errors-out.ts";

test("each kind of error has its status, and only defects are faults", () => {
  const seen = [
    new ApiFailure(404, "no such latent"),
    new ConfigError("a"),
    new MismatchError("a"),
    new StorageError("a"),
    new FormatError("a"),
    new TypeError("a"),
    "thrown text",
  ].map((error) => [answerFor(error).status, answerFor(error).isFault]);
  expect(seen).toEqual([
    [404, false],
    [400, false],
    [409, false],
    [503, false],
    [500, false],
    [500, true],
    [500, true],
  ]);
});

test("paths are cut to their last part, wherever they stand and whatever their folders are called", () => {
  const cases: [string, string][] = [
    ["/srv/data/study/tables/measure.json: expected 3, got 4", "measure.json: expected 3, got 4"],
    ["/srv/data/My Files/study.yaml: not YAML", "study.yaml: not YAML"],
    ["run `tunediff run /srv/data/study/study.yaml`", "run `tunediff run study.yaml`"],
    ['"C:\\Users\\Ann\\study\\a.json" is damaged', '"a.json" is damaged'],
    ["see file:///srv/data/a.json", "see a.json"],
    ["~/study/a.json", "a.json"],
    ["(/srv/a/b.json)", "(b.json)"],
    ["base and/or finetuned at 1/2", "base and/or finetuned at 1/2"],
    ["see https://example.org/a", "see https://example.org/a"],
  ];
  for (const [text, expected] of cases) expect(withoutPaths(text)).toBe(expected);
  const told = answerFor(
    new FormatError("/srv/data/s/a.json: bad", { hint: "delete /srv/data/s/a.json" }),
  ).body;
  expect(told).toEqual({ error: "a.json: bad", hint: "delete a.json" });
});

test("a defect's message and stack stay here", () => {
  const told = JSON.stringify(answerFor(new Error("/srv/data secret")).body);
  expect(told).not.toMatch(/ann|secret|\bat /);
});

test("checked names the place of a refused value, and repeats neither value nor unknown key", async () => {
  const app = new Hono().put(
    "/",
    checked("json", z.strictObject({ starred: z.boolean(), list: z.array(z.string()) })),
    (c) => c.text("in"),
  );
  app.onError((error, c) => c.json(answerFor(error).body, answerFor(error).status));
  const put = async (body: string) => {
    const response = await app.request("/", {
      method: "PUT",
      body,
      headers: { "content-type": "application/json" },
    });
    return [response.status, await response.text()];
  };
  expect(await put('{"starred": true, "list": []}')).toEqual([200, "in"]);
  const value = await put('{"starred": "secret", "list": []}');
  expect(value).toEqual([
    400,
    JSON.stringify({
      error: "starred is not what is expected here",
      hint: "a value is missing or of another type",
    }),
  ]);
  expect(await put('{"starred": true, "list": [1]}')).toEqual([400, expect.stringContaining("list.0 is")]);
  for (const body of ['{"starred": true, "list": [], "secret": 1}', "secret", ""]) {
    const [status, text] = await put(body);
    expect(status).toBe(400);
    expect(text).not.toContain("secret");
  }
});
