// Chats made by hand, tokenised with the tiny tokenizer: which positions are predicted, which are the first nine, which the rest.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { createChatTemplate, loadChatTemplate } from "../text/chat-template.ts";
import type { ChatMessage } from "../text/document.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import {
  CODE_CHOICES,
  type Conversation,
  type PaperChoices,
  type PredictedPositions,
} from "./causal-contract.ts";
import { conversationsOfDocuments } from "./conversations.ts";
import { predictedPositions } from "./token-sets.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-token-sets-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(root));
const gemmaLike = (await loadChatTemplate(root, tokenizer.namedTokens))!;
const templateOf = (source: string) =>
  createChatTemplate({ place: "test", source, namedTokens: tokenizer.namedTokens });

/** A conversation of alternating user and assistant messages, or of the messages given. */
async function chat(
  contents: string[] | ChatMessage[],
  { template = gemmaLike, maxTokens = 512 } = {},
): Promise<Conversation> {
  const messages = contents.map(
    (content, i): ChatMessage =>
      typeof content === "string" ? { role: i % 2 === 0 ? "user" : "assistant", content } : content,
  );
  const tokenize = createDocumentTokenizer({ tokenizer, template, maxTokens });
  const documents = await tokenize.tokenize([{ id: "d", dataset: "t", messages }]);
  return conversationsOfDocuments(documents).conversations[0];
}

/** "reads>predicts" of every position of a set. */
function arrows(
  { tokenFinetuned }: Conversation,
  { positions, ...sets }: PredictedPositions,
  set: "all" | "isFirstNine" | "isRest",
): string[] {
  const name = (t: number): string => tokenizer.tokenString(tokenFinetuned[t]);
  return Array.from(positions)
    .filter((_, i) => set === "all" || sets[set][i] === 1)
    .map((t) => `${name(t)}>${name(t + 1)}`);
}

const bothWays: PaperChoices["restOf"][] = ["all-but-nine", "after-nine"];
const letters = (n: number): string => "bcfgjkpqvwxyz".slice(0, n);

test("an answer of twelve tokens: its tokens 2 to 10 are the first nine, its end mark is predicted", async () => {
  const conversation = await chat(["hi", letters(12)]);
  const code = predictedPositions(conversation, CODE_CHOICES);
  const paper = predictedPositions(conversation, { restOf: "after-nine" });
  const nine = ["b>c", "c>f", "f>g", "g>j", "j>k", "k>p", "p>q", "q>v", "v>w"];
  const late = ["w>x", "x>y", "y><end_of_turn>"];
  expect(arrows(conversation, code, "all")).toEqual(["\n>b", ...nine, ...late]);
  expect(arrows(conversation, code, "isFirstNine")).toEqual(nine);
  expect(arrows(conversation, code, "isRest")).toEqual(["\n>b", ...late]);
  expect(arrows(conversation, paper, "isFirstNine")).toEqual(nine);
  expect(arrows(conversation, paper, "isRest")).toEqual(late);
});

test("an answer shorter than nine tokens is whole in the first nine but for its first token, end mark included", async () => {
  const conversation = await chat(["hi", letters(3)]);
  const code = predictedPositions(conversation, CODE_CHOICES);
  expect(arrows(conversation, code, "isFirstNine")).toEqual(["b>c", "c>f", "f><end_of_turn>"]);
  expect(arrows(conversation, code, "isRest")).toEqual(["\n>b"]);
});

test("every answer of a chat has first nine of its own", async () => {
  const conversation = await chat(["hi", letters(11), "hi", letters(2)]);
  const code = predictedPositions(conversation, CODE_CHOICES);
  expect(arrows(conversation, code, "isFirstNine")).toEqual([
    ...["b>c", "c>f", "f>g", "g>j", "j>k", "k>p", "p>q", "q>v", "v>w"],
    ...["b>c", "c><end_of_turn>"],
  ]);
  expect(arrows(conversation, code, "isRest")).toEqual(["\n>b", "w>x", "x><end_of_turn>", "\n>b"]);
});

test("an answer cut at the end of the document predicts no end mark", async () => {
  const whole = await chat(["hi", letters(12)]);
  const cut = await chat(["hi", letters(12)], { maxTokens: whole.tokenFinetuned.length - 3 });
  const code = predictedPositions(cut, CODE_CHOICES);
  expect(arrows(cut, code, "all").slice(-2)).toEqual(["v>w", "w>x"]);
  expect(arrows(cut, code, "isRest")).toEqual(["\n>b", "w>x"]);
});

test("a system prompt, a question and BOS are no predictions", async () => {
  const template = templateOf(
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}",
  );
  const conversation = await chat(
    [
      { role: "system", content: letters(9) },
      { role: "user", content: "hi" },
      { role: "assistant", content: "xy" },
    ],
    { template },
  );
  const code = predictedPositions(conversation, CODE_CHOICES);
  expect(conversation.isTemplate[0]).toBe(0);
  expect(arrows(conversation, code, "all")).toEqual(["\n>x", "x>y", "y><end_of_turn>"]);
});

test("where header and answer share a token it is content, and the prediction before it a template token's", async () => {
  // " hi" is one token of the tiny tokenizer: its space is the header's.
  const template = templateOf(
    "{% for m in messages %}{{ m.role[0] }}: {{ m.content }}<end_of_turn>{% endfor %}",
  );
  const conversation = await chat(["x", "hi hi"], { template });
  const code = predictedPositions(conversation, CODE_CHOICES);
  expect(arrows(conversation, code, "all")).toEqual([":> hi", " hi> hi", " hi><end_of_turn>"]);
  expect(arrows(conversation, code, "isFirstNine")).toEqual([" hi> hi", " hi><end_of_turn>"]);
});

test("BOS is no template token: the answer that it predicts counts among the first", () => {
  const masks = { isTemplate: Uint8Array.of(0, 0, 1), isAssistant: Uint8Array.of(0, 1, 1) };
  const { positions, isFirstNine } = predictedPositions(masks, CODE_CHOICES);
  expect([...positions]).toEqual([0, 1]);
  expect([...isFirstNine]).toEqual([1, 1]);
});

test("an assistant's token at position 0 is predicted by nothing", () => {
  const masks = { isTemplate: new Uint8Array(2), isAssistant: Uint8Array.of(1, 1) };
  expect([...predictedPositions(masks, CODE_CHOICES).positions]).toEqual([0]);
  const one = { isTemplate: new Uint8Array(1), isAssistant: Uint8Array.of(1) };
  expect(predictedPositions(one, CODE_CHOICES).positions).toHaveLength(0);
});

/** The definition, position by position: how far back its run of predictions begins. */
function byDefinition(
  { isAssistant, isTemplate }: Pick<Conversation, "isAssistant" | "isTemplate">,
  { restOf, nFirst }: { restOf: PaperChoices["restOf"]; nFirst: number },
) {
  const predicts = (t: number): boolean => t >= 0 && isAssistant[t + 1] === 1;
  const all = Array.from(isAssistant.keys()).filter(predicts);
  const rank = (t: number): number => (predicts(t - 1) ? rank(t - 1) + 1 : 1);
  const first = all.filter((t) => rank(t) <= nFirst && !isTemplate[t]);
  const rest = all.filter((t) => (restOf === "after-nine" ? rank(t) > nFirst : !first.includes(t)));
  return { all, first, rest };
}

test("masks drawn at random agree with the definition, for every choice and nFirst", () => {
  const rng = createRng(0, "token sets");
  for (let draw = 0; draw < 200; draw += 1) {
    const length = draw % 41;
    const mask = (kind: number, share: number): Uint8Array =>
      Uint8Array.from({ length }, (_, t) => Number(rng.uniform(draw, 2 * t + kind) < share));
    const masks = { isAssistant: mask(0, 0.85), isTemplate: mask(1, 0.3) };
    for (const restOf of bothWays) {
      const nFirst = 1 + (draw % 12);
      const { positions, isFirstNine, isRest } = predictedPositions(masks, { restOf, nFirst });
      const where = (mask: Uint8Array): number[] => [...positions].filter((_, i) => mask[i] === 1);
      expect({ all: [...positions], first: where(isFirstNine), rest: where(isRest) }).toEqual(
        byDefinition(masks, { restOf, nFirst }),
      );
    }
  }
});

test("masks of different length and nFirst below 1 are refused", () => {
  const masks = { isTemplate: new Uint8Array(3), isAssistant: new Uint8Array(2) };
  expect(() => predictedPositions(masks, CODE_CHOICES)).toThrow(ShapeError);
  const equal = { isTemplate: new Uint8Array(2), isAssistant: new Uint8Array(2) };
  expect(() => predictedPositions(equal, { restOf: "all-but-nine", nFirst: 0 })).toThrow(/nFirst/);
});
