// Mined tokens: fast counting against its twin, planted tokens, and models that do not differ.

import { expect, test } from "vitest";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { createLogitMining, MINING_OPTIONS, miningK, miningZ, rankMined } from "./logit-mining.ts";
import { mineReference } from "./logit-mining-reference.ts";

const tokenString = (id: number): string => `t${id}`;

/** Rows of normal logits, f32; finetuned = base + a difference with a part of the token's own, so that many are ranked. */
function drawRows(n: number, vocabulary: { base: number; finetuned: number }, scale: number) {
  const rng = createRng(1, "mining");
  return Array.from({ length: n }, (_, row) => {
    const base = Array.from({ length: vocabulary.base }, (_, id) => Math.fround(3 * rng.normal(row, id)));
    const finetuned = Array.from({ length: vocabulary.finetuned }, (_, id) =>
      Math.fround((base[id] ?? 0) + scale * (rng.normal(row, 10_000 + id) + rng.normal(9999, id))),
    );
    return { base, finetuned };
  });
}

type Rows = ReturnType<typeof drawRows>;

function logitsOf(rows: Rows) {
  return {
    base: Float32Array.from(rows.flatMap(({ base }) => base)),
    finetuned: Float32Array.from(rows.flatMap(({ finetuned }) => finetuned)),
  };
}

function mine(rows: Rows, excluded: Uint8Array) {
  const vocabulary = { base: rows[0].base.length, finetuned: rows[0].finetuned.length };
  const mining = createLogitMining({ vocabulary, excluded, tokenString });
  // In uneven pieces: the state must not depend on them.
  for (const [from, to] of [
    [0, 1],
    [1, 20],
    [20, rows.length],
  ]) {
    const part = rows.slice(from, to);
    const n = part.length;
    mining.add({ logits: logitsOf(part), tokens: new Uint32Array(n).fill(7), isRepeated: new Uint8Array(n) });
  }
  return mining.finish();
}

test.each([
  ["one vocabulary", { base: 120, finetuned: 120 }, []],
  ["a longer vocabulary in the fine-tune, some ids left out", { base: 90, finetuned: 110 }, [0, 3, 89]],
  ["a longer vocabulary in the base", { base: 64, finetuned: 31 }, []],
])("the counts are those of the twin: %s", (_, vocabulary, left) => {
  const rows = drawRows(60, vocabulary, 1);
  const nShared = Math.min(vocabulary.base, vocabulary.finetuned);
  const excluded = new Uint8Array(nShared);
  for (const id of left) excluded[id] = 1;
  const ids = Array.from({ length: nShared }, (_, id) => id).filter((id) => excluded[id] === 0);
  const k = miningK(ids.length);
  const totals = mineReference(rows, { ids, k, plausible: MINING_OPTIONS.plausible });
  const expected = rankMined(totals, (entry) => ({
    ...{ tokenId: ids[entry], token: tokenString(ids[entry]) },
    occurrences: ids[entry] === 7 ? 60 : 0,
  }));
  // Many must be ranked, and not all possible everywhere, else little is compared.
  expect(expected.risen.length + expected.fallen.length).toBeGreaterThan(5);
  expect(totals.compared).not.toEqual(ids.map(() => 60));
  expect({ ...mine(rows, excluded) }).toEqual({ positions: 60, topK: k, ...expected });
});

test("a token raised everywhere leads the risen, a lowered one the fallen, beside a control of one half", () => {
  const rows = drawRows(80, { base: 100, finetuned: 100 }, 0.5).map(({ base, finetuned }) => ({
    base: base.with(11, 5).with(12, 5),
    finetuned: finetuned.with(11, 10).with(12, 0),
  }));
  const { risen, fallen, topK } = mine(rows, new Uint8Array(100));
  expect(topK).toBe(10);
  expect(risen[0]).toMatchObject({
    tokenId: 11,
    count: 80,
    share: 1,
    controlShare: 0.5,
    fractionPositive: 1,
  });
  expect(fallen[0]).toMatchObject({
    tokenId: 12,
    count: 80,
    share: 1,
    controlShare: 0.5,
    fractionPositive: 0,
  });
  expect(fallen[0].meanDifference).toBeLessThan(-3);
});

test("equal models, and models that differ by one constant a position, have no mined token", () => {
  for (const shift of [0, 4]) {
    // Whole numbers: the shift is exact in f32.
    const rows = drawRows(40, { base: 50, finetuned: 50 }, 0).map(({ base }) => {
      const whole = base.map(Math.round);
      return { base: whole, finetuned: whole.map((logit) => logit + shift) };
    });
    expect(mine(rows, new Uint8Array(50))).toMatchObject({ positions: 40, risen: [], fallen: [] });
  }
});

test("a token that neither model holds possible is never counted, however much its logit moves", () => {
  const rows = drawRows(40, { base: 50, finetuned: 50 }, 0.1).map(({ base, finetuned }) => ({
    base: base.with(3, -60),
    finetuned: finetuned.with(3, -30),
  }));
  expect(mine(rows, new Uint8Array(50)).risen.map(({ tokenId }) => tokenId)).not.toContain(3);
});

test("a repeated context counts once, its token still as an occurrence", () => {
  const rows = drawRows(2, { base: 50, finetuned: 50 }, 1);
  const vocabulary = { base: 50, finetuned: 50 };
  const mining = createLogitMining({ vocabulary, excluded: new Uint8Array(50), tokenString });
  mining.add({ logits: logitsOf(rows), tokens: Uint32Array.of(1, 1), isRepeated: Uint8Array.of(0, 1) });
  expect(mining.finish().positions).toBe(1);
});

test("z is the sign test's: 16 of 16 is 4 standard errors, equal counts 0", () => {
  expect(miningZ(16, 0)).toBe(4);
  expect(miningZ(9, 9)).toBe(0);
  expect(miningZ(0, 0)).toBe(0);
  expect(() =>
    createLogitMining({ vocabulary: { base: 9, finetuned: 9 }, excluded: new Uint8Array(8), tokenString }),
  ).toThrow(ShapeError);
});
