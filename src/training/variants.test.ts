// Whole runs of the variants: ReLU + L1, TopK, other normalisations, squared reconstruction, k annealing.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { ConfigError, InterruptedError } from "../errors.ts";
import { configHash, DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { checkTrainConfig } from "./config-check.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import type { MetricsLine } from "./metrics.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { kAt, penaltyAt } from "./schedule.ts";
import type { Sparsity } from "./sparsity.ts";
import { train } from "./train.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "variants-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const concepts = Array.from({ length: 6 }, (_, c) => ({
  base: c % 3 === 2 ? 0 : 1,
  finetuned: c % 3 === 1 ? 0 : 1,
}));
const smallStore = () =>
  memoryStore(plantedActivations({ concepts, width: 8, nRows: 1500, density: 0.15, noise: 0.02 }), {
    sites: pairOfSites(8),
  });
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 40,
  batchRows: 32,
  learningRate: 1e-2,
  logEverySteps: 1,
  checkpointEverySteps: 1000,
  threads: 1,
};
const metrics = async (): Promise<MetricsLine[]> =>
  (await readFile(join(folder, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as MetricsLine);
const modelBytes = async (): Promise<string> =>
  (await readFile(join(folder, "model.safetensors"))).toString("base64");

describe("ReLU + L1", () => {
  const reluL1 = (penalty: number, penaltyWarmupFraction?: number): TrainConfig => ({
    ...config,
    sparsity: { kind: "reluL1", penalty, penaltyWarmupFraction },
  });

  test("a larger penalty leaves fewer codes and a worse fit", async () => {
    const runs: { l0: number; fve: number }[] = [];
    for (const penalty of [0, 0.02, 0.2]) {
      await rm(folder, { recursive: true, force: true });
      const { calibration } = (await train({ store: smallStore(), config: reluL1(penalty), folder }))
        .training;
      runs.push({ l0: calibration.l0, fve: calibration.fve.total });
    }
    expect(runs[0].l0).toBeGreaterThan(runs[1].l0);
    expect(runs[1].l0).toBeGreaterThan(runs[2].l0);
    expect(runs[1].fve).toBeGreaterThan(runs[2].fve);
    expect(runs[1].fve).toBeGreaterThan(0.5);
  });

  test("as in its reference: no auxiliary loss, no clipping, no k, θ = 0; the record says so", async () => {
    // A latent silent for a batch is dead, and gradients would be clipped to nothing.
    const harsh = { ...reluL1(0.2), deadAfterFraction: 1 / 40, auxAlpha: 1, maxGradientNorm: 1e-9, k: 1 };
    const mild = { ...harsh, auxAlpha: 0, maxGradientNorm: 1e9, k: 24 };
    const other = await train({ store: smallStore(), config: mild, folder });
    await rm(folder, { recursive: true });
    const { dictionary, training } = await train({ store: smallStore(), config: harsh, folder });
    expect(dictionary).toEqual(other.dictionary);
    const lines = await metrics();
    expect(lines.some((line) => line.dead > 0)).toBe(true);
    expect(lines.every((line) => line.auxLoss === 0 && line.k === 0 && line.penalty === 0.2)).toBe(true);
    expect(lines.every((line) => (line.penaltyLoss as number) > 0)).toBe(true);
    expect(Math.min(...lines.map(({ gradientNorm }) => gradientNorm))).toBeGreaterThan(1e-3);
    expect(training.constants).toMatchObject({ auxAlpha: 0, penaltyWarmupSteps: 0 });
    expect(training.backend).toBe("readable reference, float32");
    expect(dictionary).toMatchObject({ k: 0, inferenceThreshold: 0 });
    expect(await loadDictionary(folder)).toEqual(dictionary);
  });

  test("the penalty is there from the first step unless a warm-up is asked for, which is never 0", async () => {
    expect([0, 1, 99].map((step) => penaltyAt(step, 0.4, 0))).toEqual([0.4, 0.4, 0.4]);
    expect([0, 1, 3, 4].map((step) => penaltyAt(step, 0.4, 4))).toEqual([0.1, 0.2, 0.4, 0.4]);
    await train({ store: smallStore(), config: { ...reluL1(0.4, 0.1), steps: 10 }, folder });
    expect((await metrics()).slice(0, 2).map(({ penalty }) => penalty)).toEqual([0.4, 0.4]);
    await rm(folder, { recursive: true });
    await train({ store: smallStore(), config: { ...reluL1(0.4, 0.4), steps: 10 }, folder });
    expect((await metrics()).slice(0, 5).map(({ penalty }) => penalty)).toEqual([
      0.1,
      0.2,
      0.4 * 0.75,
      0.4,
      0.4,
    ]);
  });
});

const VARIANTS: Partial<TrainConfig>[] = [
  { sparsity: { kind: "topK" } },
  { sparsity: { kind: "topK" }, codeNormalisation: "none", reconstruction: "squared" },
  { codeNormalisation: "sae" },
  { sparsity: { kind: "reluL1", penalty: 0.05, penaltyWarmupFraction: 0.5 }, codeNormalisation: "sae" },
];

describe.each(VARIANTS)("%j", (variant) => {
  test("stopped and resumed it ends with the same bytes, and the file gives the dictionary back", async () => {
    const all = { ...config, ...variant };
    const { dictionary } = await train({ store: smallStore(), config: all, folder });
    expect(await loadDictionary(folder)).toEqual(dictionary);
    const straight = await modelBytes();
    await rm(folder, { recursive: true });
    const controller = new AbortController();
    const stopped = train({
      store: smallStore(),
      config: all,
      folder,
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        if (stage === "train" && done === 13) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(InterruptedError);
    expect((await train({ store: smallStore(), config: all, folder })).training.resumedFromStep).toBe(13);
    expect(await modelBytes()).toBe(straight);
  });

  test("the fast engine trains it, too: the first steps' losses are those of the readable one", async () => {
    const few = { ...config, ...variant, steps: 5 };
    const lossesOf = async (engine: "fast" | "reference"): Promise<number[]> => {
      await rm(folder, { recursive: true, force: true });
      await train({ store: smallStore(), config: { ...few, engine }, folder });
      return (await metrics()).map(({ loss }) => loss);
    };
    const slow = await lossesOf("reference");
    // f32 sums in another order, through five updates.
    for (const [step, loss] of (await lossesOf("fast")).entries())
      expect(Math.abs(loss / slow[step] - 1), `step ${step}`).toBeLessThan(1e-5);
  });
});

test("a TopK dictionary encodes held-out rows with k latents in every row, as it was trained", async () => {
  const sparsity: Sparsity = { kind: "topK" };
  const { dictionary, training } = await train({
    store: smallStore(),
    config: { ...config, sparsity },
    folder,
  });
  expect((await metrics()).every((line) => line.l0 <= 2)).toBe(true);
  expect(training.calibration.l0).toBeLessThanOrEqual(2);
  expect(dictionary.inferenceThreshold).toBeGreaterThan(0); // for readers that know thresholds alone
  const encoder = await createEncoder(dictionary, { maxRows: 50 });
  const x = Float32Array.from({ length: 50 * 16 }, (_, i) => Math.sin(i * 1.7));
  const { rowStart } = await encoder.encode(x, 50);
  await encoder.dispose();
  rowStart.slice(1).forEach((end, row) => {
    expect(end - rowStart[row]).toBeLessThanOrEqual(2);
  });
});

describe("k annealing", () => {
  test("the batches keep kStart codes a row at first and k from the annealing's end on", async () => {
    const annealed = { ...config, k: 1, kStart: 4, kAnnealingSteps: 6, steps: 10 };
    await train({ store: smallStore(), config: annealed, folder });
    const lines = await metrics();
    expect(lines.map(({ k }) => k)).toEqual([4, 4, 3, 2, 2, 2, 1, 1, 1, 1]);
    expect(lines.map(({ l0 }) => l0)).toEqual(lines.map(({ k }) => k));
  });

  test("the reference's trap is not copied: a start of 2048 without annealing steps trains with k", () => {
    for (const step of [0, 1, 50_000])
      expect(kAt(step, { k: 100, kStart: 2048, kAnnealingSteps: 0 })).toBe(100);
  });

  test("an annealing that the run does not live to finish is refused", () => {
    for (const kAnnealingSteps of [40, 41]) {
      expect(() => checkTrainConfig({ ...config, kStart: 4, kAnnealingSteps })).toThrow(
        /kAnnealingSteps: expected less than steps/,
      );
    }
    expect(() => checkTrainConfig({ ...config, kStart: 4, kAnnealingSteps: 39 })).not.toThrow();
  });
});

test("logging does not age latents: dead counters, like all else, are the same however often figures are logged", async () => {
  const dying = { ...config, deadAfterFraction: 0.1 };
  await train({ store: smallStore(), config: dying, folder });
  const [often, oftenLines] = [await modelBytes(), await metrics()];
  expect(oftenLines.some((line) => line.auxLoss > 0)).toBe(true);
  await rm(folder, { recursive: true });
  await train({ store: smallStore(), config: { ...dying, logEverySteps: 20 }, folder });
  expect(await modelBytes()).toBe(often);
  expect((await metrics()).map(({ dead }) => dead)).toEqual([oftenLines[19].dead, oftenLines[39].dead]);
});

test("a row's exact hit, a batch without a positive code and a batch without variance leave gradients finite", async () => {
  const sizes = { nLatents: 3, width: 2, siteOffsets: [0, 1, 2], batchRows: 2, largestK: 1 };
  const rest = { auxLatents: 1, auxAlpha: 1, deadAfterRows: 1 };
  for (const kind of ["batchTopK", "topK", "reluL1"] as const) {
    const sparsity: Sparsity = kind === "reluL1" ? { kind, penalty: 1 } : { kind };
    const engine = createReferenceEngine({ ...sizes, ...rest, sparsity }, new Float64Array(0));
    engine.parameters.encoderBias.fill(-1);
    const result = await engine.backward(new Float64Array(4), 1);
    expect(result).toMatchObject({ loss: 0, auxLoss: 0, l0: 0, gradientNorm: 0, smallestActivation: 0 });
  }
});

test("a bad variant is refused with the field's name, and the hash sees each", () => {
  const bad: [object, RegExp][] = [
    [
      { sparsity: { kind: "gated" } },
      /dictionary\.sparsity\.kind: expected batchTopK, topK, reluL1, got "gated"/,
    ],
    [{ sparsity: null }, /sparsity\.kind/],
    [{ sparsity: { kind: "reluL1" } }, /sparsity\.penalty: .* got undefined/],
    [{ sparsity: { kind: "reluL1", penalty: -1 } }, /sparsity\.penalty/],
    [{ sparsity: { kind: "reluL1", penalty: 1, penaltyWarmupFraction: 2 } }, /penaltyWarmupFraction/],
    [{ codeNormalisation: "mixed" }, /codeNormalisation: expected crosscoder, sae, none, got "mixed"/],
    [{ reconstruction: "mse" }, /reconstruction/],
    [{ engine: "gpu" }, /engine/],
  ];
  for (const [change, message] of bad) {
    const wrong = { ...config, ...change } as TrainConfig;
    expect(() => checkTrainConfig(wrong)).toThrow(ConfigError);
    expect(() => checkTrainConfig(wrong)).toThrow(message);
  }
  const hashes = [{}, ...VARIANTS, { engine: undefined }].map((change) =>
    configHash({ ...config, ...change }),
  );
  expect(new Set(hashes).size).toBe(hashes.length);
});
