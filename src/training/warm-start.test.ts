import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadDictionary, saveDictionary } from "../dictionary/dictionary-file.ts";
import { initialDictionary } from "../dictionary/init.ts";
import { ConfigError, FormatError, InterruptedError, MismatchError } from "../errors.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import type { Store } from "../store/store-contract.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import type { MetricsLine } from "./metrics.ts";
import { type Trained, train } from "./train.ts";
import { runConfigHash } from "./warm-start.ts";

let root: string;
let warm: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "warm-"));
  warm = join(root, "warm");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const WIDTH = 8;
const concepts = Array.from({ length: 6 }, (_, c) => ({ base: c === 0 ? 0 : 1, finetuned: c === 1 ? 0 : 1 }));
const storeOf = (seed: number): Store => {
  const x = plantedActivations({ concepts, width: WIDTH, nRows: 1500, density: 0.2, noise: 0.02, seed });
  return memoryStore(x, { sites: pairOfSites(WIDTH) });
};
const config: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 30,
  batchRows: 32,
  learningRate: 1e-2,
  logEverySteps: 1,
  checkpointEverySteps: 8,
  threads: 1,
};
const warmed: TrainConfig = { ...config };
beforeEach(async () => {
  await train({ store: storeOf(0), config, folder: warm });
  warmed.warmStart = warm;
});
const run = (change: Partial<TrainConfig> = {}, name = "new", store = storeOf(1)): Promise<Trained> =>
  train({ store, config: { ...warmed, ...change }, folder: join(root, name) });
const firstLine = async (name = "new"): Promise<MetricsLine> =>
  JSON.parse((await readFile(join(root, name, "metrics.jsonl"), "utf8")).split("\n")[0]) as MetricsLine;

test("parameters start there, in that dictionary's own space, with moments and schedules at the beginning", async () => {
  const { dictionary } = await run({ steps: 1, learningRate: 1e-12, warmupFraction: 1, decayFraction: 0 });
  const start = await loadDictionary(warm);
  // One update of 1e-12 rounds away in f32.
  for (const name of ["encoderWeight", "encoderBias", "decoderWeight", "decoderBias"] as const)
    expect(dictionary[name], name).toEqual(start[name]);
  expect(dictionary.normaliser).toEqual(start.normaliser);
  await rm(join(root, "new"), { recursive: true });

  const { training } = await run();
  const line = await firstLine();
  const cold = await train({ store: storeOf(1), config, folder: join(root, "cold") });
  expect(line.loss).toBeLessThan(0.7 * (await firstLine("cold")).loss);
  expect(line.learningRate).toBe((await firstLine("cold")).learningRate); // warm-up again
  expect(cold.dictionary.normaliser).not.toEqual(start.normaliser); // the new store's would be another
  expect(training.warmStart).toEqual({
    path: join(warm, "model.safetensors"),
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test("stopped before and after the first checkpoint and resumed it ends with the same bytes", async () => {
  const straight = await run();
  for (const until of [3, 11]) {
    await rm(join(root, "new"), { recursive: true });
    const controller = new AbortController();
    const stopped = train({
      store: storeOf(1),
      config: warmed,
      folder: join(root, "new"),
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        if (stage === "train" && done === until) controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(InterruptedError);
    const resumed = await run();
    expect(resumed.training.resumedFromStep).toBe(until);
    expect(resumed.dictionary).toEqual(straight.dictionary);
    expect(resumed.training.modelSha256).toBe(straight.training.modelSha256);
  }
});

test("the run's hash follows the dictionary's bytes, not the place where it lies", async () => {
  const hash = await runConfigHash(warmed);
  expect(hash).not.toBe(await runConfigHash(config));
  const moved = join(root, "moved");
  await cp(warm, moved, { recursive: true });
  expect(await runConfigHash({ ...config, warmStart: moved })).toBe(hash);
  expect(await runConfigHash({ ...config, warmStart: join(moved, "model.safetensors") })).toBe(hash);
  const { training } = await run();
  expect(training.configHash).toBe(hash);

  const changed = await loadDictionary(warm);
  changed.encoderWeight[3] += 1;
  await saveDictionary(warm, changed);
  expect(await runConfigHash(warmed)).not.toBe(hash);
  await expect(run()).rejects.toThrow(/training\.json: configuration hash/);
});

test("a dictionary of other sites, size, normalisation or space is refused by name, before anything is computed", async () => {
  const refused = async (
    change: Partial<TrainConfig>,
    message: RegExp,
    store = storeOf(1),
  ): Promise<void> => {
    const attempt = run(change, "refused", store);
    await expect(attempt).rejects.toThrow(MismatchError);
    await expect(attempt).rejects.toThrow(message);
  };
  await refused({ nLatents: 25 }, /latents: this run expects 25, the dictionary has 24/);
  await refused({ codeNormalisation: "sae" }, /code normalisation: this run expects sae, .* has crosscoder/);
  await refused({ targetRms: 2 }, /space: this run expects activations normalised to 2, .* normalised to 1/);
  await refused({ normalise: false }, /space: this run expects raw activations, .* normalised to 1/);
  const otherLayer = pairOfSites(WIDTH).map((site) => ({ ...site, layer: 4 }));
  const x = plantedActivations({ concepts, width: WIDTH, nRows: 1500, density: 0.2, noise: 0.02 });
  await refused(
    {},
    /sites: .* base layer 4 width 8 .* has base layer 1 width 8/,
    memoryStore(x, { sites: otherLayer }),
  );
  await refused({}, /sites: .*width 4/, memoryStore(x, { sites: pairOfSites(4) }));
});

test("a foreign file that says no layer is taken when model and width agree", async () => {
  const { encoderWeight, encoderBias, decoderWeight, decoderBias, ...rest } = await loadDictionary(warm);
  const sites = rest.sites.map(({ model, width }) => ({ name: model, model, layer: -1, width }));
  await saveDictionary(warm, { ...rest, sites, encoderWeight, encoderBias, decoderWeight, decoderBias });
  const { dictionary } = await run({ steps: 2 });
  expect(dictionary.sites.map(({ layer }) => layer)).toEqual([1, 1]); // this store's
});

test("raw activations go on from a dictionary of raw activations", async () => {
  const sites = pairOfSites(WIDTH);
  const raw = initialDictionary({ sites, nLatents: 24, k: 2, initNorm: 0.3, seed: 9 });
  await saveDictionary(warm, raw);
  const { dictionary } = await run({ normalise: false, steps: 2 });
  expect(dictionary.normaliser).toBeUndefined();
  await expect(run({ steps: 2 }, "normalised")).rejects.toThrow(/the dictionary has raw activations/);
});

test("no dictionary, a sparse autoencoder and a broken file are told apart", async () => {
  await expect(run({ warmStart: join(root, "nowhere") })).rejects.toThrow(ConfigError);
  await expect(run({ warmStart: join(root, "nowhere") })).rejects.toThrow(
    /dictionary\.warmStart: expected a dictionary, found no .*nowhere/,
  );
  const file = join(root, "sae.safetensors");
  await writeSafetensors(file, [{ name: "b_dec", dtype: "F32", shape: [4], data: new Float32Array(4) }]);
  await expect(run({ warmStart: file })).rejects.toThrow(FormatError);
  await expect(run({ warmStart: file })).rejects.toMatchObject({
    hint: expect.stringMatching(/autoencoder/),
  });
  await writeFile(file, "nonsense");
  await expect(run({ warmStart: file })).rejects.toThrow(FormatError);
});
