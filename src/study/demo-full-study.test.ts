// Another sparsity beside a small study's own, from nothing and again; and the report, which is made anew when its table came.

import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { readSummary } from "../measure/measure.ts";
import { readSparsityComparison, sparsityPath } from "../report/sparsity-comparison.ts";
import { parseStudyConfig, type StudyConfig } from "./config.ts";
import { compareSparsities } from "./demo-full.ts";
import { collectResult } from "./result.ts";
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
  root = await mkdtemp(join(tmpdir(), "tunediff-demo-full-"));
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

test("the other dictionary is trained once, its figures are its own, and the report follows the table", async () => {
  const folder = join(root, "study");
  const own = join(folder, "dictionaries", "main");
  const options = { folder, config, commands: ["tunediff run study.yaml"] };
  const first = await runStudy(options);
  expect(first.skipped).toEqual([]);
  expect((await runStudy(options)).skipped).toContain("report");
  expect((await collectResult(folder, config, first)).sparsities).toBeNull();

  const comparison = await compareSparsities(options, 0.05);
  const other = join(folder, "dictionaries", "main-relu-l1-0.05");
  expect(comparison.dictionaries.map(({ name, sparsity }) => [name, sparsity])).toEqual([
    ["main", "BatchTopK, k 4"],
    ["main-relu-l1-0.05", "ReLU + L1, penalty 0.05"],
  ]);
  for (const [i, dictionary] of [own, other].entries()) {
    const { fve, l0, counts } = await readSummary(dictionary);
    expect(comparison.dictionaries[i]).toMatchObject({ fve, l0, counts, truth: null });
  }
  const [mine, theirs] = [await loadDictionary(own), await loadDictionary(other)];
  expect([theirs.inferenceThreshold, theirs.k]).toEqual([0, 0]); // every positive code fires
  expect(theirs.decoderWeight).not.toEqual(mine.decoderWeight);

  const report = join(folder, "report.html");
  expect(await readFile(report, "utf8")).not.toContain("penalty 0.05");
  const again = await runStudy(options);
  expect(again.skipped).toEqual(["harvest", "train", "measure", "lens", "truth"]);
  expect(await readFile(report, "utf8")).toContain("ReLU + L1, penalty 0.05");
  expect((await collectResult(folder, config, again)).sparsities).toEqual(comparison.dictionaries);

  const before = await stat(sparsityPath(own));
  expect(await compareSparsities(options, 0.05)).toEqual(comparison);
  expect((await stat(sparsityPath(own))).mtimeMs).toBe(before.mtimeMs);
  expect(await readSparsityComparison(own)).toEqual(comparison);
  expect((await runStudy(options)).skipped).toContain("report");
});
