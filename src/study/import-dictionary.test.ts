// Crosscoders trained elsewhere, in the layouts they are published in, measured on a store of ours.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { loadDictionary, MODEL_FILE, saveDictionary } from "../dictionary/dictionary-file.ts";
import { foldNormaliser } from "../dictionary/fold-normaliser.ts";
import { weightTensors } from "../dictionary/site-tensors.ts";
import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import { type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { readLens } from "../lens/lens-file.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { randomDocuments, writeDiskStore } from "../measure/disk-store.test.helper.ts";
import { measure, readMeasure } from "../measure/measure.ts";
import { openRowSource } from "../store/row-source.ts";
import { parseStudyConfig } from "./config.ts";
import { importDictionary, measureImported } from "./import-dictionary.ts";

let root = "";
const models: string[] = [];
const trained = randomDictionary({ inferenceThreshold: 2.5, normalised: false });
const place = (name: string) => join(root, name);

/** The four tensors of the published L1 crosscoder, with its config.json; `more`: of a BatchTopK one. */
async function writePublished(
  name: string,
  dictionary: Dictionary,
  more: TensorToWrite[] = [],
): Promise<string> {
  const { nLatents, sites, encoderBias, decoderBias, encoderWeight, decoderWeight } = dictionary;
  const widths = sites.map(({ width }) => width);
  await mkdir(place(name));
  await writeSafetensors(join(place(name), MODEL_FILE), [
    ...weightTensors("encoder.weight", encoderWeight, { widths, nLatents, latentsLast: true }),
    { name: "encoder.bias", dtype: "F32", shape: [nLatents], data: encoderBias },
    ...weightTensors("decoder.weight", decoderWeight, { widths, nLatents, latentsLast: false }),
    { name: "decoder.bias", dtype: "F32", shape: [2, widths[0]], data: decoderBias },
    ...more,
  ]);
  const config = { activation_dim: widths[0], dict_size: nLatents, num_layers: 2 };
  await writeFile(join(place(name), "config.json"), JSON.stringify(config));
  return place(name);
}

const batchTopK = (threshold: number): TensorToWrite[] => [
  { name: "k", dtype: "I32", shape: [], data: Int32Array.of(4) },
  { name: "threshold", dtype: "F32", shape: [], data: Float32Array.of(threshold) },
];

const options = (dictionary: string, more = {}) => ({
  dictionary,
  storeFolder: place("store"),
  dictionariesFolder: place("dictionaries"),
  threads: 1,
  ...more,
});

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "import-dictionary-"));
  await writeDiskStore(place("store"), trained.sites, randomDocuments(trained.width, 60));
});
afterAll(async () => {
  for (const path of [root, ...models]) await rm(path, { recursive: true, force: true });
});

describe("what is taken", () => {
  test("a published L1 file of four tensors gets the store's sites and keeps its weights", async () => {
    const path = await writePublished("published-l1", trained);
    const imported = await importDictionary(options(path));
    expect(imported).toMatchObject({ name: "published-l1", reused: false });
    const copy = await loadDictionary(imported.folder);
    expect(copy).toEqual({ ...trained, k: 0, inferenceThreshold: 0 });
    expect(imported.dictionary).toEqual(copy);
    expect((await importDictionary(options(join(path, MODEL_FILE)))).reused).toBe(true);
  });

  test("it measures as the same dictionary of ours does", async () => {
    const { folder, dictionary } = await importDictionary(
      options(await writePublished("batchtopk", trained, batchTopK(2.5))),
    );
    await mkdir(place("ours"));
    await saveDictionary(place("ours"), trained);
    const store = await openRowSource(place("store"));
    try {
      const tokenString = String;
      const theirs = await measure({ store, dictionary, folder, tokenString, threads: 1 });
      const own = await measure({
        store,
        dictionary: trained,
        folder: place("ours"),
        tokenString,
        threads: 1,
      });
      expect(theirs).toEqual(own);
      expect(theirs.summary.l0).toBeGreaterThan(0);
    } finally {
      await store.close();
    }
  });

  test("with calibrate, a threshold that no calibration has set is set to L0 = k on held-out rows", async () => {
    const path = await writePublished("uncalibrated", trained, batchTopK(-1));
    const { dictionary, folder } = await importDictionary(options(path, { calibrate: true }));
    expect(dictionary.inferenceThreshold).toBeGreaterThan(0);
    expect((await loadDictionary(folder)).inferenceThreshold).toBe(dictionary.inferenceThreshold);
    const store = await openRowSource(place("store"));
    try {
      const { summary } = await measure({ store, dictionary, folder, tokenString: String, threads: 1 });
      // over the same held-out rows: exact but for ties
      expect(summary.l0).toBeCloseTo(4, 1);
    } finally {
      await store.close();
    }
    expect((await importDictionary(options(path, { calibrate: true }))).reused).toBe(true);
  });

  test("a dictionary that lies in its folder already is taken as it is", async () => {
    const folder = join(place("dictionaries"), "resident");
    await mkdir(folder, { recursive: true });
    await saveDictionary(folder, trained);
    const bytes = await readFile(join(folder, MODEL_FILE));
    expect(await importDictionary(options(folder))).toMatchObject({ name: "resident", reused: true });
    await expect(importDictionary(options(folder, { calibrate: true }))).rejects.toThrow(ConfigError);
    expect(await readFile(join(folder, MODEL_FILE))).toEqual(bytes);
  });
});

describe("what is refused", () => {
  test("another width names both shapes, and another layer both layers", async () => {
    const wide = randomDictionary({ widths: [7, 7], normalised: false });
    const path = await writePublished("wide", wide);
    await expect(importDictionary(options(path))).rejects.toThrow(MismatchError);
    await expect(importDictionary(options(path))).rejects.toThrow(/base layer 3 width 6.*got.*base width 7/);
    await mkdir(place("layer"));
    await saveDictionary(place("layer"), {
      ...trained,
      sites: trained.sites.map((site) => ({ ...site, layer: 9 })),
    });
    await expect(importDictionary(options(place("layer")))).rejects.toThrow(/layer 3 .* layer 9/);
  });

  test("a threshold that is not calibrated says how to calibrate", async () => {
    const path = await writePublished("uncalibrated-2", trained, batchTopK(-1));
    const refused = importDictionary(options(path));
    await expect(refused).rejects.toThrow(MismatchError);
    await expect(refused).rejects.toMatchObject({ hint: expect.stringContaining("--calibrate") });
    const relu = await writePublished("relu", trained);
    await expect(importDictionary(options(relu, { calibrate: true }))).rejects.toThrow(ConfigError);
  });

  test("a folded dictionary is refused, whatever its thresholds", async () => {
    await mkdir(place("folded"));
    await saveDictionary(place("folded"), foldNormaliser(randomDictionary()));
    const refused = importDictionary(options(place("folded"), { calibrate: true }));
    await expect(refused).rejects.toThrow(MismatchError);
    await expect(refused).rejects.toMatchObject({ hint: expect.stringContaining("original") });
  });

  test("a name that is taken, reserved or no name is refused", async () => {
    const path = await writePublished("first", trained);
    await importDictionary(options(path, { name: "taken" }));
    const other = await writePublished("second", randomDictionary({ seed: 8, normalised: false }));
    await expect(importDictionary(options(other, { name: "taken" }))).rejects.toThrow(/another dictionary/);
    await expect(importDictionary(options(other, { name: "main", reserved: ["main"] }))).rejects.toThrow(
      ConfigError,
    );
    for (const name of ["", "..", "a/b", ".hidden"]) {
      await expect(importDictionary(options(other, { name })), name).rejects.toThrow(ConfigError);
    }
    await expect(importDictionary(options(place("nowhere")))).rejects.toThrow(FormatError);
  });
});

async function makeModel(seed: number): Promise<string> {
  const config = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, hidden_size: 16, num_hidden_layers: 2 };
  const path = await writeTinyLlama(config, tinyWeights(config, seed));
  models.push(path);
  return writeTinyTokenizer(path);
}

test("a study is harvested and the dictionary measured, without any training", async () => {
  const lines = Array.from({ length: 30 }, (_, d) =>
    JSON.stringify({
      id: `d${d}`,
      text: "hush, sir: her user is here ".repeat(1 + (d % 3)) + d,
      split: "heldout",
    }),
  );
  await writeFile(place("text.jsonl"), lines.join("\n"));
  const config = parseStudyConfig(
    {
      base: await makeModel(1),
      finetuned: await makeModel(2),
      data: place("text.jsonl"),
      layer: 1,
      threads: 1,
    },
    "test",
  );
  const path = await writePublished("tiny", randomDictionary({ widths: [16, 16], normalised: false }));
  const result = await measureImported({ folder: place("study"), config, dictionary: path, lens: true });
  expect(result.folder).toBe(join(place("study"), "dictionaries", "tiny"));
  expect(result.summary.nRows).toBeGreaterThan(100);
  expect(await readMeasure(result.folder)).toEqual({ latents: result.latents, summary: result.summary });
  const lens = await readLens(result.folder);
  expect(lens.map(({ latent }) => latent)).toEqual(result.latents.map(({ latent }) => latent));
  expect(lens.every(({ promotedFinetuned }) => promotedFinetuned.length > 0)).toBe(true);
  expect(result.dictionary.sites.map(({ layer }) => layer)).toEqual([1, 1]);
  await expect(
    measureImported({ folder: place("study"), config, dictionary: path, name: "main" }),
  ).rejects.toThrow(/which the study trains itself/);
});
