import { expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import { configHash, DEFAULT_TRAIN_CONFIG, resolveConstants, type TrainConfig } from "./config.ts";
import { checkTrainConfig } from "./config-check.ts";
import { kAt, learningRateAt } from "./schedule.ts";
import { nextThreshold } from "./train.ts";

const config: TrainConfig = { ...DEFAULT_TRAIN_CONFIG, steps: 100, batchRows: 10, learningRate: 1 };
const constants = resolveConstants(config, { width: 256, nSites: 2 });

test("constants follow the length of the run", () => {
  expect(constants).toMatchObject({
    warmupSteps: 5,
    decayStartStep: 80,
    deadAfterRows: 100,
    auxLatents: 64,
    largestK: 16,
  });
  expect(constants.thresholdBeta).toBeCloseTo(0.5, 12); // remembers 2 % of 100 steps
  const longer = resolveConstants({ ...config, steps: 100_000 }, { width: 256, nSites: 2 });
  expect(longer).toMatchObject({ warmupSteps: 5000, decayStartStep: 80_000, deadAfterRows: 100_000 });
  expect(longer.thresholdBeta).toBeCloseTo(0.9995, 12);
});

test("warm-up is at most 5 % of the steps and a latent is dead after at most 10 % of the rows", () => {
  expect(DEFAULT_TRAIN_CONFIG.warmupFraction).toBeLessThanOrEqual(0.05);
  expect(DEFAULT_TRAIN_CONFIG.deadAfterFraction).toBeLessThanOrEqual(0.1);
});

test("the learning rate rises, stays and falls, and is never 0", () => {
  const rates = Array.from({ length: 100 }, (_, step) => learningRateAt(step, config, constants));
  expect(rates.slice(0, 5)).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
  expect(rates.slice(5, 81).every((rate) => rate === 1)).toBe(true);
  expect(rates[81]).toBeCloseTo(0.95, 12);
  expect(rates[99]).toBeCloseTo(0.05, 12);
});

test("k anneals from its start to k, and without annealing steps it is k at once", () => {
  const annealed = { ...config, k: 4, kStart: 20, kAnnealingSteps: 8 };
  expect([0, 1, 4, 7, 8, 99].map((step) => kAt(step, annealed))).toEqual([20, 18, 12, 6, 4, 4]);
  expect(kAt(0, { ...annealed, kAnnealingSteps: 0 })).toBe(4);
  expect(resolveConstants(annealed, { width: 8, nSites: 2 }).largestK).toBe(20);
});

test("the first batch sets the threshold, later ones mix in", () => {
  expect(nextThreshold(-1, 3, 0.9)).toBe(3);
  expect(nextThreshold(3, 4, 0.9)).toBeCloseTo(3.1, 12);
  expect(nextThreshold(0, 4, 0.5)).toBe(2);
});

test("a bad configuration is refused with the field's name", () => {
  const bad: [Partial<TrainConfig>, RegExp][] = [
    [{ k: 0 }, /dictionary\.k: /],
    [{ k: 5000 }, /k: expected a whole number from 1 to nLatents/],
    [{ steps: 1.5 }, /steps/],
    [{ learningRate: Number.NaN }, /learningRate/],
    [{ warmupFraction: 0.9 }, /decayFraction/],
    [{ seed: -1 }, /seed/],
    [{ auxLatents: 0 }, /auxLatents/],
  ];
  for (const [change, message] of bad) {
    expect(() => checkTrainConfig({ ...DEFAULT_TRAIN_CONFIG, ...change })).toThrow(ConfigError);
    expect(() => checkTrainConfig({ ...DEFAULT_TRAIN_CONFIG, ...change })).toThrow(message);
  }
  expect(() => checkTrainConfig(DEFAULT_TRAIN_CONFIG)).not.toThrow();
});

test("the hash sees what decides the result and nothing else", () => {
  const hash = configHash(config);
  expect(configHash({ ...config, threads: 7, logEverySteps: 1, checkpointEverySteps: 1 })).toBe(hash);
  const { seed, ...rest } = config;
  expect(configHash({ ...rest, seed })).toBe(hash); // order of keys
  expect(configHash({ ...config, seed: seed + 1 })).not.toBe(hash);
  expect(configHash({ ...config, initNorm: 1 })).not.toBe(hash);
});
