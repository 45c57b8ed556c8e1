// examples/: every study file parses with the real schema and says the paper's numbers, and one of them, made small, trains.
//
// The numbers are Minder et al. 2025 (arXiv:2504.02922), App. I and K, typed here a second time and not computed from the
// presets, so that neither can drift alone.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadDictionary } from "../src/dictionary/dictionary-file.ts";
import { packageRoot } from "../src/package-root.ts";
import { readStudyConfig } from "../src/study/config.ts";
import { trainConfigOf } from "../src/study/dictionary-config.ts";
import { LLAMA_3_BASE_REPLACEMENTS } from "../src/text/token-replacement.ts";
import { resolveConstants, type TrainConfig } from "../src/training/config.ts";
import { checkTrainConfig } from "../src/training/config-check.ts";
import { memoryStore, pairOfSites, plantedActivations } from "../src/training/memory-store.test.helper.ts";
import { train } from "../src/training/train.ts";

const folder = join(packageRoot(), "examples");
const names = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const out = mkdtempSync(join(tmpdir(), "tunediff-examples-"));
afterAll(() => rmSync(out, { recursive: true, force: true }));

interface Run {
  layer: number;
  dModel: number;
  nLatents: number;
  steps: number;
  skipFirst?: number;
  /** Llama: what the base reads in place of control tokens. */
  replaces?: true;
  k?: number;
  kStart?: number;
  kAnnealingSteps?: number;
  /** ReLU + L1 instead of BatchTopK. */
  penalty?: number;
  initNorm: number;
}

const LLAMA = { skipFirst: 25, replaces: true, steps: 97_656 } as const;
const RUNS: Record<string, Run> = {
  "gemma-2-2b-batchtopk.yaml": {
    layer: 13,
    dModel: 2304,
    nLatents: 73_728,
    steps: 97_656,
    k: 100,
    initNorm: 1,
  },
  "gemma-2-2b-l1.yaml": {
    layer: 13,
    dModel: 2304,
    nLatents: 73_728,
    steps: 97_656,
    penalty: 0.041,
    initNorm: 0.05,
  },
  "llama-3.2-1b-batchtopk.yaml": { ...LLAMA, layer: 8, dModel: 2048, nLatents: 65_536, k: 100, initNorm: 1 },
  "llama-3.2-1b-l1.yaml": {
    ...LLAMA,
    layer: 8,
    dModel: 2048,
    nLatents: 65_536,
    penalty: 0.036,
    initNorm: 0.05,
  },
  "llama-3.1-8b-batchtopk.yaml": {
    ...LLAMA,
    layer: 16,
    dModel: 4096,
    nLatents: 131_072,
    k: 200,
    kStart: 1000,
    kAnnealingSteps: 5000,
    initNorm: 0.3,
  },
  "llama-3.1-8b-l1.yaml": {
    ...LLAMA,
    layer: 16,
    dModel: 4096,
    nLatents: 131_072,
    penalty: 0.021,
    initNorm: 0.05,
  },
  "meditron.yaml": { layer: 13, dModel: 2304, nLatents: 73_728, steps: 86_914, k: 100, initNorm: 1 },
  "nemotron.yaml": { layer: 14, dModel: 1536, nLatents: 49_152, steps: 97_656, k: 100, initNorm: 1 },
};

test("the table below knows every example, and the page about them names every one", () => {
  expect(names.sort()).toEqual(Object.keys(RUNS).sort());
  const page = readFileSync(join(folder, "README.md"), "utf8");
  expect(names.filter((name) => !page.includes(name))).toEqual([]);
});

async function trainConfigIn(name: string): Promise<TrainConfig> {
  const { dictionary, seed, threads } = await readStudyConfig(join(folder, name));
  return trainConfigOf(dictionary, { seed, threads });
}

test.each(Object.entries(RUNS))("%s says the paper's numbers", async (name, run) => {
  const study = await readStudyConfig(join(folder, name));
  expect(study).toMatchObject({
    layer: run.layer,
    seed: 42,
    store: {
      maxTokens: 1024,
      skipFirst: run.skipFirst ?? 0,
      baseReplacements: run.replaces ? LLAMA_3_BASE_REPLACEMENTS : {},
    },
  });
  const config = await trainConfigIn(name);
  expect(run.nLatents).toBe(32 * run.dModel);
  expect(config).toMatchObject({
    nLatents: run.nLatents,
    steps: run.steps,
    batchRows: 2048,
    learningRate: 1e-4,
    initNorm: run.initNorm,
    normalise: false,
    codeNormalisation: "crosscoder",
    reconstruction: "norm",
    kAnnealingSteps: run.kAnnealingSteps ?? 0,
    seed: 42,
  });
  const constants = resolveConstants(config, { width: 2 * run.dModel, nSites: 2 });
  expect(constants).toMatchObject({ warmupSteps: 1000, decayStartStep: run.steps });
  if (run.penalty !== undefined) {
    expect(config.sparsity).toEqual({ kind: "reluL1", penalty: run.penalty });
    expect(constants).toMatchObject({ auxAlpha: 0, penaltyWarmupSteps: 0 });
    return;
  }
  expect(config).toMatchObject({
    sparsity: { kind: "batchTopK" },
    k: run.k,
    kStart: run.kStart ?? run.k,
    maxGradientNorm: 1,
    auxAlpha: 1 / 32,
  });
  expect(constants).toMatchObject({
    deadAfterRows: 10_000_000,
    thresholdBeta: 0.999,
    thresholdStartStep: 1001,
    auxLatents: run.dModel / 2,
    largestK: run.kStart ?? run.k,
  });
});

test.each(["llama-3.1-8b-batchtopk.yaml", "gemma-2-2b-l1.yaml"])(
  "%s made small trains on raw activations, and what it wrote needs no normaliser",
  async (name) => {
    const activations = plantedActivations({
      concepts: Array.from({ length: 6 }, () => ({ base: 1, finetuned: 1 })),
      width: 8,
      nRows: 1500,
      density: 0.15,
      noise: 0.02,
    });
    const store = memoryStore(activations, { sites: pairOfSites(8) });
    const stated = await trainConfigIn(name);
    const isAnnealed = stated.kAnnealingSteps > 0;
    const config: TrainConfig = {
      ...stated,
      nLatents: 24,
      k: 2,
      kStart: isAnnealed ? 8 : 2,
      kAnnealingSteps: isAnnealed ? 20 : 0,
      steps: 150,
      batchRows: 32,
      learningRate: 1e-2,
      warmupSteps: 10,
      deadAfterRows: 1000,
      thresholdBeta: 0.9,
      thresholdStartStep: 21,
      validateEverySteps: undefined,
      shards: 1,
      threads: 1,
    };
    checkTrainConfig(config);
    const folder = join(out, name);
    const { dictionary, training } = await train({ store, config, folder });
    expect(training.constants).toMatchObject({
      warmupSteps: 10,
      decayStartStep: 150,
      thresholdStartStep: 21,
    });
    expect(dictionary.normaliser).toBeUndefined();
    expect((await loadDictionary(folder)).normaliser).toBeUndefined();
    // Six orthogonal concepts, 0.9 of them a row: far from perfect after so few steps, and yet learned (0 is the mean).
    expect(training.calibration.fve.total).toBeGreaterThan(0.7);
    if (stated.sparsity?.kind === "reluL1") return;
    expect(training.calibration.l0).toBe(2);
    expect(training.runningThreshold).toBeGreaterThan(0);
  },
);
