// The reference's known bugs and traps, one by one: that ours does otherwise.
//
// Found by reading science-of-finetuning/dictionary_learning (173f7fa) and sparsity-artifacts-crosscoders (e302f0b). What they
// get right is held elsewhere: reference-trainers.test.ts replays their trainers. Letters are those of the list that the
// project keeps of them; each test says what the reference does.

import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { CODE_NORMALISATIONS, type Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { initialDictionary } from "../dictionary/init.ts";
import { denormaliseInPlace, normaliseInPlace } from "../dictionary/normaliser.ts";
import type { ModelConfig } from "../lm/architecture.ts";
import { editFeedNames } from "../lm/graph.ts";
import { planEdits } from "../lm/residual-edit.ts";
import { createRng } from "../numerics/rng.ts";
import { packageRoot } from "../package-root.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { checkTrainConfig } from "./config-check.ts";
import { type EngineOptions, PARAMETER_NAMES } from "./engine-contract.ts";
import { geometricMedian } from "./geometric-median.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import type { MetricsEntry, MetricsLine, ValidationLine } from "./metrics.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { kAt, learningRateAt } from "./schedule.ts";
import { nextThreshold, train } from "./train.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "reference-bugs-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const WIDTH = 16;
const sites = pairOfSites(WIDTH / 2);
const SITE_OFFSETS = [0, WIDTH / 2, WIDTH];
/** Documents of 32 rows, the first of which is BOS; nine of ten train. */
const N_ROWS = 640;
const N_TRAINED = 18 * 31;
const activations = plantedActivations({
  concepts: Array.from({ length: 6 }, () => ({ base: 1, finetuned: 1 })),
  width: WIDTH / 2,
  nRows: N_ROWS,
  density: 0.3,
  noise: 0.05,
});
// Residual streams are not centred: an offset that only a normaliser takes off.
for (let i = 0; i < activations.length; i += 1) activations[i] += i % WIDTH < WIDTH / 2 ? 20 : -8;
const store = () => memoryStore(activations, { sites });
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 12,
  batchRows: 32,
  learningRate: 1e-2,
  targetRms: 4,
  logEverySteps: 1,
  checkpointEverySteps: 1000,
  threads: 1,
};
/** A run of one step over all rows that train, at a learning rate that leaves its start as it was. */
const oneStep: TrainConfig = { ...config, steps: 1, batchRows: N_TRAINED, learningRate: 1e-12 };

/** Its training rows, raw, in the store's order. */
function trainingRows(): Float32Array {
  const { rows } = store();
  const kept = Array.from(rows.split.keys()).filter((row) => rows.split[row] === 0 && row % 32 !== 0);
  expect(kept.length).toBe(N_TRAINED);
  return Float32Array.from(kept.flatMap((row) => [...activations.subarray(row * WIDTH, (row + 1) * WIDTH)]));
}

async function lines(): Promise<MetricsEntry[]> {
  const text = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as MetricsEntry);
}
const isTraining = (line: MetricsEntry): line is MetricsLine => line.kind === undefined;
const isValidation = (line: MetricsEntry): line is ValidationLine => line.kind === "validation";

// (a) loss() advances num_tokens_since_fired whoever calls it: logged batches count twice, validation rows count as trained.
test("(a) only training steps age latents: logging and validating at every step ends with the same bytes", async () => {
  const bytes = async (change: Partial<TrainConfig>): Promise<string> => {
    await rm(folder, { recursive: true, force: true });
    await train({ store: store(), config: { ...config, deadAfterFraction: 0.2, ...change }, folder });
    return (await readFile(join(folder, "model.safetensors"))).toString("base64");
  };
  const seldom = await bytes({ logEverySteps: 12 });
  const often = await bytes({ logEverySteps: 1, validateEverySteps: 1 });
  const written = await lines();
  expect(often).toBe(seldom);
  expect(written.filter(isValidation).length).toBeGreaterThanOrEqual(config.steps);
  // Dead latents decide these bytes: some die, and the auxiliary loss acts on them.
  expect(written.filter(isTraining).filter(({ auxLoss }) => auxLoss > 0).length).toBeGreaterThan(3);
});

// (b) loss(step=None), as a caller without a training loop has it, compares None > 1000 and raises.
test("(b) the losses need no step number: an engine gives the same at any count of updates", async () => {
  const options: EngineOptions = {
    nLatents: 10,
    width: WIDTH,
    siteOffsets: SITE_OFFSETS,
    batchRows: 8,
    largestK: 2,
    auxLatents: 2,
    auxAlpha: 1,
    deadAfterRows: 8,
  };
  const rng = createRng(1, "reference-bugs");
  const x = Float64Array.from({ length: 8 * WIDTH }, (_, i) => rng.normal(0, i));
  const results = [];
  for (const updates of [0, 5000]) {
    const engine = createReferenceEngine(options, new Float64Array(0));
    engine.state.parameters.forEach((_, i) => {
      engine.state.parameters[i] = 0.3 * rng.normal(1, i);
    });
    engine.updates = updates;
    results.push(await engine.backward(x, 2));
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[0].loss).toBeGreaterThan(0);
  expect(results[0].auxLoss).toBeGreaterThan(0);
});

// (c) With DECOUPLED codes, encode normalises and hands on to a method that normalises again. There is no DECOUPLED here;
// what there is normalises once. (At inference the golden files of encode-file.test.ts hold the same.)
describe("(c) activations are normalised once", () => {
  for (const codeNormalisation of CODE_NORMALISATIONS) {
    test(`in training under ${codeNormalisation}`, async () => {
      const { dictionary } = await train({
        store: store(),
        config: { ...oneStep, codeNormalisation },
        folder,
      });
      const [{ loss }] = (await lines()).filter(isTraining);
      const once = normaliseInPlace(trainingRows(), N_TRAINED, dictionary);
      const lossOf = await firstLoss(dictionary, once);
      // Sums over the same rows in another order, f32.
      expect(Math.abs(loss / lossOf - 1)).toBeLessThan(1e-5);
      const twice = await firstLoss(dictionary, normaliseInPlace(once.slice(), N_TRAINED, dictionary));
      expect(Math.abs(loss / twice - 1)).toBeGreaterThan(0.1);
    });
  }

  test("and DECOUPLED codes are refused", () => {
    const decoupled = { ...config, codeNormalisation: "decoupled" } as unknown as TrainConfig;
    expect(() => checkTrainConfig(decoupled)).toThrow(/codeNormalisation: .*"decoupled"/);
  });
});

async function firstLoss(dictionary: Dictionary, x: Float32Array): Promise<number> {
  const { codeNormalisation } = dictionary;
  const { nLatents, k } = oneStep;
  const engine = createReferenceEngine<Float32Array>(
    {
      nLatents,
      width: WIDTH,
      siteOffsets: SITE_OFFSETS,
      batchRows: N_TRAINED,
      largestK: k,
      auxLatents: 1,
      auxAlpha: 0,
      deadAfterRows: 1e9,
      codeNormalisation,
    },
    new Float32Array(0),
  );
  for (const name of PARAMETER_NAMES) await engine.write("parameter", name, dictionary[name]);
  return (await engine.backward(x, k)).loss;
}

// (d) The reference's BatchTopK trainer for SAEs takes the median of raw activations for a bias of normalised space.
test("(d) the first decoder bias is the geometric median of normalised rows, not of raw ones", async () => {
  const { dictionary } = await train({ store: store(), config: oneStep, folder });
  const shape = { nRows: N_TRAINED, width: WIDTH, siteOffsets: SITE_OFFSETS };
  const raw = geometricMedian(trainingRows(), shape);
  const normalised = geometricMedian(normaliseInPlace(trainingRows(), N_TRAINED, dictionary), shape);
  const apart = (median: ArrayLike<number>): number =>
    Math.hypot(...Array.from(median, (m, i) => m - dictionary.decoderBias[i]));
  // The rows come in another order, so Weiszfeld's rounds stop elsewhere within their tolerance of 1e-5 a site.
  expect(apart(normalised)).toBeLessThan(1e-4);
  expect(apart(raw)).toBeGreaterThan(10);
});

// (e) Steering with n latents divides their directions [n, d] by norms [n], so that each is scaled by another's norm (or the
// shapes do not fit). Here an edit takes ready vectors: no norm is taken where several meet.
test("(e) vectors of several latents are each added at their own size", () => {
  const dModel = 3;
  const values = Float32Array.of(1, 0, 0, 0, 10, 0, 0, 0, 100);
  const common = { editLayers: [0], promptLengths: [3], config: { dModel } as ModelConfig };
  const added = (edits: Parameters<typeof planEdits>[0]): number[] => {
    const feeds = planEdits(edits, common).feeds({ length: 3, lengths: [3] });
    return [...(feeds[editFeedNames(0).add].data as Float32Array)];
  };
  const each = { layer: 0, kind: "add", positions: [[0, 1, 2]], per: "row", values } as const;
  expect(added([each])).toEqual([...values]);
  const three = [0, 1, 2].map((latent) => ({
    layer: 0,
    kind: "add" as const,
    positions: "all" as const,
    per: "batch" as const,
    values: values.subarray(latent * dModel, (latent + 1) * dModel),
  }));
  expect(added(three)).toEqual([1, 10, 100, 1, 10, 100, 1, 10, 100]);
});

// (f) normalize_activations(x, inplace=True) returns a new tensor and leaves x as it was: a batch more of memory, and a
// caller that relies on its name goes on with raw rows.
test("(f) normalising and its inverse work on the rows given, in place", () => {
  const normaliser = {
    mean: Float32Array.of(1, 2, 3, 4),
    std: Float32Array.of(1, 1, 1, 1),
    scale: Float32Array.of(2, 0.5),
    targetRms: 1,
  };
  const space = { sites: [{ width: 2 }, { width: 2 }], normaliser };
  const x = Float32Array.of(2, 2, 5, 0);
  expect(normaliseInPlace(x, 1, space)).toBe(x);
  expect([...x]).toEqual([2, 0, 1, -2]);
  expect(denormaliseInPlace(x, 1, space)).toBe(x);
  expect([...x]).toEqual([2, 2, 5, 0]);
});

// (g) The Gemma script passes $CHAT_MODEL, which it never sets; (h) the train scripts call files in a folder they are not
// in. There are no scripts here: a run is a file that names what it needs.
describe("(g), (h) the stated runs", () => {
  const examples = join(packageRoot(), "examples");
  const files = async (): Promise<string[]> =>
    (await readdir(examples)).filter((name) => name.endsWith(".yaml"));

  test("(g) name two models outright, and no variables", async () => {
    expect((await files()).length).toBeGreaterThan(0);
    for (const file of await files()) {
      const text = await readFile(join(examples, file), "utf8");
      const { base, finetuned } = parse(text) as { base: string; finetuned: string };
      expect(base, file).toMatch(/\S/);
      expect(finetuned, file).toMatch(/\S/);
      expect(finetuned, file).not.toBe(base);
      expect(text, file).not.toContain("$");
    }
  });

  test("(h) are where the page about them says", async () => {
    const page = await readFile(join(examples, "README.md"), "utf8");
    const named = [...page.matchAll(/`([^`\s]+\.yaml)`/g)].map(([, name]) => name);
    expect([...new Set(named)].sort()).toEqual((await files()).sort());
    const linked = [...page.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path);
    const paths = [...page.matchAll(/`((?:src|test|docs|bench)\/[^`\s]+)`/g)].map(([, path]) =>
      join("..", path),
    );
    for (const path of [...linked, ...paths]) {
      expect((await stat(join(examples, path))).isFile(), path).toBe(true);
    }
  });
});

// Trap: without annealing steps the reference stays at k_max for the whole run, and its command's defaults are k_max 2048
// and no annealing steps.
test("asking for k alone trains with k from the first batch on, whatever k would have started at", async () => {
  await train({ store: store(), config: { ...config, kStart: 20, kAnnealingSteps: 0 }, folder });
  const training = (await lines()).filter(isTraining);
  expect(training.map(({ k }) => k)).toEqual(Array(config.steps).fill(2));
  expect(training.every(({ l0 }) => l0 === 2)).toBe(true);
  for (const step of [0, 1, 99]) expect(kAt(step, DEFAULT_TRAIN_CONFIG)).toBe(DEFAULT_TRAIN_CONFIG.k);
});

// Trap: θ stays −1 for the reference's first 1000 steps, and threshold-mode figures until then count every positive code.
test("θ is known after the first step: figures in threshold mode are of kept codes, not of all positive ones", async () => {
  // A running mean that remembers the whole run, so that the first value must set it.
  const remembered = { ...config, thresholdMemoryFraction: 1 };
  const validated = { ...remembered, learningRate: 1e-6, validateEverySteps: 1 };
  const { dictionary, training } = await train({ store: store(), config: validated, folder });
  const written = await lines();
  expect(written.filter(isTraining).every(({ threshold }) => threshold > 0)).toBe(true);
  const [first] = written.filter(isValidation);
  expect(first).toMatchObject({ step: 1, calibrated: false });
  const shown = "l0" in first ? first.l0 : Number.NaN;
  const x = normaliseInPlace(trainingRows(), N_TRAINED, dictionary);
  const l0 = (inferenceThreshold: number): number =>
    encodeReference({ ...dictionary, inferenceThreshold }, x, N_TRAINED).code.length / N_TRAINED;
  expect(l0(-1)).toBeGreaterThan(3 * config.k);
  expect(l0(training.runningThreshold)).toBeLessThan(1.5 * config.k);
  expect(shown).toBeLessThan(1.5 * config.k);
});

// Beside it: in a batch where nothing fires the reference assigns a Python float to the buffer of θ, which raises.
test("θ survives a batch in which nothing fires", () => {
  expect(nextThreshold(-1, 0, 0.9)).toBe(0);
  expect(nextThreshold(2, 0, 0.9)).toBeCloseTo(1.8, 15);
});

// Trap: LambdaLR starts at 0 / warmup, so that the reference's first update moves nothing.
test("the first update has a learning rate above 0 and moves the parameters", async () => {
  const warmup = { ...config, steps: 20, warmupFraction: 0.5 };
  for (const warmupSteps of [0, 1, 10, 1000]) {
    expect(learningRateAt(0, warmup, { warmupSteps, decayStartStep: 20 })).toBeGreaterThan(0);
  }
  const { dictionary } = await train({ store: store(), config: { ...oneStep, learningRate: 1e-2 }, folder });
  const start = initialDictionary({ ...oneStep, sites });
  const moved = dictionary.encoderWeight.filter((value, i) => value !== start.encoderWeight[i]).length;
  expect(moved).toBeGreaterThan(0.5 * start.encoderWeight.length);
});
