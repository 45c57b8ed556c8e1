// The command from outside: a base against itself makes no claim, a mistake ends with its exit code, and the closing lines.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { startCli } from "../../test/run-cli.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { CLAIM_THRESHOLDS } from "../measure/measure-contract.ts";
import { type NullRecord, readNullRecord, readNullRows } from "../measure/null-file.ts";
import { parseStudyConfig, writeStudyConfig } from "../study/config.ts";
import { nullText } from "./null.ts";

let folder = "";
let base = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-null-command-"));
  const size = {
    vocab_size: TINY_VOCAB_SIZE,
    max_position_embeddings: 64,
    hidden_size: 16,
    num_hidden_layers: 2,
  };
  const config = { ...TINY_CONFIG, ...size };
  base = await writeTinyTokenizer(await writeTinyLlama(config, tinyWeights(config)));
  const lines = Array.from({ length: 90 }, (_, d) =>
    JSON.stringify({
      id: `d${d}`,
      text: `${"hush her user ".repeat(1 + (d % 5))}${d}`,
      split: ["train", "train", "heldout"][d % 3],
    }),
  );
  await writeFile(join(folder, "text.jsonl"), lines.join("\n"));
  const study = parseStudyConfig(
    {
      base,
      finetuned: base,
      data: join(folder, "text.jsonl"),
      layer: 1,
      threads: 1,
      dictionary: { nLatents: 24, k: 3, steps: 40, batchRows: 128 },
    },
    "test",
  );
  await writeStudyConfig(join(folder, "study.yaml"), study);
});
afterAll(async () => {
  for (const path of [folder, base]) await rm(path, { recursive: true, force: true });
});

test("a base against itself needs no noise, and no claim is made of it or of its null pairs", async () => {
  const run = await startCli(["null", folder, "--json"]);
  expect(run.stderr).toContain("0 claims; the null pairs made 0 on average; 0 claims at q ≤ 0.05");
  expect(run.stderr).not.toContain("--control");
  expect(run.code).toBe(0);
  const printed = JSON.parse(run.stdout);
  expect(run.stdout.trim().split("\n")).toHaveLength(1);
  const dictionary = join(folder, "dictionaries", "main");
  expect(printed).toEqual({ ...(await readNullRecord(dictionary)), folder, dictionary });
  const none = { candidates: 0, claims: 0 };
  expect(printed).toMatchObject({
    schemaVersion: 1,
    changeRatio: 0,
    counts: { finetuned: none, base: none },
    expectedFalseClaims: { finetuned: 0, base: 0 },
  });
  expect(printed.draws).toHaveLength(3);
  for (const draw of printed.draws) {
    expect(draw).toMatchObject({ scale: 0, changeRatio: 0, counts: { finetuned: none, base: none } });
  }
  const rows = await readNullRows(dictionary);
  expect(rows).toHaveLength(24);
  for (const { q, scoreFinetuned, scoreBase } of rows) {
    expect([q, scoreFinetuned, scoreBase]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  }
}, 120_000);

test("too few draws are a mistake of usage, and the help says that stores are deleted", async () => {
  const few = await startCli(["null", folder, "--draws", "2"]);
  expect(few.code).toBe(2);
  expect(few.stderr).toContain("expected a whole number of null draws from 3, got 2");
  expect(few.stdout).toBe("");
  const help = await startCli(["null", "--help"]);
  expect(help.stdout).toContain("Its store is deleted once it is measured, unless --keep is given");
}, 60_000);

const counts = { finetuned: { candidates: 9, claims: 174 }, base: { candidates: 3, claims: 1 } };
const draw = { name: "null-1", dictionarySha256: "", changeRatio: 0.51, counts, seed: 1, scale: 0.1 };
const record: NullRecord = {
  schemaVersion: 1,
  dictionarySha256: "",
  thresholds: { ...CLAIM_THRESHOLDS },
  settings: { draws: 3, includeControl: false, sampleRows: 8192 },
  changeRatio: 0.5,
  sampledRows: 8000,
  counts,
  draws: [draw, draw, draw],
  control: null,
  expectedFalseClaims: { finetuned: 7 / 3, base: 2 },
  claimsUpTo: [{ q: 0.05, finetuned: 168, base: 0 }],
};

test("the closing lines count claims against the null's, on either side", () => {
  const text = nullText({ record, dictionaryFolder: "/study/dictionaries/main" });
  expect(text).toContain("174 claims; the null pairs made 2.3 on average; 168 claims at q ≤ 0.05");
  expect(text).toContain("1 claim; the null pairs made 2 on average; 0 claims at q ≤ 0.05");
  expect(text).not.toContain("control");
  const control = {
    name: "null-control",
    dictionarySha256: "",
    changeRatio: 0.2,
    counts,
    path: "/c",
    modelHash: "",
  };
  const other = nullText({
    record: { ...record, control: { ...control, included: false } },
    dictionaryFolder: "/study/dictionaries/main",
  });
  expect(other).toContain("174 finetuned-specific and 1 base-specific claims, not counted among them");
});
