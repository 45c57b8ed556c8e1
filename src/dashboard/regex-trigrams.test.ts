import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fold, holds, literalTrigrams, requiredTrigrams, type TrigramQuery } from "./regex-trigrams.ts";

function shown(query: TrigramQuery): string {
  if (query.kind === "trigram") return query.trigram;
  const inner = query.of.map(shown).join(query.kind === "all" ? " & " : " | ");
  return `(${inner})`;
}

describe("trigrams that a match must contain", () => {
  test.each([
    ["hello", "(hel & ell & llo)"],
    ["he", "()"],
    ["abc.def", "((abc) & (def))"],
    ["foo|bard", "((foo) | (bar & ard))"],
    ["foo|b", "()"],
    ["xyz(?:foo|bar)?end", "((xyz) & (end))"],
    ["xyz(?:foo|bar)", "((xyz) & ((foo) | (bar)))"],
    ["abc+d", "((abc))".slice(1, -1)],
    ["abcd*e", "(abc)"],
    ["a\\.bc", "(a.b & .bc)"],
    ["\\d\\d\\d", "()"],
    ["(?=abc)def", "(def)"],
    ["(?!abc)def", "(def)"],
    ["(?<name>abc)", "(abc)"],
    ["[abc]def", "(def)"],
    ["ABC", "(abc)"],
    ["a{2}bcd", "(bcd & abc)"],
    ["(a+)+$", "()"],
  ])("of %s are %s", (source, expected) => {
    const inOrder = (text: string): string[] =>
      text
        .replace(/[()]/g, "")
        .split(/ ([&|]) /)
        .sort();
    expect(inOrder(shown(requiredTrigrams(source)))).toEqual(inOrder(expected));
  });

  test("no text that an expression matches is left out, over random expressions and texts", () => {
    const atom = fc.constantFrom(
      "a",
      "b",
      "A",
      "É",
      "ſ",
      "İ",
      ".",
      "[ab]",
      "\\w",
      "\\.",
      "^",
      "$",
      "\\b",
      "𝒳",
      "\\x61",
    );
    const quantified = fc.tuple(
      atom,
      fc.constantFrom("", "", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "+?"),
    );
    const expression = fc.letrec<{ sequence: string; group: string; whole: string }>((tie) => ({
      sequence: fc
        .array(fc.oneof({ weight: 5, arbitrary: quantified.map((part) => part.join("")) }, tie("group")), {
          maxLength: 7,
        })
        .map((parts) => parts.join("")),
      group: fc
        .tuple(
          fc.constantFrom("(", "(?:", "(?=", "(?!", "(?<="),
          tie("whole"),
          fc.constantFrom("", "?", "+", "{2}"),
        )
        .map(
          ([open, inner, quantifier]) =>
            `${open}${inner})${open === "(?=" || open === "(?!" || open === "(?<=" ? "" : quantifier}`,
        ),
      whole: fc.array(tie("sequence"), { minLength: 1, maxLength: 2 }).map((parts) => parts.join("|")),
    })).whole;
    const text = fc.array(fc.constantFrom("a", "b", "A", "É", "é", "ſ", "İ", ".", "𝒳", "\0", " "), {
      maxLength: 9,
    });
    let matches = 0;
    fc.assert(
      fc.property(expression, text, (source, characters) => {
        let regex: RegExp;
        try {
          regex = new RegExp(source, "u");
        } catch {
          return; // "^*": not an expression
        }
        const subject = characters.join("");
        if (!regex.test(subject)) return;
        matches += 1;
        expect(
          holds(requiredTrigrams(source), fold(subject)),
          `${source} in ${JSON.stringify(subject)}`,
        ).toBe(true);
      }),
      { numRuns: 4000, seed: 7 },
    );
    expect(matches).toBeGreaterThan(400);
  });
});

test("folding keeps every offset and treats a part as it treats the whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.nat(), fc.nat(), (text, a, b) => {
      const characters = [...text];
      const [from, to] = [a % (characters.length + 1), b % (characters.length + 1)].sort((x, y) => x - y);
      const part = characters.slice(from, to).join("");
      const start = characters.slice(0, from).join("").length;
      expect(fold(text).length).toBe(text.length);
      expect(fold(text).slice(start, start + part.length)).toBe(fold(part));
    }),
    { seed: 3 },
  );
});

test("a long literal asks for a bounded number of trigrams, all of them its own", () => {
  const literal = "abcdefghijklmnopqrstuvwxyz".repeat(20);
  const query = literalTrigrams(literal);
  expect(query.kind === "all" && query.of.length).toBeLessThanOrEqual(26);
  expect(holds(query, `__${literal}__`)).toBe(true);
  expect(holds(query, "abc")).toBe(false);
});
