// Continuations: transformers' tokens, the slow twin that reads everything again each step, and what batches must not do.

import { rm } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, InterruptedError, MismatchError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { withAttention, withRopes } from "./altered.test.data.ts";
import type { Architecture } from "./architecture.ts";
import { batchClass } from "./batch.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { FAMILY_GOLDENS } from "./family-golden.test.data.ts";
import { createGenerator, type Generator } from "./generate.ts";
import { readContinuations, writeGenerationFolder } from "./generation-golden.test.data.ts";
import { createFullModel, type FullModel } from "./runner.ts";
import { chooseToken } from "./sample.ts";
import { TINY_CONFIG, writeTinyLlama } from "./tiny-llama.test.data.ts";

interface Opened {
  folder: string;
  checkpoint: Checkpoint;
  generator: Generator;
}

/** Written once and shared by the tests of this file. */
const opened = new Map<string, Promise<Opened>>();
afterAll(async () => {
  for (const { folder, checkpoint, generator } of await Promise.all(opened.values())) {
    await generator.dispose();
    await checkpoint.close();
    await rm(folder, { recursive: true, force: true });
  }
});

function openOnce(key: string, write: () => Promise<string>): Promise<Opened> {
  const open = async (): Promise<Opened> => {
    const folder = await write();
    const checkpoint = await openCheckpoint(folder);
    return { folder, checkpoint, generator: await createGenerator(checkpoint, { threads: 1 }) };
  };
  const known = opened.get(key) ?? open();
  opened.set(key, known);
  return known;
}

const openFamily = (name: string, seed: number): Promise<Opened> =>
  openOnce(`${name} ${seed}`, () => writeGenerationFolder(name, seed));

/** The odd width that no fused node caches: attention by hand. */
const openOddHeads = (): Promise<Opened> =>
  openOnce("odd heads", () => writeTinyLlama({ ...TINY_CONFIG, head_dim: 12 }));

/** Every step a forward over the whole sequence, alone. */
async function continueSlowly(
  model: FullModel,
  prompt: readonly number[],
  options: { count: number; sampling: (step: number) => Parameters<typeof chooseToken>[1] },
): Promise<number[]> {
  const tokens = [...prompt];
  for (let step = 0; step < options.count; step += 1) {
    const length = tokens.length;
    const { logits } = await model.run({
      tokenIds: Uint32Array.from(tokens),
      batch: 1,
      length,
      lengths: Int32Array.of(length),
    });
    tokens.push(chooseToken(logits.subarray((length - 1) * model.vocabSize), options.sampling(step)));
  }
  return tokens.slice(prompt.length);
}

describe.each(FAMILY_GOLDENS)("%s", (name) => {
  test.each([1, 2, 3])(
    "greedy tokens are transformers', prompts of three lengths in one batch, past the window (seed %i)",
    async (seed) => {
      const { generator } = await openFamily(name, seed);
      const golden = readContinuations(name, seed);
      expect(golden.map(({ prompt }) => prompt.length)).toEqual([3, 8, 5]);
      const got = await generator.generate({ prompts: golden.map(({ prompt }) => prompt), maxNewTokens: 24 });
      expect(got.map(({ tokenIds }) => [...tokenIds])).toEqual(golden.map(({ tokens }) => tokens));
      // Gaps of 1e-3 between logits of size 1: two thousand times the rounding that the parity tests measure.
      expect(Math.min(...golden.map(({ smallestGap }) => smallestGap))).toBeGreaterThan(1e-3);
      const isShort = name === "gpt2-inverse-layer-scale";
      expect(got.map(({ end }) => end)).toEqual(Array(3).fill(isShort ? "positions" : "maxNewTokens"));
    },
  );
});

describe("a model that is wrong in one thing gives other tokens", () => {
  const controls: [string, string, (right: Architecture) => Architecture][] = [
    [
      "mistral",
      "window one token too wide",
      (right) => withAttention(right, ({ window }) => ({ window: window && window + 1 })),
    ],
    [
      "gemma2",
      "window one token too narrow",
      (right) => withAttention(right, ({ window }) => ({ window: window && window - 1 })),
    ],
    ["gemma2", "score soft-cap off", (right) => withAttention(right, () => ({ softCap: undefined }))],
    ["qwen3", "norms of q and k left out", (right) => withAttention(right, () => ({ qkNorm: undefined }))],
    [
      "phi3-longrope",
      "long factors never used",
      (right) =>
        withRopes(right, (rope) =>
          rope.kind === "longrope" ? { ...rope, longFactors: rope.shortFactors } : rope,
        ),
    ],
  ];
  test.each(controls)("%s: %s", async (name, _, change) => {
    const { checkpoint } = await openFamily(name, 1);
    const wrong = { ...checkpoint, architecture: change(checkpoint.architecture) };
    const generator = await createGenerator(wrong, { threads: 1 });
    for (const { prompt, tokens } of readContinuations(name, 1)) {
      const [{ tokenIds }] = await generator.generate({ prompts: [prompt], maxNewTokens: 24 });
      expect([...tokenIds]).not.toEqual(tokens);
    }
    await generator.dispose();
  });
});

test("only longrope parts lengths into classes, at its original length", async () => {
  const { checkpoint } = await openFamily("phi3-longrope", 1);
  expect([1, 8, 9, 64].map((length) => batchClass(checkpoint.architecture, length))).toEqual([0, 0, 1, 1]);
  const { checkpoint: other } = await openFamily("llama-llama3", 1);
  expect([1, 32, 33, 64].map((length) => batchClass(other.architecture, length))).toEqual([0, 0, 0, 0]);
});

describe("the slow twin, which reads the whole sequence again for every token, gives the same tokens", () => {
  test.each(["gpt2", "mistral", "gemma3", "phi3-longrope"])(
    "drawn at temperature 0.8, top-p 0.9: %s",
    async (name) => {
      const { checkpoint, generator } = await openFamily(name, 1);
      const sampling = { temperature: 0.8, topP: 0.9 };
      const prompts = [[7, 8, 9, 10, 11, 12], [99], [5, 1, 4]];
      const fast = await generator.generate({ prompts, maxNewTokens: 16, seed: 5, ...sampling });
      const rng = createRng(5, "sample");
      const model = await createFullModel(checkpoint, { threads: 1 });
      for (const [i, prompt] of prompts.entries()) {
        const slow = await continueSlowly(model, prompt, {
          count: 16,
          sampling: (step) => ({ ...sampling, draw: rng.uniform(i, step) }),
        });
        expect([...fast[i].tokenIds]).toEqual(slow);
      }
      await model.dispose();
    },
  );

  test("heads of 12, which no fused node caches: attention by hand, hidden slots behind shorter prompts", async () => {
    const { checkpoint, generator } = await openOddHeads();
    const prompts = [[5], [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 90, 14]];
    const fast = await generator.generate({ prompts, maxNewTokens: 20 });
    const model = await createFullModel(checkpoint, { threads: 1 });
    for (const [i, prompt] of prompts.entries()) {
      const slow = await continueSlowly(model, prompt, {
        count: 20,
        sampling: () => ({ temperature: 0, topP: 1, draw: 0 }),
      });
      expect([...fast[i].tokenIds]).toEqual(slow);
    }
    expect(new Set(fast.flatMap(({ tokenIds }) => [...tokenIds])).size).toBeGreaterThan(5);
    await model.dispose();
  });
});

describe("batches", () => {
  const prompts = [[7, 8, 9, 10, 11, 12, 13], [89], [5, 1, 4], [2, 2], [60, 61, 62, 63]];
  const options = { maxNewTokens: 12, temperature: 1, topP: 0.95, seed: 3 };

  test.each(["llama-llama3", "gemma2", "phi3-longrope", "odd heads"])(
    "who else is in the batch, and in which order, changes no token: %s",
    async (name) => {
      const { generator } = await (name === "odd heads" ? openOddHeads() : openFamily(name, 1));
      const together = await generator.generate({ ...options, prompts });
      const order = [3, 0, 4, 2, 1];
      const shuffled = await generator.generate({
        ...options,
        prompts: order.map((i) => prompts[i]),
        sequenceIds: order,
      });
      expect(order.map((_, at) => shuffled[order.indexOf(at)])).toEqual(together);
      for (const [i, prompt] of prompts.entries()) {
        const [alone] = await generator.generate({ ...options, prompts: [prompt], sequenceIds: [i] });
        expect(alone).toEqual(together[i]);
      }
    },
  );

  test("sequences that stop early leave the rest as they were, and the stop id is the last token", async () => {
    const { generator } = await openFamily("mistral", 1);
    const free = await generator.generate({ ...options, prompts });
    const stopIds = [free[0].tokenIds[2], free[3].tokenIds[7]];
    const stopped = await generator.generate({ ...options, prompts, stopIds });
    for (const [i, { tokenIds, end }] of stopped.entries()) {
      const whole = [...free[i].tokenIds];
      const stop = whole.findIndex((id) => stopIds.includes(id));
      expect([...tokenIds]).toEqual(stop < 0 ? whole : whole.slice(0, stop + 1));
      expect(end).toBe(stop < 0 ? "maxNewTokens" : "stopId");
    }
    expect(stopped.filter(({ end }) => end === "stopId").length).toBeGreaterThanOrEqual(2);
    expect(stopped.some(({ end }) => end === "maxNewTokens")).toBe(true);
  });

  test("more sequences than one group holds are all continued", async () => {
    const { generator } = await openFamily("qwen3", 1);
    const many = Array.from({ length: 150 }, (_, i) => [i % 101, (7 * i) % 101]);
    const got = await generator.generate({ prompts: many, maxNewTokens: 2 });
    const [last] = await generator.generate({ prompts: many.slice(-1), maxNewTokens: 2 });
    expect(got.length).toBe(150);
    expect(got[149]).toEqual(last);
  });

  test("each token is reported once, in the order of its sequence", async () => {
    const { generator } = await openFamily("gpt2", 1);
    const seen: number[][] = prompts.map(() => []);
    const got = await generator.generate({
      ...options,
      prompts,
      onToken({ sequence, step, tokenId }) {
        expect(step).toBe(seen[sequence].length);
        seen[sequence].push(tokenId);
      },
    });
    expect(seen).toEqual(got.map(({ tokenIds }) => [...tokenIds]));
  });

  test("another seed draws other tokens, the same seed the same", async () => {
    const { generator } = await openFamily("gpt2", 1);
    const first = await generator.generate({ ...options, prompts });
    expect(await generator.generate({ ...options, prompts })).toEqual(first);
    expect(await generator.generate({ ...options, prompts, seed: 4 })).not.toEqual(first);
  });
});

test("packed weights give the tokens of fed ones", async () => {
  const { checkpoint, generator } = await openFamily("gemma", 1);
  const packed = await createGenerator(checkpoint, { threads: 1, weights: "packed" });
  const options = { prompts: [[1, 2, 3], [4]], maxNewTokens: 8 };
  expect(await packed.generate(options)).toEqual(await generator.generate(options));
  await packed.dispose();
});

describe("refused or ended", () => {
  test.each([
    [{ prompts: [[1], []] }, /prompt 1: expected at least one token/, ConfigError],
    [{ prompts: [new Uint32Array(17)] }, /prompt 0: expected at most 16 tokens/, ConfigError],
    [
      { prompts: [[1], [2, 101]] },
      /sequence 1, position 1: expected a token id from 0 to 100/,
      MismatchError,
    ],
    [{ maxNewTokens: -1 }, /maxNewTokens/, ConfigError],
    [{ temperature: -1 }, /temperature/, ConfigError],
    [{ topP: 0 }, /topP/, ConfigError],
    [{ sequenceIds: [] }, /sequenceIds: expected 1/, ConfigError],
  ])("%j", async (bad, message, kind) => {
    const { generator } = await openFamily("gpt2-inverse-layer-scale", 1);
    const run = generator.generate({ prompts: [[1]], maxNewTokens: 2, ...bad });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toThrow(kind);
  });

  test("a prompt that fills every position gets no token; no prompts, no continuations", async () => {
    const { generator } = await openFamily("gpt2-inverse-layer-scale", 1);
    const full = await generator.generate({ prompts: [new Uint32Array(16)], maxNewTokens: 2 });
    expect(full).toEqual([{ tokenIds: new Uint32Array(), end: "positions" }]);
    expect(await generator.generate({ prompts: [], maxNewTokens: 2 })).toEqual([]);
    const none = await generator.generate({ prompts: [[1]], maxNewTokens: 0 });
    expect(none).toEqual([{ tokenIds: new Uint32Array(), end: "maxNewTokens" }]);
  });

  test("a signal ends it between two tokens", async () => {
    const { generator } = await openFamily("gpt2", 1);
    const stop = new AbortController();
    let tokens = 0;
    const run = generator.generate({
      prompts: [[1, 2]],
      maxNewTokens: 20,
      signal: stop.signal,
      onToken() {
        tokens += 1;
        if (tokens === 3) stop.abort();
      },
    });
    await expect(run).rejects.toThrow(InterruptedError);
    expect(tokens).toBe(3);
  });
});
