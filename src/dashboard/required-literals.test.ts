import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fold, holds, type LiteralQuery, requiredLiterals } from "./required-literals.ts";

function shown(query: LiteralQuery): string {
  if (query.kind === "literal") return query.literal;
  const inner = query.of.map(shown).join(query.kind === "all" ? " & " : " | ");
  return `(${inner})`;
}

describe("literals that a match must contain", () => {
  test.each([
    ["hello", "hello"],
    ["", "()"],
    ["abc.def", "(abc & def)"],
    ["foo|bard", "(foo | bard)"],
    ["foo|b*", "()"],
    ["xyz(?:foo|bar)?end", "(xyz & end)"],
    ["xyz(?:foo|bar)", "(xyz & (foo | bar))"],
    ["abc+d", "(abc & cd)"],
    ["abcd*e", "(abc & e)"],
    ["a\\.bc", "a.bc"],
    ["\\d\\d\\d", "()"],
    ["^You", "You"],
    ["(?=abc)def", "def"],
    ["(?!abc)def", "def"],
    ["(?<name>abc)", "abc"],
    ["[abc]def", "def"],
    ["a{2}bcd", "(a & abcd)"],
    ["(a+)+$", "(a & a)"],
  ])("of %s are %s", (source, expected) => {
    expect(shown(requiredLiterals(source))).toBe(expected);
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
        expect(holds(requiredLiterals(source), subject), `${source} in ${JSON.stringify(subject)}`).toBe(
          true,
        );
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

test("a text that contains a literal contains it folded, too", () => {
  const characters = fc.array(fc.constantFrom("a", "A", "É", "ſ", "İ", "Σ", "ς", "𐐀", "\0", " "), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(characters, fc.nat(), fc.nat(), (text, a, b) => {
      const [from, to] = [a % (text.length + 1), b % (text.length + 1)].sort((x, y) => x - y);
      expect(fold(text.join(""))).toContain(fold(text.slice(from, to).join("")));
    }),
    { seed: 4 },
  );
});
