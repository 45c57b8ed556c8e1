import { mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type SqliteDatabase } from "../formats/sqlite.ts";
import type { SearchBatch, SearchHit } from "./api-contract.ts";
import { writeExamplesForTest } from "./examples-database.test.helper.ts";
import { createSearchService, type SearchQuestion, type SearchService } from "./search.ts";
import { candidatesIn } from "./search-candidates.ts";
import { buildIndex, INDEX_FILE, indexState, openIndex } from "./search-index.ts";
import { searchReference } from "./search-reference.ts";
import { createLook, type LatentText, type Question } from "./search-texts.ts";

const WORDS = [
  " the",
  " The",
  "Straße",
  " ΣΊΣΥΦΟΣ",
  "<|eot_id|>",
  "\u202e",
  "\n",
  " a",
  "aaa",
  "'\"",
  " 𝒳𝒴",
  "%_*",
  "ing",
];
/** Seeded by position: the same texts in every run. */
const TEXTS: LatentText[] = Array.from({ length: 600 }, (_, i) => ({
  latent: Math.floor(i / 6),
  bin: (i % 6) - 1,
  rank: 0,
  text: Array.from({ length: 8 }, (_, t) => WORDS[(i * 31 + t * t * 17 + ((i * t) % 7)) % WORDS.length]).join(
    "",
  ),
}));
const ENDLESS: LatentText = { latent: 0, bin: 0, rank: 0, text: `${"a".repeat(40)}!` };

let root: string;
let examplesPath: string;
let service: SearchService;
const forever = new AbortController().signal;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tunediff-search-"));
  examplesPath = join(root, "examples.sqlite");
  writeExamplesForTest(examplesPath, TEXTS);
  service = createSearchService({ stallMs: 700, waitMs: 20 });
});

afterAll(async () => {
  await service.close();
  await rm(root, { recursive: true, force: true });
});

/** Through the index, as the worker does it. */
function searchIndex(
  database: SqliteDatabase,
  question: Question,
): { hits: SearchHit[]; looked: number; count: number } {
  const look = createLook(question);
  const { count, blocks } = candidatesIn(database, question, look.isFull);
  const hits: SearchHit[] = [];
  let looked = 0;
  for (const { texts } of blocks) {
    for (const text of texts) {
      looked += 1;
      const hit = look.at(text);
      if (hit !== undefined && hits.length < question.most) hits.push(hit);
    }
  }
  return { hits, looked, count };
}

async function all(
  batches: AsyncGenerator<SearchBatch>,
): Promise<{ batches: SearchBatch[]; hits: SearchBatch["hits"] }> {
  const list: SearchBatch[] = [];
  for await (const batch of batches) list.push(batch);
  return { batches: list, hits: list.flatMap(({ hits }) => hits) };
}

test("the index is made on first use, with progress, and found again by the next question", async () => {
  expect((await indexState(examplesPath)).isCurrent).toBe(false);
  const first = await all(service.inExamples(examplesPath, { mode: "text", text: "straße" }, forever));
  expect(first.batches[0].building).toBeDefined();
  expect(first.batches.at(-1)).toMatchObject({ done: true, truncated: false });
  expect(first.hits.length).toBeGreaterThan(10);
  expect((await indexState(examplesPath)).isCurrent).toBe(true);
  const second = await all(service.inExamples(examplesPath, { mode: "text", text: "straße" }, forever));
  expect(second.batches.some(({ building }) => building !== undefined)).toBe(false);
  expect(second.hits).toEqual(first.hits);
  expect((await readdir(root)).sort()).toEqual([INDEX_FILE, "examples.sqlite"].sort());
});

describe("with an index of many blocks and bands", () => {
  beforeAll(async () => buildIndex({ examplesPath, sizes: { blockTexts: 7, bandBlocks: 16 } }));

  const questions: SearchQuestion[] = [
    ...[
      " the",
      "THE",
      "ß",
      "e",
      "σίσυφος",
      "ς",
      "<|eot",
      "\u202e",
      "𝒳𝒴",
      "%_*",
      "'\"",
      "nowhere",
      "aaaa",
    ].map((text): SearchQuestion => ({ mode: "text", text })),
    ...[
      "the|The",
      "Stra.e",
      "(?:ing){2}",
      "^ the",
      "\\|eot_id\\|>$",
      "a{4,}",
      "[Tt]he.*ing",
      "𝒳",
      "\\n",
      "x*",
    ].map((text): SearchQuestion => ({ mode: "regex", text })),
  ];
  test.each(questions)("$mode $text finds what looking at every text finds", ({ mode, text }) => {
    const database = openIndex(join(root, INDEX_FILE));
    for (const bounds of [
      { each: 2, most: 50 },
      { each: 1, most: 5000 },
      { each: 100, most: 5000 },
    ]) {
      const question: Question = { mode, text, ...bounds };
      const { hits, looked, count } = searchIndex(database, question);
      expect(hits).toEqual(searchReference(question, TEXTS));
      expect(looked).toBeLessThanOrEqual(count);
    }
    database.close();
  });

  test("parts of texts, of one character and more, in either case, are found as looking at every text finds them", () => {
    const database = openIndex(join(root, INDEX_FILE));
    fc.assert(
      fc.property(
        fc.nat(TEXTS.length - 1),
        fc.nat(60),
        fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 4, max: 30 })),
        fc.constantFrom("as it is", "upper", "lower", "half a pair"),
        (i, from, length, form) => {
          // Code units, not characters: a part may begin or end inside a surrogate pair.
          const units = form === "half a pair" ? TEXTS[i].text.split("") : [...TEXTS[i].text];
          const part = units.slice(from % units.length, (from % units.length) + length).join("");
          const text = form === "upper" ? part.toUpperCase() : form === "lower" ? part.toLowerCase() : part;
          const question: Question = { mode: "text", text, each: 100, most: 5000 };
          const { hits } = searchIndex(database, question);
          expect(hits).toEqual(searchReference(question, TEXTS));
          if (form === "as it is") expect(hits.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 150, seed: 5 },
    );
    database.close();
  });

  test("expressions by chance are found as looking at every text finds them", () => {
    const database = openIndex(join(root, INDEX_FILE));
    const atom = fc.constantFrom(
      ..."the|The|ß|e| a|aaa|ing|𝒳|^|$|.|\\b|[a-z]|(?:the|ΣΊ)|(?=T)|\\n|\\||x".split(/(?<!\\)\|/u),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(atom, fc.constantFrom("", "", "", "?", "+", "{2}")), {
          minLength: 1,
          maxLength: 4,
        }),
        (atoms) => {
          const text = atoms.map((part) => part.join("")).join("");
          try {
            new RegExp(text, "u");
          } catch {
            return; // "^+": no expression
          }
          const question: Question = { mode: "regex", text, each: 3, most: 5000 };
          expect(searchIndex(database, question).hits).toEqual(searchReference(question, TEXTS));
        },
      ),
      { numRuns: 150, seed: 6 },
    );
    database.close();
  });

  test("a rare expression looks at few of the texts", () => {
    const database = openIndex(join(root, INDEX_FILE));
    const question: Question = { mode: "regex", text: "Straße<\\|eot_id", each: 9, most: 1000 };
    const { looked, hits } = searchIndex(database, question);
    expect(hits.length).toBeGreaterThan(0);
    expect(looked).toBe(hits.length);
    expect(candidatesIn(database, { ...question, text: "nowhere to be found" }).count).toBe(0);
    database.close();
  });

  test("a hit shows the match within its text", async () => {
    const { hits } = await all(
      service.inExamples(examplesPath, { mode: "regex", text: "Stra(ß)e" }, forever),
    );
    expect(new Set(hits.map(({ text, start, end }) => text.slice(start, end)))).toEqual(new Set(["Straße"]));
  });

  test("hits of one latent are bounded, and the bound is the asker's", async () => {
    const count = async (each: number): Promise<number> => {
      const { hits } = await all(
        service.inExamples(examplesPath, { mode: "text", text: "a", each }, forever),
      );
      const ofLatent = new Map<number, number>();
      for (const { latent } of hits) ofLatent.set(latent, (ofLatent.get(latent) ?? 0) + 1);
      return Math.max(...ofLatent.values());
    };
    expect(await count(1)).toBe(1);
    expect(await count(4)).toBe(4);
  });
});

test("an expression that never ends is stopped and said so, and the next question is answered", async () => {
  const slow = await all(service.inTexts([ENDLESS], { mode: "regex", text: "(a+)+$" }, forever));
  expect(slow.batches.at(-1)).toMatchObject({ done: true, truncated: true });
  expect(slow.batches.at(-1)?.stopped).toContain("too long");
  const next = await all(service.inTexts([ENDLESS], { mode: "regex", text: "a!" }, forever));
  expect(next.hits).toHaveLength(1);
});

test("a reader that goes away in the middle ends the search, and an endless one does not hold up the next", async () => {
  const controller = new AbortController();
  const running = all(service.inTexts([ENDLESS], { mode: "regex", text: "(a+)+$" }, controller.signal));
  const next = all(service.inTexts([ENDLESS], { mode: "text", text: "!" }, forever));
  controller.abort();
  expect((await running).hits).toEqual([]);
  expect((await next).hits).toHaveLength(1);
});

test("an expression that is none is refused in words", async () => {
  await expect(all(service.inTexts([ENDLESS], { mode: "regex", text: "(" }, forever))).rejects.toThrow(
    /regular expression/i,
  );
});

test("an index of other examples, or a damaged one, is made again", async () => {
  await buildIndex({ examplesPath });
  const later = new Date(Date.now() + 5000);
  await utimes(examplesPath, later, later);
  expect((await indexState(examplesPath)).isCurrent).toBe(false);
  await buildIndex({ examplesPath });
  expect((await indexState(examplesPath)).isCurrent).toBe(true);
  const database = openDatabase(join(root, INDEX_FILE));
  database.exec("DROP TABLE meta");
  database.close();
  expect((await indexState(examplesPath)).isCurrent).toBe(false);
});

test("an index that is stopped while it is made leaves nothing behind", async () => {
  const folder = await mkdtemp(join(root, "stopped-"));
  const path = join(folder, "examples.sqlite");
  writeExamplesForTest(
    path,
    Array.from({ length: 5 }, () => TEXTS)
      .flat()
      .map((text, i) => ({ ...text, rank: i })),
  );
  await expect(buildIndex({ examplesPath: path, isCancelled: () => true })).rejects.toThrow("interrupted");
  expect(await readdir(folder)).toEqual(["examples.sqlite"]);
});
