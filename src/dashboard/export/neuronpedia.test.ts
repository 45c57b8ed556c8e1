import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { randomDictionary } from "../../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../../dictionary/dictionary-file.ts";
import { MismatchError, StorageError } from "../../errors.ts";
import { writeLens } from "../../lens/lens-file.ts";
import { randomDocuments } from "../../measure/disk-store.test.helper.ts";
import { measure, openExamples, readMeasure } from "../../measure/measure.ts";
import { createMemoryStore } from "../../measure/memory-store.test.helper.ts";
import { exportNeuronpedia } from "./neuronpedia.ts";
import { neuronpediaName, rowId, shareBelow } from "./neuronpedia-rows.ts";

const root = mkdtempSync(join(tmpdir(), "neuronpedia-"));
const dictionaryFolder = join(root, "dictionaries", "seed-0");
const dictionary = randomDictionary({ inferenceThreshold: 2.5 });
const SILENT = 7; // has no base direction
dictionary.decoderWeight.fill(0, SILENT * dictionary.width, SILENT * dictionary.width + 6);

beforeAll(async () => {
  await saveDictionary(dictionaryFolder, dictionary);
  const store = createMemoryStore(dictionary.sites, randomDocuments(dictionary.width, 60));
  await measure({ store, dictionary, folder: dictionaryFolder, tokenString: (id) => `t${id}`, threads: 1 });
  const score = (name: string, latent: number) => [
    { token: `${name}\u202e${latent}`, tokenId: 1, score: 1 / 3 + latent },
  ];
  await writeLens(
    dictionaryFolder,
    Array.from({ length: dictionary.nLatents }, (_, latent) => ({
      latent,
      promotedBase: latent === SILENT ? [] : score("pb", latent),
      suppressedBase: latent === SILENT ? [] : score("sb", latent),
      promotedFinetuned: score("pf", latent),
      suppressedFinetuned: score("sf", latent),
    })),
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const lines = (path: string): Record<string, unknown>[] => {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};
const options = (folder: string) => ({
  ...{ dictionaryFolder, folder, name: "seed-0", now: new Date(0) },
  models: { base: { name: "Org/Tiny_Base--1.0", nLayers: 5 }, finetuned: { name: "Org/Tiny-Chat" } },
  labelOf: (latent: number) => (latent === 2 ? "refusals" : ""),
});

/** Every number below it. */
function numbersIn(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

test("what is written, read back, holds every latent and example of both sides by Neuronpedia's conventions", async () => {
  const folder = join(root, "all");
  const done: number[] = [];
  const result = await exportNeuronpedia({
    ...options(folder),
    reportProgress: (progress) => done.push(progress.done / progress.total),
  });
  expect(done.at(-1)).toBe(1);
  expect(result.sources.map(({ modelId, sourceId }) => `${modelId}/${sourceId}`)).toEqual([
    "org-tiny-base-1.0/3-tunediff-seed-0-base",
    "org-tiny-chat/3-tunediff-seed-0-ft",
  ]);
  expect(result.warnings).toEqual([expect.stringContaining("of Org/Tiny-Chat is not known")]);
  const { latents, summary } = await readMeasure(dictionaryFolder);
  const { nRows } = summary;
  const examples = openExamples(dictionaryFolder);
  const ids = new Set<string>();
  for (const [at, { path, modelId, sourceId, nFeatures, nActivations }] of result.sources.entries()) {
    const isBase = at === 0;
    expect(readdirSync(path).sort()).toEqual([
      "activations",
      "features",
      "manifest.json",
      "model.jsonl",
      "release.jsonl",
      "source.jsonl",
      "sourceset.jsonl",
    ]);
    const [source] = lines(join(path, "source.jsonl"));
    const twin = isBase ? [null, null] : [result.sources[0].modelId, result.sources[0].sourceId];
    expect([source.cosSimMatchModelId, source.cosSimMatchSourceId]).toEqual(twin);
    expect(source).toMatchObject({
      id: sourceId,
      modelId,
      setName: sourceId.slice(2),
      dataset: "chats, prose",
    });
    expect(lines(join(path, "sourceset.jsonl"))[0]).toMatchObject({
      modelId,
      name: source.setName,
      defaultRange: 1,
    });
    expect(lines(join(path, "model.jsonl"))[0]).toMatchObject({
      id: modelId,
      instruct: !isBase,
      layers: isBase ? 5 : 0,
    });
    const [release] = lines(join(path, "release.jsonl"));
    expect(lines(join(path, "sourceset.jsonl"))[0].releaseName).toBe(release.name);

    const features = lines(join(path, "features", "batch-0.jsonl.gz"));
    expect(features.map(({ index }) => index)).toEqual(latents.map(({ latent }) => String(latent)));
    expect(nFeatures).toBe(dictionary.nLatents);
    for (const [j, feature] of features.entries()) {
      expect(feature).toMatchObject({ modelId, layer: sourceId });
      expect(feature.frac_nonzero).toBeCloseTo(latents[j].frequency, 5);
      const heights = feature.freq_hist_data_bar_heights as number[];
      const values = feature.freq_hist_data_bar_values as number[];
      const fired = Math.round(latents[j].frequency * nRows);
      expect(heights.reduce((sum, height) => sum + height, 0)).toBe(fired);
      expect(heights.every((height) => Number.isInteger(height) && height >= 0)).toBe(true);
      expect([heights.length, values.length]).toEqual(fired === 0 ? [0, 0] : [50, 50]);
      // the last bar holds the maximum, if not its neighbour: the edges are those of the measured bins
      if (fired > 0) expect(values[49]).toBeGreaterThan(0.9 * latents[j].maxActivation);
      const vector = feature.vector as number[];
      if (isBase && j === SILENT) {
        expect([feature.hasVector, vector, feature.hookName, feature.pos_str]).toEqual([false, [], null, []]);
        continue;
      }
      const row = Array.from(
        { length: 6 },
        (_, i) => dictionary.decoderWeight[j * 12 + (isBase ? 0 : 6) + i],
      );
      const norm = Math.hypot(...row);
      expect(vector).toEqual(row.map((value) => Number((value / norm).toFixed(5)) + 0));
      const scale = dictionary.normaliser?.scale[at] ?? Number.NaN;
      const strength = Number.isNaN(latents[j].maxCode) ? 0 : (latents[j].maxCode * norm) / scale;
      expect(feature.vectorDefaultSteerStrength).toBeCloseTo(strength, 4);
      expect(feature.hookName).toBe("blocks.3.hook_resid_post");
      expect(feature.pos_str).toEqual([`${isBase ? "pb" : "pf"}\u202e${j}`]);
      expect(feature.neg_values).toEqual([Number((1 / 3 + j).toFixed(5))]);
      const sorted = [...row].sort((a, b) => b - a).slice(0, 3);
      expect(feature.neuron_alignment_values).toEqual(sorted.map((value) => Number(value.toFixed(5)) + 0));
      const nearest = isBase ? latents[j].nearestBase : latents[j].nearestFinetuned;
      expect(feature.topkCosSimIndices).toEqual(nearest.map(({ latent }) => latent));
    }
    expect(features[2].vectorLabel).toMatch(/^refusals, (.*, )?deltaNorm \d\.\d{3}/);

    const activations = lines(join(path, "activations", "batch-0.jsonl.gz"));
    expect(activations).toHaveLength(nActivations);
    const ours = latents.flatMap(({ latent }) => [
      ...examples.ofLatent(latent, 99),
      ...examples.sampleOfLatent(latent),
    ]);
    expect(activations).toHaveLength(ours.length);
    for (const [i, row] of activations.entries()) {
      const example = ours[i];
      const values = row.values as number[];
      expect(row).toMatchObject({ modelId, layer: sourceId, index: String(example.latent) });
      expect(row.tokens).toEqual(example.tokens);
      expect(row.qualifyingTokenIndex).toBe(example.peak);
      expect([row.maxValue, row.minValue]).toEqual([Math.max(...values), Math.min(...values)]);
      expect(values[row.maxValueTokenIndex as number]).toBe(row.maxValue);
      expect(row.maxValue).toBeCloseTo(example.maxActivation, 4);
      expect(row.id).toMatch(/^c[a-z0-9]{24}$/);
      ids.add(String(row.id));
      if (example.bin === -1) {
        expect([row.binMin, row.binContains, row.binMax]).toEqual([-1, -1, row.maxValue]);
      } else {
        expect(Number(row.binMin)).toBeLessThanOrEqual(Number(row.maxValue));
        // the top edge is the maximum itself; both are rounded
        expect(Number(row.maxValue)).toBeLessThanOrEqual(Number(row.binMax) + 1e-5);
        expect(Number(row.binContains)).toBeGreaterThanOrEqual(0);
        expect(Number(row.binContains)).toBeLessThanOrEqual(latents[example.latent].frequency + 1e-5);
      }
    }
    expect(activations.some(({ binMin }) => binMin !== -1)).toBe(true);
    expect(numbersIn([features, activations]).filter((value) => value !== Number(value.toFixed(5)))).toEqual(
      [],
    );
  }
  examples.close();
  expect(latents.some(({ frequency }) => frequency > 0)).toBe(true);
  expect(ids.size).toBe(result.sources.reduce((sum, { nActivations }) => sum + nActivations, 0));
});

test("a second export gives the same rows under the same ids and replaces the first", async () => {
  const folder = join(root, "twice");
  const first = await exportNeuronpedia(options(folder));
  const path = join(first.sources[0].path, "activations", "batch-0.jsonl.gz");
  const before = lines(path);
  rmSync(path);
  expect(await exportNeuronpedia(options(folder))).toEqual(first);
  expect(lines(path)).toEqual(before);
});

test("more latents than a batch holds go to numbered files, and no file is left out", async () => {
  const { sources, nBatches } = await exportNeuronpedia({
    ...options(join(root, "batches")),
    batchLatents: 8,
  });
  expect(nBatches).toBe(3);
  const names = readdirSync(join(sources[1].path, "features")).sort();
  expect(names).toEqual(["batch-0.jsonl.gz", "batch-1.jsonl.gz", "batch-2.jsonl.gz"]);
  const read = (name: string) => lines(join(sources[1].path, "features", name));
  const indices = names.flatMap((name) => read(name).map(({ index }) => index));
  expect(indices).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
});

test("a folder of somebody else is not replaced, and another dictionary's measurement is refused", async () => {
  const folder = join(root, "foreign");
  const theirs = join(folder, "org-tiny-chat", "3-tunediff-seed-0-ft");
  mkdirSync(theirs, { recursive: true });
  writeFileSync(join(theirs, "thesis.txt"), "years of work");
  await expect(exportNeuronpedia(options(folder))).rejects.toThrow(StorageError);
  expect(readFileSync(join(theirs, "thesis.txt"), "utf8")).toBe("years of work");
  expect(readdirSync(folder)).toEqual(["org-tiny-chat"]);
  const signal = AbortSignal.abort();
  await expect(exportNeuronpedia({ ...options(join(root, "stopped")), signal })).rejects.toThrow(
    "interrupted",
  );
  await saveDictionary(dictionaryFolder, randomDictionary({ seed: 9 }));
  await expect(exportNeuronpedia(options(join(root, "other")))).rejects.toThrow(MismatchError);
});

test("names keep to what Neuronpedia takes, ids differ, shares run from 0 to 1 through the quantiles", () => {
  expect(neuronpediaName("Meta-Llama/Llama_3.1--8B Instruct!")).toBe("meta-llama-llama-3.1-8b-instruct");
  for (const odd of ["", "é", "--", "x".repeat(99)])
    expect(neuronpediaName(odd)).toMatch(/^[a-z0-9][a-z0-9.-]{1,31}$/);
  expect(rowId("a", 1)).not.toBe(rowId("a", 2));
  const quantiles = [
    { share: 0.1, value: 1 },
    { share: 0.5, value: 3 },
  ];
  const spread = { frequency: 0.2, maxActivation: 5, bins: null, quantiles };
  expect([0, 0.5, 1, 2, 3, 4, 5, 9].map((value) => shareBelow(value, spread))).toEqual([
    ...[0, 0.05, 0.1, 0.1 + 0.5 * 0.4, 0.5, 0.75, 1, 1],
  ]);
  const once = { ...spread, quantiles: quantiles.map(({ share }) => ({ share, value: 5 })) };
  expect(shareBelow(5, once)).toBe(1);
  // from 1 to 1.5, then to 2: the counts decide, not the quantiles
  const bins = { first: 4064, end: 4096, step: 16, counts: [3, 1] };
  const counted = { ...spread, bins };
  expect([0, 1, 1.25, 1.5, 1.75, 2, 9].map((value) => shareBelow(value, counted))).toEqual([
    ...[0, 0, 0.375, 0.75, 0.875, 1, 1],
  ]);
});
