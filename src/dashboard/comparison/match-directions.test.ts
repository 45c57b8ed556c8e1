import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGemm, type Gemm } from "../../compute/gemm.ts";
import type { Dictionary } from "../../dictionary/dictionary.ts";
import { InterruptedError, MismatchError } from "../../errors.ts";
import { decoderRows } from "../../measure/cosine-tiles.ts";
import { mutualNearest } from "../../measure/stability.ts";
import { decoderOf, permuted, randomDictionary } from "./comparison.test.helper.ts";
import type { DecoderFile, DecoderHalf } from "./decoder-rows.ts";
import type { Asked } from "./match-contract.ts";
import { matchDirections } from "./match-directions.ts";
import { nearestDirections } from "./nearest-directions.ts";
import { cosine, nearestDirectionsReference } from "./nearest-directions-reference.ts";

const N = 23;
const ORDER = Array.from({ length: N }, (_, j) => (j * 7 + 3) % N);
/** Small and uneven, so that every latent meets a boundary of tiles. */
const TILE = { rows: 4, columns: 5 };

let root: string;
let gemm: Gemm;
const opened: DecoderFile[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-compare-"));
  gemm = await createGemm({ threads: 1 });
});
afterAll(async () => {
  for (const file of opened) await file.close();
  await gemm.dispose();
  await rm(root, { recursive: true, force: true });
});

async function written(dictionary: Dictionary): Promise<DecoderFile> {
  const file = await decoderOf(join(root, String(opened.length)), dictionary);
  opened.push(file);
  return file;
}
const halfOf = (file: DecoderFile, model: "base" | "finetuned"): DecoderHalf =>
  file.half(model) as DecoderHalf;
const all = (n: number, side: (latent: number) => number = () => 1): Asked => ({
  latents: Uint32Array.from({ length: n }, (_, i) => i),
  sides: Uint8Array.from({ length: n }, (_, i) => side(i)),
});
const dictionary = randomDictionary({ nLatents: N, widths: [6, 9] });
const other = randomDictionary({ nLatents: N + 8, widths: [6, 9], seed: 8 });

describe.each(["base", "finetuned"] as const)("the nearest %s rows", (model) => {
  test("in tiles of any size are those of every cosine in f64, and those that stability takes", async () => {
    const [a, b] = [await written(dictionary), await written(other)];
    const { latents } = all(N);
    const question = { from: halfOf(a, model), latents, among: halfOf(b, model) };
    const expected = await nearestDirectionsReference(question);
    for (const tile of [TILE, { rows: 1, columns: 1 }, { rows: 100, columns: 100 }])
      expect(Array.from(await nearestDirections({ ...question, gemm, tile })), JSON.stringify(tile)).toEqual(
        expected,
      );
    const some = Uint32Array.of(2, 3, 11, 22);
    expect(Array.from(await nearestDirections({ ...question, latents: some, gemm, tile: TILE }))).toEqual(
      Array.from(some, (latent) => expected[latent]),
    );
    const site = model === "base" ? 0 : 1;
    const whole = await mutualNearest(decoderRows(dictionary, site), decoderRows(other, site), { gemm });
    expect(whole.map(({ partner }) => partner)).toEqual(expected);
  });
});

test("a row without a direction is nobody's nearest, and has none", async () => {
  const silent = randomDictionary({ nLatents: 6, seed: 5 });
  silent.decoderWeight.fill(0, 2 * silent.width, 3 * silent.width);
  // All others point away from it: a cosine of 0 would be the greatest.
  for (let i = 0; i < silent.decoderWeight.length; i += 1)
    silent.decoderWeight[i] = -Math.abs(silent.decoderWeight[i]);
  const asking = randomDictionary({ nLatents: 6, seed: 6 });
  for (let i = 0; i < asking.decoderWeight.length; i += 1)
    asking.decoderWeight[i] = Math.abs(asking.decoderWeight[i]);
  const [a, b] = [halfOf(await written(asking), "base"), halfOf(await written(silent), "base")];
  const { latents } = all(6);
  const forward = await nearestDirections({ from: a, latents, among: b, gemm, tile: TILE });
  expect(Array.from(forward)).not.toContain(2);
  expect(Array.from(forward)).not.toContain(-1);
  expect(Array.from(await nearestDirections({ from: b, latents, among: a, gemm, tile: TILE }))[2]).toBe(-1);
});

test("a permuted dictionary matches itself exactly, whatever the sides", async () => {
  const [a, b] = [await written(dictionary), await written(permuted(dictionary, ORDER))];
  const { a: found, b: back } = await matchDirections({
    ...{ halves: ["base", "finetuned"], tile: TILE },
    a: { decoder: a, asked: all(N, (latent) => latent % 2) },
    b: { decoder: b, asked: all(N, (latent) => ORDER[latent] % 2) },
  });
  expect(Array.from(found.partner)).toEqual(Array.from({ length: N }, (_, latent) => ORDER.indexOf(latent)));
  expect(Array.from(back.partner)).toEqual(ORDER);
  for (const matches of [found, back]) {
    expect(matches.mutual.every((one) => one === 1)).toBe(true);
    expect(matches.compared.every((one) => one === 1)).toBe(true);
    // f64 sums of f32 products: the same numbers over the root of their squares.
    for (const name of ["score", "cosineBase", "cosineFinetuned", "cosineJoint"] as const)
      for (const value of matches[name]) expect(value).toBeCloseTo(1, 12);
  }
});

test("cosines are those of the stored rows: along each half, and of both side by side", async () => {
  const [a, b] = [await written(dictionary), await written(other)];
  const { a: found } = await matchDirections({
    ...{ halves: ["base", "finetuned"], tile: TILE },
    a: { decoder: a, asked: { latents: Uint32Array.of(4, 9), sides: Uint8Array.of(0, 1) } },
    b: { decoder: b, asked: all(0) },
  });
  const row = ({ decoderWeight, width }: Dictionary, latent: number) =>
    decoderWeight.subarray(latent * width, (latent + 1) * width);
  for (const i of [0, 1]) {
    const [x, y] = [row(dictionary, found.latents[i]), row(other, found.partner[i])];
    expect(found.cosineBase[i]).toBeCloseTo(cosine(x.subarray(0, 6), y.subarray(0, 6)), 12);
    expect(found.cosineFinetuned[i]).toBeCloseTo(cosine(x.subarray(6), y.subarray(6)), 12);
    expect(found.cosineJoint[i]).toBeCloseTo(cosine(x, y), 12);
  }
  expect(Array.from(found.score)).toEqual([found.cosineBase[0], found.cosineFinetuned[1]]);
});

test("mutual is asked of all latents, not only of those that look for a partner", async () => {
  // Latent 1 of a, which is not asked, is nearer to latent 0 of b than latent 0 of a is.
  const [mine, theirs] = [
    randomDictionary({ nLatents: 2, widths: [2, 2] }),
    randomDictionary({ nLatents: 1, widths: [2, 2] }),
  ];
  mine.decoderWeight.set([1, 0, 1, 0.5, 1, 0, 1, 0.1]);
  theirs.decoderWeight.set([1, 0, 1, 0]);
  const [a, b] = [await written(mine), await written(theirs)];
  const ask = (latents: number[]) =>
    matchDirections({
      halves: ["finetuned"],
      a: {
        decoder: a,
        asked: { latents: Uint32Array.from(latents), sides: new Uint8Array(latents.length).fill(1) },
      },
      b: { decoder: b, asked: all(0) },
    });
  expect(Array.from((await ask([0])).a.mutual)).toEqual([0]);
  expect(Array.from((await ask([0, 1])).a.mutual)).toEqual([0, 1]);
});

test("a half that does not compare leaves its latents without a partner", async () => {
  const [a, b] = [await written(dictionary), await written(other)];
  const { a: found } = await matchDirections({
    halves: ["base"],
    a: { decoder: a, asked: all(N, (latent) => latent % 2) },
    b: { decoder: b, asked: all(0) },
  });
  for (let latent = 0; latent < N; latent += 1) {
    const isBase = latent % 2 === 0;
    expect([found.compared[latent] === 1, found.partner[latent] >= 0], String(latent)).toEqual([
      isBase,
      isBase,
    ]);
    expect(Number.isNaN(found.score[latent])).toBe(!isBase);
    expect([Number.isNaN(found.cosineFinetuned[latent]), Number.isNaN(found.cosineJoint[latent])]).toEqual([
      true,
      true,
    ]);
  }
});

test("halves of different width are refused, and a stopped matching ends between tiles", async () => {
  const [a, b] = [
    await written(dictionary),
    await written(randomDictionary({ nLatents: 4, widths: [6, 6] })),
  ];
  const question = { latents: all(N).latents, gemm, tile: TILE };
  await expect(
    nearestDirections({ ...question, from: halfOf(a, "finetuned"), among: halfOf(b, "finetuned") }),
  ).rejects.toThrow(MismatchError);
  const stop = new AbortController();
  let tiles = 0;
  const onTile = (): void => {
    tiles += 1;
    if (tiles === 3) stop.abort();
  };
  await expect(
    nearestDirections({
      ...question,
      from: halfOf(a, "base"),
      among: halfOf(b, "base"),
      onTile,
      signal: stop.signal,
    }),
  ).rejects.toThrow(InterruptedError);
  expect(tiles).toBe(3);
});
