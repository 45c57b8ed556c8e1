// Steering with a direction against one generation at a time, and what counts as coherent.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { createGenerator } from "../lm/generate.ts";
import { createFullModel } from "../lm/runner.ts";
import { TINY_CONFIG, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import { openNextTokenModel } from "./next-token-model.ts";
import {
  answerNats,
  describeIncoherent,
  greatestCoherent,
  repetitionOf,
  STEERING,
  steerWithDifference,
  strengthsToTry,
} from "./steer-difference.ts";

const LAYER = 1;
const { vocab_size: vocabSize } = TINY_CONFIG;
let folder = "";
let checkpoint: Checkpoint;
beforeAll(async () => {
  folder = await writeTinyLlama();
  checkpoint = await openCheckpoint(folder);
});
afterAll(async () => {
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

const rng = createRng(4, "direction");
const direction = Float32Array.from({ length: TINY_CONFIG.hidden_size }, (_, i) => 0.1 * rng.normal(0, i));
const prompts = [[5, 17], [60, 3, 2], [44]].map((ids, i) => ({
  text: `prompt ${i}`,
  tokens: { base: ids, finetuned: ids },
}));
const decode = (ids: readonly number[]): string => ids.map((id) => `<${id}>`).join("");
const options = () => ({
  model: "base" as const,
  checkpoint,
  layer: LAYER,
  direction,
  position: 2,
  residualNorm: 3,
  prompts,
  stopIds: [8],
  decode,
  seed: 0,
  threads: 1,
});

test("steered and unsteered texts are those of one generation at a time, with the strength and sign named", async () => {
  const steered = await steerWithDifference(options());
  expect(steered.length).toBe(2 * prompts.length);
  const generator = await createGenerator(checkpoint, { editLayers: [LAYER], threads: 1 });
  const alone = async (ids: number[], factor: number | undefined): Promise<string> => {
    const [{ tokenIds }] = await generator.generate({
      prompts: [ids],
      maxNewTokens: STEERING.newTokens,
      temperature: STEERING.temperature,
      stopIds: [8],
      edits:
        factor === undefined
          ? []
          : [
              {
                layer: LAYER,
                kind: "add",
                positions: "all",
                values: direction.map((value) => factor * value),
                per: "batch",
              },
            ],
    });
    return decode([...(tokenIds.at(-1) === 8 ? tokenIds.slice(0, -1) : tokenIds)]);
  };
  for (const { sign, strength, prompt, steered: text, unsteered, model, position } of steered) {
    const { tokens } = prompts.find((one) => one.text === prompt)!;
    expect([model, position]).toEqual(["base", 2]);
    expect(strengthsToTry(Math.hypot(...direction), 3)).toContain(strength);
    expect(unsteered).toBe(await alone(tokens.base, undefined));
    expect(text).toBe(await alone(tokens.base, sign * strength));
  }
  expect(steered.some(({ steered: text, unsteered }) => text !== unsteered)).toBe(true);
  await generator.dispose();
});

test("an answer's nats are the full model's, a token", async () => {
  const model = await openNextTokenModel(checkpoint, { threads: 1 });
  const full = await createFullModel(checkpoint, { threads: 1 });
  const answers = prompts.map(({ tokens }, i) => ({ prompt: tokens.base, answer: [9, 30, 71, 12].slice(i) }));
  const nats = await answerNats(model, [...answers, { prompt: [5], answer: [] }]);
  for (const [i, { prompt, answer }] of answers.entries()) {
    const tokenIds = Uint32Array.from([...prompt, ...answer]);
    const length = tokenIds.length;
    const { logits } = await full.run({ tokenIds, batch: 1, length, lengths: Int32Array.of(length) });
    let expected = 0;
    for (let at = prompt.length; at < length; at += 1) {
      const row = Array.from(logits.subarray((at - 1) * vocabSize, at * vocabSize));
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
      expected += (Math.log(total) - row[tokenIds[at]]) / answer.length;
    }
    expect(nats[i]).toBeCloseTo(expected, 4); // two ways through f32 blocks of logits of order ten
  }
  expect(nats[3]).toBe(0);
  await model.dispose();
  await full.dispose();
});

test("strengths too great for coherent text are passed over", async () => {
  const steered = await steerWithDifference({ ...options(), stopIds: [], residualNorm: 60 });
  const strongest = strengthsToTry(Math.hypot(...direction), 60)[0];
  expect(steered.every(({ strength }) => strength < strongest)).toBe(true);
});

test("the first strength moves the residual by twice its norm, each next half as far", () => {
  expect(strengthsToTry(0.5, 4)).toEqual([16, 8, 4, 2, 1, 0.5]);
  expect(strengthsToTry(1e-6, 4)[0]).toBe(STEERING.mostStrength);
});

test("the greatest strength at which most prompts stay coherent is taken, or the least tried", () => {
  const tried = (faults: Record<number, number>) =>
    [8, 4, 2].flatMap((strength) =>
      [0, 1, 2].map((prompt) => ({ strength, degenerate: prompt < (faults[strength] ?? 0) ? "babble" : "" })),
    );
  expect(greatestCoherent(tried({ 8: 3, 4: 1 }), 3)).toBe(4);
  expect(greatestCoherent(tried({}), 3)).toBe(8);
  expect(greatestCoherent(tried({ 8: 2, 4: 2, 2: 3 }), 3)).toBe(2);
});

test("an answer is incoherent when it repeats itself more than the unsteered one, is unlikely, or ends at once", () => {
  const varied = Array.from({ length: 20 }, (_, i) => i);
  const loop = Array.from({ length: 20 }, (_, i) => i % 2);
  const fine = { tokens: varied, nats: 2, unsteered: varied, unsteeredNats: 1 };
  expect(describeIncoherent(fine)).toBe("");
  expect(describeIncoherent({ ...fine, tokens: loop })).toMatch(/^repeats itself: 88 %/);
  expect(describeIncoherent({ ...fine, tokens: loop, unsteered: loop })).toBe("");
  expect(describeIncoherent({ ...fine, nats: 6 })).toMatch(/^unlikely text: 6.0 nats a token, unsteered 1.0/);
  expect(describeIncoherent({ ...fine, nats: Number.NaN })).toMatch(/^unlikely text/);
  expect(describeIncoherent({ ...fine, tokens: [] })).toBe("ended at once");
  expect(describeIncoherent({ ...fine, tokens: [], unsteered: [] })).toBe("");
});

test("repetition is the share of 4-grams seen before", () => {
  expect(repetitionOf([1, 2, 3])).toBe(0);
  expect(repetitionOf([1, 2, 3, 4, 5])).toBe(0);
  expect(repetitionOf([1, 1, 1, 1, 1, 1])).toBeCloseTo(2 / 3, 12);
});
