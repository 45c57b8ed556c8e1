// Outputs asked for after a study was finished: harvested, joined to the examples, and nothing else repeated.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { openExamples } from "../measure/measure.ts";
import { measurePaths } from "../measure/measure-files.ts";
import { openOutputs } from "../store/outputs.ts";
import { runStudy } from "./run-study.ts";

let tiny: TinyStudy;
beforeAll(async () => {
  tiny = await makeTinyStudy();
});
afterAll(() => tiny.remove());

test("outputs that come later are joined to the examples, and training, lens and truth are not repeated", async () => {
  const { root, config } = tiny;
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
