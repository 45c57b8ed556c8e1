// glance.json comes back as it was written; anything else is a FormatError that names the field.

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { sampleGlance } from "./glance.test.data.ts";
import { readGlance, writeGlance } from "./glance-file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-glance-file-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("what is written is read back whole, from a folder that did not exist", async () => {
  const out = join(folder, "a", "b");
  const path = await writeGlance(out, sampleGlance());
  expect(path).toBe(join(out, "glance.json"));
  expect(await readGlance(out)).toEqual(sampleGlance());
  expect(await readdir(out)).toEqual(["glance.json"]);
});

test("a folder without the file gives undefined", async () => {
  expect(await readGlance(join(folder, "none"))).toBeUndefined();
});

test("a number that JSON cannot hold is refused before anything is written", async () => {
  const glance = sampleGlance();
  glance.kl.mean = Number.NaN;
  await expect(writeGlance(join(folder, "nan"), glance)).rejects.toThrow(/kl\.mean/);
  expect(await readGlance(join(folder, "nan"))).toBeUndefined();
});

test.each([
  ["no JSON", "{", /expected JSON/],
  ["another version", JSON.stringify({ ...sampleGlance(), schemaVersion: 2 }), /schemaVersion/],
  ["a part missing", JSON.stringify({ ...sampleGlance(), mining: undefined }), /mining/],
])("a damaged file is refused: %s", async (_, text, message) => {
  await writeFile(join(folder, "glance.json"), text);
  const failure = await readGlance(folder).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(FormatError);
  expect((failure as FormatError).message).toMatch(message);
});
