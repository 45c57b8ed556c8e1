import { expect, test } from "vitest";
import type { Matching } from "../api-contract.ts";
import { emptyMatches, type Matches } from "./match-contract.ts";
import { askedOf, matchingOf } from "./match-rows.ts";

const F = "finetuned-specific";
const B = "base-specific";

type Pair = [latent: number, partner: number, score: number, mutual?: 0 | 1];

function matchesOf(pairs: readonly Pair[]): Matches {
  const matches = emptyMatches(Uint32Array.from(pairs, ([latent]) => latent));
  pairs.forEach(([, partner, score, mutual = 1], i) => {
    matches.partner[i] = partner;
    matches.score[i] = partner < 0 ? Number.NaN : score;
    matches.mutual[i] = mutual;
    matches.compared[i] = partner < 0 ? 0 : 1;
  });
  return matches;
}

const CLAIMS_A = [F, F, "none", F, B, F, F];
const CLAIMS_B = ["none", F, F, F, B, "none", F];
/** 0 kept, 1 found and not claimed, 3 far, 4 kept, 5 near and not mutual, 6 not compared. */
const PAIRS_A: Pair[] = [
  [0, 1, 0.9],
  [1, 0, 0.8],
  [3, 3, 0.69],
  [4, 4, 0.7],
  [5, 1, 0.75, 0],
  [6, -1, 0],
];
/** 1 and 4 back, 2 is a latent that a does not claim, 3 far as seen from a, 6 is near to one that has a nearer one. */
const PAIRS_B: Pair[] = [
  [1, 0, 0.9],
  [2, 2, 0.95],
  [3, 3, 0.69],
  [4, 4, 0.7],
  [6, 0, 0.8, 0],
];
const claimed = (claims: string[]) => ({ nLatents: claims.length, claims });
const matching = (swapped = false, latents: Matching["latents"] = "claims", more: Pair[] = []): Matching => {
  const sides = { a: claimed(CLAIMS_A), b: claimed(CLAIMS_B) };
  const pairs = { a: matchesOf([...PAIRS_A, ...more].sort(([x], [y]) => x - y)), b: matchesOf(PAIRS_B) };
  return matchingOf({
    ...{ by: "direction", latents, halves: ["base", "finetuned"] },
    ...(swapped
      ? { a: sides.b, b: sides.a, result: { a: pairs.b, b: pairs.a } }
      : { ...sides, result: pairs }),
  });
};
const pairsOf = ({ rows }: Matching): string[] =>
  rows.a.map((a, i) => `${a} ${rows.b[i]} ${rows.change[i]} ${rows.found[i]}`);

test("a claim is kept, lost or not compared; those of b that are not kept are new", () => {
  expect(pairsOf(matching())).toEqual([
    "0 1 kept 1",
    "1 0 lost 1",
    "3 3 lost 0",
    "4 4 kept 1",
    "5 1 lost 0",
    "6 -1 not compared 0",
    "2 2 new 1",
    "3 3 new 0",
    "0 6 new 0",
  ]);
});

test("the other way round, kept stays, lost and new change places", () => {
  const [forward, back] = [matching(), matching(true)];
  const turned = (change: string) => ({ lost: "new", new: "lost" })[change] ?? change;
  const mirror = pairsOf(back).map((pair) => {
    const [, b, a, change, found] = /^(\S+) (\S+) (.+) (\S+)$/.exec(pair) as RegExpExecArray;
    return `${a} ${b} ${turned(change)} ${found}`;
  });
  expect(mirror.sort()).toEqual(pairsOf(forward).sort());
  expect(back.summary).toEqual({ a: forward.summary.b, b: forward.summary.a });
  expect(forward.summary).toEqual({
    a: {
      finetuned: { claims: 5, compared: 4, found: 2, kept: 1 },
      base: { claims: 1, compared: 1, found: 1, kept: 1 },
    },
    b: {
      finetuned: { claims: 4, compared: 4, found: 2, kept: 1 },
      base: { claims: 1, compared: 1, found: 1, kept: 1 },
    },
  });
});

test("of all latents, a pair that stands there already is not listed twice", () => {
  const rows = pairsOf(matching(false, "all", [[2, 2, 0.95]]));
  expect(rows.filter((pair) => pair.startsWith("2 2"))).toEqual(["2 2 new 1"]);
  expect(rows.length).toBe(pairsOf(matching()).length);
  expect(matching(false, "all", [[2, 2, 0.95]]).summary).toEqual(matching().summary);
});

test("places need a number of peaks in common, too", () => {
  const pairs = matchesOf([[0, 0, 0.9]]);
  const found = (shared: number): number => {
    const result = { a: { ...pairs, shared: Uint32Array.of(shared) }, b: matchesOf([]) };
    return matchingOf({
      ...{ by: "place", latents: "claims", halves: [], result },
      ...{ a: claimed([F]), b: claimed([F]) },
    }).summary.a.finetuned.kept;
  };
  expect([found(2), found(3)]).toEqual([0, 1]);
});

test("claims are asked, or all latents, each with its side", () => {
  const sides = Uint8Array.of(1, 1, 0, 1, 0, 1, 1);
  const claims = askedOf(claimed(CLAIMS_A), { latents: "claims", sides });
  expect([Array.from(claims.latents), Array.from(claims.sides)]).toEqual([
    [0, 1, 3, 4, 5, 6],
    [1, 1, 1, 0, 1, 1],
  ]);
  expect(askedOf(claimed(CLAIMS_A), { latents: "all", sides }).latents.length).toBe(7);
});
