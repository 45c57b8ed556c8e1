import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { decoderNorms } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { rowsOfSplit } from "../dictionary/row-batches.ts";
import { ConfigError, InterruptedError, MismatchError, NumericsError } from "../errors.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { type Concept, memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import { train } from "./train.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "train-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
const model = async (): Promise<string> => (await read("model.safetensors")).toString("base64");
/** metrics.jsonl without its one figure of time. */
const metrics = async (): Promise<object[]> =>
  (await read("metrics.jsonl"))
    .toString()
    .trim()
    .split("\n")
    .map((line) => ({ ...(JSON.parse(line) as object), rowsPerSecond: 0 }));

const concepts: Concept[] = Array.from({ length: 12 }, (_, c) => ({
  base: c % 3 === 2 ? 0 : 1,
  finetuned: c % 3 === 1 ? 0 : 1,
}));
const smallStore = () =>
  memoryStore(plantedActivations({ concepts, width: 16, nRows: 3000, density: 0.1, noise: 0.02 }), {
    sites: pairOfSites(16),
  });
/** 60 steps; latents die after 12 batches, so that the auxiliary loss acts; an epoch is 37 steps. */
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  nLatents: 48,
  k: 2,
  steps: 60,
  batchRows: 64,
  deadAfterFraction: 0.2,
  checkpointEverySteps: 20,
  logEverySteps: 5,
  threads: 1,
};

describe("resuming", () => {
  /** Trains and aborts after `steps` steps. */
  async function interruptAfter(steps: number): Promise<void> {
    const controller = new AbortController();
    const run = train({
      store: smallStore(),
      config,
      folder,
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        if (stage === "train" && done === steps) controller.abort();
      },
    });
    await expect(run).rejects.toThrow(InterruptedError);
  }

  test("a run stopped twice and resumed ends with the same bytes as one never stopped", async () => {
    await train({ store: smallStore(), config, folder });
    const [straight, straightMetrics] = [await model(), await metrics()];
    expect(straightMetrics.some((line) => (line as { auxLoss: number }).auxLoss > 0)).toBe(true);
    await rm(folder, { recursive: true });

    await interruptAfter(17);
    await interruptAfter(45);
    const { training } = await train({ store: smallStore(), config: { ...config, threads: 2 }, folder });
    expect(training.resumedFromStep).toBe(45);
    expect(await model()).toBe(straight);
    expect(await metrics()).toEqual(straightMetrics);
  });

  test("the two newest checkpoints are kept, and a damaged one makes way for the one before", async () => {
    await train({ store: smallStore(), config, folder });
    const straight = await model();
    await rm(folder, { recursive: true });

    await interruptAfter(50);
    const names = async (): Promise<string[]> => (await readdir(join(folder, "checkpoints"))).sort();
    expect(await names()).toEqual(["step-00000040", "step-00000050"]);
    await truncate(join(folder, "checkpoints/step-00000050/state.safetensors"), 1000);
    const { training } = await train({ store: smallStore(), config, folder });
    expect(training.resumedFromStep).toBe(40);
    expect(training.warnings[0]).toMatch(/step-00000050: damaged, set aside/);
    expect(await model()).toBe(straight);
    expect((await names()).some((name) => name.startsWith("step-00000050.bad-"))).toBe(true);
  });

  test("a checkpoint or a finished folder of another configuration or store is refused and left alone", async () => {
    await interruptAfter(30);
    const other = { ...config, seed: 1 };
    await expect(train({ store: smallStore(), config: other, folder })).rejects.toThrow(
      /step-00000030: configuration hash/,
    );
    const otherStore = smallStore();
    otherStore.manifest.identity = { kind: "another" };
    const pair = train({ store: otherStore, config, folder });
    await expect(pair).rejects.toThrow(MismatchError);
    await expect(pair).rejects.toThrow(/step-00000030: store hash/);
    await train({ store: smallStore(), config, folder });
    const before = await model();
    await expect(train({ store: smallStore(), config: other, folder })).rejects.toThrow(MismatchError);
    await expect(train({ store: otherStore, config, folder })).rejects.toThrow(/training\.json: store hash/);
    expect(await model()).toBe(before);
  });

  test("a finished folder is returned as it is, whatever the threads and intervals", async () => {
    const first = await train({ store: smallStore(), config, folder });
    const again = await train({
      store: smallStore(),
      config: { ...config, threads: 2, logEverySteps: 1 },
      folder,
      reportProgress: () => expect.unreachable("nothing is computed again"),
    });
    expect(again.training).toEqual(JSON.parse(JSON.stringify(first.training)));
    expect(again.dictionary).toEqual(first.dictionary);
  });

  test("a torn last line of metrics.jsonl is dropped on resume", async () => {
    await interruptAfter(30);
    await writeFile(join(folder, "metrics.jsonl"), '{"step":29', { flag: "a" });
    await train({ store: smallStore(), config, folder });
    expect((await metrics()).map((line) => (line as { step: number }).step)).toEqual([
      5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60,
    ]);
  });
});

describe("what comes out", () => {
  test("concepts planted in both models, in the base only and in the fine-tune only are recovered as such", async () => {
    const store = memoryStore(
      plantedActivations({ concepts, width: 16, nRows: 12_000, density: 0.1, noise: 0.02 }),
      {
        sites: pairOfSites(16),
      },
    );
    const { dictionary, training } = await train({
      store,
      folder,
      config: {
        ...config,
        nLatents: 32,
        k: 2,
        steps: 600,
        batchRows: 256,
        checkpointEverySteps: 10_000,
        logEverySteps: 100,
      },
    });
    const [base, finetuned] = decoderNorms(dictionary);
    concepts.forEach((concept, c) => {
      // The latent whose decoder points most along the concept's axis, in the models that have it.
      const along = (j: number): number =>
        concept.base * dictionary.decoderWeight[j * 32 + c] +
        concept.finetuned * dictionary.decoderWeight[j * 32 + 16 + c];
      const j = Array.from({ length: 32 }, (_, latent) => latent).reduce((best, latent) =>
        along(latent) > along(best) ? latent : best,
      );
      const deltaNorm = 0.5 * (1 + (finetuned[j] - base[j]) / Math.max(finetuned[j], base[j]));
      const truth = concept.base === 0 ? 1 : concept.finetuned === 0 ? 0 : 0.5;
      // The classes' own limits: ≤ 0.1, 0.4 to 0.6, ≥ 0.9.
      expect(Math.abs(deltaNorm - truth), `concept ${c}`).toBeLessThan(0.1);
    });
    expect(training.calibration.fve.total).toBeGreaterThan(0.9);
    expect(Object.keys(training.calibration.fve)).toEqual(["base-L1", "finetuned-L1", "total"]);
  });

  test("θ is set so that exactly k latents fire on average on the held-out rows", async () => {
    const store = smallStore();
    const { dictionary, training } = await train({ store, config, folder });
    const rows = rowsOfSplit(store, "heldout");
    expect(training.calibration).toMatchObject({
      split: "heldout",
      nRows: rows.length,
      threshold: dictionary.inferenceThreshold,
    });
    expect(training.calibration.l0).toBe(config.k);
    const x = new Float32Array(rows.length * store.width);
    for (const [i, row] of rows.entries()) x.set(await store.read(row, row + 1), i * store.width);
    const encoder = await createEncoder(dictionary, { maxRows: rows.length });
    const codes = await encoder.encode(normaliseInPlace(x, rows.length, dictionary), rows.length);
    // Another batch size can round a code at θ to the other side: at most one of ~600.
    expect(Math.abs(codes.latent.length - config.k * rows.length)).toBeLessThanOrEqual(1);
    await encoder.dispose();
  });

  test("the folder holds what was returned; constants and counts of rows are in training.json", async () => {
    const store = smallStore();
    store.rows.role.fill(0); // no BOS
    // One row far out, in the base only.
    const original = store.read.bind(store);
    store.read = async (from, to, target) => {
      const x = await original(from, to, target);
      if (from <= 100 && to > 100) x.fill(1e4, (100 - from) * 32, (100 - from) * 32 + 16);
      return x;
    };
    const { dictionary, training } = await train({ store, config, folder });
    expect(await loadDictionary(folder)).toEqual(dictionary);
    expect(training.rows).toMatchObject({ trained: 2711, bosLeftOut: 0, outliersLeftOut: 1 });
    expect(training.constants).toEqual({
      warmupSteps: 3,
      decayStartStep: 48,
      deadAfterRows: 768,
      thresholdBeta: expect.closeTo(1 - 1 / 1.2, 12),
      thresholdStartStep: 0,
      auxLatents: 8,
      largestK: 2,
    });
    expect(training.modelSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(training.lastMetrics).toMatchObject({ step: 60, k: 2, l0: 2 });
  });

  test("BOS rows are counted and left out", async () => {
    const { training } = await train({ store: smallStore(), config: { ...config, steps: 2 }, folder });
    // 3000 rows in documents of 32: 94 documents, 9 of them held out (288 rows).
    expect(training.rows).toMatchObject({ trained: 3000 - 288 - 85, bosLeftOut: 85, outliersLeftOut: 0 });
  });
});

describe("bad input", () => {
  test("an activation that is not finite is found before the first step", async () => {
    const activations = plantedActivations({ concepts, width: 16, nRows: 600, density: 0.1, noise: 0.02 });
    activations[200 * 32 + 20] = Number.NaN;
    const store = memoryStore(activations, { sites: pairOfSites(16) });
    await expect(train({ store, config, folder })).rejects.toThrow(/site finetuned-L1, coordinate 4/);
  });

  test("a step that is not finite stops before it is applied, naming step, tensor and checkpoint", async () => {
    const store = smallStore();
    const original = store.read.bind(store);
    let poisoned = false;
    store.read = async (from, to, target) => {
      const x = await original(from, to, target);
      // The sampler reads a window at once; poison what it sees after preparation.
      if (poisoned) x.fill(Number.POSITIVE_INFINITY, 0, 8);
      return x;
    };
    const run = train({
      store,
      config,
      folder,
      reportProgress: ({ stage, done, total }) => {
        if (stage === "prepare training" && done === total) poisoned = true;
      },
    });
    await expect(run).rejects.toThrow(NumericsError);
    await expect(run).rejects.toThrow(
      /training step \d+: activations of the batch: .* at index \d+; last good checkpoint: none yet/,
    );
    expect((await readdir(folder)).sort()).toEqual(["forensics", "metrics.jsonl"]);
  });

  test("more codes a row than latents are refused, whichever way they are asked for", async () => {
    for (const change of [{ k: 49 }, { kStart: 49, kAnnealingSteps: 3 }]) {
      const run = train({ store: smallStore(), config: { ...config, ...change }, folder });
      await expect(run).rejects.toThrow(ConfigError);
      await expect(run).rejects.toThrow(/dictionary\.k(Start)?: expected .* 1 to nLatents \(48\), got 49/);
    }
  });

  test("nothing to train on and a batch larger than the data are refused in words", async () => {
    const onlyHeldout = smallStore();
    onlyHeldout.rows.split.fill(1);
    await expect(train({ store: onlyHeldout, config, folder })).rejects.toThrow(ConfigError);
    await expect(
      train({ store: smallStore(), config: { ...config, batchRows: 5000 }, folder }),
    ).rejects.toThrow(ConfigError);
  });
});
