// Outputs asked for after a study was finished: harvested, joined to the examples, and nothing else repeated.

import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { openExamples } from "../measure/measure.ts";
import { measurePaths } from "../measure/measure-files.ts";
import { openOutputs } from "../store/outputs.ts";
import { parseStudyConfig, type StudyConfig } from "./config.ts";
import { runStudy } from "./run-study.ts";

let root = "";
const models: string[] = [];
let config: StudyConfig;

async function makeModel(seed: number): Promise<string> {
  const whole = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, hidden_size: 16, num_hidden_layers: 2 };
  const path = await writeTinyLlama(whole, tinyWeights(whole, seed));
  models.push(path);
  return writeTinyTokenizer(path);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-outputs-study-"));
  const lines = Array.from({ length: 60 }, (_, d) =>
    JSON.stringify({
      text: `${"her user is us, sir ".repeat(1 + (d % 3))}${d}`,
      split: d % 2 === 0 ? "train" : "heldout",
    }),
  );
  await writeFile(join(root, "text.jsonl"), lines.join("\n"));
  config = parseStudyConfig(
    {
      ...{ base: await makeModel(1), finetuned: await makeModel(2), data: join(root, "text.jsonl") },
      ...{ layer: 1, threads: 1 },
      dictionary: { nLatents: 24, k: 4, steps: 20, batchRows: 64 },
    },
    "test",
  );
});
afterAll(async () => {
  for (const path of [root, ...models]) await rm(path, { recursive: true, force: true });
});

test("outputs that come later are joined to the examples, and training, lens and truth are not repeated", async () => {
  const folder = join(root, "study");
  const dictionary = join(folder, "dictionaries", "main");
  const run = (outputs: boolean) =>
    runStudy({
      ...{ folder, until: "truth", commands: [] },
      config: { ...config, store: { ...config.store, outputs } },
    });
  await run(false);
  const before = await stat(measurePaths(dictionary).table);
  const plain = openExamples(dictionary);
  expect(plain.outputsSha256).toBeUndefined();
  plain.close();

  const { skipped } = await run(true);
  expect(skipped).toEqual(["train", "lens", "truth"]);
  expect((await stat(measurePaths(dictionary).table)).mtimeMs).toBe(before.mtimeMs);
  const outputs = await openOutputs(join(folder, "stores", "main"));
  const examples = openExamples(dictionary);
  let checked = 0;
  for (let latent = 0; latent < 24; latent += 1) {
    for (const example of examples.ofLatent(latent, 2)) {
      const tokens = examples.outputsOf(example);
      expect(tokens).toHaveLength(example.tokens.length);
      const columns = await outputs?.at(example.rowStart);
      expect(tokens?.[0]?.kl).toBe(columns?.klFinetunedBase[0]);
      expect(tokens?.[0]?.topBase.map(({ tokenId }) => tokenId)).toEqual([...(columns?.topTokenBase ?? [])]);
      checked += 1;
    }
  }
  examples.close();
  expect(checked).toBeGreaterThan(5);
  expect((await run(true)).skipped).toEqual(["harvest", "train", "measure", "lens", "truth"]);
});
