import { expect, test } from "vitest";
import { readWindowTokens } from "./window-tokens.ts";

test("windows get their own tokens in their own order, and rows are read in ascending blocks", async () => {
  const nRows = 100_000;
  const reads: [number, number][] = [];
  const source = {
    manifest: { nRows },
    readFacts: async (from: number, to: number) => {
      reads.push([from, to]);
      return { tokenFinetuned: Uint32Array.from({ length: to - from }, (_, i) => 7 * (from + i)) };
    },
  } as unknown as Parameters<typeof readWindowTokens>[0];
  const starts = [99_990, 3, 40_000, 5, 16_380, 40_010];
  const windows = starts.map((windowStart) => ({
    windowStart,
    windowEnd: Math.min(windowStart + 25, nRows),
  }));
  const tokens = await readWindowTokens(source, windows);
  for (const [i, { windowStart, windowEnd }] of windows.entries()) {
    expect(Array.from(tokens[i])).toEqual(
      Array.from({ length: windowEnd - windowStart }, (_, at) => 7 * (windowStart + at)),
    );
  }
  expect(reads.map(([from]) => from)).toEqual([3, 16_380, 40_000, 99_990]);
  expect(reads.every(([, to]) => to <= nRows)).toBe(true);
});
