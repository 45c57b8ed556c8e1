import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InterruptedError } from "../../errors.ts";
import { openDatabase } from "../../formats/sqlite.ts";
import { createRng } from "../../numerics/rng.ts";
import type { MatchedDictionary } from "./match-contract.ts";
import { type LatentPlaces, matchPlaceLists, matchPlaces, PLACE_LIMITS } from "./match-places.ts";
import { matchPlacesReference } from "./match-places-reference.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-places-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function placesOf(sets: readonly ReadonlySet<number>[]): LatentPlaces {
  const lists = sets.map((set) => [...set].sort((a, b) => a - b));
  const starts = new Float64Array(sets.length + 1);
  for (const [latent, list] of lists.entries()) starts[latent + 1] = starts[latent] + list.length;
  return { nLatents: sets.length, starts, places: Float64Array.from(lists.flat()) };
}
const everyLatent = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, i) => i);

/** Few places, so that sets meet and ties are common; every fifth latent never fires. */
function randomSets(n: number, seed: number): Set<number>[] {
  const rng = createRng(seed, "places");
  return Array.from({ length: n }, (_, latent) => {
    const size = latent % 5 === 4 ? 0 : 1 + Math.floor(6 * rng.uniform(latent, 0));
    return new Set(Array.from({ length: size }, (_, i) => Math.floor(30 * rng.uniform(latent, 1 + i))));
  });
}

test("the nearest by place are those of comparing every two sets", async () => {
  const [a, b] = [randomSets(40, 1), randomSets(31, 2)];
  const found = await matchPlaceLists({
    a: { places: placesOf(a), latents: everyLatent(40) },
    b: { places: placesOf(b), latents: everyLatent(31) },
  });
  for (const [matches, expected] of [
    [found.a, matchPlacesReference(a, b)],
    [found.b, matchPlacesReference(b, a)],
  ] as const) {
    expect(Array.from(matches.partner)).toEqual(expected.map(({ partner }) => partner));
    expect(Array.from(matches.mutual)).toEqual(expected.map(({ mutual }) => Number(mutual)));
    expect(Array.from(matches.shared)).toEqual(expected.map(({ shared }) => shared));
    expect(Array.from(matches.score)).toEqual(
      expected.map(({ partner, jaccard }) => (partner < 0 ? Number.NaN : jaccard)),
    );
  }
  expect(Array.from(found.a.compared)).toEqual(a.map((set) => Number(set.size > 0)));
  expect(found.a.mutual.filter((one) => one === 1).length).toBeGreaterThan(5);
});

interface Peak {
  latent: number;
  document: number;
  row: number;
}

function written(name: string, peaks: readonly Peak[]): MatchedDictionary {
  const examplesPath = join(root, `${name}.sqlite`);
  const database = openDatabase(examplesPath);
  database.exec("CREATE TABLE examples (latent INTEGER, document INTEGER, row_start INTEGER, peak INTEGER)");
  const insert = database.prepare("INSERT INTO examples VALUES (?, ?, ?, 2)");
  for (const { latent, document, row } of peaks) insert.run(latent, document, row - 2);
  database.close();
  const nLatents = Math.max(...peaks.map(({ latent }) => latent)) + 1;
  const asked = { latents: everyLatent(nLatents), sides: new Uint8Array(nLatents) };
  return { ...{ modelPath: "", examplesPath, nLatents, asked }, documentsPath: null };
}

async function documents(name: string, ends: readonly [id: string, rowEnd: number][]): Promise<string> {
  const path = join(root, `${name}.jsonl`);
  let rowStart = 0;
  const lines = ends.map(([id, rowEnd], index) => {
    const line = JSON.stringify({ index, id, rowStart, rowEnd });
    rowStart = rowEnd;
    return line;
  });
  await writeFile(path, lines.join("\n"));
  return path;
}

const PEAKS_A: Peak[] = [
  { latent: 0, document: 0, row: 5 },
  { latent: 0, document: 1, row: 12 },
  { latent: 1, document: 1, row: 15 },
  { latent: 2, document: 2, row: 33 },
];

test("of one store, rows are places", async () => {
  const peaks = PEAKS_A.map((peak) => ({ ...peak, latent: 2 - peak.latent }));
  const { a } = await matchPlaces({ a: written("rows-a", PEAKS_A), b: written("rows-b", peaks) });
  expect(Array.from(a.partner)).toEqual([2, 1, 0]);
  expect(Array.from(a.score)).toEqual([1, 1, 1]);
});

test("of two stores, places are counted from the start of documents of one id and length", async () => {
  // In b the documents lie in another order, one is longer, and one is another's.
  const ofA = await documents("docs-a", [
    ["x", 10],
    ["y", 30],
    ["z", 40],
  ]);
  const ofB = await documents("docs-b", [
    ["y", 20],
    ["x", 30],
    ["z", 45],
  ]);
  const peaks: Peak[] = [
    { latent: 0, document: 1, row: 25 }, // x, token 5
    { latent: 0, document: 0, row: 2 }, // y, token 2
    { latent: 1, document: 0, row: 5 }, // y, token 5
    { latent: 2, document: 2, row: 33 }, // z is longer there: no place of a's, though its row is
  ];
  const { a } = await matchPlaces({
    a: { ...written("two-a", PEAKS_A), documentsPath: ofA },
    b: { ...written("two-b", peaks), documentsPath: ofB },
  });
  expect(Array.from(a.partner)).toEqual([0, 1, -1]);
  expect(Array.from(a.shared)).toEqual([2, 1, 0]);
  expect(Array.from(a.compared)).toEqual([1, 1, 1]);
});

test("the same place twice is one, and a stopped matching ends", async () => {
  const twice = [...PEAKS_A, { latent: 0, document: 0, row: 5 }].sort((x, y) => x.latent - y.latent);
  const [one, other] = [written("once", PEAKS_A), written("twice", twice)];
  expect(Array.from((await matchPlaces({ a: one, b: other })).a.score)).toEqual([1, 1, 1]);
  const many = Array.from({ length: PLACE_LIMITS.turn + 1 }, (_, i) => ({ latent: 0, document: 0, row: i }));
  const stop = new AbortController();
  stop.abort();
  await expect(
    matchPlaceLists({
      ...{ signal: stop.signal },
      a: { places: placesOf([new Set(many.map(({ row }) => row))]), latents: everyLatent(1) },
      b: { places: placesOf([new Set(many.map(({ row }) => row))]), latents: everyLatent(1) },
    }),
  ).rejects.toThrow(InterruptedError);
});
