// Chats out of a store and out of documents: masks, what is left out and why, and an even draw.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError } from "../errors.ts";
import { buildRows } from "../harvest/build-rows.ts";
import type { Split } from "../store/rows.ts";
import type { Store, StoreManifest } from "../store/store-contract.ts";
import { loadChatTemplate } from "../text/chat-template.ts";
import type { ChatMessage, InputDocument, TokenizedDocument } from "../text/document.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { chatsOfStore, conversationsOfDocuments, conversationsOfStore, EXCLUDED } from "./conversations.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-conversations-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(root));
const template = await loadChatTemplate(root, tokenizer.namedTokens);

const messages = (...contents: string[]): ChatMessage[] =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));

type Content = Pick<InputDocument, "text" | "messages"> & { split?: Split };
async function tokenize(contents: Content[], options: { maxTokens?: number; skipFirst?: number } = {}) {
  const inputs = contents.map((content, i) => ({
    id: `d${i}`,
    dataset: "t",
    split: "heldout" as const,
    ...content,
  }));
  return createDocumentTokenizer({ tokenizer, template, ...options }).tokenize(inputs);
}

/** A finished store in memory, but for its activations. */
function storeOf(documents: TokenizedDocument[]): Store {
  const { rows, documents: records, slots } = buildRows(documents);
  return {
    folder: "store",
    manifest: { slots } as StoreManifest,
    rows,
    documents: records,
    width: 0,
    read: async () => new Float32Array(),
    close: async () => {},
  };
}

const draw = { split: "heldout" as const, most: 100, seed: 0 };

test("a stored chat is the chat of its documents: same ids and masks, BOS no template, the end mark the assistant's", async () => {
  const documents = await tokenize([{ messages: messages("hi hi", "b<eos>", "c", "hi") }]);
  documents[0].tokenBase[3] = 7; // as a replaced id
  const { conversations, excluded } = conversationsOfStore(storeOf(documents), draw);
  const [chat] = conversations;
  expect(excluded).toEqual({});
  expect(conversationsOfDocuments(documents).conversations).toEqual([chat]);
  expect([chat.id, chat.group]).toEqual(["d0", documents[0].group]);
  expect(chat.tokenBase[3]).toBe(7);
  const words = (mask: Uint8Array): string[] =>
    Array.from(chat.tokenFinetuned, tokenizer.tokenString).filter((_, t) => mask[t] === 1);
  const mark = "<end_of_turn>";
  expect(words(chat.isAssistant)).toEqual([..."b<eos>", mark, "hi", mark]);
  const turn = (...name: string[]): string[] => ["<start_of_turn>", ...name, "\n", mark, "\n"];
  expect(words(chat.isTemplate)).toEqual([
    ...turn("user"),
    ...turn(..."model"),
    ...turn("user"),
    ...turn(..."model"),
  ]);
});

test("what is left out is counted by its reason", async () => {
  const documents = await tokenize([
    { text: "plain text" },
    { messages: messages("only a question") },
    { messages: messages("hi", "bcfgjkpqvwxyz") },
    { messages: messages("hi", "b") },
    { messages: messages("hi", "b"), split: "train" },
  ]);
  const short = documents[3].role.length;
  const { conversations, excluded } = conversationsOfStore(storeOf(documents), {
    ...draw,
    mostTokens: short,
  });
  expect(conversations.map(({ id }) => id)).toEqual(["d3"]);
  expect(excluded).toEqual({ [EXCLUDED.noAnswer]: 2, [EXCLUDED.tooLong]: 1 });
  documents[4].tokenBase = documents[4].tokenBase.slice(1);
  expect(conversationsOfDocuments(documents, { mostTokens: short }).excluded).toEqual({
    [EXCLUDED.noAnswer]: 2,
    [EXCLUDED.tooLong]: 1,
    [EXCLUDED.unequal]: 1,
  });
});

test("a store without the leading tokens has no chats that can be run, and says so", async () => {
  const store = storeOf(await tokenize([{ messages: messages("hi", "b") }], { skipFirst: 2 }));
  expect(() => conversationsOfStore(store, draw)).toThrow(ConfigError);
  expect(() => conversationsOfStore(store, draw)).toThrow(
    /store, split heldout: .* \(1 leading tokens were skipped/,
  );
  expect(chatsOfStore(store, draw).chats).toHaveLength(1);
});

test("no chats at all is an error that asks for chats", async () => {
  const store = storeOf(await tokenize([{ text: "plain text" }]));
  const failure = (work: () => unknown): ConfigError => {
    try {
      work();
    } catch (error) {
      if (error instanceof ConfigError) return error;
      throw error;
    }
    throw new Error("nothing thrown");
  };
  for (const work of [conversationsOfStore, chatsOfStore]) {
    expect(failure(() => work(store, draw)).hint).toMatch(/--data FILE/);
    expect(failure(() => work(store, { ...draw, split: "test" })).message).toMatch(
      /split test: .* got none$/,
    );
  }
  expect(failure(() => conversationsOfDocuments([])).message).toMatch(/got none$/);
});

test("the draw is even over the split, repeats itself, moves with the seed, and counts what it leaves", async () => {
  const store = storeOf(
    await tokenize(Array.from({ length: 23 }, (_, i) => ({ messages: messages("hi", `${i}`) }))),
  );
  const drawn = (most: number, seed: number): number[] =>
    conversationsOfStore(store, { split: "heldout", most, seed }).conversations.map(({ id }) =>
      Number(id.slice(1)),
    );
  for (const seed of [0, 1, 2, 3]) {
    const places = drawn(5, seed);
    expect(drawn(5, seed)).toEqual(places);
    expect(places).toHaveLength(5);
    const gaps = places.slice(1).map((place, i) => place - places[i]);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5);
    expect(chatsOfStore(store, { split: "heldout", most: 5, seed }).chats.map(({ id }) => id)).toEqual(
      places.map((place) => `d${place}`),
    );
  }
  expect(new Set([0, 1, 2, 3].map((seed) => drawn(5, seed).join())).size).toBeGreaterThan(1);
  expect(drawn(23, 1)).toHaveLength(23);
  expect(conversationsOfStore(store, { split: "heldout", most: 5, seed: 0 }).excluded).toEqual({
    [EXCLUDED.notDrawn]: 18,
  });
  expect(() => drawn(0, 0)).toThrow(/most conversations/);
});

test("a chat is rebuilt up to its last question, from a document cut within its last answer too", async () => {
  const chat = messages("hi hi", "b", " c ", "bcfgjk");
  const [whole] = await tokenize([{ messages: chat }]);
  const documents = await tokenize([{ messages: chat }, { messages: messages("hi") }], {
    maxTokens: whole.role.length - 4,
  });
  const { chats, excluded } = chatsOfStore(storeOf(documents), draw);
  expect(excluded).toEqual({ [EXCLUDED.noAnswer]: 1 });
  expect(chats[0].messages).toEqual(chat.slice(0, 3));
  expect(chats[0].group).toBe(documents[0].group);
  expect(whole.text.startsWith(`${chats[0].writtenText}<end_of_turn>`)).toBe(true);
});
