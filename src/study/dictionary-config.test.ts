// The dictionary section of study.yaml and the training run it becomes.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { ConfigError } from "../errors.ts";
import { packageRoot } from "../package-root.ts";
import { configHash, DEFAULT_TRAIN_CONFIG, type TrainConfig } from "../training/config.ts";
import { parseStudyConfig } from "./config.ts";
import { outcomeOf, trainConfigOf } from "./dictionary-config.ts";

const models = { base: "/b", finetuned: "/f", data: "/d.jsonl" };
function trainConfig(dictionary: object, rest: object = {}): TrainConfig {
  const config = parseStudyConfig({ ...models, ...rest, dictionary }, "test");
  return trainConfigOf(config.dictionary, config);
}
/** What a stage's key takes of it. */
const keyPart = (config: TrainConfig): string =>
  createHash("sha256")
    .update(JSON.stringify(outcomeOf(config)))
    .digest("hex");

test("studies of before become the run they were, and keep the key of their stage", () => {
  // Both hashes were made by the version before presets, from the same studies.
  const plain = trainConfig({}, { threads: 2 });
  expect(plain).toEqual({ ...DEFAULT_TRAIN_CONFIG, kStart: 16, threads: 2 });
  expect(keyPart(plain)).toBe("1820d6ff3025f51e1adfbf99489b13fec78e05afea1808b2f8d94f4d4bb8cad7");
  expect(configHash(plain)).toBe("21be8f6f839eb103d2059d953daa395d7d121a6ee74281f2aa87bc2af96e5554");
  const other = trainConfig(
    {
      name: "x",
      nLatents: 512,
      k: 8,
      learningRate: 0.001,
      engine: "reference",
      sparsity: { kind: "reluL1", penalty: 0.02 },
    },
    { seed: 3, threads: 2 },
  );
  expect(keyPart(other)).toBe("253a7fb869756224ade22f1e702aeda484150defbd229d0d2d7f0b1cba444935");
  expect(configHash(other)).toBe("f5e086db7bcb1ff5e889c94768902a2191dc649dd49bb1d94cb318ed1323cf66");
});

test("every field of a training run can be said in study.yaml, and is in its documentation", () => {
  const all: Required<Omit<TrainConfig, "threads">> = {
    nLatents: 64,
    sparsity: { kind: "topK" },
    codeNormalisation: "sae",
    reconstruction: "squared",
    engine: "reference",
    k: 3,
    kStart: 5,
    kAnnealingSteps: 10,
    steps: 50,
    batchRows: 32,
    learningRate: 0.01,
    initNorm: 0.5,
    targetRms: 2,
    normalise: true,
    warmupFraction: 0.1,
    warmupSteps: 4,
    decayFraction: 0.3,
    decaySteps: 6,
    maxGradientNorm: 2,
    auxAlpha: 0.5,
    auxLatents: 7,
    deadAfterFraction: 0.5,
    deadAfterRows: 99,
    thresholdMemoryFraction: 0.1,
    thresholdBeta: 0.9,
    thresholdStartStep: 3,
    outlierFactor: 5,
    calibrationRows: 1000,
    seed: 9,
    dataSeed: 8,
    shards: 2,
    validateEverySteps: 10,
    nonFinite: { policy: "skip", most: 2 },
    warmStart: "/elsewhere/main",
    checkpointEverySteps: 11,
    logEverySteps: 12,
  };
  expect(trainConfig(all)).toEqual({ ...all, threads: undefined });
  const page = readFileSync(join(packageRoot(), "docs", "formats.md"), "utf8");
  expect(Object.keys(all).filter((field) => !new RegExp(`[\`.]${field}[\`:]`).test(page))).toEqual([]);
});

test("the dictionary's seed is the study's unless it has its own", () => {
  expect(trainConfig({}, { seed: 4 }).seed).toBe(4);
  expect(trainConfig({ seed: 5 }, { seed: 4 }).seed).toBe(5);
});

test("a preset fills what is not given, and what is given wins", () => {
  expect(trainConfig({ preset: "paper-batchtopk-llama-8b" })).toMatchObject({
    nLatents: 131_072,
    k: 200,
    kStart: 1000,
    kAnnealingSteps: 5000,
    batchRows: 2048,
    normalise: false,
    // no preset fixes these
    outlierFactor: DEFAULT_TRAIN_CONFIG.outlierFactor,
    seed: 0,
  });
  const small = trainConfig({
    preset: "paper-batchtopk",
    nLatents: 64,
    k: 4,
    steps: 100,
    warmupFraction: 0.05,
  });
  expect(small).toMatchObject({ nLatents: 64, k: 4, kStart: 4, steps: 100, warmupFraction: 0.05 });
  expect(small.warmupSteps).toBeUndefined();
});

test("a parsed study says the size of its run, and parsing it again changes nothing", () => {
  const first = parseStudyConfig({ ...models, dictionary: { preset: "paper-l1", steps: 2000 } }, "test");
  expect(first.dictionary).toMatchObject({ preset: "paper-l1", nLatents: 73_728, k: 16, steps: 2000 });
  const second = parseStudyConfig(JSON.parse(JSON.stringify(first)), "test");
  expect(stringify(second)).toBe(stringify(first));
  expect(keyPart(trainConfigOf(second.dictionary, second))).toBe(
    keyPart(trainConfigOf(first.dictionary, first)),
  );
});

test("threads, shards and intervals do not change the key of the stage; the rest does", () => {
  const key = keyPart(trainConfig({}));
  const same = { shards: 2, validateEverySteps: 5, checkpointEverySteps: 9, logEverySteps: 9 };
  expect(keyPart(trainConfig(same, { threads: 1 }))).toBe(key);
  expect(keyPart(trainConfig({ auxAlpha: 0 }))).not.toBe(key);
  expect(keyPart(trainConfig({ seed: 1 }))).not.toBe(key);
});

test.each([
  [{ preset: "papper" }, "dictionary.preset"],
  [{ nonFinite: { policy: "skip" } }, "dictionary.nonFinite.most"],
  [{ thresholdBeta: 1 }, "dictionary.thresholdBeta"],
  [{ warmup: 3 }, "dictionary"],
  // seen by the trainer's own checks, when the file is read
  [{ k: 3000 }, "study.yaml: dictionary.k: expected a whole number from 1 to nLatents (2048)"],
  [
    { preset: "paper-l1", steps: 500 },
    "study.yaml: dictionary.warmupSteps: expected at most the run's steps (500)",
  ],
])("%j is refused at %s", (dictionary, message) => {
  const parse = () => parseStudyConfig({ ...models, dictionary }, "study.yaml");
  expect(parse).toThrow(ConfigError);
  expect(parse).toThrow(message);
});
