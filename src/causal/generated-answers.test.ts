// A tiny random model answers: prompts as the template opens them, answers as the generator gives them alone, masks exact, nothing lost.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, InterruptedError } from "../errors.ts";
import { openCheckpoint } from "../lm/checkpoint.ts";
import { createGenerator } from "../lm/generate.ts";
import { TINY_CONFIG, writeTinyLlama } from "../lm/tiny-llama.test.data.ts";
import type { Progress } from "../progress.ts";
import { groupOf } from "../store/split-of.ts";
import { createPromptTokenizer } from "../text/chat-prompt.ts";
import { createChatTemplate } from "../text/chat-template.ts";
import { contentHash } from "../text/content-hash.ts";
import type { ChatMessage } from "../text/document.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { type Chat, EXCLUDED } from "./conversations.ts";
import { ANSWER_LIMITS, answerWithFinetuned, chatsOfDocuments } from "./generated-answers.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-answers-"));
const tokenizer = await loadTokenizer(writeTinyTokenizer(root));
const POSITIONS = 96;
const folder = await writeTinyLlama({
  ...TINY_CONFIG,
  vocab_size: tokenizer.vocabSize,
  max_position_embeddings: POSITIONS,
});
const checkpoint = await openCheckpoint(folder);
const alone = await createGenerator(checkpoint, { threads: 1 });
afterAll(async () => {
  await alone.dispose();
  await checkpoint.close();
  for (const path of [root, folder]) rmSync(path, { recursive: true, force: true });
});

// Another header for the answer to come than for one that is there, and an EOS that only ends whole chats.
const template = createChatTemplate({
  place: "test",
  source:
    "{{ bos_token }}{% for m in messages %}{% if 'no' in m.content %}{{ raise_exception('no') }}{% endif %}" +
    "<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>{% endfor %}" +
    "{% if add_generation_prompt %}<start_of_turn>model\nx\n{% else %}<eos>{% endif %}",
  namedTokens: tokenizer.namedTokens,
});
const ask = (...contents: string[]): ChatMessage[] =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const CHATS: Chat[] = [
  { id: "a", messages: ask("hi") },
  { id: "same name", messages: ask("hi hi", "b<eos>", "c<end_of_turn>") },
  { id: "same name", messages: ask("a longer question"), group: 63 },
];
const common = { checkpoint, tokenizer, template, threads: 1, maxNewTokens: 12, stopIds: [] };
const promptsOf = async (chats: readonly Chat[]): Promise<Uint32Array[]> => {
  const tokenized = await createPromptTokenizer({ tokenizer, template }).tokenize(chats);
  return tokenized.map(({ tokens }) => tokens.finetuned);
};
const greedy = async (prompt: ArrayLike<number>, stopIds: number[] = [], maxNewTokens = 12) => {
  const [{ tokenIds }] = await alone.generate({ prompts: [prompt], maxNewTokens, stopIds });
  return tokenIds;
};
const prompts = await promptsOf(CHATS);

test("conversations are the opened prompt and the greedy answer; only the new answer is the assistant's", async () => {
  const reports: Progress[] = [];
  const { conversations, excluded, endings } = await answerWithFinetuned({
    ...common,
    chats: CHATS,
    reportProgress: (progress) => reports.push(progress),
  });
  expect(excluded).toEqual({});
  expect(endings).toEqual({ stopId: 0, maxNewTokens: 3, positions: 0 });
  expect(reports.at(-1)).toMatchObject({ done: 3, total: 3 });
  expect(conversations.map(({ id, group }) => [id, group])).toEqual([
    ["a", groupOf(contentHash(CHATS[0]))],
    ["same name", groupOf(contentHash(CHATS[1]))],
    ["same name", 63],
  ]);
  const control = new Set(["<bos>", "<start_of_turn>", "<end_of_turn>"]);
  for (const [i, conversation] of conversations.entries()) {
    const prompt = [...prompts[i]];
    const answer = [...(await greedy(prompt))];
    expect([...conversation.tokenFinetuned]).toEqual([...prompt, ...answer]);
    expect([...conversation.tokenBase]).toEqual([...prompt, ...answer]);
    expect([...conversation.isAssistant]).toEqual([...prompt.fill(0), ...answer.fill(1)]);
    const shown = Array.from(prompts[i], tokenizer.tokenString);
    const isControl = shown.map((token) => Number(control.has(token) && token !== "<bos>"));
    // Of the prompt's controls all are the template's; the header of the answer is the template's to its last token.
    expect(isControl.every((is, t) => is <= conversation.isTemplate[t])).toBe(true);
    expect(conversation.isTemplate[0]).toBe(0);
    expect([...conversation.isTemplate.slice(prompt.length - 9, prompt.length)]).toEqual(Array(9).fill(1));
    expect([...conversation.isTemplate.slice(prompt.length)]).toEqual(Array(12).fill(0));
  }
});

test("an answer ends with its stop id, which is the template's as a written end mark is", async () => {
  const free = await greedy(prompts[2]);
  const stop = free[5];
  const first = free.indexOf(stop);
  const { conversations, endings } = await answerWithFinetuned({
    ...common,
    chats: CHATS.slice(2),
    stopIds: [stop],
  });
  const [{ tokenFinetuned, isTemplate, isAssistant }] = conversations;
  expect(endings.stopId).toBe(1);
  expect(tokenFinetuned.length).toBe(prompts[2].length + first + 1);
  expect([tokenFinetuned.at(-1), isTemplate.at(-1), isAssistant.at(-1)]).toEqual([stop, 1, 1]);
  expect([...isTemplate.slice(prompts[2].length, -1)]).toEqual(Array(first).fill(0));
});

test("the base reads replaced ids, in the answer too; the fine-tune reads and writes its own", async () => {
  const written = (await greedy(prompts[0]))[0];
  const start = tokenizer.specialTokens.get("<start_of_turn>")!;
  const { conversations } = await answerWithFinetuned({
    ...common,
    chats: CHATS.slice(0, 1),
    baseReplacements: new Map([
      [start, 9],
      [written, 10],
    ]),
  });
  const [{ tokenBase, tokenFinetuned }] = conversations;
  expect(tokenFinetuned).toContain(start);
  expect(tokenFinetuned[prompts[0].length]).toBe(written);
  expect([...tokenBase]).toEqual(
    [...tokenFinetuned].map((id) => (id === start ? 9 : id === written ? 10 : id)),
  );
});

test("each answer goes to the last token allowed, whatever else is in its batch", async () => {
  const mostTokens = Math.max(...prompts.map(({ length }) => length)) + ANSWER_LIMITS.leastAnswerTokens;
  const { conversations, endings } = await answerWithFinetuned({
    ...common,
    chats: CHATS,
    mostTokens,
    maxNewTokens: 1000,
  });
  expect(conversations.map(({ tokenFinetuned }) => tokenFinetuned.length)).toEqual(Array(3).fill(mostTokens));
  expect(endings).toEqual({ stopId: 0, maxNewTokens: 0, positions: 3 });
  for (const [i, { tokenFinetuned }] of conversations.entries()) {
    const answer = await greedy(prompts[i], [], mostTokens - prompts[i].length);
    expect([...tokenFinetuned.slice(prompts[i].length)]).toEqual([...answer]);
  }
});

test("chats that cannot be answered are counted, and an error when none is left", async () => {
  const chats: Chat[] = [
    { id: "refused", messages: ask("no") },
    { id: "long", messages: ask("x".repeat(POSITIONS)) },
    { id: "other text", messages: ask("hi"), writtenText: "<bos><start_of_turn>user\nho" },
    { id: "as stored", messages: ask("hi"), writtenText: "<bos><start_of_turn>user\nhi" },
  ];
  const { conversations, excluded } = await answerWithFinetuned({ ...common, chats });
  expect(conversations.map(({ id }) => id)).toEqual(["as stored"]);
  expect(excluded).toEqual({ [EXCLUDED.refused]: 1, [EXCLUDED.tooLong]: 1, [EXCLUDED.notRebuilt]: 1 });
  await expect(answerWithFinetuned({ ...common, chats: chats.slice(0, 3) })).rejects.toThrow(ConfigError);
  await expect(answerWithFinetuned({ ...common, chats, maxNewTokens: 0 })).rejects.toThrow(/maxNewTokens/);
});

test("a stop asked for between two batches is heeded", async () => {
  const controller = new AbortController();
  const chats = Array.from({ length: ANSWER_LIMITS.chatsAtOnce + 1 }, () => CHATS[0]);
  const answering = answerWithFinetuned({
    ...common,
    chats,
    maxNewTokens: 1,
    signal: controller.signal,
    reportProgress: () => controller.abort(),
  });
  await expect(answering).rejects.toThrow(InterruptedError);
});

test("chats of a file lose their last answer, keep an open question, and have the group of the whole chat", () => {
  const whole = { id: "a", dataset: "t", messages: ask("hi", "b", "c", "d") };
  const open = { id: "b", dataset: "t", messages: ask("hi", "b", "c") };
  const { chats, excluded } = chatsOfDocuments(
    [
      whole,
      open,
      { id: "c", dataset: "t", text: "plain" },
      { id: "d", dataset: "t", messages: [{ role: "system", content: "s" }, ...ask("x").slice(1)] },
    ],
    { most: 9, seed: 0 },
  );
  expect(chats).toEqual([
    { id: "a", messages: whole.messages.slice(0, 3), group: groupOf(contentHash(whole)) },
    { id: "b", messages: open.messages, group: groupOf(contentHash(open)) },
  ]);
  expect(excluded).toEqual({ [EXCLUDED.noQuestion]: 2 });
  expect(() => chatsOfDocuments([{ id: "c", dataset: "t", text: "plain" }], { most: 9, seed: 0 })).toThrow(
    ConfigError,
  );
});
