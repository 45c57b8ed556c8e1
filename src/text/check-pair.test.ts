import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, MismatchError } from "../errors.ts";
import { checkPair, type PairMember } from "./check-pair.ts";
import { loadTokenizer } from "./tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-pair-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(join(root, "same")));
const withExtraToken = await loadTokenizer(
  writeTinyTokenizer(join(root, "other"), (json) => {
    (json.model as { vocab: Record<string, number> }).vocab["<extra>"] = 267;
    (json.added_tokens as object[]).push({
      ...(json.added_tokens as object[])[0],
      id: 267,
      content: "<extra>",
    });
  }),
);

const member = (change: Partial<PairMember> = {}): PairMember => ({
  folder: "some/model",
  modelType: "llama",
  nLayers: 4,
  dModel: 64,
  vocabSize: 512,
  layer: 2,
  tokenizer,
  templateHash: "t",
  ...change,
});

test("a pair that fits passes without a word; more embedding rows than ids are fine", async () => {
  expect(await checkPair({ base: member(), finetuned: member() })).toEqual([]);
});

test.each<[string, Partial<PairMember>, RegExp]>([
  [
    "another width",
    { dModel: 96 },
    /shapes differ: base 4 blocks of width 64, finetuned 4 blocks of width 96/,
  ],
  ["another depth and layer", { nLayers: 8, layer: 5 }, /layers 2 and 5 are compared/],
  ["another layer", { layer: 3 }, /layers differ: base 2, finetuned 3/],
  ["more rows", { vocabSize: 520 }, /embedding rows differ: base 512, finetuned 520/],
  ["another family", { modelType: "qwen2" }, /architectures differ: base llama, finetuned qwen2/],
  ["another template", { templateHash: "u" }, /chat templates differ/],
])("%s is allowed with a warning", async (_, change, warning) => {
  const warnings = await checkPair({ base: member(), finetuned: member(change) });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(warning);
});

test("a base without a chat template is the usual case and no warning", async () => {
  expect(await checkPair({ base: member({ templateHash: undefined }), finetuned: member() })).toEqual([]);
});

test("different tokenizers are refused with both hashes and the first difference", async () => {
  const attempt = checkPair({ base: member(), finetuned: member({ tokenizer: withExtraToken }) });
  await expect(attempt).rejects.toThrow(MismatchError);
  await expect(attempt).rejects.toThrow(
    new RegExp(
      `${tokenizer.hash.slice(0, 12)}.*${withExtraToken.hash.slice(0, 12)}.*vocabulary, entry 267: base nothing`,
    ),
  );
});

test("a tokenizer with more ids than the embedding has rows is refused with both numbers", async () => {
  const attempt = checkPair({ base: member(), finetuned: member({ vocabSize: 200 }) });
  await expect(attempt).rejects.toThrow(/267 ids.*got 200 rows/);
});

test.each([-1, 4, 1.5])("layer %s of four blocks is refused", async (layer) => {
  for (const pair of [
    { base: member({ layer }), finetuned: member() },
    { base: member(), finetuned: member({ layer }) },
  ]) {
    await expect(checkPair(pair)).rejects.toThrow(ConfigError);
    await expect(checkPair(pair)).rejects.toThrow(`expected 0 to 3 (some/model has 4 blocks), got ${layer}`);
  }
});
