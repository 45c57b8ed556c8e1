// How a reading is laid out, and which latents a few letters find.

import { expect, test } from "vitest";
import type { ReadLatent } from "../../../src/dashboard/api-contract.ts";
import { firingAt, fullKl, greatestKl, klLevel, leaning, nameOf, stretchesOf } from "./reading-layout.ts";
import { type LatentFacts, suggestLatents } from "./suggest-latents.ts";

const latent = (number: number, more: Partial<ReadLatent>): ReadLatent => ({
  ...{ latent: number, claim: "", deltaNorm: 0.5, label: "", promoted: ["a", "b", "c", "d", "e"] },
  ...{ activations: [0, 1], max: 1, maxMeasured: 2 },
  ...more,
});

test("stretches of one role follow each other and hold every token once; an answer is one of its own", () => {
  const roles = ["bos", "template", "user", "user", "template", "assistant", "assistant", "assistant"];
  const isAnswer = [0, 0, 0, 0, 0, 0, 1, 1] as (0 | 1)[];
  expect(stretchesOf({ roles, isAnswer }).map(({ role, start, end }) => `${role} ${start}-${end}`)).toEqual([
    ...["bos 0-1", "template 1-2", "user 2-4", "template 4-5", "assistant 5-6", "assistant 6-8"],
  ]);
  expect(stretchesOf({ roles: [], isAnswer: [] })).toEqual([]);
});

test("bars of two models alike stay low, and the greatest is full", () => {
  expect(fullKl([0.001, 0.01])).toBe(1);
  expect(klLevel(0.001, 1)).toBe(0);
  expect(fullKl([4, 0.5, Number.NaN])).toBe(4);
  expect([4, 1, 0, Number.NaN, -1e-9].map((kl) => klLevel(kl, 4))).toEqual([8, 4, 0, 0, 0]);
  expect(greatestKl([0, 3, 1, 3, Number.NaN], 3)).toEqual([1, 3, 2]);
});

test("claims that fire at a token stand before stronger latents without one", () => {
  const latents = [
    latent(1, { activations: [0, 9] }),
    latent(2, { activations: [0, 1], claim: "finetuned-specific" }),
    latent(3, { activations: [5, 0], claim: "base-specific" }),
    latent(4, { activations: [0, 2], claim: "base-specific" }),
  ];
  expect(firingAt(latents, 1).map((found) => found.latent)).toEqual([4, 2, 1]);
  expect(leaning(latents[3])).toBe("base");
  expect([leaning(latent(1, { deltaNorm: 0.2 })), leaning(latent(1, { deltaNorm: 0.8 }))]).toEqual([
    "base",
    "finetuned",
  ]);
  expect([nameOf(latents[0]), nameOf(latent(1, { label: "sir" }))]).toEqual(["a b c d", "sir"]);
});

const FACTS: LatentFacts = {
  nLatents: 2000,
  labels: new Map([
    [1500, "says Sir"],
    [3, ""],
  ]),
  promoted: Array.from({ length: 2000 }, (_, i) => (i % 500 === 7 ? " sir lord" : " the of")),
  claimOf: (of) => (of === 20 || of === 10 || of === 1007 ? "finetuned-specific" : "none"),
  deltaNorm: Float64Array.from({ length: 2000 }, (_, i) => (i === 20 ? 0.99 : 0.7)),
  maxActivation: null,
  maxCode: null,
};
const found = (text: string, without: number[] = [], most = 8): string[] =>
  suggestLatents(text, FACTS, { most, without: new Set(without) }).map(
    (entry) => `${entry.latent} ${entry.reason}`,
  );

test("a number finds the latent and those that begin with it; letters find labels, then tokens", () => {
  expect(found("13", [], 4)).toEqual(["13 number", "130 number", "131 number", "132 number"]);
  expect(found("199")).toEqual(
    ["199", "1990", "1991", "1992", "1993", "1994", "1995", "1996"].map((n) => `${n} number`),
  );
  expect(found("1999")).toEqual(["1999 number"]);
  expect(found("2000")).toEqual([]);
  expect(found("0")).toEqual(["0 number"]);
  expect(found("SIR")).toEqual(["1500 label", "1007 tokens", "7 tokens", "507 tokens", "1507 tokens"]);
  expect(found("sir", [1500, 507], 2)).toEqual(["1007 tokens", "7 tokens"]);
});

test("without letters labelled latents come first, then claims, the most one-sided before", () => {
  expect(found("")).toEqual(["1500 label", "20 claim", "10 claim", "1007 claim"]);
  expect(suggestLatents("sir", { ...FACTS, promoted: null }, { most: 8, without: new Set() }).length).toBe(1);
});
