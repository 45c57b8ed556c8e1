// What `tunediff export` and `tunediff measure --dictionary` take, refuse and say; the files are tested beside their writers.

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNotes } from "../dashboard/notes.ts";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { saveDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, FormatError, StorageError } from "../errors.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { randomDocuments } from "../measure/disk-store.test.helper.ts";
import { type Measurement, measure } from "../measure/measure.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import { createMemoryStore } from "../measure/memory-store.test.helper.ts";
import { addExportCommand, exportDictionary, exportForNeuronpedia, exportText } from "./export.ts";
import { importedText } from "./measure-imported.ts";
import { addStageCommands } from "./stages.ts";

let folder = "";
let measured: Measurement;
const dictionary = randomDictionary({ inferenceThreshold: 2.5, normalised: false });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-export-"));
  await saveDictionary(folder, dictionary);
  const store = createMemoryStore(dictionary.sites, randomDocuments(dictionary.width, 30));
  measured = await measure({ store, dictionary, folder, tokenString: String, threads: 1 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a measured dictionary gives one table, and the other files where they are asked for", async () => {
  const alone = await exportDictionary({ dictionaryFolder: folder });
  expect(alone.latents.nLatents).toBe(dictionary.nLatents);
  expect(exportText(alone)).toBe(
    `20 latents × ${alone.latents.nColumns} columns → ${join(folder, "latents.parquet")}`,
  );
  const featureDf = join(folder, "feature_df.csv");
  const examplesDb = join(folder, "examples.db");
  const all = await exportDictionary({ dictionaryFolder: folder, featureDf, examplesDb });
  expect((await readFile(featureDf, "utf8")).split("\n")).toHaveLength(22);
  expect(all.examplesDb?.nExamples).toBeGreaterThan(20);
  expect(exportText(all)).toContain(`windows → ${examplesDb}`);
  expect(exportText(all)).toContain(`→ ${featureDf}`);
});

test("Neuronpedia gets a source a model, with the labels of notes.sqlite", async () => {
  const study = await mkdtemp(join(tmpdir(), "cli-neuronpedia-"));
  try {
    await cp(folder, join(study, "dictionaries", "main"), { recursive: true });
    const notes = openNotes(study);
    notes.put(await dictionarySha256(folder), 3, { label: "says no" });
    notes.close();
    const config = { base: join(study, "tiny-base"), finetuned: join(study, "tiny-chat") };
    const out = join(study, "out");
    const result = await exportForNeuronpedia({ study, folder: out, name: "main", config });
    expect(result.sources.map(({ modelId }) => modelId)).toEqual(["tiny-base", "tiny-chat"]);
    expect(result.warnings).toEqual([
      expect.stringContaining("tunediff lens"),
      expect.stringContaining("of tiny-base, tiny-chat is not known"),
    ]);
    const features = gunzipSync(await readFile(join(result.sources[1].path, "features", "batch-0.jsonl.gz")));
    expect(String(features).split("\n")[3]).toContain('"vectorLabel":"says no, ');
    const { latents } = await exportDictionary({ dictionaryFolder: folder });
    expect(exportText({ latents, neuronpedia: result })).toContain(`examples → ${result.sources[1].path}`);
    const checkpoint = await writeTinyLlama(TINY_CONFIG, tinyWeights(TINY_CONFIG, 1));
    await cp(checkpoint, config.base, { recursive: true });
    await rm(checkpoint, { recursive: true });
    await cp(config.base, config.finetuned, { recursive: true });
    const layersOf = async (): Promise<unknown[]> => {
      const { sources } = await exportForNeuronpedia({ study, folder: out, name: "main", config });
      const rows = sources.map(({ path }) => readFile(join(path, "model.jsonl"), "utf8"));
      return (await Promise.all(rows)).map((row) => JSON.parse(row).layers);
    };
    const { num_hidden_layers: nLayers } = TINY_CONFIG;
    expect(await layersOf()).toEqual([nLayers, nLayers]);
    await rm(join(config.finetuned, "config.json"));
    expect(await layersOf()).toEqual([nLayers, 0]);
    await writeFile(join(config.finetuned, "adapter_config.json"), "{}");
    expect(await layersOf()).toEqual([nLayers, nLayers]);
  } finally {
    await rm(study, { recursive: true, force: true });
  }
});

test("an export that would replace what it reads, and one of nothing measured, are refused", async () => {
  const examplesDb = join(folder, "examples.sqlite");
  await expect(exportDictionary({ dictionaryFolder: folder, examplesDb })).rejects.toThrow(ConfigError);
  const both = { featureDf: join(folder, "one"), examplesDb: join(folder, "one") };
  await expect(exportDictionary({ dictionaryFolder: folder, ...both })).rejects.toThrow(ConfigError);
  await expect(exportDictionary({ dictionaryFolder: join(folder, "none") })).rejects.toThrow(StorageError);
});

test("a folder without a study, and --name without --dictionary, are refused", async () => {
  const run = (...args: string[]) => {
    const program = new Command().exitOverride();
    addExportCommand(program);
    addStageCommands(program);
    return program.parseAsync(args, { from: "user" });
  };
  await expect(run("export", "/nowhere")).rejects.toThrow(FormatError);
  await expect(run("measure", "/nowhere", "--name", "a")).rejects.toThrow(ConfigError);
  await expect(run("measure", "/nowhere", "--calibrate")).rejects.toThrow(/--dictionary/);
  await expect(run("measure", "/nowhere", "--dictionary", "a")).rejects.toThrow(FormatError);
});

test("the closing lines of an imported dictionary say fit, classes and claims", () => {
  const { latents, summary } = measured;
  const text = importedText({
    ...{ name: "published", folder, dictionary, reused: false, latents, warnings: [] },
    summary: { ...summary, l0: 3.25, counts: { ...summary.counts, finetunedSpecific: 7 } },
  });
  expect(text).toContain('The dictionary "published"');
  expect(text).toContain("at L0 3.3 with threshold 2.500");
  expect(text).toContain("7 finetuned-specific");
  expect(text).toContain(folder);
});
