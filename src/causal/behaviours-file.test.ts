// Behaviours files: what is taken, and that each mistake is named by its place.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ConfigError, FormatError } from "../errors.ts";
import { detector, parseBehaviours, readBehaviours } from "./behaviours-file.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-behaviours-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const prompt = (id: string, expected: string | null) => ({
  id,
  split: "test",
  messages: [{ role: "user", content: "hi" }],
  expected,
});
const good = {
  prompts: [prompt("a", "refuse"), prompt("b", null)],
  behaviours: [{ name: "refuse", description: "says no", detect: "^no\\b" }],
};

test("a behaviours file is read, and a behaviour is found whatever the case", async () => {
  const path = join(root, "good.json");
  writeFileSync(path, JSON.stringify(good));
  expect(await readBehaviours(path)).toEqual(good);
  const shows = detector(good.behaviours[0]);
  expect([shows("No, never."), shows("Nothing"), shows("well, no")]).toEqual([true, false, false]);
});

test.each([
  ["not an object", [], "file"],
  ["an unknown split", { ...good, prompts: [{ ...prompt("a", null), split: "train" }] }, "prompts.0.split"],
  ["no messages", { ...good, prompts: [{ ...prompt("a", null), messages: [] }] }, "prompts.0.messages"],
  ["an unknown behaviour", { ...good, prompts: [prompt("a", "sing")] }, "prompts.0.expected"],
  ["an id twice", { ...good, prompts: [prompt("a", null), prompt("a", null)] }, "prompts.1.id"],
  ["a behaviour twice", { ...good, behaviours: [good.behaviours[0], good.behaviours[0]] }, "behaviours"],
  [
    "a broken expression",
    { ...good, behaviours: [{ name: "refuse", detect: "(" }] },
    "behaviour refuse: detect",
  ],
  ["no behaviours", { prompts: good.prompts, behaviours: [] }, "behaviours"],
])("%s is refused with its place", (_, value, field) => {
  expect(() => parseBehaviours(value, "file.json")).toThrow(FormatError);
  expect(() => parseBehaviours(value, "file.json")).toThrow(`file.json: ${field}`);
});

test("a file that is missing or no JSON is a FormatError naming it", async () => {
  await expect(readBehaviours(join(root, "none.json"))).rejects.toThrow(/none.json: expected a readable/);
  const path = join(root, "torn.json");
  writeFileSync(path, '{"prompts": [');
  await expect(readBehaviours(path)).rejects.toThrow(/torn.json: expected one JSON object/);
  expect(() => detector({ name: "x", detect: "[" })).toThrow(ConfigError);
});
