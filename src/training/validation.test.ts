// Validation lines of a run, held to sums made by hand over the same rows, and to leaving the run alone.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decode } from "../dictionary/decode.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { initialDictionary } from "../dictionary/init.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { InterruptedError, NumericsError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import type { Store } from "../store/store-contract.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import { type HeldoutFigures, isTrainingLine, type MetricsEntry, type ValidationLine } from "./metrics.ts";
import { train } from "./train.ts";
import { createValidator } from "./validation.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "validation-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const WIDTH = 8;
const concepts = Array.from({ length: 6 }, (_, c) => ({ base: c === 0 ? 0 : 1, finetuned: c === 1 ? 0 : 1 }));
/** 3,000 rows, of which 288 are held out: 9 BOS rows of norm 50, and one far-out row that is not BOS. */
function smallStore(): Store {
  const x = plantedActivations({ concepts, width: WIDTH, nRows: 3000, density: 0.2, noise: 0.02 });
  for (let row = 0; row < 3000; row += 32) x[row * 2 * WIDTH] = 50;
  x[(9 * 32 + 5) * 2 * WIDTH + WIDTH + 3] = -300;
  return memoryStore(x, { sites: pairOfSites(WIDTH) });
}
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 20,
  batchRows: 32,
  learningRate: 1e-2,
  deadAfterFraction: 0.2,
  logEverySteps: 5,
  checkpointEverySteps: 10,
  threads: 1,
};
const lines = async (): Promise<MetricsEntry[]> =>
  (await readFile(join(folder, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as MetricsEntry);
const validations = async (): Promise<ValidationLine[]> =>
  (await lines()).filter((line) => line.kind === "validation");
const bytes = async (name: string): Promise<string> => (await readFile(join(folder, name))).toString("hex");

test("all figures are those of sums by hand: pooled with and without BOS and outliers, and batch-centred", async () => {
  const store = smallStore();
  const sites = store.manifest.sites;
  const normaliser = {
    mean: Float32Array.from({ length: 2 * WIDTH }, (_, i) => 0.01 * i),
    std: new Float32Array(2 * WIDTH).fill(1),
    scale: Float32Array.of(0.5, 0.7),
    targetRms: 1,
  };
  const dictionary = {
    ...initialDictionary({ sites, nLatents: 24, k: 2, initNorm: 0.7, seed: 3, normaliser }),
    inferenceThreshold: 0.2,
  };
  dictionary.decoderBias.fill(0.05);
  const normLimits = [20, 20];
  const validator = await createValidator({ store, normaliser, normLimits, mostRows: 10_000, threads: 1 });
  const figures = (await validator.measure(dictionary)) as HeldoutFigures;

  const isOdd = (row: number): boolean => row % 32 === 0 || row === 9 * 32 + 5;
  const heldout = Array.from({ length: 3000 }, (_, row) => row).filter(
    (row) => Math.floor(row / 32) % 10 === 9,
  );
  const byHand = async (rows: number[]) => {
    const x = new Float32Array(rows.length * 2 * WIDTH);
    for (const [i, row] of rows.entries()) x.set(await store.read(row, row + 1), i * 2 * WIDTH);
    normaliseInPlace(x, rows.length, dictionary);
    const codes = encodeReference(dictionary, x, rows.length);
    const fitted = decode(dictionary, codes);
    /** Σ over rows of (value − its mean)², of one site; about 0 when uncentred. */
    const squares = (value: (i: number) => number, { from, centred }: { from: number; centred: boolean }) => {
      let sum = 0;
      for (let column = from; column < from + WIDTH; column += 1) {
        const values = rows.map((_, row) => value(row * 2 * WIDTH + column));
        const mean = centred ? values.reduce((a, b) => a + b, 0) / rows.length : 0;
        for (const one of values) sum += (one - mean) ** 2;
      }
      return sum;
    };
    const fve = (centred: boolean): number[] => {
      const of = [0, WIDTH].map((from) => [
        squares((i) => x[i] - fitted[i], { from, centred }),
        squares((i) => x[i], { from, centred: true }),
      ]);
      const total = 1 - (of[0][0] + of[1][0]) / (of[0][1] + of[1][1]);
      return [...of.map(([error, all]) => 1 - error / all), total];
    };
    return { codes, pooled: fve(false), centred: fve(true) };
  };
  const ordinary = await byHand(heldout.filter((row) => !isOdd(row)));
  const all = await byHand(heldout);
  const close = (got: Record<string, number> | undefined, expected: number[]): void => {
    expect(Object.keys(got ?? {})).toEqual(["base-L1", "finetuned-L1", "total"]);
    // f64 sums of f32 values in another order; a code at θ could fall on the other side, here none does.
    for (const [i, value] of Object.values(got ?? {}).entries()) expect(value).toBeCloseTo(expected[i], 5);
  };
  close(figures.fve, ordinary.pooled);
  close(figures.fveAllRows, all.pooled);
  close(figures.fveBatchCentred, ordinary.centred); // 278 rows are one batch
  expect(Math.abs(ordinary.pooled[2] - all.pooled[2])).toBeGreaterThan(0.01);
  expect(figures).toMatchObject({ split: "heldout", threshold: 0.2, nRows: 278, nLeftOut: 10 });
  expect(figures.l0).toBe(ordinary.codes.latent.length / 278);
  expect(figures.deadFraction).toBeCloseTo(1 - new Set(ordinary.codes.latent).size / 24, 12);
});

test("validating changes no byte of what a run leaves: parameters, moments, dead counters, θ, training lines", async () => {
  await train({ store: smallStore(), config, folder });
  const state = "checkpoints/step-00000020/state.safetensors";
  const plain = [await bytes("model.safetensors"), await bytes(state)];
  const still = (line: MetricsEntry): object => ({ ...line, rowsPerSecond: 0 });
  const plainLines = (await lines()).map(still);
  expect(plainLines.some((line) => (line as { auxLoss: number }).auxLoss > 0)).toBe(true);
  await rm(folder, { recursive: true });
  await train({ store: smallStore(), config: { ...config, validateEverySteps: 3 }, folder });
  expect([await bytes("model.safetensors"), await bytes(state)]).toEqual(plain);
  expect((await lines()).filter(isTrainingLine).map(still)).toEqual(plainLines);
  expect(await validations()).toHaveLength(7);
});

test("lines come every so many steps with the running θ, the last with the calibrated one, and stay when resumed", async () => {
  const validated = { ...config, validateEverySteps: 6 };
  const { training } = await train({ store: smallStore(), config: validated, folder });
  const straight = await validations();
  expect(straight.map(({ step, calibrated }) => [step, calibrated])).toEqual([
    [6, false],
    [12, false],
    [18, false],
    [20, true],
  ]);
  const { kind, step, calibrated, ...last } = straight[3];
  expect(training.validation).toEqual(last);
  expect(last.threshold).toBe(training.calibration.threshold);
  // Another sample would do; here calibration and validation see the same rows.
  expect((last as HeldoutFigures).fve).toEqual(training.calibration.fve);

  // Finished but for its last file: calibrated again, and no line comes twice.
  await rm(join(folder, "training.json"));
  await train({ store: smallStore(), config: validated, folder });
  expect(await validations()).toEqual(straight);
});

test("interrupted while it validates, a run still writes the line and the checkpoint of that step", async () => {
  const validated = { ...config, validateEverySteps: 6 };
  await train({ store: smallStore(), config: validated, folder });
  const straight = await validations();
  await rm(folder, { recursive: true });
  const controller = new AbortController();
  const store = smallStore();
  const read = store.read.bind(store);
  let done = 0;
  store.read = (from, to, target) => {
    if (done === 5 && store.rows.split[from] === 1) controller.abort();
    return read(from, to, target);
  };
  const reportProgress: ReportProgress = (progress) => {
    if (progress.stage === "train") done = progress.done;
  };
  const stopped = train({ store, config: validated, folder, signal: controller.signal, reportProgress });
  await expect(stopped).rejects.toThrow(InterruptedError);
  const { training } = await train({ store: smallStore(), config: validated, folder });
  expect(training.resumedFromStep).toBe(6);
  expect(await validations()).toEqual(straight);
});

test("before θ is known a line says so and gives no figure", async () => {
  const late = { ...config, validateEverySteps: 4, thresholdStartStep: 10 };
  const { training } = await train({ store: smallStore(), config: late, folder });
  const all = await validations();
  const none = {
    kind: "validation",
    calibrated: false,
    threshold: -1,
    unavailable: expect.stringMatching(/no θ yet/),
  };
  expect(all.slice(0, 2)).toEqual([
    { ...none, step: 4 },
    { ...none, step: 8 },
  ]);
  expect(all[2]).toMatchObject({ step: 12, l0: expect.any(Number) });
  expect((await lines()).filter(isTrainingLine).map(({ threshold }) => threshold > 0)).toEqual([
    false,
    false,
    true,
    true,
  ]);
  expect(training.runningThreshold).toBeGreaterThan(0);
});

test("θ's mean starts with the first batch after thresholdStartStep steps", async () => {
  // With a memory of one step the mean is the last batch's own minimum, so a late start must end with the same number.
  const last = { ...config, thresholdMemoryFraction: 0 };
  const { training } = await train({
    store: smallStore(),
    config: { ...last, thresholdStartStep: 19 },
    folder,
  });
  await rm(folder, { recursive: true });
  const early = await train({ store: smallStore(), config: last, folder });
  expect(training.runningThreshold).toBe(early.training.runningThreshold);
  await rm(folder, { recursive: true });
  const never = await train({ store: smallStore(), config: { ...last, thresholdStartStep: 20 }, folder });
  expect(never.training.runningThreshold).toBe(-1);
  // The final θ is calibrated from scratch then.
  expect(never.training.calibration).toEqual(early.training.calibration);
});

test("TopK and ReLU + L1 need no running θ to be validated", async () => {
  for (const sparsity of [{ kind: "topK" } as const, { kind: "reluL1", penalty: 0.01 } as const]) {
    await rm(folder, { recursive: true, force: true });
    const late = { ...config, sparsity, validateEverySteps: 4, thresholdStartStep: 10 };
    await train({ store: smallStore(), config: late, folder });
    expect((await validations()).every((line) => "fve" in line)).toBe(true);
  }
});

test("a held-out activation that is not finite ends with its document, position, site and coordinate", async () => {
  const store = smallStore();
  const read = store.read.bind(store);
  const bad = 19 * 32 + 7;
  store.read = async (from, to, target) => {
    const x = await read(from, to, target);
    if (from <= bad && bad < to) x[(bad - from) * 2 * WIDTH + WIDTH + 3] = Number.NaN;
    return x;
  };
  const run = train({ store, config: { ...config, validateEverySteps: 5 }, folder });
  await expect(run).rejects.toThrow(NumericsError);
  await expect(run).rejects.toThrow(/document d19, position 7, site finetuned-L1, coordinate 3: .* got NaN/);
});
