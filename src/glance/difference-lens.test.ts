// The lens on a tiny pair: which position speaks, what is read, steered and left out.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InterruptedError } from "../errors.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { loadUnembedding, type Unembedding } from "../lm/runner.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { choosePosition, type DifferenceLensOptions, differenceLens } from "./difference-lens.ts";
import { makeRows } from "./difference-rows.test.data.ts";
import { createDifferenceSums, type DifferenceRows, type SummedDifference } from "./difference-sums.ts";
import { STEERING } from "./steer-difference.ts";

const { hidden_size: dModel, vocab_size: vocab } = TINY_CONFIG;
const folders: string[] = [];
let pair: DifferenceLensOptions["pair"];
let unembeddings: Record<ModelSide, Unembedding>;

/** A letter a token; BOS is 1. */
const tokenizer: Tokenizer = {
  folder: "letters",
  vocabSize: vocab,
  hash: "",
  specialTokens: new Map([["<bos>", 1]]),
  namedTokens: { bos_token: "<bos>" },
  bosId: 1,
  unknownId: undefined,
  encode: async (text) => ({
    ids: Uint32Array.from(text, (character) => 2 + (character.charCodeAt(0) % (vocab - 2))),
    start: Uint32Array.from(text, (_, i) => i),
    end: Uint32Array.from(text, (_, i) => i + 1),
  }),
  encodeBatch: (texts) => Promise.all(texts.map((text) => tokenizer.encode(text))),
  encodeGuarded: (text) => tokenizer.encode(text),
  tokenString: (id) => `<${id}>`,
  decode: (ids) => Array.from(ids, (id) => `<${id}>`).join(""),
};

beforeAll(async () => {
  folders.push(await writeTinyLlama(TINY_CONFIG, tinyWeights(TINY_CONFIG, 1)));
  folders.push(await writeTinyLlama(TINY_CONFIG, tinyWeights(TINY_CONFIG, 2)));
  const checkpoints = { base: await openCheckpoint(folders[0]), finetuned: await openCheckpoint(folders[1]) };
  const site = (model: ModelSide) => ({ name: `${model}-L1`, model, layer: 1, width: dModel });
  pair = {
    checkpoints,
    sites: [site("base"), site("finetuned")],
    tokenizer,
    template: undefined,
    baseReplacements: new Map(),
  };
  unembeddings = {
    base: await loadUnembedding(checkpoints.base),
    finetuned: await loadUnembedding(checkpoints.finetuned),
  };
});
afterAll(async () => {
  for (const checkpoint of Object.values(pair.checkpoints)) await checkpoint.close();
  for (const folder of folders) await rm(folder, { recursive: true });
});

/** Position 3 is moved most, BOS ten times more than any. */
function movedRows(size: number): DifferenceRows {
  const rows = makeRows({ documents: 12, tokens: 9, dModel });
  for (let row = 0; row < rows.position.length; row += 1) {
    const factor = [10, 0.2, 0.4, 1, 0.3][rows.position[row]] ?? 0.1;
    for (let i = 0; i < dModel; i += 1) {
      rows.hFinetuned[row * dModel + i] += size * factor * Math.cos(i + 1);
    }
  }
  return rows;
}

async function summed(rows: DifferenceRows): Promise<SummedDifference> {
  const sums = createDifferenceSums({ dModel, threads: 1 });
  await sums.add(rows);
  const result = await sums.finish();
  await sums.dispose();
  return result;
}

test("the position that is moved most speaks for the pair, though BOS is moved further", async () => {
  const found = await differenceLens({
    sums: await summed(movedRows(1)),
    pair,
    unembeddings,
    steering: false,
    threads: 1,
    topK: 4,
  });
  expect(found.texts).toBe(6);
  expect(found.positions.map(({ position, texts }) => [position, texts])).toEqual(
    [0, 1, 2, 3, 4].map((position) => [position, 6]),
  );
  const [bos, , , third] = found.positions;
  expect(bos.relativeNorm!).toBeGreaterThan(5 * third.relativeNorm!);
  expect(found.mainPosition).toBe(3);
  // Every text is moved by the same vector.
  for (const { consistency } of found.positions) expect(consistency).toBeCloseTo(1, 5);
  expect(found.overall.texts).toBe(6 * 8);
  // The same direction everywhere, so the same words everywhere.
  for (const { read } of [...found.positions, found.overall]) {
    expect(
      read.map(({ model, promoted, suppressed }) => [model, promoted.length, suppressed.length]),
    ).toEqual([
      ["base", 4, 4],
      ["finetuned", 4, 4],
    ]);
    expect(read[1].promoted.map(({ tokenId }) => tokenId)).toEqual(
      third.read[1].promoted.map(({ tokenId }) => tokenId),
    );
  }
  expect(found.steering).toEqual([]);
  expect(found.leftOut).toEqual([
    expect.stringMatching(/^Patchscope was left out/),
    expect.stringMatching(/^Steering was left out/),
  ]);
});

test("both models are steered by either sign of that position's difference, from BOS where there is no template", async () => {
  const done: number[] = [];
  const { steering, mainPosition } = await differenceLens({
    sums: await summed(movedRows(1)),
    pair,
    unembeddings,
    threads: 1,
    reportProgress: (progress) => done.push(progress.done),
  });
  expect(steering.map(({ model, sign }) => [model, sign])).toEqual([
    ["finetuned", 1],
    ["finetuned", -1],
    ["base", 1],
    ["base", -1],
  ]);
  for (const { position, prompt, unsteered } of steering) {
    expect([position, prompt]).toEqual([mainPosition, ""]);
    expect(unsteered.match(/<\d+>/g)?.length).toBe(STEERING.newTokens);
  }
  expect(done).toEqual([0, 1, 2, 3]);
});

test("identical models have zero differences, no position that speaks, nothing read and nothing steered", async () => {
  const found = await differenceLens({ sums: await summed(movedRows(0)), pair, unembeddings, threads: 1 });
  expect(found.mainPosition).toBeNull();
  for (const { relativeNorm, consistency, read } of [...found.positions, found.overall]) {
    expect([relativeNorm, consistency, read]).toEqual([0, 0, []]);
  }
  expect([found.steering, found.leftOut]).toEqual([[], []]);
});

test("texts whose first tokens are not counted are read from their first counted one", async () => {
  const rows = movedRows(1);
  rows.isUnrelated = rows.isUnrelated.map((mark, row) => (rows.position[row] < 4 ? 0 : mark));
  const { positions } = await differenceLens({
    sums: await summed(rows),
    pair,
    unembeddings,
    steering: false,
    threads: 1,
  });
  expect(positions.map(({ position }) => position)).toEqual([4, 5, 6, 7, 8]);
});

test("no unrelated text gives no positions", async () => {
  const rows = movedRows(1);
  rows.isUnrelated.fill(0);
  const found = await differenceLens({ sums: await summed(rows), pair, unembeddings, threads: 1 });
  expect([found.texts, found.positions, found.mainPosition, found.steering]).toEqual([0, [], null, []]);
  expect(found.overall.relativeNorm).toBeNull();
});

test("an undefined norm never speaks, and the first of equals does", () => {
  const at = (position: number, relativeNorm: number | null) => ({ position, relativeNorm });
  expect(choosePosition([at(1, null), at(2, 0.1), at(3, 0.1)])).toBe(2);
  expect(choosePosition([at(1, 0), at(2, null)])).toBeNull();
});

test("an aborted signal stops it", async () => {
  const signal = AbortSignal.abort();
  const work = differenceLens({ sums: await summed(movedRows(1)), pair, unembeddings, threads: 1, signal });
  await expect(work).rejects.toThrow(InterruptedError);
});
