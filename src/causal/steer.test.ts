// Four arms over two tiny models: no push changes no token, batches change nothing, perplexity against its slow twin, refusals.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, InterruptedError, MismatchError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { createFullModel } from "../lm/runner.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import type { Progress } from "../progress.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { createAnswerScorer } from "./answer-perplexity.ts";
import { answerPerplexity } from "./answer-perplexity-reference.ts";
import { STEERED_ARMS, type SteeredAnswer } from "./causal-contract.ts";
import { type SteeredToken, type SteerOptions, steer } from "./steer.ts";

const MAX_POSITIONS = 24;
const LAYER = 1;
const config = { ...TINY_CONFIG, max_position_embeddings: MAX_POSITIONS };
const folders: string[] = [];
let checkpoints: Record<ModelSide, Checkpoint>;
let wide: Checkpoint;

const write = async (change: object, seed: number): Promise<Checkpoint> => {
  const own = { ...config, ...change };
  const folder = await writeTinyLlama(own, tinyWeights(own, seed));
  folders.push(folder);
  return openCheckpoint(folder);
};
beforeAll(async () => {
  checkpoints = { base: await write({}, 1), finetuned: await write({}, 2) };
  wide = await write({ hidden_size: 48 }, 3);
});
afterAll(async () => {
  await Promise.all([...Object.values(checkpoints), wide].map((checkpoint) => checkpoint.close()));
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

const prompt = (id: string, ...ids: number[]) => ({
  id,
  tokens: { base: Uint32Array.from(ids), finetuned: Uint32Array.from(ids) },
});
const PROMPTS = [prompt("a", 1, 5, 9), prompt("b", 1, 40, 41, 42, 43, 44), prompt("c", 1, 7)];
/** Far longer than a residual of these models, which is of the order of 1. */
const PUSH = Float32Array.from({ length: 32 }, (_, i) => 20 * Math.cos(i));

const run = (change: Partial<SteerOptions> = {}): Promise<SteeredAnswer[]> =>
  steer({
    ...{ checkpoints, layers: { base: LAYER, finetuned: LAYER }, vector: PUSH, prompts: PROMPTS },
    ...{ stopIds: [], decode: (ids) => Array.from(ids).join(" "), maxNewTokens: 8, threads: 1 },
    ...change,
  });
const textOf = (answers: SteeredAnswer[], arm: string): string[] =>
  answers.filter((answer) => answer.arm === arm).map(({ text }) => text);

test("every prompt and seed is answered by all four arms, side by side", async () => {
  const seeds = [7, 3];
  const answers = await run({ seeds, temperature: 1 });
  const expected = PROMPTS.flatMap((_, prompt) =>
    seeds.flatMap((seed) => STEERED_ARMS.map((arm) => ({ prompt, seed, arm }))),
  );
  expect(answers.map(({ prompt, seed, arm }) => ({ prompt, seed, arm }))).toEqual(expected);
  expect(answers.every(({ tokens, end }) => tokens === 8 && end === "maxNewTokens")).toBe(true);
});

describe.each([0, 1.3])("at temperature %d", (temperature) => {
  test("a push of 0 changes no token, a push of 20 does", async () => {
    const seeds = temperature === 0 ? [0] : [0, 1];
    const still = await run({ vector: new Float32Array(32), temperature, seeds });
    expect(textOf(still, "base + latents")).toEqual(textOf(still, "base"));
    expect(textOf(still, "finetuned − latents")).toEqual(textOf(still, "finetuned"));
    const pushed = await run({ temperature, seeds });
    expect(textOf(pushed, "base")).toEqual(textOf(still, "base"));
    expect(textOf(pushed, "base + latents")).not.toEqual(textOf(still, "base"));
    expect(textOf(pushed, "finetuned − latents")).not.toEqual(textOf(still, "finetuned"));
  });
});

test("an answer does not depend on the other prompts and seeds", async () => {
  const options = { temperature: 1, positions: "prompt" as const };
  const together = await run({ ...options, seeds: [4, 9] });
  const alone = await run({ ...options, prompts: PROMPTS.slice(0, 1), seeds: [9] });
  const own = together.filter(({ prompt, seed }) => prompt === 0 && seed === 9);
  expect(alone.map(({ text }) => text)).toEqual(own.map(({ text }) => text));
  expect(textOf(together, "base")[0]).not.toEqual(textOf(together, "base")[1]);
});

test("the base gains what the fine-tune loses", async () => {
  const twins = { base: checkpoints.base, finetuned: checkpoints.base };
  const negated = PUSH.map((value) => -value);
  const there = await run({ checkpoints: twins });
  const back = await run({ checkpoints: twins, vector: negated });
  expect(textOf(there, "finetuned − latents")).toEqual(textOf(back, "base + latents"));
  expect(textOf(there, "finetuned − latents")).not.toEqual(textOf(there, "base + latents"));
});

test("a push on the prompt only is another one than on all tokens", async () => {
  const all = await run({ positions: "all" });
  const first = await run({ positions: "prompt" });
  const firstTokens = (answers: SteeredAnswer[]) =>
    textOf(answers, "base + latents").map((text) => text.split(" ")[0]);
  expect(firstTokens(first)).toEqual(firstTokens(all));
  expect(textOf(first, "base + latents")).not.toEqual(textOf(all, "base + latents"));
});

test("tokens come in order as they are chosen, and are those of the answers", async () => {
  const tokens: SteeredToken[] = [];
  const progress: Progress[] = [];
  const options = { seeds: [0, 1], temperature: 1, onToken: (token: SteeredToken) => tokens.push(token) };
  const [answer, ...others] = await run({ ...options, reportProgress: (at) => progress.push(at) });
  const own = tokens.filter(({ arm, prompt, seed }) => arm === "base" && prompt === 0 && seed === 0);
  expect(own.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(own.map(({ isLast }) => isLast)).toEqual([...new Array(7).fill(false), true]);
  expect(own.map(({ tokenId }) => tokenId).join(" ")).toBe(answer.text);
  expect(progress.map(({ done }) => done)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
  expect([progress[0].total, others.length]).toEqual([24, 23]);
});

test("the answers of a model are told as soon as it is done, before the next one begins", async () => {
  const told: SteeredAnswer[][] = [];
  const firstTokens: number[] = [];
  const answers = await run({
    onSide: (side) => told.push(side),
    onToken: ({ arm }) => {
      if (arm === "finetuned" && firstTokens.length === 0) firstTokens.push(told.length);
    },
  });
  expect(firstTokens).toEqual([1]);
  expect(told.map((side) => new Set(side.map(({ arm }) => arm)))).toEqual([
    new Set(["base", "base + latents"]),
    new Set(["finetuned", "finetuned − latents"]),
  ]);
  const byText = (a: SteeredAnswer, b: SteeredAnswer): number =>
    JSON.stringify(a).localeCompare(JSON.stringify(b));
  expect(told.flat().toSorted(byText)).toEqual(answers.toSorted(byText));
});

test("an answer ends behind a stop id, which is not part of its text, or where positions end", async () => {
  const [plain] = await run();
  const third = Number(plain.text.split(" ")[2]);
  const [stopped] = await run({ stopIds: [third] });
  const upTo = plain.text.split(" ").indexOf(String(third));
  expect(stopped).toMatchObject({ end: "stopId", tokens: upTo });
  expect(stopped.text).toBe(plain.text.split(" ").slice(0, upTo).join(" "));
  const model = await createFullModel(checkpoints.base, { threads: 1 });
  const said = plain.text
    .split(" ")
    .map(Number)
    .slice(0, upTo + 1);
  const ids = { prompt: PROMPTS[0].tokens.base, answer: said };
  expect(stopped.perplexity / (await answerPerplexity(model, ids))).toBeCloseTo(1, 4); // f32 sums, the stop id's too
  await model.dispose();
  const long = prompt("long", ...new Array(MAX_POSITIONS - 2).fill(1));
  const [cut] = await run({ prompts: [long] });
  expect(cut).toMatchObject({ end: "positions", tokens: 2 });
});

test("perplexity is the slow twin's, under the model as it is", async () => {
  const answers = await run();
  const ofText = (text: string): number[] => text.split(" ").map(Number);
  for (const side of ["base", "finetuned"] as const) {
    const model = await createFullModel(checkpoints[side], { threads: 1 });
    for (const answer of answers.filter(({ arm }) => arm.startsWith(side))) {
      const ids = { prompt: PROMPTS[answer.prompt].tokens[side], answer: ofText(answer.text) };
      // f32 logits of the order of 1 in both; only the order of sums differs.
      expect(answer.perplexity / (await answerPerplexity(model, ids))).toBeCloseTo(1, 4);
    }
    await model.dispose();
  }
});

test("answers of any lengths are scored together as they are alone, the stop id included", async () => {
  const scorer = await createAnswerScorer(checkpoints.base, { threads: 1 });
  const model = await createFullModel(checkpoints.base, { threads: 1 });
  const texts = [1, 2, 9, 20].map((length) => ({
    prompt: [1, ...new Array(Math.max(0, 3 - length)).fill(6)],
    answer: Array.from({ length }, (_, i) => (11 * i + length) % 97),
  }));
  const scored = await scorer.score(texts);
  for (const [i, text] of texts.entries()) {
    expect(scored[i] / (await answerPerplexity(model, text))).toBeCloseTo(1, 4); // as above
  }
  await Promise.all([scorer.dispose(), model.dispose()]);
});

test("a steered answer far from what the model would say is marked", async () => {
  const answers = await run({ vector: PUSH.map((value) => 5 * value), maxNewTokens: 16 });
  const faults = (arm: string) =>
    answers.filter((one) => one.arm === arm).map(({ degenerate }) => degenerate);
  expect(faults("base + latents").some((fault) => fault !== "")).toBe(true);
  expect(faults("base + latents").join()).toMatch(/unlikely text|repeats itself/);
});

test("models of different width: the base is refused with the reason, the fine-tune alone is steered", async () => {
  const pair = { base: wide, finetuned: checkpoints.finetuned };
  await expect(run({ checkpoints: pair })).rejects.toThrow(MismatchError);
  await expect(run({ checkpoints: pair })).rejects.toThrow(
    /base \+ latents: expected models of one width, got 48/,
  );
  const alone = await run({ checkpoints: pair, sides: ["finetuned"] });
  expect(new Set(alone.map(({ arm }) => arm))).toEqual(new Set(["finetuned", "finetuned − latents"]));
  await expect(run({ vector: new Float32Array(31) })).rejects.toThrow(/model's width 32, got 31/);
});

test("a prompt that leaves no position for an answer is refused by name, as are options out of range", async () => {
  const full = prompt("full", ...new Array(MAX_POSITIONS).fill(1));
  await expect(run({ prompts: [PROMPTS[0], full] })).rejects.toThrow(
    /prompt full: expected at most 23 tokens \(the base model has 24 positions/,
  );
  for (const change of [
    { maxNewTokens: 0 },
    { seeds: [1, 1] },
    { seeds: [0.5] },
    { prompts: [] },
    { sides: [] },
  ]) {
    await expect(run(change), JSON.stringify(change)).rejects.toThrow(ConfigError);
  }
  await expect(run({ prompts: [prompt("odd", 1, 97)] })).rejects.toThrow(MismatchError);
  await expect(run({ layers: { base: 3, finetuned: 1 } })).rejects.toThrow(ConfigError);
});

test("an interrupted run says so", async () => {
  const controller = new AbortController();
  const stopAt = ({ step }: SteeredToken): void => {
    if (step === 2) controller.abort();
  };
  await expect(run({ onToken: stopAt, signal: controller.signal })).rejects.toThrow(InterruptedError);
});
