import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, MismatchError, NumericsError, ShapeError } from "../errors.ts";
import { createFrequentTokens, type FrequentTokens } from "./frequent-tokens.ts";

const CAPACITY = 3;
const create = (nLatents = 1): FrequentTokens =>
  createFrequentTokens({ name: "t", nLatents, capacity: CAPACITY });

const truthOf = (tokens: readonly number[]): Map<number, number> => {
  const truth = new Map<number, number>();
  for (const token of tokens) truth.set(token, (truth.get(token) ?? 0) + 1);
  return truth;
};

/** Some tokens much more frequent than others, so that counters are fought over. */
const token = fc.oneof(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 12 }));
const stream = fc.array(token, { maxLength: 80 });

/** Every count is a lower bound, and no token was seen more than errorBound more often than its count. */
function expectBounds(summary: FrequentTokens, tokens: readonly number[]): void {
  const truth = truthOf(tokens);
  const listed = new Map(summary.top(0, CAPACITY).map((t) => [t.token, t.count]));
  const bound = summary.errorBound(0);
  expect(summary.seen(0)).toBe(tokens.length);
  expect(bound).toBeLessThanOrEqual(tokens.length / (CAPACITY + 1));
  for (const [token, count] of listed) expect(count).toBeLessThanOrEqual(truth.get(token) ?? 0);
  for (const [token, count] of truth) expect((listed.get(token) ?? 0) + bound).toBeGreaterThanOrEqual(count);
}

describe("frequent tokens", () => {
  test("are counted exactly while there are at most as many as counters", () => {
    const summary = create(2);
    for (const t of [9, 4, 9, 7, 9, 4]) summary.add(1, t);
    expect(summary.top(1, 5)).toEqual([
      { token: 9, count: 3 },
      { token: 4, count: 2 },
      { token: 7, count: 1 },
    ]);
    expect(summary.top(1, 1)).toEqual([{ token: 9, count: 3 }]);
    expect([summary.seen(1), summary.errorBound(1)]).toEqual([6, 0]);
    expect([summary.top(0, 5), summary.seen(0), summary.errorBound(0)]).toEqual([[], 0, 0]);
  });

  test("of equal counts the lower token comes first", () => {
    const summary = create();
    for (const t of [8, 2, 5]) summary.add(0, t);
    expect(summary.top(0, 3).map((t) => t.token)).toEqual([2, 5, 8]);
  });

  test("are never overcounted, and undercounted by at most the bound, in one stream", () => {
    const property = fc.property(stream, (tokens) => {
      const summary = create();
      for (const t of tokens) summary.add(0, t);
      expectBounds(summary, tokens);
    });
    fc.assert(property, { seed: 3, numRuns: 200 });
  });

  test("keep that bound when the summaries of groups are merged, also after a merge of merges", () => {
    const property = fc.property(fc.array(stream, { minLength: 1, maxLength: 5 }), (groups) => {
      const worker = create();
      const parts = groups.map((tokens) => {
        for (const t of tokens) worker.add(0, t);
        return worker.takeArrays();
      });
      const merged = create();
      for (const part of parts) merged.merge(part);
      expectBounds(merged, groups.flat());
      const again = create();
      again.merge(merged.takeArrays());
      again.merge(parts[0]);
      expectBounds(again, [...groups.flat(), ...groups[0]]);
    });
    fc.assert(property, { seed: 4, numRuns: 200 });
  });

  test("merge as Agarwal et al. write it: sums, less the (capacity + 1)-th largest", () => {
    const property = fc.property(stream, stream, (a, b) => {
      const [left, right] = [create(), create()];
      for (const t of a) left.add(0, t);
      for (const t of b) right.add(0, t);
      const sums = new Map<number, number>();
      for (const { token, count } of [...left.top(0, CAPACITY), ...right.top(0, CAPACITY)]) {
        sums.set(token, (sums.get(token) ?? 0) + count);
      }
      const off = [...sums.values()].sort((x, y) => y - x)[CAPACITY] ?? 0;
      const want = [...sums]
        .map(([token, count]) => ({ token, count: count - off }))
        .filter(({ count }) => count > 0)
        .sort((x, y) => y.count - x.count || x.token - y.token);
      left.merge(right.takeArrays());
      expect(left.top(0, CAPACITY)).toEqual(want);
    });
    fc.assert(property, { seed: 5, numRuns: 200 });
  });

  test("a part merged into an empty summary comes out with the same bytes; taking leaves it empty", () => {
    const summary = create(4);
    for (let i = 0; i < 300; i += 1) summary.add(i % 3, (i * i) % 11);
    const part = summary.takeArrays();
    expect(summary.takeArrays()["t.latent"]).toHaveLength(0);
    summary.merge(part);
    expect(summary.takeArrays()).toEqual(part);
  });

  test("parts in the same order give the same bytes, also with fewer distinct tokens than counters in any order", () => {
    const worker = create(2);
    const parts = [0, 1, 2].map((group) => {
      for (let i = 0; i < 10 + group; i += 1) worker.add(i % 2, i % 4 < 2 ? 5 : 6);
      return worker.takeArrays();
    });
    const bytes = [
      [0, 1, 2],
      [2, 0, 1],
    ].map((order) => {
      const merged = create(2);
      for (const group of order) merged.merge(parts[group]);
      return merged.takeArrays();
    });
    expect(bytes[0]).toEqual(bytes[1]);
  });

  test("refuse parts of another capacity, too many counters and counts beyond 32 bits", () => {
    const summary = create();
    summary.add(0, 1);
    const part = summary.takeArrays();
    const other = createFrequentTokens({ name: "t", nLatents: 1, capacity: CAPACITY + 1 });
    expect(() => other.merge(part)).toThrow(MismatchError);
    const crowded = { ...part, "t.used": Uint8Array.of(CAPACITY + 1) };
    expect(() => summary.merge(crowded)).toThrow(FormatError);
    summary.merge({ ...part, "t.seen": Uint32Array.of(0xffffffff) });
    expect(() => summary.add(0, 1)).toThrow(NumericsError);
    expect(() => createFrequentTokens({ name: "t", nLatents: 1, capacity: 256 })).toThrow(ShapeError);
  });
});
