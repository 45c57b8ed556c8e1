// Two models of different depth and width over one tokenizer, from text to report, and both engines on their store.

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseLayer } from "../src/cli/compare.ts";
import { loadDictionary } from "../src/dictionary/dictionary-file.ts";
import { createEncoder, encodeReference } from "../src/dictionary/encode.ts";
import { initialDictionary } from "../src/dictionary/init.ts";
import { siteOffsets } from "../src/dictionary/latent-norms.ts";
import { normaliseInPlace } from "../src/dictionary/normaliser.ts";
import { readLens } from "../src/lens/lens.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../src/lm/tiny-llama.test.data.ts";
import { readMeasure } from "../src/measure/measure.ts";
import { createRng } from "../src/numerics/rng.ts";
import { openStore } from "../src/store/store.ts";
import { parseStudyConfig } from "../src/study/config.ts";
import { runStudy } from "../src/study/run-study.ts";
import { createEngine } from "../src/training/engine.ts";
import { type EngineOptions, PARAMETER_NAMES, STATE_KINDS } from "../src/training/engine-contract.ts";
import { createReferenceEngine } from "../src/training/reference-engine.ts";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "./golden/text/tiny-tokenizer.ts";

const WIDTHS = { base: 32, finetuned: 48 };
let folder = "";
let study = "";
const models: string[] = [];

async function makeModel(config: object, seed: number): Promise<string> {
  const whole = { ...TINY_CONFIG, vocab_size: TINY_VOCAB_SIZE, max_position_embeddings: 64, ...config };
  const path = await writeTinyLlama(whole, tinyWeights(whole, seed));
  models.push(path);
  return writeTinyTokenizer(path);
}

async function writeText(path: string): Promise<void> {
  const rng = createRng(1, "unequal text");
  const words = ["hi", "user", "her", "us", "sir", "hush", "ruse", "hers"];
  const lines = Array.from({ length: 150 }, (_, d) => {
    const nWords = 4 + Math.floor(20 * rng.uniform(d, 0));
    const text = Array.from(
      { length: nWords },
      (_, i) => words[Math.floor(words.length * rng.uniform(d, 1 + i))],
    ).join(" ");
    return JSON.stringify({ id: `d${d}`, text: `${text} ${d}`, split: ["train", "train", "heldout"][d % 3] });
  });
  await writeFile(path, lines.join("\n"));
}

const config = (base: string, finetuned: string) =>
  parseStudyConfig(
    {
      base,
      finetuned,
      data: join(folder, "text.jsonl"),
      layer: parseLayer("1:3"),
      threads: 1,
      store: { dtype: "f32" },
      dictionary: { nLatents: 64, k: 6, steps: 80, batchRows: 128 },
    },
    "test",
  );

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-unequal-"));
  study = join(folder, "study");
  await writeText(join(folder, "text.jsonl"));
  const base = await makeModel({ hidden_size: WIDTHS.base, num_hidden_layers: 3 }, 1);
  const finetuned = await makeModel({ hidden_size: WIDTHS.finetuned, num_hidden_layers: 5 }, 2);
  const run = await runStudy({ folder: study, config: config(base, finetuned), commands: [] });
  expect(run.warnings.filter((warning) => warning.includes("shapes differ"))).toEqual([
    "shapes differ: base 3 blocks of width 32, finetuned 5 blocks of width 48; layers 1 and 3 are compared",
  ]);
}, 120_000);
afterAll(async () => {
  for (const path of [folder, ...models]) await rm(path, { recursive: true, force: true });
});

test("the store and the dictionary's file carry both layers and both widths", async () => {
  const store = await openStore(join(study, "stores", "main"));
  const sites = [
    { name: "base-L1", model: "base", layer: 1, width: WIDTHS.base },
    { name: "finetuned-L3", model: "finetuned", layer: 3, width: WIDTHS.finetuned },
  ];
  expect(store.manifest.sites).toMatchObject(sites);
  expect(store.manifest.sites.map(({ roundingErrorRelative }) => roundingErrorRelative)).toEqual([
    null,
    null,
  ]);
  await store.close();
  const dictionary = await loadDictionary(join(study, "dictionaries", "main"));
  expect(dictionary).toMatchObject({ sites, width: WIDTHS.base + WIDTHS.finetuned, nLatents: 64 });
  expect(dictionary.decoderWeight).toHaveLength(64 * (WIDTHS.base + WIDTHS.finetuned));
});

test("the trained dictionary explains both models, and its fast and readable encoders agree on the store's rows", async () => {
  const { latents, summary } = await readMeasure(join(study, "dictionaries", "main"));
  expect(summary.scalingDirections).toBe("own");
  // 80 steps of 64 latents on a few dozen distinct contexts: far better than the mean for either model.
  expect(summary.fve.base).toBeGreaterThan(0.3);
  expect(summary.fve.finetuned).toBeGreaterThan(0.3);
  const fired = latents.filter(({ frequency }) => frequency > 0);
  expect(fired.length).toBeGreaterThan(10);
  for (const latent of fired) {
    expect(latent.decoderCosine).toBeNaN();
    for (const value of [
      latent.deltaNorm,
      latent.scalingFinetuned.nuError,
      latent.scalingBase.nuReconstruction,
    ])
      expect(value).toBeTypeOf("number");
    expect(Number.isFinite(latent.scalingFinetuned.betaActivationFinetuned)).toBe(true);
    expect(Number.isFinite(latent.scalingBase.betaErrorBase)).toBe(true);
  }

  const dictionary = await loadDictionary(join(study, "dictionaries", "main"));
  const store = await openStore(join(study, "stores", "main"));
  const x = normaliseInPlace(await store.read(0, 200), 200, dictionary);
  await store.close();
  const encoder = await createEncoder(dictionary, { maxRows: 64, threads: 1 });
  let nCodes = 0;
  for (let row = 0; row < 192; row += 64) {
    const rows = x.subarray(row * dictionary.width, (row + 64) * dictionary.width);
    const [fast, slow] = [await encoder.encode(rows, 64), encodeReference(dictionary, rows, 64)];
    expect([...fast.latent]).toEqual([...slow.latent]);
    fast.code.forEach((code, i) => {
      // f32 sums of 80 terms in another order
      expect(Math.abs(code - slow.code[i])).toBeLessThan(1e-4 * Math.max(1, slow.code[i]));
    });
    nCodes += fast.code.length;
  }
  expect(nCodes).toBeGreaterThan(200);
  await encoder.dispose();
});

test("promoted tokens are read through each model's own head, and the report says what two widths mean", async () => {
  const rows = await readLens(join(study, "dictionaries", "main"));
  expect(
    rows.some(
      ({ promotedBase, promotedFinetuned }) => promotedBase.length > 0 && promotedFinetuned.length > 0,
    ),
  ).toBe(true);
  const report = await readFile(join(study, "report.html"), "utf8");
  expect(report.includes('id="widths-note"')).toBe(true);
  expect(report.includes("32 (base), 48 (finetuned)")).toBe(true);
  expect(report.includes("block 1 (base) and 3 (finetuned)")).toBe(true);
});

test("on the harvested rows the fast engine and its readable twin take the same steps", async () => {
  const store = await openStore(join(study, "stores", "main"));
  const { sites } = store.manifest;
  const dictionary = await loadDictionary(join(study, "dictionaries", "main"));
  const offsets = siteOffsets(sites);
  const [nLatents, batchRows, k] = [40, 48, 4];
  const options: EngineOptions = {
    nLatents,
    width: store.width,
    siteOffsets: offsets,
    batchRows,
    largestK: k,
    auxLatents: 5,
    auxAlpha: 1 / 32,
    deadAfterRows: 2 * batchRows,
    threads: 1,
  };
  const initial = initialDictionary({ sites, nLatents, k, initNorm: 0.3, seed: 4 });
  const fast = await createEngine(options);
  const slow = createReferenceEngine<Float32Array>(options, new Float32Array(0));
  await fast.write("parameter", "encoderWeight", initial.encoderWeight);
  await fast.write("parameter", "decoderWeight", initial.decoderWeight);
  const losses: number[] = [];
  for (let step = 0; step < 8; step += 1) {
    // The twins part by rounding as they train; each step starts from the same parameters.
    for (const kind of STATE_KINDS) {
      for (const name of PARAMETER_NAMES) await slow.write(kind, name, await fast.read(kind, name));
    }
    const raw = new Float32Array(batchRows * store.width);
    await store.read(step * batchRows, (step + 1) * batchRows, raw);
    normaliseInPlace(raw, batchRows, dictionary);
    const [a, b] = [await fast.backward(raw, k), await slow.backward(raw, k)];
    losses.push(a.loss);
    expect(a.loss).toBeCloseTo(b.loss, 5);
    expect(a.l0).toBe(b.l0);
    for (const [engine, { gradientNorm }] of [
      [fast, a],
      [slow, b],
    ] as const)
      await engine.update({ learningRate: 1e-2, maxGradientNorm: 1, gradientNorm });
    for (const name of PARAMETER_NAMES) {
      const [p, q] = [[...(await fast.read("parameter", name))], [...slow.parameters[name]]];
      const size = Math.sqrt(q.reduce((sum, value) => sum + value * value, 0));
      const difference = Math.sqrt(p.reduce((sum, value, i) => sum + (value - q[i]) ** 2, 0));
      // f32 sums of some dozens of terms in another order, through one Adam step
      expect(difference / Math.max(size, 1e-6), `${name} step ${step}`).toBeLessThan(1e-4);
    }
  }
  expect(losses[7]).toBeLessThan(losses[0]);
  await fast.dispose();
  await store.close();
});

test("the same question again repeats nothing; a layer that only one model has is refused before anything is written", async () => {
  const again = await runStudy({ folder: study, config: config(models[0], models[1]), commands: [] });
  expect(again.skipped).toEqual(["harvest", "train", "measure", "lens", "truth", "report"]);
  const other = join(folder, "refused");
  const refused = { ...config(models[0], models[1]), layer: 4 };
  await expect(runStudy({ folder: other, config: refused, commands: [] })).rejects.toThrow(
    /layer of base: expected 0 to 2 .* got 4/,
  );
  expect(existsSync(other)).toBe(false);
});
