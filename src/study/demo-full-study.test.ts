// Another sparsity beside a small study's own, from nothing and again; and the report, which is made anew when its table came.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTinyStudy, type TinyStudy } from "../../test/tiny-study.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { readSummary } from "../measure/measure.ts";
import { readSparsityComparison, sparsityPath } from "../report/sparsity-comparison.ts";
import { compareSparsities } from "./demo-full.ts";
import { collectResult } from "./result.ts";
import { runStudy } from "./run-study.ts";

let tiny: TinyStudy;
beforeAll(async () => {
  tiny = await makeTinyStudy();
});
afterAll(() => tiny.remove());

test("the other dictionary is trained once, its figures are its own, and the report follows the table", async () => {
  const { root, config } = tiny;
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
