// The null comparison of a small study from nothing: what it writes, keeps and repeats, and what it refuses.

import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, InterruptedError, MismatchError, StorageError } from "../errors.ts";
import { acquireLock } from "../formats/atomic.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { candidateScores, qValues } from "../measure/false-discovery.ts";
import { readMeasure } from "../measure/measure.ts";
import { nullPaths, readNullRecord, readNullRows } from "../measure/null-file.ts";
import { createRng } from "../numerics/rng.ts";
import type { Progress } from "../progress.ts";
import { openStore } from "../store/store.ts";
import { parseStudyConfig, type StudyConfig } from "./config.ts";
import { NOISE_SEARCH } from "./noise-scale.ts";
import { type NullStudyOptions, runNullStudy, STRONG_CHANGE } from "./null-study.ts";

let folder = "";
let config: StudyConfig;
const models: string[] = [];

async function makeModel(seed: number, change: object = {}): Promise<string> {
  const size = {
    vocab_size: TINY_VOCAB_SIZE,
    max_position_embeddings: 64,
    hidden_size: 16,
    num_hidden_layers: 2,
  };
  const whole = { ...TINY_CONFIG, ...size, ...change };
  const weights = tinyWeights(whole, 1);
  // Another seed is a fine-tune of the first: a third of other weights, so that the residuals are related.
  if (seed !== 1) {
    for (const [name, other] of tinyWeights(whole, seed)) {
      const values = weights.get(name) as Float32Array;
      for (let i = 0; i < values.length; i += 1) values[i] += 0.3 * other[i];
    }
  }
  const path = await writeTinyLlama(whole, weights);
  models.push(path);
  return writeTinyTokenizer(path);
}

async function writeText(path: string): Promise<void> {
  const rng = createRng(1, "null text");
  const words = ["hi", "user", "her", "us", "sir", "hush", "ruse", "hers"];
  const lines = Array.from({ length: 90 }, (_, d) => {
    const nWords = 4 + Math.floor(10 * rng.uniform(d, 0));
    const text = Array.from(
      { length: nWords },
      (_, i) => words[Math.floor(words.length * rng.uniform(d, 1 + i))],
    );
    const split = ["train", "train", "heldout"][d % 3];
    return JSON.stringify({ id: `d${d}`, text: `${text.join(" ")} ${d}`, split });
  });
  await writeFile(path, lines.join("\n"));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-null-"));
  await writeText(join(folder, "text.jsonl"));
  config = parseStudyConfig(
    {
      base: await makeModel(1),
      finetuned: await makeModel(2),
      data: join(folder, "text.jsonl"),
      layer: 1,
      threads: 1,
      seed: 4,
      // A store does not hold the skipped token, which the stored rows have read: the noise must reach its scale all the same.
      store: { skipFirst: 1 },
      dictionary: {
        nLatents: 32,
        k: 4,
        steps: 40,
        batchRows: 128,
        learningRate: 0.01,
        checkpointEverySteps: 10,
      },
    },
    "test",
  );
});
afterAll(async () => {
  for (const path of [folder, ...models]) await rm(path, { recursive: true, force: true });
});

const run = (name: string, more: Partial<NullStudyOptions> = {}) =>
  runNullStudy({ folder: join(folder, name), config, ...more });
const dictionary = (name: string) => join(folder, name, "dictionaries", "main");
const bytesOf = async (name: string): Promise<string[]> => {
  const { table, record } = nullPaths(dictionary(name));
  return Promise.all([table, record].map((path) => readFile(path, "base64")));
};

test("the tables hold the scores of the study against those of three draws as far from the base as the pair", async () => {
  const { record, rows, warnings } = await run("study");
  expect(await readNullRows(dictionary("study"))).toEqual(rows);
  expect(await readNullRecord(dictionary("study"))).toEqual(record);
  expect(record.changeRatio).toBeGreaterThan(STRONG_CHANGE);
  expect(warnings.filter((warning) => warning.includes("--control"))).toHaveLength(1);
  for (const { candidates } of [record.counts.finetuned, record.counts.base])
    expect(candidates).toBeGreaterThan(0);
  expect(record.expectedFalseClaims.finetuned + record.expectedFalseClaims.base).toBeGreaterThan(0);
  expect(record.draws.map(({ name, seed }) => [name, seed])).toEqual([
    ["null-1", 1],
    ["null-2", 2],
    ["null-3", 3],
  ]);
  for (const draw of record.draws) {
    expect(Math.abs(draw.changeRatio / record.changeRatio - 1)).toBeLessThanOrEqual(NOISE_SEARCH.tolerance);
  }
  expect(new Set(record.draws.map((draw) => draw.dictionarySha256)).size).toBe(3);

  const scoresOf = async (path: string) => candidateScores((await readMeasure(path)).latents);
  const real = await scoresOf(dictionary("study"));
  const draws = await Promise.all([1, 2, 3].map((d) => scoresOf(`${dictionary("study")}-null-${d}`)));
  for (const side of ["finetuned", "base"] as const) {
    const q = qValues(
      real[side],
      draws.map((scores) => scores[side]),
    );
    const [score, value] =
      side === "finetuned" ? (["scoreFinetuned", "qFinetuned"] as const) : (["scoreBase", "qBase"] as const);
    expect(rows.map((row) => row[score])).toEqual([...real[side]]);
    expect(rows.map((row) => row[value])).toEqual([...q]);
    const claims = draws.map((scores) => scores[side].filter((s) => s < 1).length);
    expect(record.expectedFalseClaims[side]).toBeCloseTo((claims[0] + claims[1] + claims[2]) / 3, 12);
  }
  for (const { scoreFinetuned, qFinetuned, scoreBase, qBase, q } of rows) {
    expect(q).toBe(scoreFinetuned < 1 ? qFinetuned : scoreBase < 1 ? qBase : Number.NaN);
  }
  expect(await readdir(join(folder, "study", "stores"))).toEqual(["main"]);
});

test("a second run repeats nothing and writes the same bytes", async () => {
  const before = await bytesOf("study");
  const model = join(`${dictionary("study")}-null-2`, "model.safetensors");
  const { mtimeMs } = await stat(model);
  const stages = new Set<string>();
  await run("study", { reportProgress: ({ stage }: Progress) => stages.add(stage) });
  expect([...stages]).toEqual([]);
  expect((await stat(model)).mtimeMs).toBe(mtimeMs);
  expect(await bytesOf("study")).toEqual(before);
});

test("a run stopped anywhere goes on, ends with the bytes of one that was not, and keeps stores where asked", async () => {
  const stops = ["null-1 noise", "null-1 harvest finetuned", "null-2 train", "null-3 measure"];
  for (const stop of stops) {
    const controller = new AbortController();
    const reportProgress = ({ stage }: Progress): void => {
      if (stage.startsWith(stop)) controller.abort();
    };
    const stopped = run("stopped", { reportProgress, signal: controller.signal, keep: true });
    await expect(stopped, stop).rejects.toThrow(InterruptedError);
    expect(existsSync(join(folder, "stopped", ".lock"))).toBe(false);
  }
  await run("stopped", { keep: true });
  expect(await bytesOf("stopped")).toEqual(await bytesOf("study"));

  const stores = join(folder, "stopped", "stores");
  expect((await readdir(stores)).sort()).toEqual(["main", "null-1", "null-2", "null-3"]);
  const [real, null1] = [await openStore(join(stores, "main")), await openStore(join(stores, "null-1"))];
  const read = async (store: typeof real) => (await store.read(3, 40)).filter((_, i) => i % 32 < 16);
  expect(await read(null1)).toEqual(await read(real)); // the base's half
  expect(null1.rows.tokenBase).toEqual(real.rows.tokenBase);
  await real.close();
  await null1.close();
});

test("a draw whose dictionary is damaged or of another question is made again", async () => {
  const before = await bytesOf("study");
  await rm(join(`${dictionary("study")}-null-1`, "tables", "measure.json"));
  const state = join(`${dictionary("study")}-null-2`, "null-draw.json");
  await writeFile(state, (await readFile(state, "utf8")).replace(/"key": "..../, '"key": "0000'));
  const stages = new Set<string>();
  await run("study", { reportProgress: ({ stage }: Progress) => stages.add(stage) });
  expect(stages).toContain("null-1 measure");
  expect(stages).not.toContain("null-1 train");
  expect(stages).toContain("null-2 train");
  expect([...stages].filter((stage) => stage.startsWith("null-3"))).toEqual([]);
  expect(await bytesOf("study")).toEqual(before);
});

test("a control is one more draw, apart unless it is included", async () => {
  const control = await makeModel(3);
  const apart = await run("study", { control });
  expect(apart.record.control).toMatchObject({ name: "null-control", path: control, included: false });
  expect(apart.record.control?.changeRatio).toBeGreaterThan(0);
  const alone = await run("study");
  expect(apart.rows).toEqual(alone.rows);
  expect(apart.record.expectedFalseClaims).toEqual(alone.record.expectedFalseClaims);
  const { record } = await run("study", { control, includeControl: true });
  expect(record.control).toEqual({ ...apart.record.control, included: true });
  for (const side of ["finetuned", "base"] as const) {
    const sum = [...record.draws, record.control].reduce(
      (total, draw) => total + (draw?.counts[side].claims ?? 0),
      0,
    );
    expect(record.expectedFalseClaims[side]).toBeCloseTo(sum / 4, 12);
  }
  expect(record.expectedFalseClaims).not.toEqual(apart.record.expectedFalseClaims);
});

test("what cannot be a null comparison is refused before anything is run", async () => {
  const nowhere = (more: Partial<NullStudyOptions>) => run("refused", more);
  await expect(nowhere({ draws: 2 })).rejects.toThrow(ConfigError);
  await expect(nowhere({ draws: 3.5 })).rejects.toThrow(ConfigError);
  await expect(nowhere({ includeControl: true })).rejects.toThrow(ConfigError);
  const named = { ...config, store: { ...config.store, name: "null-1" } };
  await expect(nowhere({ config: named })).rejects.toThrow(/null-/);
  expect(existsSync(join(folder, "refused"))).toBe(false);
});

test("a control of another width, and a study in use, are refused", async () => {
  const wide = await makeModel(1, { hidden_size: 32 });
  await expect(run("study", { control: wide })).rejects.toThrow(MismatchError);
  const lock = await acquireLock(join(folder, "study", ".lock"));
  await expect(run("study")).rejects.toThrow(StorageError);
  await lock.release();
});
