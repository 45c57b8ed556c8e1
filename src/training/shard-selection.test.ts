// Selection over shards against selection by sorting (dictionary/select.ts), which knows nothing of shards.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localCollectives } from "../compute/collective.ts";
import { selectBatchTopKReference, selectTopKReference } from "../dictionary/select.ts";
import { shardBorders } from "./engine.ts";
import type { EngineOptions } from "./engine-contract.ts";
import { selectTopOfRows } from "./row-selection.ts";
import { createShardMemory } from "./shard-memory.ts";
import { nextBoundFactor, type Selected, selectBatchTopK, tilesOf } from "./shard-selection.ts";

interface Problem {
  /** [nRows, nLatents] row-major. */
  pre: Float32Array;
  weight: Float32Array;
  nRows: number;
  k: number;
  nShards: number;
  tileLatents: number;
}

/** The shards' memories, each holding its latents' pre-activations in tiles. */
function shardsOf({ pre, weight, nRows, k, nShards, tileLatents }: Problem) {
  const nLatents = weight.length;
  const borders = shardBorders(nLatents, nShards);
  const options: EngineOptions = {
    ...{ nLatents, width: 1, siteOffsets: [0, 1], batchRows: nRows, largestK: k },
    ...{ auxLatents: k, auxAlpha: 1, deadAfterRows: 1 },
  };
  return localCollectives(nShards).map((collective, rank) => {
    const [first, own] = [borders[rank], borders[rank + 1] - borders[rank]];
    const memory = createShardMemory(options, { nLatents: own, width: 1, batchRows: nRows });
    memory.weight.set(weight.subarray(first, first + own));
    const tiles = { pre: memory.pre, weight: memory.weight, nRows, nLatents: own, tileLatents };
    for (const tile of tilesOf(tiles)) {
      for (let row = 0; row < nRows; row += 1) {
        for (let j = 0; j < tile.nLatents; j += 1) {
          tile.pre[row * tile.nLatents + j] = pre[row * nLatents + first + tile.firstLatent + j];
        }
      }
    }
    return { first, memory, tiles, collective };
  });
}

type ShardSetUp = ReturnType<typeof shardsOf>[number];

/** What all shards kept, as dense codes. */
function codesOf(
  problem: Problem,
  kept: { shard: ShardSetUp; count: number }[],
  which: "kept" | "auxiliary",
) {
  const codes = new Float32Array(problem.pre.length);
  for (const { shard, count } of kept) {
    const { row, latent, code } = shard.memory[which].entries;
    for (let entry = 0; entry < count; entry += 1) {
      codes[row[entry] * problem.weight.length + shard.first + latent[entry]] = code[entry];
    }
  }
  return codes;
}

async function batchTopK(
  problem: Problem,
  bound: number,
): Promise<{ codes: Float32Array; results: Selected[] }> {
  const rank = problem.nRows * Math.min(problem.k, problem.weight.length);
  const shards = shardsOf(problem);
  const results = await Promise.all(
    shards.map(({ memory, tiles, collective }) => {
      let found = 0;
      if (bound > 0) {
        for (const { firstLatent, ...tile } of tilesOf(tiles)) {
          const options = { firstLatent, bound, entries: memory.kept.entries, count: found };
          found = memory.kernels.collectEntries(tile, options);
        }
      }
      return selectBatchTopK({ memory, tiles, collective, rank, bound, found });
    }),
  );
  const kept = shards.map((shard, i) => ({ shard, count: results[i].count }));
  return { codes: codesOf(problem, kept, "kept"), results };
}

const coarse = fc.integer({ min: -4, max: 6 }).map((value) => value / 2);
const problems = fc
  .record({
    weight: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 40 }),
    nRows: fc.integer({ min: 1, max: 6 }),
    k: fc.integer({ min: 1, max: 6 }),
    nShards: fc.integer({ min: 1, max: 4 }),
    tileLatents: fc.constantFrom(3, 16, 64),
    values: fc.infiniteStream(coarse),
  })
  .map(({ weight, nRows, values, ...rest }): Problem => {
    const pre = Float32Array.from({ length: nRows * weight.length }, () => values.next().value as number);
    return { ...rest, nRows, pre, weight: Float32Array.from(weight) };
  });

describe("BatchTopK over shards equals selection by sorting", () => {
  test("for any number of shards, any bound, with ties, zeros and too few positive codes", async () => {
    const property = fc.asyncProperty(
      problems,
      fc.constantFrom(0, 0.25, 1, 3, 100),
      async (problem, bound) => {
        const { codes, results } = await batchTopK(problem, bound);
        const rank = problem.nRows * Math.min(problem.k, problem.weight.length);
        const want = selectBatchTopKReference(problem.pre, problem.weight, rank);
        expect(codes).toEqual(want);
        const activations = want.map((code, i) => code * problem.weight[i % problem.weight.length]);
        const smallest = activations.filter((value) => value > 0).reduce((a, b) => Math.min(a, b), 100);
        for (const result of results) expect(result.smallest).toBe(smallest === 100 ? 0 : smallest);
      },
    );
    await fc.assert(property, { seed: 3, numRuns: 200 });
  });

  test("when every activation is the same, more than the lists can hold", async () => {
    for (const nShards of [1, 3]) {
      const problem = {
        ...{ pre: new Float32Array(6 * 40).fill(0.5), weight: new Float32Array(40).fill(2) },
        ...{ nRows: 6, k: 2, nShards, tileLatents: 16 },
      };
      for (const bound of [0, 0.5]) {
        const { codes } = await batchTopK(problem, bound);
        expect(codes).toEqual(selectBatchTopKReference(problem.pre, problem.weight, 12));
      }
    }
  });

  test("an infinite activation is kept like any other", async () => {
    const pre = Float32Array.of(1, Number.POSITIVE_INFINITY, 2, 3, -1, 0);
    const problem = { pre, weight: new Float32Array(3).fill(1), nRows: 2, k: 1, nShards: 2, tileLatents: 16 };
    expect([...(await batchTopK(problem, 0)).codes]).toEqual([0, Number.POSITIVE_INFINITY, 0, 3, 0, 0]);
  });
});

test("the largest of each row over shards equal selection by sorting, row by row", async () => {
  const property = fc.asyncProperty(problems, async (problem) => {
    const shards = shardsOf(problem);
    const counts = await Promise.all(
      shards.map(({ memory, tiles, collective }) => {
        const nList = tiles.nLatents;
        for (let j = 0; j < nList; j += 1) memory.latentList[j] = j;
        const { entries } = memory.auxiliary;
        return selectTopOfRows({ memory, tiles, collective, entries, nList, most: problem.k });
      }),
    );
    const kept = shards.map((shard, i) => ({ shard, count: counts[i] }));
    expect(codesOf(problem, kept, "auxiliary")).toEqual(
      selectTopKReference(problem.pre, problem.weight, problem.k),
    );
  });
  await fc.assert(property, { seed: 4, numRuns: 200 });
});

test("the bound moves away from too few candidates and from too many, and stays where it is right", () => {
  expect(nextBoundFactor(0.8, 1.5)).toBe(0.8);
  expect(nextBoundFactor(0.8, 0.9)).toBeLessThan(0.8);
  expect(nextBoundFactor(0.8, Number.POSITIVE_INFINITY)).toBeGreaterThan(0.8);
  expect(nextBoundFactor(0.5, 0)).toBe(0.5);
  let factor = 0.8;
  for (let i = 0; i < 20; i += 1) factor = nextBoundFactor(factor, 9);
  expect(factor).toBeLessThan(1);
});
