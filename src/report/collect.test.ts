import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import { writeGlance } from "../glance/glance-file.ts";
import { writeLens } from "../lens/lens-file.ts";
import { writeExamples } from "../measure/examples-file.ts";
import { measurePaths, writeSummary } from "../measure/measure-files.ts";
import { writeMeasureTable } from "../measure/measure-table.ts";
import { createMemoryStore, pairSites } from "../measure/memory-store.test.helper.ts";
import { sourceOfStore } from "../store/row-source.ts";
import { createStoreWriter } from "../store/store-writer.ts";
import { writeTruth } from "../truth/truth-file.ts";
import { type CollectOptions, collectReportInput, displayName } from "./collect.ts";
import { madeGlance } from "./glance-fixture.test.data.ts";
import { renderReport } from "./report.ts";
import { reportFixture } from "./report-fixture.test.data.ts";

const made = reportFixture({ nLatents: 200, nFinetunedClaims: 3, nBaseClaims: 1 });
let root: string;
let options: CollectOptions;
let dictionaryFolder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-collect-"));
  dictionaryFolder = join(root, "dictionaries", "main");
  await mkdir(join(dictionaryFolder, "tables"), { recursive: true });

  const sites = pairSites(2);
  const token = (i: number) => ({ token: i, activation: [i, 1, 2 * i, 1] });
  const store = createMemoryStore(sites, [
    { split: "train", dataset: "chats", tokens: [token(1), token(2), token(3)] },
    { split: "heldout", dataset: "prose", tokens: [token(4), token(5)] },
  ]);
  const storeFolder = join(root, "stores", "main");
  const { datasets, slots, tokenizerHash } = store.manifest;
  const writer = await createStoreWriter({
    folder: storeFolder,
    name: "main",
    rows: store.rows,
    documents: store.documents,
    datasets,
    slots,
    tokenizerHash,
    sites: sites.map((site) => ({ site, dtype: "f32" })),
    identity: { made: "for a test" },
  });
  const all = await store.read(0, store.rows.nRows);
  for (const [at, site] of sites.entries()) {
    const part = Float32Array.from(
      { length: store.rows.nRows * 2 },
      (_, i) => all[Math.floor(i / 2) * 4 + at * 2 + (i % 2)],
    );
    await writer.writeShard(site.name, 0, part);
  }
  await writer.finish();

  const paths = measurePaths(dictionaryFolder);
  await writeMeasureTable(paths.table, made.latents, made.summary.categories);
  await writeSummary(dictionaryFolder, made.summary, {
    dictionarySha256: "d",
    storeSha256: "s",
    split: "heldout",
    examplesPerLatent: 2,
    examplesPerBin: 1,
    seed: 0,
    format: 1,
  });
  await writeExamples({
    path: paths.examples,
    source: await sourceOfStore(store),
    nLatents: 200,
    examples: {
      top: {
        ofLatent: () => [
          {
            document: 1,
            peakRow: 4,
            windowStart: 3,
            windowEnd: 5,
            maxActivation: 7,
            activations: Float32Array.of(0, 7),
            textHash: 1,
          },
        ],
      },
      sample: { ofLatent: () => [] },
    },
    maxActivation: () => 7,
    perBin: 1,
    tokenString: (id) => ` word${id}`,
    dictionarySha256: "d",
  });
  await writeLens(dictionaryFolder, [...made.lens.values()]);

  const { nLatents, k, steps, batchRows, learningRate, seed } = made.training;
  await writeFile(
    join(dictionaryFolder, "training.json"),
    JSON.stringify({
      schemaVersion: 1,
      configHash: "c",
      storeHash: "s",
      config: { nLatents, k, steps, batchRows, learningRate, seed },
      seconds: { total: 9 },
      warnings: ["few rows"],
    }),
  );
  const line = { loss: 3, l0: 15, dead: 50, fve: { total: 0.9, "base-L0": 0.91 } };
  await writeFile(
    join(dictionaryFolder, "metrics.jsonl"),
    `${JSON.stringify({ step: 25, ...line })}\n${JSON.stringify({ step: 50, ...line })}\n`,
  );
  const event = (stage: string, key: string, seconds?: number) =>
    `${JSON.stringify({ time: "", stage, event: seconds === undefined ? "start" : "done", key, seconds })}\n`;
  await writeFile(
    join(root, "journal.jsonl"),
    event("train", "old", 99) +
      event("train", "new") +
      event("train", "new", 12) +
      event("measure", "m", 3) +
      event("report", "r"),
  );

  options = {
    folder: root,
    config: { store: { name: "main" }, dictionary: { name: "main" } },
    lock: {
      tunediff: "0.1.0",
      base: { path: "/models/mini/base", hash: "aa", dModel: 2 },
      finetuned: { path: "/models/mini/finetuned", hash: "bb", dModel: 2 },
      data: { path: "/data/chats.jsonl", sha256: "cc" },
      tokenizer: { hash: "dd" },
      layer: { base: 3, finetuned: 3 },
    },
    commands: ["npx tunediff demo"],
    warnings: ["few rows", "odd tokenizer"],
    now: new Date("2026-11-22T13:40:59Z"),
  };
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("a study folder becomes the report's input, and the input a page", async () => {
  const input = await collectReportInput(options);
  expect(input.title).toBe("mini/finetuned against mini/base");
  expect(input.generatedAt).toBe("2026-11-22 13:40 UTC");
  expect(input.pair).toMatchObject({
    base: "mini/base",
    layer: 3,
    dModel: 2,
    baseHash: "aa",
    tokenizerHash: "dd",
  });
  expect(input.data).toMatchObject({
    nDocuments: 2,
    nRows: 5,
    dtype: "f32",
    rowsBySplit: { train: 3, heldout: 2, test: 0 },
  });
  expect(input.data.datasets).toEqual([
    { name: "chats", rows: 3 },
    { name: "prose", rows: 2 },
  ]);
  expect(input.data.roundingErrorRelative.map(({ site }) => site)).toEqual(["base-L0", "finetuned-L0"]);
  expect(input.latents).toHaveLength(200);
  expect(input.summary).toEqual(made.summary);
  expect(input.warnings).toEqual(["few rows", "odd tokenizer"]);
  expect(input.training.metrics).toEqual([
    { step: 25, fve: 0.9, l0: 15, loss: 3, dead: 0.25 },
    { step: 50, fve: 0.9, l0: 15, loss: 3, dead: 0.25 },
  ]);
  const claim = input.latents.find((latent) => latent.claim === "finetuned-specific");
  expect(input.examples(claim?.latent ?? -1)).toMatchObject([
    { tokens: [" word4", " word5"], activations: [0, 7], peak: 1 },
  ]);
  expect(input.examples(12345)).toEqual([]);
  expect(renderReport(input).includes(" word5")).toBe(true);
});

test("working time is that of the newest finished result of a stage; unfinished stages have none", async () => {
  const { seconds, training } = await collectReportInput(options);
  expect(seconds).toEqual({ train: 12, measure: 3 });
  expect(training.seconds).toBe(12);
});

test("truth is there when it was scored and absent when not", async () => {
  expect((await collectReportInput(options)).truth).toBeUndefined();
  const { truth } = made;
  if (truth === undefined) throw new Error("the fixture has a truth");
  await writeTruth(dictionaryFolder, truth);
  const read = (await collectReportInput(options)).truth;
  expect(read?.concepts.map((concept) => concept.name)).toEqual(
    truth.concepts.map((concept) => concept.name),
  );
});

test("a glance is of this study when its models and layer are", async () => {
  expect((await collectReportInput(options)).glance).toEqual({ state: "absent" });
  const glance = madeGlance({ hostile: false });
  const models = { base: "/elsewhere/mini/base", finetuned: "/elsewhere/mini/finetuned" };
  await writeGlance(root, { ...glance, ...models });
  expect((await collectReportInput(options)).glance).toEqual({
    state: "made",
    value: { glance: { ...glance, ...models }, planted: null },
  });
  for (const other of [{ base: "/elsewhere/other" }, { layer: { base: 3, finetuned: 2 } }]) {
    await writeGlance(root, { ...glance, ...models, ...other });
    expect((await collectReportInput(options)).glance).toEqual({ state: "outdated" });
  }
  const adapted = { ...options.lock, finetuned: { ...options.lock.finetuned, adapter: "/x/lora" } };
  await writeGlance(root, { ...glance, ...models, finetuned: "/x/lora" });
  expect((await collectReportInput({ ...options, lock: adapted })).glance.state).toBe("made");
  await rm(join(root, "glance.json"));
});

test("a torn last line of the training log is passed over, a line that is no JSON is named", async () => {
  const path = join(dictionaryFolder, "metrics.jsonl");
  await appendFile(path, '{"step": 75, "lo');
  expect((await collectReportInput(options)).training.metrics).toHaveLength(2);
  await appendFile(path, "\n");
  await expect(collectReportInput(options)).rejects.toThrow(FormatError);
});

test("a dictionary that was not trained to the end is named with the next step", async () => {
  const config = { ...options.config, dictionary: { name: "other" } };
  const failure = collectReportInput({ ...options, config });
  await expect(failure).rejects.toThrow(StorageError);
  await expect(failure).rejects.toThrow(/dictionaries.other.training\.json/);
});

test("models are shown by the part of their path that tells them apart", () => {
  expect(displayName("/data/Llama-3.1-8B")).toBe("Llama-3.1-8B");
  expect(displayName("/models/minichat/base/")).toBe("minichat/base");
  expect(displayName("org/name@main")).toBe("name@main");
});
