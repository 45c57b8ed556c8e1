// A study over two tiny random models and sixty short texts: every stage of it takes a moment.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../src/lm/tiny-llama.test.data.ts";
import { parseStudyConfig, type StudyConfig } from "../src/study/config.ts";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "./golden/text/tiny-tokenizer.ts";

export interface TinyStudy {
  /** A temporary folder; the study may lie in it. */
  root: string;
  config: StudyConfig;
  remove(): Promise<void>;
}

export async function makeTinyStudy(): Promise<TinyStudy> {
  const root = await mkdtemp(join(tmpdir(), "tunediff-tiny-study-"));
  const models: string[] = [];
  const makeModel = async (seed: number): Promise<string> => {
    const whole = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, hidden_size: 16, num_hidden_layers: 2 };
    const path = await writeTinyLlama(whole, tinyWeights(whole, seed));
    models.push(path);
    return writeTinyTokenizer(path);
  };
  const lines = Array.from({ length: 60 }, (_, d) =>
    JSON.stringify({
      text: `${"her user is us, sir ".repeat(1 + (d % 3))}${d}`,
      split: d % 2 === 0 ? "train" : "heldout",
    }),
  );
  await writeFile(join(root, "text.jsonl"), lines.join("\n"));
  const config = parseStudyConfig(
    {
      ...{ base: await makeModel(1), finetuned: await makeModel(2), data: join(root, "text.jsonl") },
      ...{ layer: 1, threads: 1 },
      dictionary: { nLatents: 24, k: 4, steps: 20, batchRows: 64 },
    },
    "test",
  );
  return {
    root,
    config,
    async remove() {
      for (const path of [root, ...models]) await rm(path, { recursive: true, force: true });
    },
  };
}
