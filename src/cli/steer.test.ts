// `tunediff steer` over a small study: what it prints for people and programs, and mistakes by their exit code.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_TEMPLATE, TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { startCli } from "../../test/run-cli.ts";
import type { SteeredAnswer } from "../causal/causal-contract.ts";
import { ConfigError } from "../errors.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { readMeasure } from "../measure/measure.ts";
import { parseStudyConfig, writeStudyConfig } from "../study/config.ts";
import { runStudy } from "../study/run-study.ts";
import { addSteerCommand, parseLatent, parseSeeds } from "./steer.ts";
import { answersText } from "./steer-text.ts";

const OPENED = `${TINY_TEMPLATE}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`;
let folder = "";
const models: string[] = [];
let loud: number | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-steer-command-"));
  const size = {
    vocab_size: TINY_VOCAB_SIZE,
    max_position_embeddings: 64,
    hidden_size: 16,
    num_hidden_layers: 2,
  };
  const config = { ...TINY_CONFIG, ...size };
  for (const seed of [1, 2]) {
    const model = writeTinyTokenizer(await writeTinyLlama(config, tinyWeights(config, seed)));
    await writeFile(join(model, "chat_template.jinja"), OPENED);
    models.push(model);
  }
  const lines = Array.from({ length: 60 }, (_, d) =>
    JSON.stringify({
      ...{ id: `d${d}`, text: `${"hush her user ".repeat(1 + (d % 5))}${d}` },
      split: ["train", "train", "heldout"][d % 3],
    }),
  );
  await writeFile(join(folder, "text.jsonl"), lines.join("\n"));
  const dictionary = { nLatents: 24, k: 3, steps: 20, batchRows: 128 };
  const [base, finetuned] = models;
  const data = join(folder, "text.jsonl");
  const study = parseStudyConfig({ base, finetuned, data, layer: 0, threads: 1, dictionary }, "test");
  await writeStudyConfig(join(folder, "study.yaml"), study);
  await runStudy({ folder, config: study, commands: [], until: "measure" });
  const { latents } = await readMeasure(join(folder, "dictionaries", "main"));
  loud = latents.find(({ maxCode }) => maxCode > 0)?.latent;
}, 60_000);
afterAll(async () => {
  for (const path of [folder, ...models]) await rm(path, { recursive: true, force: true });
});

test("four answers a prompt under each other for people, one object for programs", async () => {
  const chats = join(folder, "chats.jsonl");
  await writeFile(
    chats,
    '{"id": "q", "messages": [{"role": "user", "content": "hi"}]}\n{"id": "t", "text": "hush"}\n',
  );
  const prompts = ["--prompt", "her user?", "--prompts", chats];
  const run = await startCli([
    "steer",
    folder,
    "--latent",
    `${loud}:2`,
    ...prompts,
    "--max-tokens",
    "6",
    "--json",
  ]);
  expect(run.stderr).toContain(
    "prompt 1\n  <bos><start_of_turn>user\n  her user?<end_of_turn>\n  <start_of_turn>model\n  base  ",
  );
  for (const arm of ["base + latents", "finetuned", "finetuned − latents"])
    expect(run.stderr).toContain(`\n  ${arm}  `);
  expect(run.stderr).toContain("finetuned            3 answers, 0 degenerate");
  expect(run.stderr).not.toContain("last block");
  expect(run.code).toBe(0);
  const printed = JSON.parse(run.stdout);
  expect(printed).toMatchObject({
    ...{ schemaVersion: 1, folder, unit: "activation", positions: "all", temperature: 0, seeds: [0] },
    latents: [{ latent: loud, factor: 2 }],
    prompts: [{ id: "1" }, { id: "q" }, { id: "t", text: "hush" }],
    warnings: [],
  });
  expect(printed.answers).toHaveLength(12);
  expect(printed.answers[0]).toMatchObject({ arm: "base", prompt: 0, seed: 0 });
}, 60_000);

test("a latent that does not exist, a prompt beyond the context and no prompt at all are mistakes of usage", async () => {
  const fail = (...args: string[]) => {
    const program = new Command().exitOverride();
    addSteerCommand(program);
    return expect(program.parseAsync(["steer", folder, ...args], { from: "user" })).rejects;
  };
  await fail("--latent", "24", "--prompt", "hi").toThrow("latent 24: expected a whole number from 0 to 23");
  const long = ["--latent", String(loud), "--prompt", "hi", "--prompt", "x".repeat(80)];
  await fail(...long).toThrow(/^prompt 2: expected at most 63 tokens .* got 9\d/);
  await fail("--latent", String(loud)).toThrow(ConfigError);
  await fail("--latent", "1", "--prompt", "hi", "--unit", "norm").toThrow(
    "--unit: expected activation or code",
  );
});

test("--latent is a latent and a factor, --seeds follow --seed and need a temperature", () => {
  expect(parseLatent("1327")).toEqual({ latent: 1327, factor: 1 });
  expect(parseLatent(" 3:-0.5 ")).toEqual({ latent: 3, factor: -0.5 });
  for (const text of ["", "a", "-1", "1:", "1: ", "1:x", "1:2:3", "1.5"])
    expect(() => parseLatent(text), text).toThrow(ConfigError);
  expect(parseSeeds({}, 0)).toEqual([0]);
  expect(parseSeeds({ seed: "5", seeds: "3" }, 1)).toEqual([5, 6, 7]);
  expect(() => parseSeeds({ seeds: "3" }, 0)).toThrow(/--seeds: expected 1 at temperature 0/);
  expect(() => parseSeeds({ seeds: "0" }, 1)).toThrow(ConfigError);
});

test("flags stand under the answers, and characters that steer a terminal do not reach it", () => {
  const answer: SteeredAnswer = {
    ...{
      arm: "base + latents",
      prompt: 0,
      seed: 0,
      text: "ever\nev\u001b[2Jer",
      tokens: 9,
      end: "maxNewTokens",
    },
    ...{ perplexity: 90, repetition: 0.9, degenerate: "repeats itself" },
  };
  const text = answersText([{ id: "p", text: "ask\n" }], [answer]);
  expect(text.split("\n")).toEqual([
    ...["", "prompt p", "  ask", "  base + latents       ever"],
    ...["                       ev\uFFFD[2Jer …", "                       ! repeats itself"],
  ]);
});
