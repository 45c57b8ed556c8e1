// What is searched for in `npm run bench -- dashboard`: 120 questions, the same in every run, by the ranks of the corpus's words.

import type { SearchQuery } from "./dashboard-client.ts";

/** words: by rank, most frequent first. */
export function searchMix(words: readonly string[]): SearchQuery[] {
  const of = (kind: string, texts: readonly string[], mode: SearchQuery["mode"] = "text"): SearchQuery[] =>
    texts.map((text) => ({ kind, text, mode, where: "examples" }));
  const ranks = (from: number, to: number, n: number): string[] =>
    Array.from({ length: n }, (_, i) => words[Math.floor(from * (to / from) ** (i / (n - 1)))]);
  const frequent = ranks(1, 150, 15);
  const usual = ranks(200, 4000, 15);
  const rare = ranks(5000, 39_000, 20);
  return [
    ...of("frequent words", frequent),
    ...of("usual words", usual),
    ...of("rare words", rare),
    ...of("phrases", [
      ...frequent.slice(0, 5).map((word, i) => `${word} ${frequent[i + 5]}`),
      ...usual.slice(0, 5).map((word) => `the ${word}`),
      ...["of the", ". The", "in a", ", and", "to be"],
    ]),
    ...of("1 or 2 characters", [
      "a",
      "z",
      "th",
      "qu",
      "x",
      ". ",
      "é",
      "東",
      "7",
      "zz",
      "j",
      "I",
      "?",
      "<|",
      "ß",
    ]),
    ...of(
      "pieces of tokens",
      rare.slice(0, 10).map((word) => word.slice(1, 5)),
    ),
    ...of("not there", ["qqqq", "zxzx", "xylophonist", "0x0f", "the qqqq", "~~", "wwwww wwwww"]),
    ...of(
      "expressions with literals",
      [
        ...["^The", "^ the", `${words[300]}|${words[301]}`, `${words[40]} \\w+ing`, "the (\\w+) of"],
        ...[`\\b${words[900]}\\b`, "user.*assistant", "\\?$", `${words[5000]}[,.]`, "<\\|eot_id\\|>.+"],
        ...[`(?:${words[700]}|${words[1700]})s?`, "^You"],
      ],
      "regex",
    ),
    ...of(
      "expressions without literals",
      [
        "\\d+",
        "[A-Z]{3,}",
        "\\d{4}",
        "^.{1,60}$",
        "[^a-z ]{9}",
        "\\p{Script=Cyrillic}+",
        "(?:[aeiou]){4}",
        "^\\s",
        "[xyz]$",
      ],
      "regex",
    ),
    ...["bench", "a"].map((text): SearchQuery => ({ kind: "labels", text, mode: "text", where: "labels" })),
  ];
}
