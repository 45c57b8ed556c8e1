// Which ids stand in a document: those the base reads in place of others, skipped ones, BOS tokens, control tokens that text
// makes by accident.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { packageRoot } from "../package-root.ts";
import { createChatTemplate, loadChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";
import { LLAMA_3_BASE_REPLACEMENTS, replaceTokens, resolveReplacements } from "./token-replacement.ts";
import { createDocumentTokenizer } from "./tokenize-document.ts";
import { loadTokenizer } from "./tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-replacement-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(root));
const template = await loadChatTemplate(root, tokenizer.namedTokens);
const CHAT: ChatMessage[] = [
  { role: "user", content: "hi" },
  { role: "assistant", content: "hi" },
];
const chats = [{ id: "d", dataset: "t", messages: CHAT }];

test("replaced ids are read by the base only; masks, text and the fine-tune keep the originals", async () => {
  const baseReplacements = await resolveReplacements(tokenizer, {
    "<start_of_turn>": "\n\n",
    "<end_of_turn>": "user",
  });
  expect([...baseReplacements]).toEqual([
    [3, 266],
    [4, 265],
  ]);
  const documents = createDocumentTokenizer({ tokenizer, template, baseReplacements });
  const [replaced] = await documents.tokenize(chats);
  const [plain] = await createDocumentTokenizer({ tokenizer, template }).tokenize(chats);
  expect(documents.counts.replacedTokens).toBe(4);
  expect(replaced).toEqual({ ...plain, tokenBase: replaced.tokenBase });
  expect(Array.from(replaced.tokenBase)).toEqual(
    Array.from(plain.tokenBase, (id) => baseReplacements.get(id) ?? id),
  );
});

test("a swap swaps: each id is replaced once", () => {
  const ids = Uint32Array.of(1, 2, 3, 1);
  const swap = new Map([
    [1, 2],
    [2, 1],
    [3, 3],
  ]);
  expect(replaceTokens(ids, swap)).toBe(3);
  expect(Array.from(ids)).toEqual([2, 1, 3, 2]);
  expect(replaceTokens(ids, undefined)).toBe(0);
});

test("a string that is not one token is refused by name", async () => {
  await expect(resolveReplacements(tokenizer, { "<end_of_turn>": "hi hi" })).rejects.toThrow(
    /"hi hi".*got 2/,
  );
  await expect(resolveReplacements(tokenizer, { "<missing>": "hi" })).rejects.toThrow('"<missing>"');
});

test("the paper's replacements name the control tokens of a Llama 3 tokenizer", async () => {
  const llama = await loadTokenizer(join(packageRoot(), "test/golden/text/fixtures/llama3-like"));
  for (const from of Object.keys(LLAMA_3_BASE_REPLACEMENTS)) expect(llama.specialTokens.has(from)).toBe(true);
});

test("skipped tokens stay in the document and are only announced, at most all of them", async () => {
  const skipping = createDocumentTokenizer({ tokenizer, template, skipFirst: 5 });
  const [chat, short] = await skipping.tokenize([...chats, { id: "s", dataset: "t", text: "hi" }]);
  expect([chat.nSkipped, chat.tokenBase.length, short.nSkipped]).toEqual([5, 17, 2]);
  expect(() => createDocumentTokenizer({ tokenizer, skipFirst: -1 })).toThrow("skipFirst");
});

test("a template that writes BOS twice is caught, and one BOS stays", async () => {
  const doubled = createChatTemplate({
    place: "doubled",
    source: `{{ bos_token }}${template!.source}`,
    namedTokens: tokenizer.namedTokens,
  });
  const documents = createDocumentTokenizer({ tokenizer, template: doubled });
  const [document] = await documents.tokenize(chats);
  const [plain] = await createDocumentTokenizer({ tokenizer, template }).tokenize(chats);
  expect(documents.counts.chatsWithTwoBos).toBe(1);
  expect([document.tokenBase, document.role, document.slot]).toEqual([
    plain.tokenBase,
    plain.role,
    plain.slot,
  ]);
  expect(document.text).toBe(`<bos>${plain.text}`);
});

test("a BOS typed into a message or further into a text is ordinary characters, counted", async () => {
  const documents = createDocumentTokenizer({ tokenizer, template });
  const tokenized = await documents.tokenize([
    { id: "c", dataset: "t", messages: [{ role: "user", content: "<bos>hi" }] },
    { id: "t", dataset: "t", text: "<bos><bos>hi<bos>" },
  ]);
  for (const { tokenBase } of tokenized) {
    expect(Array.from(tokenBase).filter((id) => id === tokenizer.bosId)).toHaveLength(1);
  }
  expect(documents.counts.neutralisedControlTokens).toBe(3);
});

test("control tokens made across the border of a content are undone on either side", async () => {
  const source = "{% for m in messages %}<start_{{ m.content }}turn><end_of_turn>{% endfor %}";
  const across = createChatTemplate({ place: "across", source, namedTokens: tokenizer.namedTokens });
  const documents = createDocumentTokenizer({ tokenizer, template: across });
  const [document] = await documents.tokenize([
    { id: "c", dataset: "t", messages: [{ role: "user", content: "of_" }] },
  ]);
  expect(document.text).toBe("<start_of_turn><end_of_turn>");
  expect(Array.from(document.tokenBase).filter((id) => id === 3 || id === 4)).toEqual([4]);
  expect(documents.counts.neutralisedControlTokens).toBe(1);
});

test("spans in a message that the template repeats are refused by name; elsewhere they follow the content", async () => {
  const source =
    "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}|{{ m.content }}]{% else %}({{ m.content | trim }}){% endif %}{% endfor %}";
  const repeating = createChatTemplate({ place: "repeating", source, namedTokens: tokenizer.namedTokens });
  const documents = createDocumentTokenizer({ tokenizer, template: repeating });
  const span = (turn: number) => ({ concept: "c", kind: "trigger" as const, turn, start: 2, end: 4 });
  const messages: ChatMessage[] = [
    { role: "user", content: "hi user" },
    { role: "assistant", content: "  user" },
  ];
  const tokenized = await documents.tokenize([
    { id: "bad", dataset: "t", messages, spans: [span(0)] },
    { id: "good", dataset: "t", messages, spans: [span(1)] },
  ]);
  expect(documents.refusals).toEqual([{ id: "bad", reason: expect.stringContaining("messages[0]") }]);
  const [{ text, turns, spans }] = tokenized;
  const at = turns[1].start;
  expect(text.slice(at + spans![0].start!, at + spans![0].end!)).toBe("us");
});
