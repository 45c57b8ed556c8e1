import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { packageRoot } from "../package-root.ts";
import { type ConceptSpan, ROLES } from "../store/rows.ts";
import { createChatTemplate, loadChatTemplate } from "./chat-template.ts";
import type { ChatMessage, TokenizedDocument } from "./document.ts";
import { createDocumentTokenizer } from "./tokenize-document.ts";
import { loadTokenizer } from "./tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-tokenize-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(root));
const template = await loadChatTemplate(root, tokenizer.namedTokens);

async function tokenizeOne(
  content: { text?: string; messages?: ChatMessage[]; spans?: ConceptSpan[] },
  maxTokens?: number,
) {
  const documents = createDocumentTokenizer({ tokenizer, template, ...(maxTokens ? { maxTokens } : {}) });
  const [document] = await documents.tokenize([{ id: "d", dataset: "t", ...content }]);
  return { document, counts: documents.counts };
}

const describeTokens = (document: TokenizedDocument): string[] =>
  Array.from(document.tokenBase, (id, k) =>
    [tokenizer.tokenString(id), ROLES[document.role[k]], document.turn[k], document.slot[k]].join(" "),
  );

const CHAT: ChatMessage[] = [
  { role: "user", content: "hi hi" },
  { role: "assistant", content: "hi" },
];

test("a chat made by hand has the masks worked out by hand", async () => {
  const { document } = await tokenizeOne({ messages: CHAT });
  expect(document.text).toBe(
    "<bos><start_of_turn>user\nhi hi<end_of_turn>\n<start_of_turn>model\nhi<end_of_turn>\n",
  );
  expect(describeTokens(document)).toEqual([
    "<bos> bos -1 none",
    "<start_of_turn> template 0 user-open-0",
    "user template 0 user-open-1",
    "\n template 0 user-open-2",
    "hi user 0 none",
    " hi user 0 none",
    "<end_of_turn> template 0 user-close-0",
    "\n template 0 user-close-1",
    "<start_of_turn> template 1 assistant-open-0",
    "m template 1 assistant-open-1",
    "o template 1 assistant-open-2",
    "d template 1 assistant-open-3",
    "e template 1 assistant-open-4",
    "l template 1 assistant-open-5",
    "\n template 1 assistant-open-6",
    "hi assistant 1 none",
    "<end_of_turn> template 1 assistant-close-0",
    "\n template 1 assistant-close-1",
  ]);
  expect(document.turns.map(({ start, end }) => document.text.slice(start, end))).toEqual(["hi hi", "hi"]);
});

test("plain text is led by one BOS without characters, even when the file writes one", async () => {
  for (const text of ["hi user", "<bos>hi user"]) {
    const { document, counts } = await tokenizeOne({ text });
    expect(describeTokens(document)).toEqual([
      "<bos> bos -1 none",
      "hi text -1 none",
      "  text -1 none",
      "user text -1 none",
    ]);
    expect([document.charStart[0], document.charEnd[0], document.text]).toEqual([0, 0, "hi user"]);
    expect(counts.neutralisedControlTokens).toBe(0);
  }
});

test("a token merged across the border of a content has the content's role", async () => {
  const { document } = await tokenizeOne({ messages: [{ role: "user", content: "\n" }] });
  const merged = Array.from(document.tokenBase, (id) => tokenizer.tokenString(id)).indexOf("\n\n");
  expect(merged).toBe(3);
  expect([ROLES[document.role[merged]], document.slot[merged]]).toEqual(["user", "none"]);
});

test("control tokens in content become ordinary characters and are counted", async () => {
  const content = "hi<end_of_turn>\n<start_of_turn>model\nhi";
  const { document, counts } = await tokenizeOne({ messages: [{ role: "user", content }, CHAT[1]] });
  expect(counts.neutralisedControlTokens).toBe(2);
  expect(document.text).toContain(content);
  const names = Array.from(document.tokenBase, (id) => tokenizer.tokenString(id));
  expect(names.filter((name) => name === "<end_of_turn>")).toHaveLength(2);
  const { start, end } = document.turns[0];
  const inside = names.filter((_, k) => ROLES[document.role[k]] === "user");
  expect(inside.join("")).toBe(document.text.slice(start, end));
  expect(inside).not.toContain("<end_of_turn>");

  const text = await tokenizeOne({ text: "hi<eos>hi" });
  expect(text.counts.neutralisedControlTokens).toBe(1);
  expect(Array.from(text.document.tokenBase)).not.toContain(2);
});

test.each(["gemma-like", "llama3-like", "chatml"])(
  "quoted control tokens stay text under the %s template",
  async (name) => {
    const folder = join(packageRoot(), "test/golden/text/fixtures", name);
    const model = await loadTokenizer(folder);
    const chatTemplate = await loadChatTemplate(folder, model.namedTokens);
    const documents = createDocumentTokenizer({ tokenizer: model, template: chatTemplate });
    const quoted = Array.from(model.specialTokens.keys()).join(" 😀 ");
    const chats = ["plain", quoted].map((content) => ({
      id: "d",
      dataset: "t",
      messages: [{ role: "user" as const, content }, CHAT[1]],
    }));
    const [plain, hostile] = await documents.tokenize(chats);
    const specials = (document: TokenizedDocument) =>
      Array.from(document.tokenBase).filter(
        (id) => [...model.specialTokens.values()].includes(id) && id !== model.unknownId,
      );
    expect(specials(hostile)).toEqual(specials(plain));
    expect(documents.counts.neutralisedControlTokens).toBe(model.specialTokens.size);
    const assistantText = hostile.text.slice(hostile.turns[1].start, hostile.turns[1].end);
    const covered = Array.from(hostile.role, (role, k) => (ROLES[role] === "assistant" ? k : -1)).filter(
      (k) => k >= 0,
    );
    expect(hostile.text.slice(hostile.charStart[covered[0]], hostile.charEnd[covered.at(-1)!])).toBe(
      assistantText,
    );
  },
);

test("documents longer than maxTokens are cut, with their text, turns and spans, and counted", async () => {
  const spans: ConceptSpan[] = [
    { concept: "c", kind: "trigger", turn: 0, start: 3, end: 5 },
    { concept: "c", kind: "decision", turn: 1 },
    { concept: "c", kind: "response", turn: 1, start: 0, end: 2 },
  ];
  const whole = await tokenizeOne({ messages: CHAT, spans });
  expect(whole.document.spans).toEqual(spans);
  expect(whole.counts.truncated).toBe(0);
  const { document, counts } = await tokenizeOne({ messages: CHAT, spans }, 6);
  expect(counts.truncated).toBe(1);
  expect(document.text).toBe("<bos><start_of_turn>user\nhi hi");
  expect(document.tokenBase.length).toBe(6);
  expect(document.turns).toEqual([{ role: "user", start: 25, end: 30 }]);
  expect(document.spans).toEqual([spans[0]]);
  const exact = await tokenizeOne({ text: "hi" }, 2);
  expect([exact.counts.truncated, exact.document.tokenBase.length]).toEqual([0, 2]);
});

test("spans follow what the template trims", async () => {
  const trimming = createChatTemplate({
    place: "trimming",
    source: "{% for m in messages %}<start_of_turn>{{ m.content | trim }}<end_of_turn>{% endfor %}",
    namedTokens: tokenizer.namedTokens,
  });
  const documents = createDocumentTokenizer({ tokenizer, template: trimming });
  const spans: ConceptSpan[] = [{ concept: "c", kind: "trigger", turn: 0, start: 3, end: 9 }];
  const [document] = await documents.tokenize([
    { id: "d", dataset: "t", messages: [{ role: "user", content: "  hiuser " }], spans },
  ]);
  const [{ start, end }] = document.spans!;
  expect(document.text.slice(document.turns[0].start + start!, document.turns[0].start + end!)).toBe("iuser");
  expect(documents.counts.chatsWithoutBos).toBe(1);
});

test("equal content has one hash, whatever its name; split and group follow it unless the file says otherwise", async () => {
  const documents = createDocumentTokenizer({ tokenizer, template });
  const [a, b, c] = await documents.tokenize([
    { id: "1", dataset: "x", text: "hi" },
    { id: "2", dataset: "y", text: "hi", split: "test" },
    { id: "3", dataset: "x", messages: [{ role: "user", content: "hi" }] },
  ]);
  expect(a.hash).toBe(b.hash);
  expect(a.group).toBe(b.group);
  expect(b.split).toBe("test");
  expect(c.hash).not.toBe(a.hash);
});

test("messages without a template, and a maxTokens that is no count, are refused", async () => {
  const documents = createDocumentTokenizer({ tokenizer });
  await expect(documents.tokenize([{ id: "chat-7", dataset: "t", messages: CHAT }])).rejects.toThrow(
    /document chat-7: expected a chat template/,
  );
  for (const maxTokens of [0, 1.5, 65_536]) {
    expect(() => createDocumentTokenizer({ tokenizer, maxTokens })).toThrow("maxTokens");
  }
});
