import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { FormatError, MismatchError, StorageError } from "../errors.ts";
import { readParquet } from "../formats/parquet.ts";
import { createRng } from "../numerics/rng.ts";
import type { Progress } from "../progress.ts";
import type { Store } from "../store/store-contract.ts";
import { measure, openExamples, readMeasure, readSummary } from "./measure.ts";
import { measurePaths } from "./measure-files.ts";
import { measureColumns } from "./measure-table.ts";
import { createMemoryStore, pairSites } from "./memory-store.test.helper.ts";

const D_MODEL = 6;
const N_LATENTS = 6;
let folder: string;
let store: Store;

/**
 * Concept j lies along axis j in both models, but concept 0 is missing from the base and concept 1 from the fine-tune.
 * Latent j reads and writes axis j; latent 5 never fires.
 */
function plantedDictionary(): Dictionary {
  const width = 2 * D_MODEL;
  const encoderWeight = new Float32Array(N_LATENTS * width);
  const decoderWeight = new Float32Array(N_LATENTS * width);
  const encoderBias = new Float32Array(N_LATENTS);
  for (let j = 0; j < N_LATENTS; j += 1) {
    const [inBase, inFinetuned] = [j === 0 ? 0 : 1, j === 1 ? 0 : 1];
    encoderWeight[j * width + j] = inBase / (inBase + inFinetuned);
    encoderWeight[j * width + D_MODEL + j] = inFinetuned / (inBase + inFinetuned);
    decoderWeight[j * width + j] = inBase;
    decoderWeight[j * width + D_MODEL + j] = inFinetuned;
  }
  encoderBias[5] = -100;
  return {
    sites: pairSites(D_MODEL),
    nLatents: N_LATENTS,
    width,
    encoderWeight,
    encoderBias,
    decoderWeight,
    decoderBias: new Float32Array(width),
    k: 2,
    inferenceThreshold: 0.5,
    normaliser: undefined,
  };
}

function plantedStore(): Store {
  const rng = createRng(7, "planted");
  return createMemoryStore(
    pairSites(D_MODEL),
    Array.from({ length: 60 }, (_, d) => ({
      split: "heldout" as const,
      dataset: d % 2 === 0 ? "even" : "odd",
      tokens: Array.from({ length: 10 }, (_, position) => {
        const activation = new Float32Array(2 * D_MODEL);
        for (let j = 0; j < N_LATENTS; j += 1) {
          if (rng.uniform(d * 16 + position, j) > 0.3) continue;
          const strength = 1 + rng.uniform(d * 16 + position, j + 100);
          if (j !== 0) activation[j] = strength;
          if (j !== 1) activation[D_MODEL + j] = strength;
        }
        return {
          role: position === 0 ? ("bos" as const) : ("text" as const),
          token: d * 10 + position,
          activation,
        };
      }),
    })),
  );
}

const options = (overrides = {}) => ({
  store,
  dictionary: plantedDictionary(),
  folder,
  tokenString: (id: number) => `t${id}`,
  examplesPerLatent: 3,
  threads: 1,
  ...overrides,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "measure-"));
  await writeFile(join(folder, "model.safetensors"), "weights");
  store = plantedStore();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a planted pair", () => {
  test("what is new, lost and shared is claimed so, and the files hold what is returned", async () => {
    const progress: Progress[] = [];
    const { latents, summary } = await measure(
      options({ reportProgress: (p: Progress) => progress.push(p) }),
    );
    expect(latents.map((latent) => latent.claim)).toEqual([
      "finetuned-specific",
      "base-specific",
      "none",
      "none",
      "none",
      "none",
    ]);
    expect(latents.map((latent) => latent.latentClass)).toEqual([
      "finetuned-only",
      "base-only",
      "shared",
      "shared",
      "shared",
      "shared",
    ]);
    // the planted dictionary reconstructs exactly, so the scalings are exact: its own concept once, in one model
    expect(latents[0].scalingFinetuned.nuReconstruction).toBeCloseTo(0, 6);
    expect(latents[0].scalingFinetuned.betaErrorFinetuned).toBeCloseTo(1, 6);
    expect(latents[2].scalingFinetuned.nuError).toBeCloseTo(1, 6);
    expect(summary.counts).toEqual({
      baseOnly: 1,
      finetunedOnly: 1,
      shared: 4,
      other: 0,
      finetunedSpecific: 1,
      baseSpecific: 1,
    });
    // latent 5 is silent, so only its concept is unexplained
    expect(summary.fve.base).toBeGreaterThan(0.7);
    expect(summary.deadFraction).toBeCloseTo(1 / 6, 12);
    expect(summary.nRows).toBe(540);
    expect(progress.at(-1)).toMatchObject({ stage: "measure", done: 600, total: 600, unit: "rows" });

    expect(await readMeasure(folder)).toEqual({ latents, summary });
    expect(await readSummary(folder)).toEqual(summary);
    const table = await readParquet(measurePaths(folder).table);
    expect(Object.keys(table)).toEqual(measureColumns(summary.categories).map(({ name }) => name));
    expect(table.scalingFinetuned_nuError).toEqual(latents.map((latent) => latent.scalingFinetuned.nuError));
  });

  test("examples are looked up by latent, strongest first, with token strings and activations", async () => {
    await measure(options());
    const examples = openExamples(folder);
    try {
      const found = examples.ofLatent(0, 2);
      expect(found.map((example) => example.rank)).toEqual([0, 1]);
      expect(found[0].maxActivation).toBeGreaterThanOrEqual(found[1].maxActivation);
      for (const example of found) {
        const document = store.documents[example.document];
        expect(example.documentId).toBe(document.id);
        expect(example.dataset).toBe(document.dataset);
        expect(example.tokens.length).toBe(example.activations.length);
        expect(example.activations[example.peak]).toBeCloseTo(example.maxActivation, 5);
        expect(Math.max(...example.activations)).toBe(example.activations[example.peak]);
        expect(example.tokens[0]).toBe(`t${store.rows.tokenFinetuned[document.rowStart]}`);
      }
      expect(examples.ofLatent(5, 10)).toEqual([]);
      expect(examples.ofLatent(0, 10)).toHaveLength(3);
    } finally {
      examples.close();
    }
  });
});

describe("running again", () => {
  test("with the same inputs reads the files and encodes nothing", async () => {
    const first = await measure(options());
    const encoder = {
      maxRows: 8,
      encode: async () => {
        throw new Error("must not encode");
      },
      dispose: async () => {},
    };
    expect(await measure(options({ encoder }))).toEqual(first);
    await expect(measure(options({ encoder, examplesPerLatent: 4 }))).rejects.toThrow("must not encode");
  });

  test("after the weights changed, or with a damaged table or examples file, measures anew", async () => {
    const first = await measure(options());
    const { table, summary, examples } = measurePaths(folder);
    await writeFile(table, "PAR1 damaged");
    expect(await measure(options())).toEqual(first);
    await writeFile(examples, "not sqlite, but long enough to be read as a header");
    expect(await measure(options())).toEqual(first);
    openExamples(folder).close();
    const before = JSON.parse(await readFile(summary, "utf8")).inputs.dictionarySha256;
    await writeFile(join(folder, "model.safetensors"), "other weights");
    await measure(options());
    expect(JSON.parse(await readFile(summary, "utf8")).inputs.dictionarySha256).not.toBe(before);
  });

  test("a run that is interrupted leaves no summary behind that vouches for other tables", async () => {
    await measure(options());
    const failing = options({
      examplesPerLatent: 5,
      tokenString: () => {
        throw new Error("tokenizer broke");
      },
    });
    await expect(measure(failing)).rejects.toThrow("tokenizer broke");
    expect(existsSync(measurePaths(folder).summary)).toBe(false);
    await expect(readSummary(folder)).rejects.toThrow(StorageError);
  });
});

describe("bad input", () => {
  test("an empty split, missing weights and a broken summary each say what to do", async () => {
    await expect(measure(options({ split: "test" }))).rejects.toThrow(MismatchError);
    const empty = await mkdtemp(join(tmpdir(), "measure-empty-"));
    try {
      await expect(measure(options({ folder: empty }))).rejects.toThrow(/model.safetensors/);
      await measure(options());
      const path = measurePaths(folder).summary;
      await writeFile(path, "{");
      await expect(readSummary(folder)).rejects.toThrow(FormatError);
      await writeFile(path, '{"schemaVersion": 9}');
      await expect(readSummary(folder)).rejects.toThrow(/schemaVersion 1/);
      await writeFile(measurePaths(folder).examples, "not sqlite, but long enough to be read as a header");
      expect(() => openExamples(folder)).toThrow(FormatError);
    } finally {
      await rm(empty, { recursive: true, force: true });
    }
  });
});
