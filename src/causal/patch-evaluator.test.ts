import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decode } from "../dictionary/decode.ts";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { encodeReference } from "../dictionary/encode.ts";
import { denormaliseInPlace, normaliseInPlace } from "../dictionary/normaliser.ts";
import { ConfigError, InterruptedError, MismatchError, NumericsError, ShapeError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { createFullModel, createSuffix } from "../lm/runner.ts";
import { TINY_CONFIG, tinyWeights, worstRowError, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { CODE_CHOICES, type Conversation, type Intervention, METRICS } from "./causal-contract.ts";
import { divergenceReference } from "./divergence-reference.ts";
import { hybridResidual, latentPatch } from "./hybrids.ts";
import {
  createPatchEvaluator,
  type Patch,
  type PatchEvaluator,
  type PatchEvaluatorOptions,
  type PatchedMetrics,
  type PreparedBatch,
  planConversationBatches,
} from "./patch-evaluator.ts";

const D = TINY_CONFIG.hidden_size;
const V = TINY_CONFIG.vocab_size;
const N_LATENTS = 40;

/** The prompt is the first third; the answer's end mark is the last token. */
function conversation(id: string, length: number, seed: number): Conversation {
  const tokens = Uint32Array.from({ length }, (_, i) => (seed * 31 + i * i * 7 + 3 * i) % V);
  const start = Math.floor(length / 3) + 1;
  return {
    ...{ id, group: 0, tokenBase: tokens, tokenFinetuned: tokens.slice() },
    isTemplate: Uint8Array.from({ length }, (_, i) => (i === start - 1 || i === length - 1 ? 1 : 0)),
    isAssistant: Uint8Array.from({ length }, (_, i) => (i >= start ? 1 : 0)),
  };
}
const conversations = [12, 31, 5, 12, 20].map((length, i) => conversation(`chat ${i}`, length, i));

const folders: string[] = [];
const pair = {} as Record<"base" | "finetuned", Checkpoint>;
const open = async (config: object, weights?: Map<string, Float32Array>): Promise<Checkpoint> => {
  const folder = await writeTinyLlama(config, weights ?? tinyWeights(config));
  folders.push(folder);
  return openCheckpoint(folder);
};
/** Every weight moved a little: the models agree roughly, as a pair does. */
const tuned = (): Map<string, Float32Array> => {
  const other = tinyWeights(TINY_CONFIG, 2);
  return new Map(
    [...tinyWeights(TINY_CONFIG)].map(([name, values]) => [
      name,
      values.map((value, i) => value + 0.2 * (other.get(name)?.[i] ?? 0)),
    ]),
  );
};
const dictionaryAt = (layer: number, changes: Partial<Dictionary> = {}): Dictionary => {
  const dictionary = randomDictionary({ widths: [D, D], nLatents: N_LATENTS, inferenceThreshold: 3 });
  return { ...dictionary, sites: dictionary.sites.map((site) => ({ ...site, layer })), ...changes };
};
const make = (layer: number, changes: Partial<PatchEvaluatorOptions> = {}): Promise<PatchEvaluator> =>
  createPatchEvaluator({
    ...{ checkpoints: pair, layers: { base: layer, finetuned: layer }, threads: 1 },
    ...{ dictionary: dictionaryAt(layer), ...changes },
  });

/** Of the compared layer 1 (a block follows) and 2 (the last). */
const opened = new Map<number, { evaluator: PatchEvaluator; batch: PreparedBatch }>();
const at = (layer: number): { evaluator: PatchEvaluator; batch: PreparedBatch } => {
  const found = opened.get(layer);
  if (found === undefined) throw new Error(`layer ${layer}`);
  return found;
};

beforeAll(async () => {
  pair.base = await open(TINY_CONFIG);
  pair.finetuned = await open(TINY_CONFIG, tuned());
  for (const layer of [1, 2]) {
    const evaluator = await make(layer);
    opened.set(layer, { evaluator, batch: await evaluator.prepare(conversations) });
  }
});
afterAll(async () => {
  for (const { evaluator } of opened.values()) await evaluator.dispose();
  for (const checkpoint of Object.values(pair)) await checkpoint.close();
  for (const folder of folders) await rm(folder, { recursive: true });
});

const whole = (kind: "none" | "all" | "error" | "template" | "finetuned"): Intervention => ({
  name: kind,
  kind,
});
/** One patch a conversation. */
const patchesOf = (evaluator: PatchEvaluator, batch: PreparedBatch, intervention: Intervention): Patch[] =>
  batch.conversations.map((prepared, i) => ({
    conversation: i,
    residual: hybridResidual(prepared, intervention, evaluator),
  }));
/** Patches of every kind, shuffled so that neither lengths nor conversations are in order. */
function manyPatches({ evaluator, batch }: { evaluator: PatchEvaluator; batch: PreparedBatch }): Patch[] {
  const patches = (["none", "all", "error", "template", "finetuned"] as const).flatMap((kind) =>
    patchesOf(evaluator, batch, whole(kind)),
  );
  for (const [conversation, prepared] of batch.conversations.entries()) {
    for (const latent of [0, 5, 11, 30]) {
      const patch = latentPatch(prepared, latent, {
        kind: latent % 2 ? "add" : "remove",
        dictionary: evaluator.dictionary,
      });
      if (patch !== undefined) patches.push({ conversation, ...patch });
    }
  }
  // A stride that meets every index once.
  return patches.map((_, i) => patches[(i * 17) % patches.length]);
}
const close = (got: PatchedMetrics, want: PatchedMetrics, tolerance: number): void => {
  expect(got.from).toBe(want.from);
  for (const name of METRICS) {
    expect(got.metrics[name].length).toBe(want.metrics[name].length);
    got.metrics[name].forEach((value, i) => {
      expect(Math.abs(value - want.metrics[name][i]), `${name} ${i}`).toBeLessThan(tolerance);
    });
  }
};

describe.each([1, 2])("compared after layer %d of three", (layer) => {
  test("prepare gives the residuals of whole forwards, and the codes of the pair", async () => {
    const { batch } = at(layer);
    const dictionary = dictionaryAt(layer);
    expect(batch.conversations.map((prepared) => prepared.conversation)).toEqual(conversations);
    for (const side of ["base", "finetuned"] as const) {
      const model = await createFullModel(pair[side], { layers: [layer], threads: 1 });
      for (const { conversation: chat, length, [side]: got } of batch.conversations) {
        const lengths = Int32Array.of(length);
        const { residuals } = await model.run({ tokenIds: chat.tokenFinetuned, batch: 1, length, lengths });
        expect(worstRowError(got, residuals[0], D)).toBeLessThan(1e-5); // f32, other batch
      }
      await model.dispose();
    }
    for (const { base, finetuned, length, codes } of batch.conversations) {
      const x = new Float32Array(length * 2 * D);
      for (let row = 0; row < length; row += 1) {
        x.set(base.subarray(row * D, (row + 1) * D), row * 2 * D);
        x.set(finetuned.subarray(row * D, (row + 1) * D), row * 2 * D + D);
      }
      const expected = encodeReference(dictionary, normaliseInPlace(x, length, dictionary), length);
      expect(codes.rowStart).toEqual(expected.rowStart);
      expect(codes.latent).toEqual(expected.latent);
      expect(codes.latent.length).toBeGreaterThan(length);
    }
  });

  test("what is measured equals the whole suffix and the formulas, for every kind of patch", async () => {
    const { evaluator, batch } = at(layer);
    const suffix = await createSuffix(pair.finetuned, { layer, threads: 1 });
    const models = {
      base: await createFullModel(pair.base, { threads: 1 }),
      finetuned: await createFullModel(pair.finetuned, { threads: 1 }),
    };
    const patches = manyPatches(at(layer));
    const got = await evaluator.evaluate(batch, patches);
    const common = Array.from({ length: V }, (_, id) => id);
    for (const [i, { conversation: index, residual, changedFrom = 0 }] of patches.entries()) {
      const { conversation: chat, length, predicted } = batch.conversations[index];
      const shape = { batch: 1, length, lengths: Int32Array.of(length) };
      const hybrid = await suffix.run({ residual, ...shape });
      const base = (await models.base.run({ tokenIds: chat.tokenBase, ...shape })).logits;
      const finetuned = (await models.finetuned.run({ tokenIds: chat.tokenFinetuned, ...shape })).logits;
      const reached = [...predicted.positions].filter((position) => position >= changedFrom);
      expect(got[i].metrics.kl.length).toBe(reached.length);
      for (const [entry, position] of reached.entries()) {
        const row = (logits: Float32Array): number[] => [
          ...logits.subarray(position * V, (position + 1) * V),
        ];
        const expected = divergenceReference({
          ...{ base: row(base), finetuned: row(finetuned), hybrid: row(hybrid), common },
          ...{ next: chat.tokenFinetuned[position + 1], klDirection: CODE_CHOICES.klDirection },
        });
        // f32 forwards in other batch shapes.
        for (const name of METRICS) {
          expect(Math.abs(got[i].metrics[name][entry] - expected[name]), name).toBeLessThan(1e-4);
        }
      }
    }
    for (const model of [suffix, ...Object.values(models)]) await model.dispose();
  });

  test("many patches in one call equal one at a time", async () => {
    const { evaluator, batch } = at(layer);
    const patches = manyPatches(at(layer));
    expect(new Set(patches).size).toBe(patches.length);
    const together = await evaluator.evaluate(batch, patches);
    for (const [i, patch] of patches.entries()) {
      const [alone] = await evaluator.evaluate(batch, [patch]);
      close(together[i], alone, 1e-5); // f32, products of other shapes
    }
    expect(patches.length).toBeGreaterThan(25);
  });

  test("only predictions from changedFrom on are computed, and they are those of the whole", async () => {
    const { evaluator, batch } = at(layer);
    const [{ residual }] = patchesOf(evaluator, batch, whole("all"));
    const { positions } = batch.conversations[0].predicted;
    const [all] = await evaluator.evaluate(batch, [{ conversation: 0, residual }]);
    expect(all.from).toBe(0);
    const [late] = await evaluator.evaluate(batch, [
      { conversation: 0, residual, changedFrom: positions[3] },
    ]);
    expect(late.from).toBe(3);
    const metrics = Object.fromEntries(METRICS.map((name) => [name, all.metrics[name].subarray(3)]));
    close(late, { from: 3, metrics: metrics as PatchedMetrics["metrics"] }, 1e-5);
    const [none] = await evaluator.evaluate(batch, [{ conversation: 0, residual, changedFrom: 99 }]);
    expect(none).toMatchObject({ from: positions.length, metrics: { kl: new Float64Array() } });
  });

  test("the fine-tune's own residual has KL 0", async () => {
    const { evaluator, batch } = at(layer);
    for (const { metrics } of await evaluator.evaluate(
      batch,
      patchesOf(evaluator, batch, whole("finetuned")),
    )) {
      // With later layers they run in another batch: logits differ by f32 rounding, KL by its square. Without, nothing runs.
      for (const kl of metrics.kl) layer === 2 ? expect(kl).toBe(0) : expect(kl).toBeLessThan(1e-9);
      expect(Math.max(...metrics.klBase)).toBeGreaterThan(1e-3);
    }
  });

  test("the base against itself: None has KL 0", async () => {
    const own = await make(layer, { checkpoints: { base: pair.base, finetuned: pair.base } });
    try {
      const batch = await own.prepare(conversations);
      for (const { metrics } of await own.evaluate(batch, patchesOf(own, batch, whole("none")))) {
        for (const kl of [...metrics.kl, ...metrics.klBase]) {
          layer === 2 ? expect(kl).toBe(0) : expect(kl).toBeLessThan(1e-9);
        }
      }
    } finally {
      await own.dispose();
    }
  });

  test("no latents: the base in the fine-tune's later layers, the same as None", async () => {
    const { evaluator, batch } = at(layer);
    const empty: Intervention = {
      name: "empty",
      kind: "subset",
      form: "additive",
      latents: new Uint32Array(),
    };
    const [none, nothing] = [
      await evaluator.evaluate(batch, patchesOf(evaluator, batch, whole("none"))),
      await evaluator.evaluate(batch, patchesOf(evaluator, batch, empty)),
    ];
    expect(nothing).toEqual(none);
    expect(Math.max(...none[1].metrics.kl)).toBeGreaterThan(1e-3);
  });

  test("own logits that are not kept are made again", async () => {
    const lean = await make(layer, { keptBytes: 0 });
    try {
      const patches = manyPatches(at(layer));
      const expected = await at(layer).evaluator.evaluate(at(layer).batch, patches);
      const got = await lean.evaluate(await lean.prepare(conversations), patches);
      for (const [i, one] of got.entries()) close(one, expected[i], 1e-5); // f32, products of other shapes
    } finally {
      await lean.dispose();
    }
  });
});

test("the other direction of KL is measured when it is chosen", async () => {
  const choices = { ...CODE_CHOICES, klDirection: "hybrid-from-finetuned" } as const;
  const other = await make(2, { choices });
  const batch = await other.prepare(conversations.slice(0, 1));
  const [got] = await other.evaluate(batch, patchesOf(other, batch, whole("none")));
  const { evaluator, batch: usual } = at(2);
  const [expected] = await evaluator.evaluate(usual, patchesOf(evaluator, usual, whole("none")));
  expect(got.metrics.nll).toEqual(expected.metrics.nll);
  for (const [i, kl] of got.metrics.kl.entries()) {
    expect(Math.abs(kl - expected.metrics.kl[i])).toBeGreaterThan(1e-9);
  }
  await other.dispose();
});

describe("the dictionary's decoder in raw units", () => {
  for (const [name, changes] of [
    ["BatchTopK", {}],
    ["TopK, which cannot be folded as an encoder", { selection: "topK", inferenceThreshold: 0 }],
  ] as const) {
    test(`decodes to what its normaliser gives back: ${name}`, async () => {
      const trained = dictionaryAt(2, changes);
      const evaluator = await make(2, { dictionary: trained });
      try {
        const {
          conversations: [prepared],
        } = await evaluator.prepare(conversations.slice(0, 1));
        const { nRows, rowStart } = prepared.codes;
        if (name !== "BatchTopK")
          expect([...rowStart]).toEqual(Array.from({ length: nRows + 1 }, (_, i) => i * trained.k));
        const expected = denormaliseInPlace(decode(trained, prepared.codes), nRows, trained);
        decode(evaluator.dictionary, prepared.codes).forEach((value, i) => {
          expect(Math.abs(value - expected[i])).toBeLessThan(1e-4); // f32 sums of a dozen terms up to 10
        });
      } finally {
        await evaluator.dispose();
      }
    });
  }
});

test("batches hold conversations of like length within the padded size, each once", () => {
  const batches = planConversationBatches(conversations, { batchTokens: 40 });
  expect(batches.map((batch) => batch.map(({ tokenBase }) => tokenBase.length))).toEqual([
    [31],
    [20, 12],
    [12, 5],
  ]);
  expect(new Set(batches.flat())).toEqual(new Set(conversations));
});

describe("refused by name", () => {
  test("models of different width", async () => {
    const wide = await open({ ...TINY_CONFIG, hidden_size: 48 });
    const dictionary = randomDictionary({ widths: [D, 48], nLatents: N_LATENTS });
    const sites = dictionary.sites.map((site) => ({ ...site, layer: 1 }));
    const making = () =>
      make(1, { checkpoints: { base: pair.base, finetuned: wide }, dictionary: { ...dictionary, sites } });
    await expect(making()).rejects.toThrow(MismatchError);
    await expect(making()).rejects.toThrow(/the base's residual cannot be fed to the fine-tune/);
    await wide.close();
  });

  test("models or layers that the dictionary was not trained on", async () => {
    const wide = await open({ ...TINY_CONFIG, hidden_size: 48 });
    await expect(make(1, { checkpoints: { base: pair.base, finetuned: wide } })).rejects.toThrow(
      /expected the finetuned model of the dictionary's site finetuned-L3 \(layer 1, width 32\), got layer 1, width 48/,
    );
    await expect(make(1, { dictionary: dictionaryAt(0) })).rejects.toThrow(MismatchError);
    await wide.close();
  });

  test("a conversation longer than the context, with masks of another length, or with ids outside the vocabulary", async () => {
    const { evaluator } = at(2);
    const long = conversation("endless", TINY_CONFIG.max_position_embeddings + 1, 9);
    await expect(evaluator.prepare([long])).rejects.toThrow(ConfigError);
    await expect(evaluator.prepare([long])).rejects.toThrow(
      /conversation "endless": expected at most 512 tokens/,
    );
    const [good] = conversations;
    await expect(evaluator.prepare([{ ...good, isTemplate: new Uint8Array(3) }])).rejects.toThrow(ShapeError);
    const outside = { ...good, tokenBase: good.tokenBase.map(() => V) };
    await expect(evaluator.prepare([outside])).rejects.toThrow(MismatchError);
  });

  test("a batch of another evaluator, a conversation that is not there, a residual of another size", async () => {
    const { evaluator, batch } = at(2);
    const { base: residual } = batch.conversations[0];
    await expect(evaluator.evaluate(at(1).batch, [])).rejects.toThrow(
      /expected one that this evaluator prepared/,
    );
    await expect(evaluator.evaluate(batch, [{ conversation: 9, residual }])).rejects.toThrow(ShapeError);
    await expect(evaluator.evaluate(batch, [{ conversation: 1, residual }])).rejects.toThrow(
      /patch 0: expected a residual of 31 × 32 numbers/,
    );
  });

  test("a residual that makes logits overflow, with conversation and position", async () => {
    const { evaluator, batch } = at(2);
    const residual = batch.conversations[3].base.slice();
    residual[7 * D] = Number.NaN;
    await expect(evaluator.evaluate(batch, [{ conversation: 3, residual }])).rejects.toThrow(NumericsError);
    await expect(evaluator.evaluate(batch, [{ conversation: 3, residual }])).rejects.toThrow(
      /conversation "chat 3", position 7/,
    );
  });
});

test("a signal stops prepare and evaluate", async () => {
  const { evaluator, batch } = at(1);
  const signal = AbortSignal.abort();
  await expect(evaluator.prepare(conversations, { signal })).rejects.toThrow(InterruptedError);
  const patches = patchesOf(evaluator, batch, whole("all"));
  await expect(evaluator.evaluate(batch, patches, { signal })).rejects.toThrow(InterruptedError);
});

test("conversations of one prediction each are held against their own models' predictions", async () => {
  const { evaluator } = at(2);
  const last = Uint8Array.from({ length: 12 }, (_, i) => (i === 11 ? 1 : 0));
  const singles = [0, 3].map((i) => ({ ...conversations[i], isAssistant: last }));
  const batch = await evaluator.prepare(singles);
  for (const { metrics } of await evaluator.evaluate(batch, patchesOf(evaluator, batch, whole("none")))) {
    expect(metrics.kl.length).toBe(1);
  }
  const together = await evaluator.evaluate(batch, patchesOf(evaluator, batch, whole("all")));
  for (const [i, single] of singles.entries()) {
    const alone = await evaluator.prepare([single]);
    const [expected] = await evaluator.evaluate(alone, patchesOf(evaluator, alone, whole("all")));
    close(together[i], expected, 1e-5); // f32, products of other shapes
  }
});

test("conversations that predict nothing, no conversations and no patches are fine", async () => {
  const { evaluator } = at(1);
  const silent = { ...conversations[0], isAssistant: new Uint8Array(12) };
  const batch = await evaluator.prepare([silent]);
  const [got] = await evaluator.evaluate(batch, patchesOf(evaluator, batch, whole("all")));
  expect(got.metrics.kl.length).toBe(0);
  expect(await evaluator.evaluate(await evaluator.prepare([]), [])).toEqual([]);
});
