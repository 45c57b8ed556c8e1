// The lens against its slow twin, its selection against sorting, and its table against itself.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Dictionary } from "../dictionary/dictionary.ts";
import { ConfigError, FormatError, InterruptedError, MismatchError, NumericsError } from "../errors.ts";
import type { Unembedding } from "../lm/runner.ts";
import { createRng } from "../numerics/rng.ts";
import { lens, readLens, SILENT_SIDE_SHARE, writeLens } from "./lens.ts";
import type { TokenScore } from "./lens-contract.ts";
import { lensScoresReference } from "./lens-reference.ts";
import { topTokens } from "./top-tokens.ts";

function normals(purpose: string, size: number): Float32Array {
  const rng = createRng(3, purpose);
  return Float32Array.from({ length: size }, (_, i) => rng.normal(0, i));
}

function unembedding(name: string, vocab: number, dModel: number): Unembedding {
  return { vocab, dModel, head: normals(`${name}.head`, vocab * dModel), finalNorm: normals(name, dModel) };
}

const WIDTHS = { base: 6, finetuned: 9 };
const WIDTH = WIDTHS.base + WIDTHS.finetuned;

function dictionaryOf(nLatents: number): Dictionary {
  return {
    sites: [
      { name: "base-L1", model: "base", layer: 1, width: WIDTHS.base },
      { name: "finetuned-L1", model: "finetuned", layer: 1, width: WIDTHS.finetuned },
    ],
    nLatents,
    width: WIDTH,
    encoderWeight: new Float32Array(nLatents * WIDTH),
    encoderBias: new Float32Array(nLatents),
    decoderWeight: normals("decoder", nLatents * WIDTH),
    decoderBias: new Float32Array(WIDTH),
    k: 2,
    inferenceThreshold: -1,
    normaliser: undefined,
  };
}

// Different vocabularies and widths on purpose: each side must be read through its own model.
const unembeddings = {
  base: unembedding("base", 23, WIDTHS.base),
  finetuned: unembedding("finetuned", 31, WIDTHS.finetuned),
};
const tokenString = (id: number): string => `<${id}>`;

describe("lens", () => {
  test("each side's lists are the extremes of head · (finalNorm ⊙ d/‖d‖) of its own model", async () => {
    const dictionary = dictionaryOf(300); // more than one block
    const rows = await lens({ dictionary, unembeddings, tokenString, threads: 1 });
    expect(rows.map(({ latent }) => latent)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    const check = (promoted: TokenScore[], suppressed: TokenScore[], scores: Float64Array): void => {
      const ids = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
      expect(promoted.map(({ tokenId }) => tokenId)).toEqual(ids.slice(0, 10));
      expect(suppressed.map(({ tokenId }) => tokenId)).toEqual(ids.reverse().slice(0, 10));
      for (const { token, tokenId, score } of [...promoted, ...suppressed]) {
        expect(token).toBe(tokenString(tokenId));
        expect(score).toBeCloseTo(scores[tokenId], 5); // f32 sum of at most 9 terms of order one
      }
    };
    for (const row of rows) {
      const decoder = dictionary.decoderWeight.subarray(row.latent * WIDTH, (row.latent + 1) * WIDTH);
      const [base, finetuned] = [decoder.subarray(0, WIDTHS.base), decoder.subarray(WIDTHS.base)];
      check(row.promotedBase, row.suppressedBase, lensScoresReference(base, unembeddings.base));
      check(
        row.promotedFinetuned,
        row.suppressedFinetuned,
        lensScoresReference(finetuned, unembeddings.finetuned),
      );
    }
  });

  test("scaling a site's decoder, as a normaliser does, leaves its lists as they are", async () => {
    const dictionary = dictionaryOf(3);
    const scaled = { ...dictionary, decoderWeight: dictionary.decoderWeight.map((value) => value * 8) };
    const run = (from: Dictionary) => lens({ dictionary: from, unembeddings, tokenString, threads: 1 });
    expect(await run(scaled)).toEqual(await run(dictionary));
  });

  test("only the latents asked for are read, in the order asked for, with topK tokens", async () => {
    const dictionary = dictionaryOf(5);
    const options = { dictionary, unembeddings, tokenString, threads: 1 };
    const all = await lens({ ...options, topK: 2 });
    const some = await lens({ ...options, topK: 2, latents: [4, 1] });
    expect(some).toEqual([all[4], all[1]]);
    expect(some[0].promotedBase).toHaveLength(2);
    expect((await lens({ ...options, topK: 99, latents: [0] }))[0].promotedBase).toHaveLength(23);
  });

  test("a side whose decoder is almost nothing gets empty lists, the other side keeps its own", async () => {
    const dictionary = dictionaryOf(3);
    const shrink = [0, SILENT_SIDE_SHARE / 10, 100 * SILENT_SIDE_SHARE];
    for (let i = 0; i < 3 * WIDTH; i += 1) {
      if (i % WIDTH < WIDTHS.base) dictionary.decoderWeight[i] *= shrink[Math.floor(i / WIDTH)];
    }
    const rows = await lens({ dictionary, unembeddings, tokenString, threads: 1 });
    expect(rows.map(({ promotedBase }) => promotedBase.length)).toEqual([0, 0, 10]);
    expect(rows.map(({ suppressedBase }) => suppressedBase.length)).toEqual([0, 0, 10]);
    expect(rows.map(({ promotedFinetuned }) => promotedFinetuned.length)).toEqual([10, 10, 10]);
  });

  test("wrong widths, latents outside, NaN decoders and an abort are refused by name", async () => {
    const dictionary = dictionaryOf(2);
    const options = { dictionary, unembeddings, tokenString, threads: 1 };
    const swapped = { base: unembeddings.finetuned, finetuned: unembeddings.base };
    await expect(lens({ ...options, unembeddings: swapped })).rejects.toThrow(MismatchError);
    await expect(lens({ ...options, latents: [2] })).rejects.toThrow(ConfigError);
    await expect(lens({ ...options, signal: AbortSignal.abort() })).rejects.toThrow(InterruptedError);
    dictionary.decoderWeight[WIDTH] = Number.NaN;
    await expect(lens(options)).rejects.toThrow(NumericsError);
  });
});

test("topTokens equals a stable sort, ties by id, for odd sizes", () => {
  for (const size of [0, 1, 7, 40]) {
    // Few distinct values, so that ties are common.
    const scores = normals(`scores ${size}`, size).map((value) => Math.round(2 * value));
    const ids = [...scores.keys()];
    const { highest, lowest } = topTokens(scores, 5);
    expect(highest).toEqual(ids.toSorted((a, b) => scores[b] - scores[a] || a - b).slice(0, 5));
    expect(lowest).toEqual(ids.toSorted((a, b) => scores[a] - scores[b] || a - b).slice(0, 5));
  }
});

test("the table gives back what was written, odd tokens included, and refuses a damaged file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-lens-"));
  const odd = ['"', "\n", "é", "\ud83d\ude00", "\u0000", "</script>"];
  const rows = await lens({
    dictionary: dictionaryOf(4),
    unembeddings,
    tokenString: (id) => odd[id % odd.length],
    latents: [3, 0],
    threads: 1,
  });
  rows[0].promotedBase = [];
  await writeLens(folder, rows);
  expect(await readLens(folder)).toEqual(rows);
  await writeFile(join(folder, "tables", "lens.parquet"), "PAR1 but no more");
  await expect(readLens(folder)).rejects.toThrow(FormatError);
  await rm(folder, { recursive: true });
  await expect(readLens(folder)).rejects.toThrow(FormatError);
});
