// Sums split into parts, merged again, stored or not: the same numbers; parts of other inputs are not used.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StorageError } from "../errors.ts";
import { createEffectSums, type EffectSums, openEffectParts } from "./effects-parts.ts";

let folder = "";
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "tunediff-effects-")), "parts");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const empty = (): EffectSums => createEffectSums({ latents: [9, 4], nConversations: 3, nTracked: 2 });

function fillFirst(sums: EffectSums): void {
  sums.addConversation(2, { tokens: 10, klNone: 3.5 });
  sums.addEffect(9, { conversation: 2, reached: 6, change: { add: 0.25, remove: 0.5 } });
  sums.addToken(9, 1, { add: -0.5, remove: 1 });
}

function fillSecond(sums: EffectSums): void {
  sums.addConversation(0, { tokens: 7, klNone: 1 });
  sums.addConversation(1, { tokens: 5, klNone: 2 });
  sums.addEffect(9, { conversation: 0, reached: 7, change: { add: -1, remove: 2 } });
  sums.addEffect(4, { conversation: 1, reached: 0, change: { add: 0, remove: 0 } });
  sums.addToken(9, 1, { add: 2, remove: 4 });
}

function expectWhole(sums: EffectSums): void {
  expect([...sums.conversations.tokens]).toEqual([7, 5, 10]);
  expect([...sums.conversations.klNone]).toEqual([1, 2, 3.5]);
  const nine = sums.latentSums(9);
  expect([...nine.conversation]).toEqual([0, 2]);
  expect([...nine.reached]).toEqual([7, 6]);
  expect([...nine.change.add]).toEqual([-1, 0.25]);
  expect([...nine.change.remove]).toEqual([2, 0.5]);
  expect([...nine.tallies.count]).toEqual([0, 2]);
  expect([...nine.tallies.change.add]).toEqual([0, 1.5]);
  expect([...nine.tallies.change.remove]).toEqual([0, 5]);
  const four = sums.latentSums(4);
  expect([...four.conversation]).toEqual([1]);
  expect([...four.tallies.count]).toEqual([0, 0]);
}

test("taking the arrays empties the sums, and merged parts equal one pass", () => {
  const whole = empty();
  fillFirst(whole);
  fillSecond(whole);
  expectWhole(whole);

  const batch = empty();
  fillFirst(batch);
  const first = batch.takeArrays();
  fillSecond(batch);
  const merged = empty();
  merged.merge(first);
  merged.merge(batch.takeArrays());
  expectWhole(merged);
  expect([...batch.takeArrays().conversations]).toEqual([]);
});

test.each([true, false])(
  "parts are read back in the order of batches (in a folder: %s)",
  async (isStored) => {
    const parts = await openEffectParts(isStored ? folder : undefined, { dictionary: "ab" });
    expect(parts.finished.size).toBe(0);
    const batch = empty();
    fillSecond(batch);
    const second = batch.takeArrays();
    fillFirst(batch);
    await parts.write(1, second);
    await parts.write(0, batch.takeArrays());
    const merged = empty();
    const order: number[] = [];
    for await (const part of parts.read(2)) {
      order.push(part.conversations[0]);
      merged.merge(part);
    }
    expect(order).toEqual([2, 0]);
    expectWhole(merged);
    await expect(parts.read(3).next()).rejects.toThrow(StorageError);
    await parts.remove();
    await expect(parts.read(1).next()).rejects.toThrow("batch 0 of 1");
  },
);

test("a second opening knows what is finished, and drops what was made from other inputs", async () => {
  const parts = await openEffectParts(folder, { dictionary: "ab" });
  const batch = empty();
  fillFirst(batch);
  await parts.write(0, batch.takeArrays());
  expect([...(await openEffectParts(folder, { dictionary: "ab" })).finished]).toEqual([0]);
  expect([...(await openEffectParts(folder, { dictionary: "cd" })).finished]).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
});
