// The stability of a small study from nothing: two seeds and a size, resumed, repeated and asked for more.

import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, InterruptedError } from "../errors.ts";
import { readParquet } from "../formats/parquet.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { readMeasure } from "../measure/measure.ts";
import { readStabilityTable, stabilityPaths } from "../measure/stability-file.ts";
import { createRng } from "../numerics/rng.ts";
import type { Progress } from "../progress.ts";
import { parseStudyConfig, type StudyConfig } from "./config.ts";
import { otherRuns, runStabilityStudy, type StabilityStudyOptions } from "./stability-study.ts";

let folder = "";
const models: string[] = [];
let config: StudyConfig;

async function makeModel(seed: number): Promise<string> {
  const whole = {
    ...TINY_CONFIG,
    vocab_size: TINY_VOCAB_SIZE,
    max_position_embeddings: 64,
    hidden_size: 16,
    num_hidden_layers: 2,
  };
  const path = await writeTinyLlama(whole, tinyWeights(whole, seed));
  models.push(path);
  return writeTinyTokenizer(path);
}

async function writeText(path: string): Promise<void> {
  const rng = createRng(1, "stability text");
  const words = ["hi", "user", "her", "us", "sir", "hush", "ruse", "hers"];
  const lines = Array.from({ length: 120 }, (_, d) => {
    const nWords = 4 + Math.floor(12 * rng.uniform(d, 0));
    const text = Array.from(
      { length: nWords },
      (_, i) => words[Math.floor(words.length * rng.uniform(d, 1 + i))],
    );
    return JSON.stringify({
      id: `d${d}`,
      text: `${text.join(" ")} ${d}`,
      split: ["train", "train", "heldout"][d % 3],
    });
  });
  await writeFile(path, lines.join("\n"));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-stability-"));
  await writeText(join(folder, "text.jsonl"));
  config = parseStudyConfig(
    {
      base: await makeModel(1),
      finetuned: await makeModel(2),
      data: join(folder, "text.jsonl"),
      layer: 1,
      threads: 1,
      seed: 4,
      dictionary: { nLatents: 48, k: 4, steps: 120, batchRows: 128, checkpointEverySteps: 40 },
    },
    "test",
  );
});
afterAll(async () => {
  for (const path of [folder, ...models]) await rm(path, { recursive: true, force: true });
});

const study = (name: string) => join(folder, name);
const run = (more: Partial<StabilityStudyOptions> = {}) =>
  runStabilityStudy({ folder: study("study"), config, seeds: 2, latents: [32], ...more });
const dictionaries = ["main", "main-seed5", "main-seed6", "main-latents32"];
const modelTimes = () =>
  Promise.all(
    dictionaries.map(
      async (name) => (await stat(join(study("study"), "dictionaries", name, "model.safetensors"))).mtimeMs,
    ),
  );

test("a stopped run goes on, and a finished one repeats nothing", async () => {
  const controller = new AbortController();
  const reportProgress = ({ stage, done }: Progress) => {
    if (stage === "train 3 others" && done > 100) controller.abort();
  };
  await expect(run({ signal: controller.signal, reportProgress })).rejects.toThrow(InterruptedError);
  const stages = new Set<string>();
  const first = await run({ reportProgress: ({ stage }) => stages.add(stage) });
  expect(first.reused).toBe(false);
  expect([...stages]).toEqual(
    expect.arrayContaining(["train 3 others", "measure main-latents32", "stability"]),
  );
  expect(first.record.reference).toMatchObject({ name: "main", seed: 4, nLatents: 48 });
  expect(first.record.others.map(({ name, nLatents }) => [name, nLatents])).toEqual([
    ["main-seed5", 48],
    ["main-seed6", 48],
    ["main-latents32", 32],
  ]);
  const times = await modelTimes();
  const table = await readFile(stabilityPaths(first.dictionaryFolder).table);

  stages.clear();
  const second = await run({ reportProgress: ({ stage }) => stages.add(stage) });
  expect(second).toEqual({ ...first, reused: true });
  expect([...stages]).toEqual([]);
  expect(await modelTimes()).toEqual(times);
  expect((await readFile(stabilityPaths(first.dictionaryFolder).table)).equals(table)).toBe(true);
});

test("the table has a row a latent, and says of each what the other dictionaries' tables say", async () => {
  const { dictionaryFolder, record } = await run();
  const rows = await readStabilityTable(dictionaryFolder);
  const { latents } = await readMeasure(dictionaryFolder);
  expect(rows.length).toBe(48);
  expect(Object.keys(await readParquet(stabilityPaths(dictionaryFolder).table))).toEqual([
    "latent",
    "side",
    "nCompared",
    "directionFound",
    "claimReplicated",
    "bestCosine",
    "bestCorrelation",
    "matches",
  ]);
  const theirs = new Map<string, Awaited<ReturnType<typeof readMeasure>>["latents"]>();
  for (const { name } of record.others)
    theirs.set(name, (await readMeasure(join(study("study"), "dictionaries", name))).latents);
  for (const row of rows) {
    expect(row.nCompared).toBe(latents[row.latent].frequency > 0 ? 3 : 0);
    for (const match of row.matches)
      expect(theirs.get(match.dictionary)![match.latent].claim).toBe(match.claim);
  }
  // Concepts of so small a world are found by most seeds, but not by all.
  const found = rows.map(({ directionFound }) => directionFound);
  expect(new Set(found).size).toBeGreaterThan(2);
  const { finetunedSpecific, baseSpecific, leaningUnclaimed, shared } = record.counts;
  const groups = [finetunedSpecific, baseSpecific, leaningUnclaimed, shared];
  expect(groups.reduce((sum, group) => sum + group.latents, 0)).toBe(48);
  expect(groups.reduce((sum, group) => sum + group.directionFoundInAll, 0)).toBe(
    rows.filter(({ nCompared, directionFound }) => nCompared === 3 && directionFound === 3).length,
  );
});

test("the others start elsewhere: no two share a latent's first row, nor a seed, but all the order of rows", async () => {
  await run();
  const records = await Promise.all(
    dictionaries.map(async (name) =>
      JSON.parse(await readFile(join(study("study"), "dictionaries", name, "training.json"), "utf8")),
    ),
  );
  expect(new Set(records.map(({ config: { seed } }) => seed)).size).toBe(4);
  expect(records.map(({ config: { seed, dataSeed = seed } }) => dataSeed)).toEqual([4, 4, 4, 4]);
  const rows = await Promise.all(
    dictionaries.map(async (name) =>
      (await loadDictionary(join(study("study"), "dictionaries", name))).encoderWeight.slice(0, 4).join(),
    ),
  );
  expect(new Set(rows).size).toBe(4);
});

test("another question is answered anew, from the dictionaries that are there", async () => {
  const times = await modelTimes();
  const { record, reused } = await run({ seeds: 1, latents: [] });
  expect(reused).toBe(false);
  expect(record.others.map(({ name }) => name)).toEqual(["main-seed5"]);
  expect(await modelTimes()).toEqual(times);
});

test("what makes no comparison is refused before anything is computed", () => {
  const names = (seeds: number, latents: number[] = []) =>
    otherRuns(config, { seeds, latents }).map(({ name }) => name);
  expect(names(2, [96])).toEqual(["main-seed5", "main-seed6", "main-latents96"]);
  expect(names(0, [96])).toEqual(["main-latents96"]);
  expect(otherRuns(config, {}).length).toBe(3);
  for (const [seeds, latents] of [
    [0, []],
    [-1, []],
    [1.5, []],
    [1, [48]],
    [1, [96, 96]],
    [1, [0]],
    [1, [3]],
  ] as const) {
    expect(() => otherRuns(config, { seeds, latents }), `${seeds} ${latents}`).toThrow(ConfigError);
  }
  const warm = { ...config, dictionary: { ...config.dictionary, warmStart: "elsewhere" } };
  expect(() => otherRuns(warm, {})).toThrow(/warmStart/);
});
