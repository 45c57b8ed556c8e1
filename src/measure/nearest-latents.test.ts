import { describe, expect, test } from "vitest";
import { randomDictionary } from "../dictionary/dictionary.test.helper.ts";
import { InterruptedError } from "../errors.ts";
import { crossPairs, type NearestLatents, nearestLatents } from "./nearest-latents.ts";
import { cosineReference, nearestReference } from "./nearest-latents-reference.ts";

function expectAgreement(fast: NearestLatents, slow: NearestLatents): void {
  expect([...fast.neighbour]).toEqual([...slow.neighbour]);
  fast.cosine.forEach((cosine, at) => {
    if (Number.isNaN(slow.cosine[at])) expect(cosine).toBeNaN();
    else expect(cosine).toBeCloseTo(slow.cosine[at], 12); // f64 sums in two orders
  });
}

/** 0 where a latent's row at a site is to be no direction. */
function silence(dictionary: ReturnType<typeof randomDictionary>, latent: number, site: 0 | 1): void {
  const { width, sites, decoderWeight } = dictionary;
  const from = latent * width + (site === 0 ? 0 : sites[0].width);
  decoderWeight.fill(0, from, from + sites[site].width);
}

describe("tiles agree with all cosines of one row, sorted", () => {
  for (const [nLatents, tile] of [
    [1, undefined],
    [3, undefined],
    [57, { rows: 8, columns: 13 }],
    [64, { rows: 16, columns: 16 }],
    [130, undefined],
  ] as const) {
    test(`${nLatents} latents, tiles ${tile === undefined ? "by default" : `${tile.rows} × ${tile.columns}`}`, async () => {
      const dictionary = randomDictionary({ widths: [5, 5], nLatents });
      silence(dictionary, nLatents - 1, 0);
      if (nLatents > 2) silence(dictionary, 1, 1);
      const found = await nearestLatents(dictionary, { threads: 1, tile });
      expectAgreement(found.finetuned, nearestReference(dictionary, { a: 1, b: 1, count: 3 }));
      expectAgreement(found.base, nearestReference(dictionary, { a: 0, b: 0, count: 3 }));
      expectAgreement(found.crossFinetuned!, nearestReference(dictionary, { a: 1, b: 0, count: 3 }));
      expectAgreement(found.crossBase!, nearestReference(dictionary, { a: 0, b: 1, count: 3 }));
    });
  }
});

test("a latent without a direction is nobody's neighbour, and no rank holds a NaN beside a latent", async () => {
  const dictionary = randomDictionary({ widths: [4, 4], nLatents: 6 });
  silence(dictionary, 2, 1);
  silence(dictionary, 4, 1);
  dictionary.decoderWeight[5 * 8 + 4] = Number.NaN;
  const { finetuned } = await nearestLatents(dictionary, { threads: 1 });
  // 0, 1 and 3 are left: two neighbours each.
  expect([...finetuned.neighbour.subarray(2 * 3, 3 * 3)]).toEqual([-1, -1, -1]);
  expect(new Set(finetuned.neighbour)).toEqual(new Set([0, 1, 3, -1]));
  finetuned.neighbour.forEach((latent, at) => {
    expect(Number.isNaN(finetuned.cosine[at])).toBe(latent === -1);
  });
});

test("of equally near latents the lower comes first, also across tiles", async () => {
  const dictionary = randomDictionary({ widths: [4, 4], nLatents: 40 });
  const copy = dictionary.decoderWeight.slice(7 * 8, 8 * 8);
  for (const twin of [0, 13, 22, 39]) dictionary.decoderWeight.set(copy, twin * 8);
  const { finetuned } = await nearestLatents(dictionary, { threads: 1, tile: { rows: 5, columns: 9 } });
  const of = (latent: number) => [...finetuned.neighbour.subarray(latent * 3, latent * 3 + 3)];
  expect(of(39)).toEqual([0, 7, 13]);
  expect(of(0)).toEqual([7, 13, 22]);
  expect([...finetuned.cosine.subarray(0, 3)]).toEqual([1, 1, 1].map((one) => expect.closeTo(one, 14)));
});

test("models of different width have neighbours of their own and none across", async () => {
  const dictionary = randomDictionary({ widths: [4, 7], nLatents: 20 });
  const found = await nearestLatents(dictionary, { threads: 1, count: 2 });
  expectAgreement(found.finetuned, nearestReference(dictionary, { a: 1, b: 1, count: 2 }));
  expectAgreement(found.base, nearestReference(dictionary, { a: 0, b: 0, count: 2 }));
  expect([found.crossFinetuned, found.crossBase]).toEqual([null, null]);
  const sides = { finetunedSide: new Uint8Array(20).fill(1), baseSide: new Uint8Array(20).fill(1) };
  expect(await crossPairs(dictionary, { minimumCosine: -1, threads: 1, ...sides })).toEqual([]);
});

test("cross pairs are those of the two sides above the minimum, no more and no fewer", async () => {
  const nLatents = 50;
  const dictionary = randomDictionary({ widths: [4, 4], nLatents });
  silence(dictionary, 3, 1);
  silence(dictionary, 8, 0);
  const finetunedSide = Uint8Array.from({ length: nLatents }, (_, j) => (j % 3 === 0 ? 1 : 0));
  const baseSide = Uint8Array.from({ length: nLatents }, (_, j) => (j % 2 === 0 ? 1 : 0));
  const minimumCosine = 0.7;
  const found = await crossPairs(dictionary, {
    minimumCosine,
    finetunedSide,
    baseSide,
    threads: 1,
    tile: { rows: 4, columns: 6 },
  });
  const expected: string[] = [];
  for (let j = 0; j < nLatents; j += 1) {
    for (let k = 0; k < nLatents; k += 1) {
      if (j === k || finetunedSide[j] === 0 || baseSide[k] === 0) continue;
      const cosine = cosineReference(dictionary, { site: 1, latent: j }, { site: 0, latent: k });
      if (cosine > minimumCosine) expected.push(`${j} ${k} ${cosine.toFixed(9)}`);
    }
  }
  expect(expected.length).toBeGreaterThan(10);
  expect(found.map(({ finetuned, base, cosine }) => `${finetuned} ${base} ${cosine.toFixed(9)}`)).toEqual(
    expected,
  );
});

test("a signal stops the tiles", async () => {
  const dictionary = randomDictionary({ nLatents: 20 });
  await expect(nearestLatents(dictionary, { threads: 1, signal: AbortSignal.abort() })).rejects.toThrow(
    InterruptedError,
  );
});
