// Refusals of a training configuration, the absolute values that replace shares, and the hash.

import { expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { configHash, DEFAULT_TRAIN_CONFIG, resolveConstants, type TrainConfig } from "./config.ts";
import { checkTrainConfig } from "./config-check.ts";
import { overPreset, PRESET_NAMES, resolvePreset } from "./presets.ts";

const shape = { width: 256, nSites: 2 };

test.each<[Partial<Record<keyof TrainConfig, unknown>>, RegExp]>([
  [{ shards: 0 }, /dictionary\.shards: expected a whole number of at least 1, got 0/],
  [{ shards: 2.5 }, /shards/],
  [{ shards: 2049 }, /shards: expected at most nLatents \(2048\)/],
  [{ threads: 0 }, /threads/],
  [{ validateEverySteps: 0 }, /validateEverySteps/],
  [{ validateEverySteps: "often" }, /validateEverySteps: .* got "often"/],
  [{ nonFinite: { policy: "ignore" } }, /nonFinite\.policy: expected stop, skip, rollBack, got "ignore"/],
  [{ nonFinite: null }, /nonFinite\.policy/],
  [{ nonFinite: { policy: "skip" } }, /nonFinite\.most: .* got undefined/],
  [{ nonFinite: { policy: "rollBack", most: 0 } }, /nonFinite\.most: expected a whole number of at least 1/],
  [{ warmStart: "" }, /warmStart: expected the folder of a dictionary, got ""/],
  [{ normalise: "no" }, /normalise: expected true or false/],
  [{ warmupSteps: -1 }, /warmupSteps/],
  [{ decaySteps: 0.5 }, /decaySteps/],
  [
    { warmupSteps: 1000 },
    /warmupSteps: expected at most the run's steps \(1200\) together with its decay \(240\)/,
  ],
  [{ decaySteps: 1141 }, /decaySteps: .* together with its warm-up \(60\), got 1141/],
  [{ deadAfterRows: 0 }, /deadAfterRows/],
  [{ thresholdBeta: 1 }, /thresholdBeta: expected from 0 to below 1/],
  [{ thresholdBeta: Number.NaN }, /thresholdBeta/],
  [{ thresholdStartStep: -1 }, /thresholdStartStep/],
])("%j is refused", (change, message) => {
  const wrong = { ...DEFAULT_TRAIN_CONFIG, ...change } as TrainConfig;
  expect(() => checkTrainConfig(wrong)).toThrow(ConfigError);
  expect(() => checkTrainConfig(wrong)).toThrow(message);
});

test("the limits themselves are allowed", () => {
  const right: Partial<TrainConfig>[] = [
    { shards: 2048, validateEverySteps: 1, warmStart: "dictionaries/main", normalise: false },
    { nonFinite: { policy: "stop" } },
    { nonFinite: { policy: "rollBack", most: 1 } },
    { warmupSteps: 1000, decaySteps: 200 },
    { warmupSteps: 0, decaySteps: 0, thresholdBeta: 0, thresholdStartStep: 0, deadAfterRows: 1 },
    // Not looked at beside its absolute twin.
    { warmupFraction: 1, warmupSteps: 10 },
  ];
  for (const change of right)
    expect(() => checkTrainConfig({ ...DEFAULT_TRAIN_CONFIG, ...change })).not.toThrow();
});

test("an absolute value replaces the share it stands for, and no other constant", () => {
  const plain = resolveConstants(DEFAULT_TRAIN_CONFIG, shape);
  const resolved = (change: Partial<TrainConfig>) =>
    resolveConstants({ ...DEFAULT_TRAIN_CONFIG, ...change }, shape);
  expect(plain).toMatchObject({ warmupSteps: 60, decayStartStep: 960, thresholdStartStep: 0 });
  expect(resolved({ warmupSteps: 7 })).toEqual({ ...plain, warmupSteps: 7 });
  expect(resolved({ decaySteps: 0 })).toEqual({ ...plain, decayStartStep: 1200 });
  expect(resolved({ deadAfterRows: 10_000_000 })).toEqual({ ...plain, deadAfterRows: 10_000_000 });
  expect(resolved({ thresholdBeta: 0.999 })).toEqual({ ...plain, thresholdBeta: 0.999 });
  expect(resolved({ thresholdStartStep: 1001 })).toEqual({ ...plain, thresholdStartStep: 1001 });
});

test("configurations of before have the hash they had", () => {
  // Made by the version that had neither presets nor absolute values.
  expect(configHash(DEFAULT_TRAIN_CONFIG)).toBe(
    "06717b27a1262c4ed8c0a655170a1df46890a95d5f611d556967704179fa1a68",
  );
  expect(
    configHash({
      ...DEFAULT_TRAIN_CONFIG,
      kStart: 16,
      engine: "reference",
      sparsity: { kind: "reluL1", penalty: 0.1 },
      auxLatents: 3,
      warmupSteps: undefined,
      normalise: undefined,
    }),
  ).toBe("e9c53abc3d68b7840cd0876276db35ceebc0297674f1733e9a24b075cc8bb49b");
});

test("each new field that decides the result changes the hash", () => {
  const changes: Partial<TrainConfig>[] = [
    {},
    { warmupSteps: 60 },
    { decaySteps: 240 },
    { deadAfterRows: 1 },
    { thresholdBeta: 0.5 },
    { thresholdStartStep: 1 },
    { normalise: false },
  ];
  const hashes = changes.map((change) => configHash({ ...DEFAULT_TRAIN_CONFIG, ...change }));
  expect(new Set(hashes).size).toBe(changes.length);
});

test("every preset passes the checks, and asking for one twice gives two objects", () => {
  for (const name of PRESET_NAMES) {
    expect(() => checkTrainConfig({ ...DEFAULT_TRAIN_CONFIG, ...resolvePreset(name) })).not.toThrow();
    expect(resolvePreset(name)).toEqual(resolvePreset(name));
    expect(resolvePreset(name).sparsity).not.toBe(resolvePreset(name).sparsity);
  }
  expect(() => resolvePreset("paper")).toThrow(
    /dictionary\.preset: expected paper-batchtopk, .* got "paper"/,
  );
});

test("the BatchTopK preset resolves to the reference trainer's arguments", () => {
  const config = { ...DEFAULT_TRAIN_CONFIG, ...resolvePreset("paper-batchtopk") };
  expect(resolveConstants(config, { width: 2 * 2304, nSites: 2 })).toEqual({
    warmupSteps: 1000,
    decayStartStep: config.steps,
    deadAfterRows: 10_000_000,
    thresholdBeta: 0.999,
    thresholdStartStep: 1001,
    auxLatents: 1152,
    largestK: 100,
  });
  expect(config).toMatchObject({ auxAlpha: 0.03125, initNorm: 1, maxGradientNorm: 1, learningRate: 1e-4 });
  // 10^8 rows, twice, whole batches.
  expect(config.steps).toBe(Math.floor((2 * 1e8) / config.batchRows));
});

test("a share given beside a preset wins over the preset's absolute value; undefined is not given", () => {
  const preset = resolvePreset("paper-batchtopk");
  const over = overPreset(preset, { steps: 100, warmupFraction: 0.1, k: undefined, deadAfterRows: 5 });
  expect(over).toMatchObject({ steps: 100, warmupFraction: 0.1, k: 100, deadAfterRows: 5, decaySteps: 0 });
  expect(over).not.toHaveProperty("warmupSteps");
  expect(preset.warmupSteps).toBe(1000);
});
