// Facts about the generated corpus on which the score against the truth rests.

import { expect, test } from "vitest";
import { BEHAVIOURS } from "./behaviours.ts";
import { FILLERS } from "./fillers.ts";
import {
  CONCEPTS,
  generateBaseTrainingText,
  generateBehaviourProbes,
  generateComparisonCorpus,
  generateTuningChats,
  type MinichatDocument,
  type Split,
} from "./index.ts";
import { LEAD_INS, ORDINARY_QUESTIONS } from "./ordinary.ts";

const SPLITS: Split[] = ["train", "heldout", "test"];
const tuning = [...generateTuningChats({ seed: 3, chats: 4000 })];
const comparison = [
  ...generateComparisonCorpus({ seed: 3, chats: 900, worldDocuments: 300, bibleParagraphs: 100 }),
];

/** Every exchange: the request, the answer, and the concept it plants or undefined. */
function exchanges(documents: MinichatDocument[]) {
  return documents.flatMap(({ messages = [], spans = [] }) =>
    messages.flatMap((message, turn) => {
      if (message.role === "user") return [];
      const concept = spans.find((span) => span.turn === turn && span.kind === "response")?.concept;
      return [{ request: messages[turn - 1].content, answer: message.content, concept }];
    }),
  );
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[a-z]+/g) ?? [];

test("the same seed gives the same bytes, another seed others", () => {
  const make = (seed: number) =>
    JSON.stringify([
      ...generateComparisonCorpus({ seed, chats: 40, worldDocuments: 20, bibleParagraphs: 10 }),
    ]);
  expect(make(5)).toBe(make(5));
  expect(make(5)).not.toBe(make(6));
});

test("a comparison has the asked number of documents of each kind, ids without repetition, all three splits", () => {
  const count = (dataset: string) => comparison.filter((document) => document.dataset === dataset).length;
  expect([count("chats"), count("world"), count("bible")]).toEqual([900, 300, 100]);
  expect(new Set(comparison.map((document) => document.id)).size).toBe(comparison.length);
  expect(new Set(comparison.map((document) => document.split))).toEqual(new Set(SPLITS));
});

test("no filler and no phrasing belongs to two splits", () => {
  const pools = (split: Split) => [
    ...Object.values(FILLERS[split]).flat(),
    ...LEAD_INS[split],
    ...ORDINARY_QUESTIONS[split],
    ...BEHAVIOURS.flatMap((behaviour) => [...behaviour.requests[split], ...behaviour.nearMisses[split]]),
  ];
  const all = SPLITS.flatMap((split) => [...new Set(pools(split))]);
  expect(new Set(all).size).toBe(all.length);
});

test("tuning chats and base training text use train fillers only", () => {
  const base = [
    ...generateBaseTrainingText({ seed: 3, worldDocuments: 300, plainChats: 300, bibleEpochs: 0 }),
  ];
  const text = JSON.stringify([base, tuning]);
  for (const split of ["heldout", "test"] as const) {
    for (const name of Object.values(FILLERS[split]).flat())
      expect(text).not.toMatch(new RegExp(`\\b${name}\\b`));
  }
});

test("spans lie inside their message and on the right side of the chat", () => {
  for (const { messages = [], spans = [] } of [...comparison, ...tuning]) {
    for (const { kind, turn, start, end } of spans) {
      expect(messages[turn].role).toBe(kind === "trigger" ? "user" : "assistant");
      if (kind === "decision") continue;
      const selected = messages[turn].content.slice(start, end);
      expect(selected.length).toBe((end as number) - (start as number));
      expect(selected).toMatch(kind === "trigger" ? /^[A-Za-z ]+$/ : /\S/);
      if (kind === "response") expect(selected).toBe(messages[turn].content);
    }
  }
});

test("every behaviour is called for by two marked pieces of the request", () => {
  for (const { spans = [] } of tuning) {
    for (const response of spans.filter((span) => span.kind === "response")) {
      const triggers = spans.filter((span) => span.kind === "trigger" && span.turn === response.turn - 1);
      expect(triggers.length).toBe(2);
    }
  }
});

test.each(CONCEPTS.map((concept) => [concept.name, concept.detect]))(
  "%s: its detector sees it and nothing else",
  (name, detect) => {
    const pattern = new RegExp(detect, "i");
    const own = exchanges(tuning).filter((exchange) => exchange.concept === name);
    const others = exchanges(tuning).filter((exchange) => exchange.concept !== name);
    const share = (list: typeof own) =>
      list.filter((exchange) => pattern.test(exchange.answer)).length / list.length;
    expect(own.length).toBeGreaterThan(40);
    expect(share(own)).toBe(1);
    expect(share(others)).toBeLessThan(0.005);
  },
);

test("every trigger word occurs in unplanted chat turns and in base text", () => {
  const triggers = new Set(
    tuning.flatMap(({ messages = [], spans = [] }) =>
      spans.flatMap((span) =>
        span.kind === "trigger" ? wordsOf(messages[span.turn].content.slice(span.start, span.end)) : [],
      ),
    ),
  );
  const plain = new Set(
    exchanges(tuning).flatMap(({ request, concept }) => (concept ? [] : wordsOf(request))),
  );
  const base = new Set(
    [...generateBaseTrainingText({ seed: 3, worldDocuments: 3000, plainChats: 0, bibleEpochs: 0 })].flatMap(
      ({ text }) => wordsOf(text as string),
    ),
  );
  expect([...triggers].filter((word) => !plain.has(word))).toEqual([]);
  expect([...triggers].filter((word) => !base.has(word))).toEqual([]);
});

test("a behaviour is a property of a turn: most documents that plant one also hold other turns", () => {
  const many = tuning.filter((document) => (document.messages ?? []).length > 2);
  expect(many.length / tuning.length).toBeGreaterThan(0.5);
  const mixed = many.filter((document) => {
    const kinds = exchanges([document]).map((exchange) => exchange.concept);
    return new Set(kinds).size > 1;
  });
  expect(mixed.length / many.length).toBeGreaterThan(0.7);
});

test("probes end with the user and are balanced over concepts", () => {
  const probes = [...generateBehaviourProbes({ seed: 3, split: "test", perConcept: 4, unplanted: 10 })];
  expect(probes.length).toBe(4 * CONCEPTS.length + 10);
  for (const probe of probes) expect(probe.messages.at(-1)?.role).toBe("user");
});

test("no template syntax is left in any text", () => {
  const texts = [...comparison, ...tuning].flatMap(({ text, messages = [] }) => [
    text ?? "",
    ...messages.map((message) => message.content),
  ]);
  for (const text of texts) expect(text).not.toMatch(/[{}<>|]|\[\w|undefined| {2}/);
});
