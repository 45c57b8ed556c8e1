import { describe, expect, test } from "vitest";
import type { SparseCodes } from "../dictionary/dictionary.ts";
import { createMemoryStore, type MemoryDocument, pairSites } from "../measure/memory-store.test.helper.ts";
import { createRng } from "../numerics/rng.ts";
import { turnPass } from "./turn-maxima.ts";
import type { AssistantTurn } from "./turns.ts";

const N_LATENTS = 7;
const N_ROWS = 60;
const rng = createRng(2, "turn-maxima");
/** Code of a latent in a row, mostly 0; row 0 is a BOS row on which everything fires. */
const codeAt = (row: number, latent: number): number =>
  row === 0 ? 9 : rng.uniform(row, latent) < 0.6 ? Math.fround(rng.uniform(row, latent + 50)) : 0;
const weight = Float32Array.from({ length: N_LATENTS }, (_, j) => 1 + j);

const documents: MemoryDocument[] = [
  {
    split: "test",
    tokens: Array.from({ length: N_ROWS }, (_, row) => ({
      role: row === 0 ? ("bos" as const) : ("assistant" as const),
      activation: [row, 0],
    })),
  },
];
/** Regions that overlap by two rows, as when the assistant speaks twice, and rows in no region. */
const turns = [
  [0, 10],
  [8, 20],
  [18, 30],
  [40, 55],
].map(
  ([from, to], turn): AssistantTurn => ({
    document: 0,
    turn,
    split: "test",
    rows: Uint32Array.from({ length: to - from }, (_, i) => from + i),
  }),
);

const encode = async (x: Float32Array, nRows: number): Promise<SparseCodes> => {
  const rowStart = new Uint32Array(nRows + 1);
  const latent: number[] = [];
  const code: number[] = [];
  for (let i = 0; i < nRows; i += 1) {
    for (let j = 0; j < N_LATENTS; j += 1) {
      const f = codeAt(x[2 * i], j);
      if (f === 0) continue;
      latent.push(j);
      code.push(f);
    }
    rowStart[i + 1] = latent.length;
  }
  return { nRows, rowStart, latent: Uint32Array.from(latent), code: Float32Array.from(code) };
};

describe("the pass over turns", () => {
  test("gives every latent's maximum over every region, shared rows and batch borders included, BOS left out", async () => {
    for (const maxRows of [1, 4, 1000]) {
      const { maxima, firings } = await turnPass({
        store: createMemoryStore(pairSites(1), documents),
        encoder: { maxRows, encode, dispose: async () => {} },
        normalise: () => {},
        nLatents: N_LATENTS,
        activationWeight: weight,
        splits: ["test"],
        turns,
        claimed: [3],
      });
      for (let j = 0; j < N_LATENTS; j += 1) {
        const expected = turns.flatMap(({ rows }, t) => {
          const most = Math.max(...Array.from(rows, (row) => (row === 0 ? 0 : codeAt(row, j) * weight[j])));
          return most > 0 ? [[t, Math.fround(most)]] : [];
        });
        const got = [];
        for (let e = maxima.latentStart[j]; e < maxima.latentStart[j + 1]; e += 1) {
          got.push([maxima.turn[e], maxima.maximum[e]]);
        }
        got.sort(([a], [b]) => a - b);
        expect(got, `latent ${j}`).toEqual(expected);
      }
      const fired = Array.from({ length: N_ROWS }, (_, row) => row).filter(
        (row) => row > 0 && codeAt(row, 3) > 0,
      );
      expect(Array.from(firings.get(3)!.rows)).toEqual(fired);
      expect(firings.has(2)).toBe(false);
    }
  });
});
