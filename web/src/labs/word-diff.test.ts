// A difference of two answers: nothing is lost, nothing made up, and no shorter one exists.

import { expect, test } from "vitest";
import { diffWords, shareKept, splitWords } from "./word-diff.ts";
import { commonWordsReference } from "./word-diff-reference.ts";

const joined = (parts: ReturnType<typeof diffWords>, kinds: string): string =>
  parts
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ text }) => text)
    .join("");
const words = (text: string): string => text.replace(/\s+/g, "");

test("what stays and what is new make the new text, what stays and what is lost the old one", () => {
  // Texts of few words, so that most pairs share some: every pair of 25, by a fixed generator.
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const text = (): string =>
    Array.from(
      { length: Math.floor(random() * 7) },
      () => ["a", " b", " c,", "\n", "d", " é"][Math.floor(random() * 6)],
    ).join("");
  const texts = ["", " ", "a", ...Array.from({ length: 22 }, text)];
  for (const before of texts) {
    for (const after of texts) {
      const parts = diffWords(before, after);
      expect(joined(parts, "same added")).toBe(after);
      expect(words(joined(parts, "same removed"))).toBe(words(before));
      const same = parts.filter(({ kind }) => kind === "same");
      const nSame = same.reduce((sum, part) => sum + splitWords(part.text).length, 0);
      expect(nSame).toBe(commonWordsReference(before, after));
    }
  }
});

test("inserted words are marked alone, with what they replace before them", () => {
  expect(diffWords("It is Paris.", "It is, sir, Paris.")).toEqual([
    { kind: "same", text: "It is" },
    { kind: "added", text: ", sir," },
    { kind: "same", text: " Paris." },
  ]);
  expect(diffWords("one two three four", "one 2 3 four").map(({ kind }) => kind)).toEqual([
    "same",
    "removed",
    "added",
    "same",
  ]);
  expect(diffWords("same", "same")).toEqual([{ kind: "same", text: "same" }]);
});

test("the share that is kept is 1 for equal texts and 0 for others altogether", () => {
  expect(shareKept(diffWords("a b c", "a b c"))).toBe(1);
  expect(shareKept(diffWords("", ""))).toBe(1);
  expect(shareKept(diffWords("a b", "c d e"))).toBe(0);
  expect(shareKept(diffWords("a b c d", "a x"))).toBe(0.25);
});

test("texts without spaces are cut into words, too", () => {
  expect(diffWords("東京に行く", "大阪に行く").some(({ kind }) => kind === "same")).toBe(true);
});

test("two long texts with nothing in common are replaced whole", () => {
  const long = (word: string): string => Array.from({ length: 2500 }, (_, i) => `${word}${i}`).join(" ");
  expect(diffWords(long("a"), long("b")).map(({ kind }) => kind)).toEqual(["removed", "added"]);
});
