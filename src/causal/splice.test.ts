// Two tiny models of different width, a dictionary that reconstructs exactly and a random one, and PyTorch's figures on the bundled pair.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, InterruptedError, MismatchError, NumericsError, ShapeError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import type { Progress } from "../progress.ts";
import type { ModelSide, Site } from "../store/store-contract.ts";
import type { SpliceOutcome } from "./causal-contract.ts";
import { GOLDEN_FOLDER, PAIR_FOLDER, readGolden, readGoldenDocuments } from "./causal-golden.test.data.ts";
import { type SpliceOptions, spliceMetrics } from "./splice.ts";
import {
  type DocumentSource,
  type SpliceDocument,
  spliceDocumentsOf,
  spliceDocumentsOfStore,
} from "./splice-documents.ts";
import { spliceReference } from "./splice-reference.ts";

const WIDE = { ...TINY_CONFIG, hidden_size: 48 };
const LAYERS = { base: 1, finetuned: 0 };
const SITES: Site[] = [
  { name: "base-L1", model: "base", layer: 1, width: 32 },
  { name: "finetuned-L0", model: "finetuned", layer: 0, width: 48 },
];
const WIDTH = 80;
/** Norms run from 13 to 30 after the two layers. */
const SOME_LIMITS = [25, 21];
const NO_LIMITS = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];

let checkpoints: Record<ModelSide, Checkpoint>;
const folders: string[] = [];
beforeAll(async () => {
  folders.push(await writeTinyLlama(), await writeTinyLlama(WIDE, tinyWeights(WIDE, 2)));
  checkpoints = { base: await openCheckpoint(folders[0]), finetuned: await openCheckpoint(folders[1]) };
});
afterAll(async () => {
  for (const side of ["base", "finetuned"] as const) await checkpoints[side].close();
  for (const folder of folders) await rm(folder, { recursive: true });
});

function makeDocuments(lengths: readonly number[]): SpliceDocument[] {
  const rng = createRng(3, "splice.test");
  return lengths.map((length, document) => {
    const tokens = Uint32Array.from({ length }, (_, i) => 1 + Math.floor(90 * rng.uniform(document, i)));
    const isLeft = Uint8Array.from({ length }, (_, i) => Number(i === 0));
    // The models read different tokens at one place, as under token replacement.
    return { id: `d${document}`, tokenBase: tokens.with(length >> 1, 5), tokenFinetuned: tokens, isLeft };
  });
}
const documents = makeDocuments([9, 1, 17, 2, 12]);

/** Latents ± every coordinate: codes are |x|, the reconstruction is x to the bit. */
function exactDictionary(): Dictionary {
  const weight = new Float32Array(2 * WIDTH * WIDTH);
  for (let i = 0; i < WIDTH; i += 1) {
    weight[2 * i * WIDTH + i] = 1;
    weight[(2 * i + 1) * WIDTH + i] = -1;
  }
  return {
    ...{
      sites: SITES,
      nLatents: 2 * WIDTH,
      width: WIDTH,
      k: 0,
      inferenceThreshold: 0,
      normaliser: undefined,
    },
    ...{ encoderWeight: weight, encoderBias: new Float32Array(2 * WIDTH) },
    ...{ decoderWeight: weight.slice(), decoderBias: new Float32Array(WIDTH) },
  };
}

/** With a normaliser and a threshold, so that every step between x and its reconstruction counts. */
function randomDictionary(): Dictionary {
  const rng = createRng(4, "splice.test");
  const nLatents = 40;
  const normal = (stream: number, size: number, deviation: number): Float32Array =>
    Float32Array.from({ length: size }, (_, i) => deviation * rng.normal(stream, i));
  return {
    ...{ sites: SITES, nLatents, width: WIDTH, k: 8, inferenceThreshold: 0.7 },
    ...{ encoderWeight: normal(0, nLatents * WIDTH, 0.2), encoderBias: normal(1, nLatents, 0.2) },
    ...{ decoderWeight: normal(2, nLatents * WIDTH, 0.2), decoderBias: normal(3, WIDTH, 0.1) },
    normaliser: {
      mean: normal(4, WIDTH, 0.3),
      std: new Float32Array(WIDTH).fill(1),
      scale: Float32Array.of(0.8, 1.3),
      targetRms: 1,
    },
  };
}

const spliced = (change: Partial<SpliceOptions> = {}) =>
  spliceMetrics({
    ...{
      checkpoints,
      layers: LAYERS,
      dictionary: randomDictionary(),
      documents,
      normLimits: NO_LIMITS,
      threads: 1,
    },
    ...change,
  });

/** Figures of one outcome side by side, for comparisons with a tolerance. */
const figures = ({ tokens, ce, kl, lossRecoveredZero, lossRecoveredMean }: SpliceOutcome): number[] => [
  ...[tokens, ce.model, ce.spliced, ce.mean, ce.zero, kl, lossRecoveredZero, lossRecoveredMean],
];
const worst = (a: SpliceOutcome, b: SpliceOutcome): number =>
  Math.max(...figures(a).map((value, i) => Math.abs(value - figures(b)[i])));

test.each([false, true])(
  "an exact reconstruction costs nothing to the bit, BOS replaced: %s",
  async (spliceAll) => {
    const { outcomes } = await spliced({ dictionary: exactDictionary(), spliceAll });
    for (const { ce, kl, lossRecoveredZero, lossRecoveredMean } of Object.values(outcomes)) {
      expect(ce.spliced).toBe(ce.model);
      expect(kl).toBe(0);
      expect([lossRecoveredZero, lossRecoveredMean]).toEqual([1, 1]);
      expect(ce.zero).not.toBe(ce.model);
      expect(ce.mean).not.toBe(ce.zero);
    }
  },
);

describe("the slow twin agrees", () => {
  test.each([
    ["BOS stays", NO_LIMITS, false],
    ["BOS and outliers stay", SOME_LIMITS, false],
    ["everything is replaced", SOME_LIMITS, true],
  ])("%s", async (_, normLimits, spliceAll) => {
    const ours = await spliced({ normLimits, spliceAll });
    const theirs = await spliceReference({
      ...{ checkpoints, layers: LAYERS, dictionary: randomDictionary(), documents, normLimits, spliceAll },
    });
    // 8 + 15 + 0 + 0 + 10 rows with a next token, BOS left out: 7 + 15 + 10.
    expect(ours.outcomes.base.tokens).toBe(32);
    if (normLimits === SOME_LIMITS) expect(ours.outliers).toBeGreaterThan(2);
    expect(ours.outliers).toBeLessThan(20);
    // f32 forwards of other batch shapes.
    for (const side of ["base", "finetuned"] as const) {
      expect(worst(ours.outcomes[side], theirs[side])).toBeLessThan(2e-5);
    }
  });
});

test("a model's figures do not depend on the batches its documents fall in", async () => {
  const [whole, reversed] = [await spliced(), await spliced({ documents: documents.toReversed() })];
  expect(worst(whole.outcomes.base, reversed.outcomes.base)).toBeLessThan(1e-6);
});

describe("bad input", () => {
  test("a residual that is not finite is refused with its place, not dropped by the encoder", async () => {
    const weights = tinyWeights(TINY_CONFIG);
    // Finite in the file; sums of forty such terms overflow f32.
    weights.get("model.layers.0.mlp.down_proj.weight")?.fill(3e38);
    const folder = await writeTinyLlama(TINY_CONFIG, weights);
    folders.push(folder);
    const base = await openCheckpoint(folder);
    const tokens = Uint32Array.of(1, 2, 96, 3);
    const document = { id: "bad", tokenBase: tokens, tokenFinetuned: tokens, isLeft: new Uint8Array(4) };
    const broken = spliced({ checkpoints: { ...checkpoints, base }, documents: [document] });
    await expect(broken).rejects.toThrow(/base, document "bad", position 0: expected a finite residual, got/);
    await expect(broken).rejects.toBeInstanceOf(NumericsError);
    await base.close();
  });

  test("a dictionary of another layer, width or pair is refused", async () => {
    const other = (site: Partial<Site>): Dictionary => ({
      ...randomDictionary(),
      sites: [{ ...SITES[0], ...site }, SITES[1]],
    });
    await expect(spliced({ dictionary: other({ layer: 2 }) })).rejects.toBeInstanceOf(MismatchError);
    await expect(spliced({ dictionary: other({ width: 33 }) })).rejects.toBeInstanceOf(MismatchError);
    await expect(spliced({ dictionary: other({ model: "finetuned" }) })).rejects.toBeInstanceOf(
      MismatchError,
    );
    await expect(spliced({ normLimits: [1] })).rejects.toBeInstanceOf(ShapeError);
  });

  test("a text without a measurable row, one longer than the context, and unequal tokens are refused", async () => {
    await expect(spliced({ documents: makeDocuments([1, 2]) })).rejects.toBeInstanceOf(ConfigError);
    await expect(spliced({ normLimits: [0, 0] })).rejects.toBeInstanceOf(ConfigError);
    await expect(spliced({ documents: makeDocuments([513]) })).rejects.toBeInstanceOf(ConfigError);
    const [first] = documents;
    const uneven = { ...first, tokenBase: first.tokenBase.slice(1) };
    await expect(spliced({ documents: [uneven] })).rejects.toBeInstanceOf(ShapeError);
  });
});

test("progress counts every token of both passes, and an abort is heard between batches", async () => {
  const seen: Progress[] = [];
  await spliced({ reportProgress: (progress) => seen.push(progress) });
  expect(new Set(seen.map(({ stage }) => stage))).toEqual(new Set(["splice mean", "splice"]));
  expect(seen.at(-1)).toMatchObject({ done: 41, total: 41, unit: "tokens" });
  const controller = new AbortController();
  const stopped = spliced({
    signal: controller.signal,
    reportProgress: ({ stage }) => {
      if (stage === "splice") controller.abort();
    },
  });
  await expect(stopped).rejects.toBeInstanceOf(InterruptedError);
});

test("skipped leading tokens and BOS are left, whatever role they have", () => {
  const columns = { tokenBase: Uint32Array.of(1, 7, 8), tokenFinetuned: Uint32Array.of(1, 7, 8) };
  const document = {
    ...{ id: "a", dataset: "", split: "test" as const, hash: "", group: 0, text: "", turns: [], ...columns },
    ...{ charStart: new Uint32Array(3), charEnd: new Uint32Array(3), turn: new Int16Array(3), slot: [] },
    role: Uint8Array.of(5, 0, 0),
  };
  expect(spliceDocumentsOf([document])[0].isLeft).toEqual(Uint8Array.of(1, 0, 0));
  expect(spliceDocumentsOf([{ ...document, nSkipped: 2 }])[0].isLeft).toEqual(Uint8Array.of(1, 1, 0));
});

test("documents of a store are those of the split that begin with their first token", () => {
  const source: DocumentSource = {
    folder: "store",
    rows: {
      position: Uint16Array.of(0, 1, 3, 4, 0, 1, 0, 1, 2),
      role: Uint8Array.of(5, 0, 0, 0, 5, 2, 5, 0, 0),
      tokenBase: Uint32Array.of(1, 11, 12, 13, 1, 14, 1, 15, 16),
      tokenFinetuned: Uint32Array.of(1, 11, 12, 13, 1, 24, 1, 15, 16),
    },
    documents: [
      { id: "train", split: "train", rowStart: 0, rowEnd: 2 },
      { id: "skipped", split: "heldout", rowStart: 2, rowEnd: 4 },
      { id: "chat", split: "heldout", rowStart: 4, rowEnd: 6 },
      { id: "text", split: "heldout", rowStart: 6, rowEnd: 9 },
    ],
  };
  const whole = spliceDocumentsOfStore(source, { split: "heldout", most: 5, seed: 0 });
  expect(whole.documents.map(({ id }) => id)).toEqual(["chat", "text"]);
  expect(whole.documents[0]).toMatchObject({
    tokenBase: Uint32Array.of(1, 14),
    tokenFinetuned: Uint32Array.of(1, 24),
    isLeft: Uint8Array.of(1, 0),
  });
  expect(whole.excluded).toEqual({ "leading tokens were skipped at harvest": 1 });
  const one = spliceDocumentsOfStore(source, { split: "heldout", most: 1, seed: 0 });
  expect(one.documents.length).toBe(1);
  expect(one.excluded).toMatchObject({ "not drawn": 1 });
  expect(() => spliceDocumentsOfStore(source, { split: "test", most: 1, seed: 0 })).toThrow(ConfigError);
});

describe("PyTorch's figures of the bundled pair (test/golden/causal/make_golden.py)", async () => {
  const golden = await readGolden();
  const all = (await readGoldenDocuments(golden)).documents.map(({ id, tokenBase, tokenFinetuned }) => ({
    ...{ id, tokenBase, tokenFinetuned },
    isLeft: Uint8Array.from(tokenBase, (_, position) => Number(position === 0)),
  }));
  // A case a layer: after the last one rows stand for themselves, and BOS replaced or not is the same to the others.
  const cases = golden.layers
    .flatMap(({ layer, splice }) =>
      Object.entries(splice).map(([name, expected]) => ({ name, layer, expected })),
    )
    .filter(({ layer, name }) => name === (layer === 4 ? "lowLimits" : "all"));
  test.each(cases)("layer $layer, $name", async ({ layer, expected }) => {
    const pair = {
      base: await openCheckpoint(`${PAIR_FOLDER}base`),
      finetuned: await openCheckpoint(`${PAIR_FOLDER}finetuned`),
    };
    const ours = await spliceMetrics({
      ...{ checkpoints: pair, layers: { base: layer, finetuned: layer }, threads: 1 },
      dictionary: await loadDictionary(`${GOLDEN_FOLDER}L${layer}`),
      documents: all,
      normLimits: expected.normLimits,
      spliceAll: expected.spliceAll,
    });
    expect(ours.outliers).toBe(expected.base.kept);
    for (const side of ["base", "finetuned"] as const) {
      // Means of 1,842 predictions of two f32 forwards; reached 5e-7.
      expect(worst(ours.outcomes[side], expected[side]), side).toBeLessThan(5e-6);
      await pair[side].close();
    }
  });
});
