// study.yaml: defaults, and refusals that name the path of the fault.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ConfigError, FormatError } from "../errors.ts";
import { parseStudyConfig, readStudyConfig, writeStudyConfig } from "./config.ts";

const folder = mkdtempSync(join(tmpdir(), "tunediff-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const models = { base: "/b", finetuned: "/f", data: "/d.jsonl" };

test("everything but the models and the data has a default", () => {
  expect(parseStudyConfig(models, "test")).toMatchObject({
    ...models,
    seed: 0,
    device: "cpu",
    store: { name: "main", dtype: "bf16", maxTokens: 512, baseReplacements: {}, skipFirst: 0 },
    dictionary: { name: "main", nLatents: 2048, k: 16, steps: 1200, batchRows: 1024 },
  });
});

test.each([
  [{ ...models, base: "" }, "base"],
  [{ ...models, latents: 7 }, "latents"],
  [{ ...models, layer: -1 }, "layer"],
  [{ ...models, device: "tpu" }, "device"],
  [{ ...models, store: { dtype: "f64" } }, "store.dtype"],
  [{ ...models, store: { baseReplacements: { a: "" } } }, "store.baseReplacements.a"],
  [{ ...models, dictionary: { k: 0 } }, "dictionary.k"],
  [{ ...models, dictionary: { sparsity: { kind: "reluL1" } } }, "dictionary.sparsity.penalty"],
  [{ ...models, dictionary: { engine: "dense" } }, "dictionary.engine"],
  [[], "(top level)"],
])("%j is refused at %s", (value, path) => {
  expect(() => parseStudyConfig(value, "study.yaml")).toThrow(ConfigError);
  expect(() => parseStudyConfig(value, "study.yaml")).toThrow(path);
});

test("a written study reads back the same, and relative paths are seen from the file", async () => {
  const path = join(folder, "study.yaml");
  const config = parseStudyConfig(
    { ...models, store: { baseReplacements: { "<|eot_id|>": "####" } } },
    "test",
  );
  await writeStudyConfig(path, config);
  expect(await readStudyConfig(path)).toEqual(config);
  writeFileSync(path, "base: b\nfinetuned: f\ndata: ../d.jsonl\n");
  expect(await readStudyConfig(path)).toMatchObject({
    base: join(folder, "b"),
    data: join(folder, "../d.jsonl"),
  });
});

test("a missing file and broken YAML say so", async () => {
  await expect(readStudyConfig(join(folder, "none.yaml"))).rejects.toThrow(FormatError);
  const path = join(folder, "broken.yaml");
  writeFileSync(path, "base: [1,\n");
  await expect(readStudyConfig(path)).rejects.toThrow(/not YAML/);
});
