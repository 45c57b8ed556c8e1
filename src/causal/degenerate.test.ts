// What counts as babble: repetition by hand, and thresholds at their edges.

import { expect, test } from "vitest";
import {
  DEGENERATE_THRESHOLDS,
  describeDegenerate,
  referencePerplexity,
  repetitionOf,
} from "./degenerate.ts";

test("repetition is the share of 4-token pieces that came before", () => {
  expect(repetitionOf([])).toBe(0);
  expect(repetitionOf([1, 2, 3])).toBe(0);
  expect(repetitionOf([1, 2, 3, 4, 5])).toBe(0);
  // Pieces 1111 five times: four came before.
  expect(repetitionOf(new Array(8).fill(1))).toBe(4 / 5);
  // 1234 2341 3412 4123 1234.
  expect(repetitionOf([1, 2, 3, 4, 1, 2, 3, 4])).toBe(1 / 5);
  // Ids are told apart, not their digits: 1,11 is not 11,1.
  expect(repetitionOf([1, 11, 1, 11, 11, 1, 11, 1])).toBe(0);
});

const sound = { tokens: 40, repetition: 0.1, perplexity: 5, reference: 2 };
const { repetitionAbove, perplexityAbove, perplexityRatioAbove, piecesAtLeast, pieceTokens } =
  DEGENERATE_THRESHOLDS;

test("a sound answer has no fault, and each fault is named with its figures", () => {
  expect(describeDegenerate(sound)).toBe("");
  expect(describeDegenerate({ ...sound, tokens: 0 })).toBe("ended at once");
  expect(describeDegenerate({ ...sound, repetition: 0.75 })).toMatch(/^repeats itself: 75 %/);
  expect(describeDegenerate({ ...sound, perplexity: 448 })).toBe(
    "unlikely text: perplexity 448, unsteered 2.00",
  );
  expect(describeDegenerate({ ...sound, repetition: 0.9, perplexity: 1e6 })).toMatch(/repeats.*; unlikely/);
});

test("thresholds are passed, not reached, and short answers may repeat", () => {
  expect(describeDegenerate({ ...sound, repetition: repetitionAbove })).toBe("");
  const short = piecesAtLeast + pieceTokens - 2;
  expect(describeDegenerate({ ...sound, repetition: 0.9, tokens: short })).toBe("");
  expect(describeDegenerate({ ...sound, repetition: 0.9, tokens: short + 1 })).not.toBe("");
});

test("unlikely is both above the bound and far above the unsteered answers", () => {
  expect(describeDegenerate({ ...sound, perplexity: perplexityAbove })).toBe("");
  const reference = perplexityAbove;
  const limit = perplexityRatioAbove * reference;
  expect(describeDegenerate({ ...sound, perplexity: limit, reference })).toBe("");
  expect(describeDegenerate({ ...sound, perplexity: limit + 1, reference })).not.toBe("");
  expect(describeDegenerate({ ...sound, perplexity: Number.NaN })).not.toBe("");
});

test("the reference is the median of the unsteered answers, in any order", () => {
  expect(referencePerplexity([9, 1, 2])).toBe(2);
  expect(referencePerplexity([1, 3])).toBe(2);
});
