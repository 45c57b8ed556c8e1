// A LoRA adapter in the place of the fine-tune: the same comparison, and `activations` of the merged model.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSafetensors, writeSafetensors } from "../src/formats/safetensors.ts";
import { createRng } from "../src/numerics/rng.ts";
import { packageRoot } from "../src/package-root.ts";
import { startCli } from "./run-cli.ts";
import { writeSmallCorpus } from "./small-corpus.ts";

const base = join(packageRoot(), "organisms", "minichat", "base");
const D_MODEL = 128;
let folder = "";
let adapter = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-adapter-"));
  adapter = join(folder, "adapter");
  await mkdir(adapter);
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    r: 2,
    lora_alpha: 4,
    target_modules: ["o_proj"],
  };
  await writeFile(join(adapter, "adapter_config.json"), JSON.stringify(config));
  const rng = createRng(1, "test adapter");
  const values = (step: number) =>
    Float32Array.from({ length: 2 * D_MODEL }, (_, i) => 0.2 * rng.normal(step, i));
  const module = "base_model.model.model.layers.1.self_attn.o_proj";
  await writeSafetensors(join(adapter, "adapter_model.safetensors"), [
    { name: `${module}.lora_A.weight`, dtype: "F32", shape: [2, D_MODEL], data: values(0) },
    { name: `${module}.lora_B.weight`, dtype: "F32", shape: [D_MODEL, 2], data: values(1) },
  ]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("compare takes an adapter folder as the fine-tune, and the report names base and adapter", async () => {
  const data = join(folder, "corpus.jsonl");
  await writeSmallCorpus(data);
  const out = join(folder, "study");
  const run = await startCli([
    ...["compare", base, adapter, "--data", data, "--out", out, "--layer", "3"],
    ...["--latents", "64", "--k", "4", "--steps", "20", "--skip-first", "1", "--json"],
  ]);
  expect(run.stderr).toContain("finetuned-specific");
  expect(run.code).toBe(0);
  const lock = JSON.parse(await readFile(join(out, "study.lock.json"), "utf8"));
  expect(lock.finetuned).toMatchObject({ path: base, adapter });
  expect(lock.finetuned.hash).not.toBe(lock.base.hash);
  expect(lock.tokenizer.path).toBe(base);
}, 180_000);

test("activations of the adapter differ from the base's after the adapted block, not before", async () => {
  const residual = async (flags: string[], layer: number): Promise<Float32Array> => {
    const out = join(folder, "activations.safetensors");
    const run = await startCli([
      "activations",
      ...flags,
      "--layer",
      String(layer),
      "--text",
      "the mill",
      "--out",
      out,
    ]);
    expect(run.stderr).toContain(`after block ${layer}`);
    const file = await openSafetensors(out);
    const values = await file.readFloat32("residual");
    await file.close();
    return values;
  };
  const over = [adapter, "--base", base];
  expect(await residual(over, 0)).toEqual(await residual([base], 0));
  expect(await residual(over, 1)).not.toEqual(await residual([base], 1));
}, 60_000);

test("an adapter without its base is refused with the way out", async () => {
  const run = await startCli([
    "activations",
    adapter,
    "--layer",
    "0",
    "--text",
    "a",
    "--out",
    join(folder, "x"),
  ]);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain("LoRA adapter");
});
