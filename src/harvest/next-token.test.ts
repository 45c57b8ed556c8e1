import { expect, test } from "vitest";
import { NumericsError, ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { makeOutputColumns, type OutputColumns, TOP_TOKENS } from "../store/outputs.ts";
import { type CommonIds, compareNextTokens, countCommon } from "./next-token.ts";
import { compareRowReference } from "./next-token-reference.ts";

type Rows = { base: number[][]; finetuned: number[][] };

function randomRows(seed: number, n: number, vocabulary: CommonIds["vocabulary"], spread = 8): Rows {
  const rows = (side: string, size: number): number[][] => {
    const rng = createRng(seed, side);
    return Array.from({ length: n }, (_, row) =>
      Array.from({ length: size }, (_, id) => Math.fround(spread * (2 * rng.uniform(row, id) - 1))),
    );
  };
  return { base: rows("base", vocabulary.base), finetuned: rows("finetuned", vocabulary.finetuned) };
}

function compare(
  rows: Rows,
  { excluded, next = rows.base.map(() => 0) }: { excluded?: Uint8Array; next?: number[] } = {},
): { columns: OutputColumns; outside: { base: number; finetuned: number } } {
  const columns = makeOutputColumns(rows.base.length);
  const outside = compareNextTokens({
    vocabulary: { base: rows.base[0].length, finetuned: rows.finetuned[0].length },
    excluded,
    logits: {
      base: Float32Array.from(rows.base.flat()),
      finetuned: Float32Array.from(rows.finetuned.flat()),
    },
    next: { base: Int32Array.from(next), finetuned: Int32Array.from(next) },
    into: columns,
    at: 0,
    place: (entry) => `entry ${entry}`,
  });
  return { columns, outside };
}

test("one pass gives what the formulas give, for equal and unequal vocabularies, with and without excluded ids", () => {
  const cases: { vocabulary: CommonIds["vocabulary"]; excluded?: number[]; spread?: number }[] = [
    { vocabulary: { base: 5, finetuned: 5 } },
    { vocabulary: { base: 257, finetuned: 257 } },
    { vocabulary: { base: 64, finetuned: 71 } },
    { vocabulary: { base: 71, finetuned: 64 }, excluded: [0, 5, 63] },
    // Differences of e^200: the rarer tokens underflow and the rest must not.
    { vocabulary: { base: 130, finetuned: 130 }, spread: 100 },
  ];
  for (const [seed, { vocabulary, excluded = [], spread }] of cases.entries()) {
    const n = 4;
    const rows = randomRows(seed, n, vocabulary, spread);
    const nShared = Math.min(vocabulary.base, vocabulary.finetuned);
    const marks = Uint8Array.from({ length: nShared }, (_, id) => (excluded.includes(id) ? 1 : 0));
    const common = Array.from({ length: nShared }, (_, id) => id).filter((id) => !excluded.includes(id));
    expect(countCommon({ vocabulary, excluded: marks })).toBe(common.length);
    const next = [0, 4, -1, 3];
    const { columns, outside } = compare(rows, { next, ...(excluded.length > 0 && { excluded: marks }) });
    const sums = { base: 0, finetuned: 0 };
    for (let i = 0; i < n; i += 1) {
      const expected = compareRowReference({ base: rows.base[i], finetuned: rows.finetuned[i] }, common);
      sums.base += expected.outside.base;
      sums.finetuned += expected.outside.finetuned;
      // Stored as f32: half a unit in the last place is 6e-8 of the value; the f64 sums of 257 terms lie far below.
      expect(columns.klFinetunedBase[i] / expected.klFinetunedBase).toBeCloseTo(1, 6);
      expect(columns.hasNext[i]).toBe(next[i] < 0 ? 0 : 1);
      for (const [side, nll, topToken, topProbability] of [
        ["base", columns.nllBase, columns.topTokenBase, columns.topProbabilityBase],
        ["finetuned", columns.nllFinetuned, columns.topTokenFinetuned, columns.topProbabilityFinetuned],
      ] as const) {
        if (next[i] < 0) expect(nll[i]).toBe(0);
        else expect(nll[i] / expected.nll[side][next[i]]).toBeCloseTo(1, 6);
        const top = [i * TOP_TOKENS, (i + 1) * TOP_TOKENS] as const;
        const ids = expected.ranking[side].slice(0, TOP_TOKENS);
        expect([...topToken.subarray(...top)]).toEqual(ids);
        topProbability.subarray(...top).forEach((probability, k) => {
          expect(probability / expected.probability[side][ids[k]]).toBeCloseTo(1, 6);
        });
      }
    }
    // 1 − a sum of shares: f64 rounding of the sum.
    expect(outside.base).toBeCloseTo(sums.base, 12);
    expect(outside.finetuned).toBeCloseTo(sums.finetuned, 12);
  }
});

test("equal rows have a KL of exactly 0, and a constant added to every logit changes nothing else", () => {
  const { base } = randomRows(3, 3, { base: 1000, finetuned: 1000 });
  const same = compare({ base, finetuned: base });
  expect([...same.columns.klFinetunedBase]).toEqual([0, 0, 0]);
  expect(same.columns.topTokenBase).toEqual(same.columns.topTokenFinetuned);
  const moved = compare({ base, finetuned: base.map((row) => row.map((x) => Math.fround(x) + 4)) });
  // Adding 4 in f32 rounds each logit by up to 2^-22: KL is of the order of its square.
  for (const kl of moved.columns.klFinetunedBase) expect(kl).toBeLessThan(1e-12);
});

test("two tokens by hand: p_finetuned (3/4, 1/4) against p_base (1/2, 1/2) is ln 2 − H", () => {
  // Three ids that no model ever says make up the five that a vocabulary must have.
  const never = [-1e4, -1e4, -1e4];
  const { columns } = compare(
    { base: [[0, 0, ...never]], finetuned: [[Math.log(3), 0, ...never]] },
    { next: [1] },
  );
  expect(columns.klFinetunedBase[0]).toBeCloseTo(0.75 * Math.log(1.5) + 0.25 * Math.log(0.5), 6);
  expect(columns.nllBase[0]).toBeCloseTo(Math.log(2), 6);
  expect(columns.nllFinetuned[0]).toBeCloseTo(Math.log(4), 6);
  expect([...columns.topTokenFinetuned.subarray(0, 2)]).toEqual([0, 1]);
});

test("of equal logits the lower ids come first", () => {
  const row = [1, 2, 2, 0, 2, 1, 1, 2];
  const { columns } = compare({ base: [row], finetuned: [row.toReversed()] });
  expect([...columns.topTokenBase]).toEqual([1, 2, 4, 7, 0]);
  expect([...columns.topTokenFinetuned]).toEqual([0, 3, 5, 6, 1]);
});

test("an id that stands for other tokens is left out of the KL and kept everywhere else", () => {
  const base = [0, 1, 2, 3, 4, 9];
  const finetuned = [0, 1, 2, 3, 4, -9];
  const excluded = Uint8Array.of(0, 0, 0, 0, 0, 1);
  const { columns, outside } = compare({ base: [base], finetuned: [finetuned] }, { excluded });
  expect(columns.klFinetunedBase[0]).toBe(0);
  expect(compare({ base: [base], finetuned: [finetuned] }).columns.klFinetunedBase[0]).toBeGreaterThan(1);
  expect(columns.topTokenBase[0]).toBe(5);
  expect(outside.base).toBeGreaterThan(0.9);
});

test("what is not finite is refused with its place, and so is a pair that shares no likely id", () => {
  const fine = [0, 1, 2, 3, 4, 5];
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const broken = [0, 1, 2, bad, 4, 5];
    const both: [Rows, RegExp][] = [
      [
        { base: [fine, broken], finetuned: [fine, fine] },
        /entry 1: base, token id 3: expected a finite logit/,
      ],
      [
        { base: [fine, fine], finetuned: [fine, broken] },
        /entry 1: finetuned, token id 3: expected a finite/,
      ],
    ];
    for (const [rows, message] of both) {
      expect(() => compare(rows)).toThrow(message);
      expect(() => compare(rows)).toThrow(NumericsError);
    }
  }
  const elsewhere = [...fine.map((x) => x - 1e5), 0];
  expect(() => compare({ base: [fine], finetuned: [elsewhere] })).toThrow(/ids they share, got 0/);
  const few = { base: [[1, 2, 3, 4]], finetuned: [[1, 2, 3, 4]] };
  expect(() => compare(few)).toThrow(ShapeError);
  expect(() => compare({ base: [fine], finetuned: [fine] }, { next: [6] })).toThrow(/next id below 6/);
});
