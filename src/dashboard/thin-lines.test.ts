import { describe, expect, test } from "vitest";
import { createRng } from "../numerics/rng.ts";
import type { TrainingLine } from "./api-contract.ts";
import { createLineThinner, MOST_LINES } from "./thin-lines.ts";
import { thinReference } from "./thin-lines-reference.ts";

/** Noise, with ties, steps without a number, and quantities that only some lines have. */
function logOf(nLines: number, { every = 1, first = 1 } = {}): TrainingLine[] {
  const rng = createRng(7, "thin");
  const value = (i: number, j: number): number | null => {
    const u = rng.uniform(i, j);
    return u < 0.03 ? null : Math.round(u * 20);
  };
  return Array.from({ length: nLines }, (_, i) => ({
    step: first + i * every,
    loss: value(i, 0),
    fve: { base: value(i, 1), finetuned: value(i, 2), total: value(i, 3) },
    l0: value(i, 4),
    dead: i,
    ...(i % 3 === 0 && { gradientNorm: value(i, 5) }),
  }));
}

const thinned = (lines: TrainingLine[], piece: number, buckets: number): TrainingLine[] => {
  const thinner = createLineThinner(buckets);
  for (let i = 0; i < lines.length; i += piece) thinner.add(lines.slice(i, i + piece));
  return thinner.lines();
};

describe("thinning a log", () => {
  test.each([
    ["fewer lines than buckets", logOf(5), 8],
    ["one bucket", logOf(40), 1],
    ["uneven buckets", logOf(300), 16],
    ["every 25 steps, resumed late", logOf(200, { every: 25, first: 1000 }), 10],
  ])("gives the lines of the reference, however it is fed: %s", (_, lines, buckets) => {
    const expected = thinReference(lines, buckets);
    for (const piece of [1, 7, lines.length]) expect(thinned(lines, piece, buckets)).toEqual(expected);
  });

  test("reading in between changes nothing of the end", () => {
    const lines = logOf(400);
    const thinner = createLineThinner(8);
    for (const line of lines) {
      thinner.add([line]);
      thinner.lines();
    }
    expect(thinner.lines()).toEqual(thinReference(lines, 8));
    expect(thinner.count()).toBe(400);
  });

  test("a spike of one step among 50,000 stays, and the lines are bounded", () => {
    const lines = logOf(50_000);
    lines[43_210].loss = 1e9;
    lines[7777].l0 = -1e9;
    const kept = thinned(lines, 5000, 256);
    expect(kept.length).toBeLessThanOrEqual(MOST_LINES);
    expect(kept).toContain(lines[43_210]);
    expect(kept).toContain(lines[7777]);
    expect(kept[0]).toBe(lines[0]);
    expect(kept.at(-1)).toBe(lines.at(-1));
  });

  test("a short log stays whole", () => {
    const lines = logOf(36, { every: 25, first: 25 });
    expect(thinned(lines, 3, 256)).toEqual(lines);
  });
});
