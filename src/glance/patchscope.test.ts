// Patchscope against the model cut by hand, and the two reasons to leave it out.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Checkpoint, openCheckpoint } from "../lm/checkpoint.ts";
import { createGenerator } from "../lm/generate.ts";
import { createFullModel, createPrefix, createSuffix } from "../lm/runner.ts";
import { TINY_CONFIG, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import { createRng } from "../numerics/rng.ts";
import { type AskedSequence, type NextTokenModel, openNextTokenModel } from "./next-token-model.ts";
import { type IdentityPrompt, PATCHSCOPE, patchscope, writeIdentityPrompt } from "./patchscope.ts";
import { patchscopeReference } from "./patchscope-reference.ts";

const LAYER = 1;
const { hidden_size: dModel, vocab_size: vocab } = TINY_CONFIG;
let folder = "";
let checkpoint: Checkpoint;
let model: NextTokenModel;
let prompt: IdentityPrompt;

beforeAll(async () => {
  folder = await writeTinyLlama();
  checkpoint = await openCheckpoint(folder);
  model = await openNextTokenModel(checkpoint, { editLayer: LAYER, threads: 1 });
  // What the model itself goes on with is a pattern that it completes.
  const generator = await createGenerator(checkpoint, { threads: 1 });
  const [{ tokenIds }] = await generator.generate({ prompts: [[5, 17, 60]], maxNewTokens: 3 });
  await generator.dispose();
  prompt = { tokens: Uint32Array.from([5, 17, 60, ...tokenIds, 9]), repeats: [2, 3, 4] };
});
afterAll(async () => {
  await model.dispose();
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

function direction(purpose: string): Float64Array {
  const rng = createRng(1, purpose);
  return Float64Array.from({ length: dModel }, (_, i) => 3 * rng.normal(0, i));
}

const reading = () => ({ model, prompt, residualNorm: 4, tokenString: (id: number) => `<${id}>`, topK: 6 });

describe("patchscope", () => {
  test("both signs of every direction agree with the model cut by hand", async () => {
    const prefix = await createPrefix(checkpoint, { layers: [LAYER], threads: 1 });
    const suffix = await createSuffix(checkpoint, { layer: LAYER, threads: 1 });
    const directions = [direction("a"), direction("b")];
    const read = await patchscope({ ...reading(), directions });
    if ("leftOut" in read) throw new Error(read.leftOut);
    expect(read.map(({ model: side, by }) => `${side} ${by}`)).toEqual(Array(2).fill("finetuned patchscope"));
    for (const [i, { promoted, suppressed }] of read.entries()) {
      for (const [list, sign] of [
        [promoted, 1],
        [suppressed, -1],
      ] as const) {
        const scores = await patchscopeReference({
          prefix,
          suffix,
          tokens: prompt.tokens,
          direction: directions[i].map((value) => sign * value),
          residualNorm: 4,
          scales: PATCHSCOPE.scales,
        });
        const ids = scores.map((_, id) => id).sort((a, b) => scores[b] - scores[a]);
        const expected = ids.slice(0, 6).filter((id) => scores[id] > 0);
        expect(list.map(({ tokenId }) => tokenId)).toEqual(expected);
        // Two ways through f32 blocks of logits of order ten
        for (const { tokenId, score } of list) expect(score).toBeCloseTo(scores[tokenId], 4);
      }
    }
    await prefix.dispose();
    await suffix.dispose();
  });

  test("the length of a direction does not matter", async () => {
    const long = direction("a").map((value) => 1000 * value);
    const [a, b] = [
      await patchscope({ ...reading(), directions: [direction("a")] }),
      await patchscope({ ...reading(), directions: [long] }),
    ];
    expect(JSON.stringify(b, rounded)).toEqual(JSON.stringify(a, rounded));
  });

  test("a model that does not complete the prompt's pattern is not asked", async () => {
    const foreign = prompt.tokens.slice();
    foreign[4] = (foreign[4] + 1) % vocab;
    const read = await patchscope({
      ...reading(),
      prompt: { ...prompt, tokens: foreign },
      directions: [direction("a")],
    });
    expect(read).toEqual({ leftOut: expect.stringContaining('does not repeat "hello"') });
  });
});

function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(4)) : value;
}

describe("writeIdentityPrompt", () => {
  const characters = {
    bosId: 1,
    unknownId: 0,
    encode: async (text: string) => ({
      ids: Uint32Array.from(text, (character) => character.charCodeAt(0)),
      start: Uint32Array.from(text, (_, i) => i),
      end: Uint32Array.from(text, (_, i) => i + 1),
    }),
  };

  test("names the places that predict the second writing of the repeated word, BOS counted", async () => {
    const written = await writeIdentityPrompt(characters);
    if ("leftOut" in written) throw new Error(written.leftOut);
    expect(written.tokens[0]).toBe(1);
    const next = written.repeats.map((position) => String.fromCharCode(written.tokens[position + 1]));
    expect(next.join("")).toBe("hello");
    expect(written.repeats[0]).toBeGreaterThan(written.tokens.length - 10);
  });

  test("without BOS the places move by one", async () => {
    const [withBos, without] = [
      await writeIdentityPrompt(characters),
      await writeIdentityPrompt({ ...characters, bosId: undefined }),
    ];
    if ("leftOut" in withBos || "leftOut" in without) throw new Error("left out");
    expect(without.repeats).toEqual(withBos.repeats.map((position) => position - 1));
    expect(without.tokens).toEqual(withBos.tokens.slice(1));
  });

  test("a tokenizer that cannot write the prompt leaves it out", async () => {
    const written = await writeIdentityPrompt({ ...characters, unknownId: ">".charCodeAt(0) });
    expect(written).toEqual({ leftOut: expect.stringContaining("tokenizer cannot write") });
  });
});

describe("openNextTokenModel", () => {
  test("gives log softmax of the full model's logits at the places asked for, in order, over several batches", async () => {
    const sequences: AskedSequence[] = Array.from({ length: 12 }, (_, i) => ({
      tokens: Array.from({ length: i === 5 ? 400 : 180 + i }, (_, t) => (7 * i + 3 * t) % vocab),
      positions: i === 3 ? [] : [0, 20 + i],
    }));
    const full = await createFullModel(checkpoint, { threads: 1 });
    const places: string[] = [];
    let worst = 0;
    const rows: { sequence: number; position: number; log: Float64Array }[] = [];
    await model.ask(sequences, ({ sequence, position }, log) => {
      places.push(`${sequence} ${position}`);
      rows.push({ sequence, position, log: log.slice() });
    });
    for (const { sequence, position, log } of rows) {
      const tokenIds = Uint32Array.from(sequences[sequence].tokens);
      const length = tokenIds.length;
      const { logits } = await full.run({ tokenIds, batch: 1, length, lengths: Int32Array.of(length) });
      const own = Array.from(logits.subarray(position * vocab, (position + 1) * vocab));
      const logSum = Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0));
      for (const [id, logit] of own.entries()) worst = Math.max(worst, Math.abs(log[id] - (logit - logSum)));
    }
    await full.dispose();
    expect(places).toEqual(sequences.flatMap(({ positions }, i) => positions.map((p) => `${i} ${p}`)));
    expect(worst).toBeLessThan(1e-3); // f32 through three blocks of gain 1.5, in batches of other shapes
  });
});
