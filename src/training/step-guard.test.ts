// Steps that are not finite, in whole runs: what is kept of them, and that skipping, rolling back, killing and resuming all
// end with the same dictionary as a run in which those batches never were.

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { InterruptedError, NumericsError } from "../errors.ts";
import { verifyFolder } from "../formats/atomic.ts";
import { disk } from "../formats/disk.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import type { Store } from "../store/store-contract.ts";
import { DEFAULT_TRAIN_CONFIG, type NonFinitePolicy, type TrainConfig } from "./config.ts";
import type { Engine, StepResult } from "./engine-contract.ts";
import { badBatch, badResult } from "./finite.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import type { MetricsEntry } from "./metrics.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { train } from "./train.ts";

/** What backward gives for a batch whose first value is x0; swapped by tests. */
let spoil: (x0: number, result: StepResult) => StepResult;
/** Of the newest run. */
let opened: Engine;
vi.mock("./open-engine.ts", async (importOriginal) => {
  const original = await importOriginal<typeof import("./open-engine.ts")>();
  return {
    ...original,
    async openEngine(options: Parameters<typeof original.openEngine>[0]): Promise<Engine> {
      const engine = await original.openEngine(options);
      const backward = engine.backward.bind(engine);
      opened = engine;
      engine.backward = async (batch, level) => spoil(batch[0], await backward(batch, level));
      return engine;
    },
  };
});

const { sync } = disk;
let folder: string;
beforeEach(async () => {
  disk.sync = async () => {}; // No power fails here.
  folder = await mkdtemp(join(tmpdir(), "guard-"));
  spoil = (_, result) => result;
});
afterEach(async () => {
  disk.sync = sync;
  await rm(folder, { recursive: true, force: true });
});

const WIDTH = 8;
const concepts = Array.from({ length: 6 }, (_, c) => ({ base: c === 0 ? 0 : 1, finetuned: c === 1 ? 0 : 1 }));
const activations = plantedActivations({ concepts, width: WIDTH, nRows: 1500, density: 0.2, noise: 0.02 });
const cleanStore = (): Store => memoryStore(activations, { sites: pairOfSites(WIDTH) });
/** Rows that are NaN whenever they are read after the pass that prepares training. */
function poisonedStore(bad: number[]): { store: Store; poison: () => void } {
  const store = cleanStore();
  const read = store.read.bind(store);
  let isPoisoned = false;
  store.read = async (from, to, target) => {
    const x = await read(from, to, target);
    for (const row of bad)
      if (isPoisoned && from <= row && row < to) x[(row - from) * 2 * WIDTH + 3] = Number.NaN;
    return x;
  };
  return {
    store,
    poison: () => {
      isPoisoned = true;
    },
  };
}
/** 30 steps of 32 rows, of the 1,308 that are trained on: no row comes twice. Latents die after 3 batches. */
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 30,
  batchRows: 32,
  learningRate: 1e-2,
  deadAfterFraction: 0.1,
  logEverySteps: 1,
  checkpointEverySteps: 8,
  threads: 1,
};

/** Trains on a store that is poisoned after preparation; stops after `until` steps when given. */
async function run(
  nonFinite: NonFinitePolicy | undefined,
  { bad = [], until, every = 8 }: { bad?: number[]; until?: number; every?: number } = {},
): Promise<{ dictionary: Dictionary; passed: number[]; resumedFromStep: number }> {
  const { store, poison } = poisonedStore(bad);
  const controller = new AbortController();
  const { dictionary, training } = await train({
    store,
    folder,
    config: { ...config, nonFinite, checkpointEverySteps: every },
    signal: controller.signal,
    reportProgress: ({ stage, done, total }) => {
      if (stage === "prepare training" && done === total) poison();
      if (stage === "train" && done === until) controller.abort();
    },
  });
  const passed = (training.passedSteps ?? []).map(({ batchStep }) => batchStep);
  return { dictionary, passed, resumedFromStep: training.resumedFromStep };
}
const afresh = (): Promise<void> => rm(folder, { recursive: true, force: true });
const metrics = async (): Promise<MetricsEntry[]> =>
  (await readFile(join(folder, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => ({ ...(JSON.parse(line) as MetricsEntry), rowsPerSecond: 0 }));
const bundles = async (): Promise<string[]> => (await readdir(join(folder, "forensics"))).sort();
const SKIP = { policy: "skip", most: 3 } as const;
const ROLL_BACK = { policy: "rollBack", most: 3 } as const;

describe("a batch that is not finite", () => {
  /** Rows 100, 500, 900 are each in one batch of the run. */
  const bad = [100, 500, 900];

  test("is skipped: no update, a line, a bundle; rolling back ends with the same dictionary", async () => {
    const skipped = await run(SKIP, { bad });
    expect(skipped.passed.length).toBeGreaterThanOrEqual(2); // 1,308 rows, 960 of them seen
    const lines = await metrics();
    expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    for (const step of skipped.passed) {
      expect(lines[step]).toMatchObject({
        kind: "nonFinite",
        step: step + 1,
        batchStep: step,
        policy: "skip",
        tensor: "activations of the batch",
        value: "NaN",
      });
    }
    const names = skipped.passed.map((step) => `step-${String(step).padStart(8, "0")}`);
    expect(await bundles()).toEqual(names);

    await afresh();
    const rolledBack = await run(ROLL_BACK, { bad });
    expect(rolledBack.passed).toEqual(skipped.passed);
    expect(rolledBack.dictionary).toEqual(skipped.dictionary);
    const policyOf = (line: MetricsEntry): MetricsEntry =>
      line.kind === "nonFinite" ? { ...line, policy: SKIP.policy } : line;
    expect((await metrics()).map(policyOf)).toEqual(lines);
    expect(await bundles()).toEqual(names);
    expect(rolledBack.dictionary).not.toEqual((await afresh().then(() => run(undefined))).dictionary);
  });

  test.each([SKIP, ROLL_BACK])(
    "%j: stopped anywhere and resumed ends the same, lines included",
    async (policy) => {
      const straight = await run(policy, { bad });
      const lines = await metrics();
      for (const until of [straight.passed[0], straight.passed[0] + 1, straight.passed[1] + 1, 29]) {
        await afresh();
        if (until > 0) await expect(run(policy, { bad, until })).rejects.toThrow(InterruptedError);
        const resumed = await run(policy, { bad });
        expect(resumed.resumedFromStep).toBe(until);
        expect(resumed.dictionary).toEqual(straight.dictionary);
        expect(resumed.passed.toSorted()).toEqual(straight.passed.toSorted());
        expect(await metrics()).toEqual(lines);
      }
    },
  );

  test("rolling back ends the same whatever the checkpoints' interval, and with none to go back to", async () => {
    const { dictionary } = await run(ROLL_BACK, { bad });
    for (const every of [5, 1000]) {
      await afresh();
      expect((await run(ROLL_BACK, { bad, every })).dictionary).toEqual(dictionary);
    }
  });

  test.each([SKIP, ROLL_BACK])(
    "%j: the checkpoint before the bad steps lost, they are met again",
    async (policy) => {
      const straight = await run(policy, { bad });
      await afresh();
      await expect(run(policy, { bad, until: 29 })).rejects.toThrow(InterruptedError);
      const checkpoints = join(folder, "checkpoints");
      for (const name of await readdir(checkpoints)) await rm(join(checkpoints, name), { recursive: true });
      const again = await run(policy, { bad });
      expect(again.resumedFromStep).toBe(0);
      expect(again.dictionary).toEqual(straight.dictionary);
    },
  );

  test("is too much when there are more than the policy's most: it stops, and says how many", async () => {
    for (const policy of ["skip", "rollBack"] as const) {
      await afresh();
      const stopped = run({ policy, most: 1 }, { bad });
      await expect(stopped).rejects.toThrow(NumericsError);
      await expect(stopped).rejects.toThrow(
        /training step \d+: activations of the batch: .* got NaN at index \d+; last good checkpoint: .*2 such steps, at most 1/,
      );
      expect(await bundles()).toHaveLength(2);
    }
  });

  test("may be the very first: the decoder bias is then of the first batch that is applied", async () => {
    const first = await firstRowOfBatch(0);
    const skipped = await run(SKIP, { bad: [first] });
    expect(skipped.passed).toEqual([0]);
    expect(skipped.dictionary.decoderBias.every(Number.isFinite)).toBe(true);
    await afresh();
    expect((await run(ROLL_BACK, { bad: [first] })).dictionary).toEqual(skipped.dictionary);
  });
});

/** A store row of a batch, learned from the evidence of a run that stops at every batch. */
async function firstRowOfBatch(step: number): Promise<number> {
  await run({ policy: "stop" }, { bad: Array.from({ length: 1500 }, (_, row) => row) }).catch(() => {});
  const { rows } = await bundleOf(step);
  await afresh();
  return rows[0].row;
}

interface Bundle {
  rows: {
    place: number;
    bad: boolean;
    row: number;
    document: number;
    documentId: string;
    position: number;
  }[];
  [key: string]: unknown;
}
async function bundleOf(step: number): Promise<Bundle> {
  const path = join(folder, "forensics", `step-${String(step).padStart(8, "0")}`, "bundle.json");
  return JSON.parse(await readFile(path, "utf8")) as Bundle;
}

describe("the evidence", () => {
  test("names rows by document and position, holds the batch and the bad rows, and is whole", async () => {
    await expect(run({ policy: "stop" }, { bad: [100, 101, 102, 500] })).rejects.toThrow(
      /; evidence: .*forensics/,
    );
    const [name] = await bundles();
    const step = Number(name.slice("step-".length));
    const bundle = await bundleOf(step);
    expect(bundle).toMatchObject({
      schemaVersion: 1,
      batchStep: step,
      bad: { tensor: "activations of the batch", value: "NaN" },
      level: 2,
      batchRows: 32,
      configHash: expect.stringMatching(/^[0-9a-f]{64}$/),
      storeHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const badRows = bundle.rows.filter(({ bad }) => bad);
    expect(badRows.length).toBe(bundle.badRows);
    expect(bundle.rows.slice(0, badRows.length)).toEqual(badRows);
    for (const { row, document, documentId, position } of bundle.rows) {
      expect([document, documentId, position]).toEqual([
        Math.floor(row / 32),
        `d${Math.floor(row / 32)}`,
        row % 32,
      ]);
    }
    for (const { row } of badRows) expect([100, 101, 102, 500]).toContain(row);
    const at = join(folder, "forensics", name);
    await verifyFolder(at);
    const file = await openSafetensors(join(at, "rows.safetensors"));
    const x = await file.readFloat32("batch");
    expect(file.tensors.get("batch")?.shape).toEqual([32, 2 * WIDTH]);
    const firstBad = badRows.map(({ place }) => place).sort((a, b) => a - b)[0];
    expect(x.findIndex(Number.isNaN)).toBe(firstBad * 2 * WIDTH + 3);
    expect((bundle.bad as { index: number }).index).toBe(firstBad * 2 * WIDTH + 3);
    const bad = await file.readFloat32("badRows");
    expect(bad.subarray(0, 2 * WIDTH)).toEqual(x.subarray(firstBad * 2 * WIDTH, (firstBad + 1) * 2 * WIDTH));
    await file.close();
    expect((await stat(join(at, "rows.safetensors"))).size).toBeLessThan(32 * 2 * WIDTH * 8 + 2000);
  });

  test("that a full disk has no room for does not hide the step's own error", async () => {
    const { write } = disk;
    disk.write = async (handle, bytes, position) => {
      if (Buffer.from(bytes).includes("batchStep"))
        throw Object.assign(new Error("full"), { code: "ENOSPC" });
      return write(handle, bytes, position);
    };
    try {
      await expect(run({ policy: "stop" }, { bad: [100, 500, 900] })).rejects.toThrow(
        /activations of the batch: .*evidence could not be kept: .*disk is full/,
      );
    } finally {
      disk.write = write;
    }
    expect(await bundles()).toEqual([]);
  });
});

describe("a loss that is not finite though its batch is", () => {
  /** From now on a step's result is spoiled, known by its batch's first value. */
  async function spoilStep(step: number, value: number): Promise<void> {
    const seen: number[] = [];
    spoil = (x0, result) => {
      seen.push(x0);
      return result;
    };
    await run(undefined);
    await afresh();
    spoil = (x0, result) => (x0 === seen[step] ? { ...result, loss: value, gradientNorm: value } : result);
  }

  test("skipping leaves the dead counters as they were, so that rolling back ends the same", async () => {
    await spoilStep(13, Number.NaN);
    const skipped = await run(SKIP);
    expect(skipped.passed).toEqual([13]);
    expect((await metrics())[13]).toMatchObject({ kind: "nonFinite", loss: "NaN", gradientNorm: "NaN" });
    const lines = await metrics();
    expect(lines.some((line) => line.kind === undefined && line.auxLoss > 0)).toBe(true);
    const counters = await readFile(join(folder, "checkpoints/step-00000024/state.safetensors"));
    await afresh();
    const rolledBack = await run(ROLL_BACK);
    expect(rolledBack.dictionary).toEqual(skipped.dictionary);
    expect(await readFile(join(folder, "checkpoints/step-00000024/state.safetensors"))).toEqual(counters);
  });

  test("a step that is bad once only (a bit that flipped) is passed all the same, killed or not", async () => {
    let calls = 0;
    const original = (_: number, result: StepResult): StepResult => {
      calls += 1;
      return calls === 14 ? { ...result, loss: Number.POSITIVE_INFINITY } : result;
    };
    spoil = original;
    const { passed } = await run(ROLL_BACK);
    expect(passed).toEqual([13]);
    expect(calls).toBe(14 + 30 - 8 - 1); // from the checkpoint at 8 again, but for the batch of step 13
    expect((await metrics())[13]).toMatchObject({ kind: "nonFinite", loss: "Infinity" });
  });

  test("stopped while it comes up to the bad step again, a run knows what to pass when it is resumed", async () => {
    await spoilStep(13, Number.NaN);
    const straight = await run(ROLL_BACK);
    await afresh();
    const controller = new AbortController();
    let met = 0;
    const stopped = train({
      store: cleanStore(),
      folder,
      config: { ...config, nonFinite: ROLL_BACK },
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        if (stage === "train" && done === 10) met += 1;
        if (met === 2) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(InterruptedError);
    spoil = (_, result) => result; // What it knows is in the checkpoint, though the batch would be good now.
    const resumed = await run(ROLL_BACK);
    expect([resumed.resumedFromStep, resumed.passed]).toEqual([10, [13]]);
    expect(resumed.dictionary).toEqual(straight.dictionary);
  });

  test("stop: nothing of the step is applied, and the same command goes on from the last checkpoint", async () => {
    await spoilStep(13, Number.NaN);
    const stopped = run(undefined);
    await expect(stopped).rejects.toThrow(
      /training step 13: expected a finite loss and gradient, got loss NaN, .* last good checkpoint: .*step-00000008/,
    );
    await expect(stopped).rejects.toMatchObject({ hint: expect.stringMatching(/learning rate/) });
    spoil = (_, result) => result;
    const resumed = await run(undefined);
    expect(resumed.resumedFromStep).toBe(8);
    await afresh();
    expect(resumed.dictionary).toEqual((await run(undefined)).dictionary);
  });
});

test("the first bad tensor is named in the order of the arithmetic, with its index", async () => {
  const shape = { nLatents: 3, width: 4 };
  const sizes = { ...shape, siteOffsets: [0, 2, 4], batchRows: 2, largestK: 3 };
  const engine = createReferenceEngine(
    { ...sizes, auxLatents: 1, auxAlpha: 0, deadAfterRows: 100 },
    new Float32Array(0),
  );
  engine.parameters.encoderWeight.fill(0.5);
  engine.parameters.decoderWeight.fill(0.5);
  const x = Float32Array.from({ length: 8 }, (_, i) => i);
  const of = { engine, shape };
  expect(badBatch(x)).toBeUndefined();
  expect(await badResult(await engine.backward(x, 3), of)).toBeUndefined();

  engine.parameters.decoderWeight[7] = Number.NaN;
  expect(await badResult(await engine.backward(x, 3), of)).toMatchObject({
    loss: "NaN",
    tensor: "decoderWeight",
    index: 7,
    value: "NaN",
  });
  engine.parameters.decoderWeight.fill(1e38); // finite, but its codes' sum is not: f32 ends at 3.4e38
  expect(await badResult(await engine.backward(x, 3), of)).toMatchObject({ tensor: "residual", index: 0 });
  x[5] = Number.NEGATIVE_INFINITY;
  expect(badBatch(x)).toEqual({ tensor: "activations of the batch", index: 5, value: "-Infinity" });
});

test("a state that is not finite is never committed: the checkpoint before stays the last good one", async () => {
  const stopped = train({
    store: cleanStore(),
    folder,
    config,
    reportProgress: ({ stage, done }) => {
      // Between the update and its checkpoint.
      if (stage === "train" && done === 16)
        void opened.write("secondMoment", "encoderWeight", Float32Array.of(0, Number.NaN), 5);
    },
  });
  await expect(stopped).rejects.toThrow(NumericsError);
  await expect(stopped).rejects.toThrow(
    /step-00000016: secondMoment.encoderWeight: expected finite numbers, got NaN at index 81; not saved/,
  );
  expect(await readdir(join(folder, "checkpoints"))).toEqual(["step-00000008"]);
  const resumed = await run(undefined);
  expect(resumed.resumedFromStep).toBe(8);
  await afresh();
  expect(resumed.dictionary).toEqual((await run(undefined)).dictionary);
});

test("numbers that are not finite are named in a log that is read back", async () => {
  const { openMetricsLog } = await import("./metrics.ts");
  await writeFile(join(folder, "metrics.jsonl"), "");
  const log = await openMetricsLog(folder, 0);
  const validation = {
    split: "heldout",
    threshold: 1,
    nRows: 1,
    nLeftOut: 0,
    l0: 1,
    deadFraction: 0,
  } as const;
  await log.append({
    kind: "validation",
    step: 0,
    calibrated: false,
    ...validation,
    fve: { total: Number.NaN },
  });
  expect(await readFile(join(folder, "metrics.jsonl"), "utf8")).toContain('"fve":{"total":"NaN"}');
});
