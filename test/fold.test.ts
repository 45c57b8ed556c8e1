// tunediff fold through the command line: what it says, what it writes, how a refusal looks, and that measuring refuses the result.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadDictionary } from "../src/dictionary/dictionary-file.ts";
import { MismatchError } from "../src/errors.ts";
import { assertBelongTogether } from "../src/measure/encoded-rows.ts";
import { packageRoot } from "../src/package-root.ts";
import { memoryStore } from "../src/training/memory-store.test.helper.ts";
import { startCli } from "./run-cli.ts";

const golden = join(packageRoot(), "test", "golden", "dictionary");
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-fold-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a dictionary with a normaliser is folded into a new folder, the facts as JSON on stdout", async () => {
  const out = join(folder, "folded");
  const run = await startCli(["fold", join(golden, "batchtopk"), out, "--json"]);
  expect(run.stderr).toContain("32 latents, a threshold for each latent: only tunediff reads it");
  expect(JSON.parse(run.stdout)).toEqual({ schemaVersion: 1, out, nLatents: 32, inferenceThreshold: null });
  expect(run.code).toBe(0);
  expect((await readdir(out)).sort()).toEqual(["config.json", "model.safetensors"]);

  const original = await loadDictionary(join(golden, "batchtopk"));
  const store = memoryStore(new Float32Array(20), { sites: original.sites });
  expect(() => assertBelongTogether(store, original)).not.toThrow();
  const folded = await loadDictionary(out);
  expect(() => assertBelongTogether(store, folded)).toThrow(MismatchError);
});

test("one on raw activations is refused in words, and nothing is written", async () => {
  const out = join(folder, "none");
  const run = await startCli(["fold", join(golden, "none"), out]);
  expect(run.stderr).toMatch(/expected a dictionary with a normaliser to fold[\s\S]*hint: use it as it is/);
  expect(run.code).toBe(2);
  await expect(readdir(out)).rejects.toThrow(/ENOENT/);
});
