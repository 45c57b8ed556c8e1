// Two planted latents of a tiny pair: one writes a token that the base never writes, one takes away what the fine-tune writes.
//
// The push is after the last block, along a row of the head, so that what it does is known beforehand.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { ConfigError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import type { Progress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { openAnswerMemory } from "./answer-memory.ts";
import { type BehaviourRatesOptions, behaviourRates } from "./behaviour-rates.ts";
import { BEHAVIOUR_ARMS, type BehaviourRate } from "./causal-contract.ts";
import { openSteeredModel } from "./steered-model.ts";

const LAYER = TINY_CONFIG.num_hidden_layers - 1;
const D_MODEL = TINY_CONFIG.hidden_size;
const MAX_NEW_TOKENS = 6;
const [WRITES, TAKES, N_LATENTS] = [0, 6, 7];
const CONTROLS = [1, 2, 3, 4, 5];
let folder = "";
const folders: string[] = [];
let options: BehaviourRatesOptions;

const write = async (seed: number): Promise<{ checkpoint: Checkpoint; head: Float32Array }> => {
  const weights = tinyWeights(TINY_CONFIG, seed);
  const path = await writeTinyLlama(TINY_CONFIG, weights);
  folders.push(path);
  return { checkpoint: await openCheckpoint(path), head: weights.get("lm_head.weight")! };
};
const decode = (ids: ArrayLike<number>): string => Array.from(ids, (id) => `t${id}`).join(" ");

/** The token that most of the model's answers hold, and one that none does. */
async function wordsOf(checkpoint: Checkpoint, side: ModelSide): Promise<{ common: number; absent: number }> {
  const model = await openSteeredModel({ side, checkpoint, layer: LAYER, stopIds: [], decode, threads: 1 });
  const answers = await model.answer({ prompts: options.prompts, maxNewTokens: MAX_NEW_TOKENS });
  await model.dispose();
  const counts = new Array<number>(TINY_CONFIG.vocab_size).fill(0);
  for (const { text } of answers)
    for (const word of new Set(text.split(" "))) counts[Number(word.slice(1))] += 1;
  return { common: counts.indexOf(Math.max(...counts)), absent: counts.indexOf(0) };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunediff-rates-"));
  const [base, finetuned] = [await write(1), await write(2)];
  const prompts = Array.from({ length: 12 }, (_, i) => ({
    id: `p${i}`,
    split: i % 2 === 0 ? ("heldout" as const) : ("test" as const),
    expected: ["write", "take", null][i % 3],
    tokens: { base: Uint32Array.of(1, 10 + i, 50 + 2 * i), finetuned: Uint32Array.of(1, 10 + i, 50 + 2 * i) },
  }));
  options = {
    checkpoints: { base: base.checkpoint, finetuned: finetuned.checkpoint },
    layers: { base: LAYER, finetuned: LAYER },
    ...{ prompts, decode, stopIds: [], maxNewTokens: MAX_NEW_TOKENS, threads: 1, factors: [0.001, 1, 4] },
    ...{ behaviours: [], trials: [] },
    dictionary: {
      sites: (["base", "finetuned"] as const).map((model) => ({
        ...{ name: `${model}-L${LAYER}`, model, layer: LAYER, width: D_MODEL },
      })),
      ...{ nLatents: N_LATENTS, width: 2 * D_MODEL, k: 0, inferenceThreshold: 0.1, normaliser: undefined },
      encoderWeight: new Float32Array(N_LATENTS * 2 * D_MODEL),
      encoderBias: new Float32Array(N_LATENTS),
      decoderWeight: new Float32Array(N_LATENTS * 2 * D_MODEL),
      decoderBias: new Float32Array(2 * D_MODEL),
    } satisfies Dictionary,
    measured: Array.from({ length: N_LATENTS }, (_, latent) => ({ latent, maxCode: 1 })),
  };
  const { absent } = await wordsOf(base.checkpoint, "base");
  const { common } = await wordsOf(finetuned.checkpoint, "finetuned");
  options.behaviours = [
    { name: "write", detect: `\\bT${absent}\\b` },
    { name: "take", detect: `\\bt${common}\\b` },
  ];
  options.trials = [
    { behaviour: "write", latent: WRITES, controls: CONTROLS },
    { behaviour: "take", latent: TAKES, controls: CONTROLS },
  ];
  const rng = createRng(1, "controls");
  const { decoderWeight } = options.dictionary;
  const row = (latent: number): Float32Array =>
    decoderWeight.subarray((2 * latent + 1) * D_MODEL, (2 * latent + 2) * D_MODEL);
  // A push of 3 along the row of a word makes it likely; controls are too short to change a word.
  const direction = (head: Float32Array, id: number) => head.slice(id * D_MODEL, (id + 1) * D_MODEL);
  const toLength = (values: Float32Array, length: number) => {
    const norm = Math.hypot(...values);
    return values.map((value) => (length * value) / norm);
  };
  row(WRITES).set(toLength(direction(base.head, absent), 3));
  row(TAKES).set(toLength(direction(finetuned.head, common), 3));
  for (const latent of CONTROLS)
    row(latent).set(Float32Array.from({ length: D_MODEL }, (_, i) => 1e-4 * rng.normal(latent, i)));
});
afterAll(async () => {
  await Promise.all(Object.values(options.checkpoints).map((checkpoint) => checkpoint.close()));
  for (const path of [folder, ...folders]) await rm(path, { recursive: true, force: true });
});

const arm = ({ arms }: BehaviourRate, name: BehaviourRate["arms"][number]["arm"]) =>
  arms.find((one) => one.arm === name)!;

test("rates of a latent that writes a word and of one that takes a word away, controls doing neither", async () => {
  const progress: Progress[] = [];
  const [writes, takes] = await behaviourRates({ ...options, reportProgress: (at) => progress.push(at) });
  expect(writes.arms.map(({ arm }) => arm)).toEqual(BEHAVIOUR_ARMS);
  const none = { called: { shown: 0, prompts: 2 }, notCalled: { shown: 0, prompts: 4 } };
  expect(arm(writes, "base")).toEqual({ arm: "base", controls: 0, ...none, degenerate: 0 });
  const added = arm(writes, "base + latents");
  expect(added.called.shown + added.notCalled.shown + added.degenerate).toBe(6);
  expect(added.called.shown + added.notCalled.shown).toBeGreaterThanOrEqual(4);
  expect(writes.factor).toBeGreaterThan(0.001);
  expect(arm(writes, "base + control")).toEqual({
    ...{ arm: "base + control", controls: 5, degenerate: 0 },
    called: { shown: 0, prompts: 10 },
    notCalled: { shown: 0, prompts: 20 },
  });

  const before = arm(takes, "finetuned");
  expect(before.called.shown + before.notCalled.shown).toBeGreaterThanOrEqual(3);
  const after = arm(takes, "finetuned − latents");
  // The push is chosen by the answers that were called for; the others follow as they do.
  expect(after.called.shown).toBe(0);
  expect(after.notCalled.shown).toBeLessThan(before.notCalled.shown / 2);
  const control = arm(takes, "finetuned − control");
  expect(control.called.shown).toBe(5 * before.called.shown);
  expect(control.notCalled.shown).toBe(5 * before.notCalled.shown);
  const pushed = arm(takes, "finetuned + latents");
  expect(pushed.notCalled.shown).toBeGreaterThan(before.notCalled.shown);
  expect(arm(takes, "finetuned + control").notCalled.shown).toBe(5 * before.notCalled.shown);
  expect(progress.at(-1)!.done).toBeLessThanOrEqual(progress.at(-1)!.total);
  expect(progress.map(({ done }) => done)).toEqual(
    progress.map(({ done }) => done).toSorted((a, b) => a - b),
  );
});

test("the push is chosen on heldout prompts only", async () => {
  const chosen = await behaviourRates(options);
  // Other test prompts, other counts, but the same factors.
  const prompts = options.prompts.map((prompt) =>
    prompt.split === "heldout" ? prompt : { ...prompt, tokens: options.prompts[0].tokens },
  );
  const other = await behaviourRates({ ...options, prompts });
  const factors = (rates: BehaviourRate[]) =>
    rates.map(({ factor, removalFactor, pushFactor }) => [factor, removalFactor, pushFactor]);
  expect(factors(other)).toEqual(factors(chosen));
  expect(other).not.toEqual(chosen);
});

test("where no push does anything, the gentlest is taken", async () => {
  const trials = [{ behaviour: "write", latent: 1, controls: [0, 2, 3, 4, 5] }];
  const [rate] = await behaviourRates({ ...options, trials, factors: [4, 0.5, 1] });
  expect([rate.factor, rate.removalFactor]).toEqual([0.5, 0.5]);
});

test("a stopped job goes on from the answers it remembers, and a file of another job is begun anew", async () => {
  const path = join(folder, "answers.jsonl");
  const identity = { models: "these" };
  const whole = await behaviourRates(options);
  const controller = new AbortController();
  const stopped = behaviourRates({
    ...{ ...options, memory: await openAnswerMemory(path, identity), signal: controller.signal },
    reportProgress: ({ done }) => {
      if (done > 60) controller.abort();
    },
  });
  await expect(stopped).rejects.toThrow("interrupted");
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  await writeFile(path, `${lines.join("\n")}\n${lines[1].slice(0, 20)}`);
  const memory = await openAnswerMemory(path, identity);
  expect(memory.get("base heldout plain")).toHaveLength(6);
  expect(await behaviourRates({ ...options, memory })).toEqual(whole);
  expect((await readFile(path, "utf8")).split("\n").length).toBeGreaterThan(lines.length);
  const other = await openAnswerMemory(path, { models: "others" });
  expect(other.get("base heldout plain")).toBeUndefined();
});

test("trials that cannot be counted are refused by name", async () => {
  const [trial] = options.trials;
  const refused = async (change: Partial<BehaviourRatesOptions>, message: RegExp) => {
    await expect(behaviourRates({ ...options, ...change })).rejects.toThrow(ConfigError);
    await expect(behaviourRates({ ...options, ...change })).rejects.toThrow(message);
  };
  await refused({ trials: [{ ...trial, behaviour: "sing" }] }, /behaviour sing, latent 0: expected one of/);
  await refused({ trials: [{ ...trial, controls: [1, 2, 3, 4] }] }, /at least 5 other latents/);
  await refused({ trials: [{ ...trial, controls: [0, 1, 2, 3, 4] }] }, /at least 5 other latents/);
  await refused({ trials: [{ ...trial, latent: 99 }] }, /latent 99/);
  await refused({ factors: [1, 0] }, /factors: expected numbers above 0/);
  const heldout = options.prompts.filter(({ split }) => split === "heldout");
  await refused({ prompts: heldout }, /prompts of split test/);
});
