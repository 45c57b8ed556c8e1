import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { InputDocument } from "./document.ts";
import { readDocuments } from "./read-documents.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-documents-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function collect(path: string): Promise<InputDocument[]> {
  const documents: InputDocument[] = [];
  for await (const document of readDocuments(path)) documents.push(document);
  return documents;
}

async function read(lines: unknown[], name = "forum.jsonl"): Promise<InputDocument[]> {
  const path = join(root, name);
  writeFileSync(
    path,
    lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"),
  );
  return collect(path);
}

const messages = [
  { role: "user", content: "hi" },
  { role: "model", content: "hello" },
];

test("the common shapes are read, with names filled in", async () => {
  const documents = await read([
    { text: "plain" },
    { messages, id: "chat", dataset: "chats", split: "test", extra: 1 },
    { conversation: messages, id: 7 },
  ]);
  const chat = [messages[0], { role: "assistant", content: "hello" }];
  expect(documents).toEqual([
    { id: "line-1", dataset: "forum", text: "plain" },
    { id: "chat", dataset: "chats", split: "test", messages: chat },
    { id: "7", dataset: "forum", messages: chat },
  ]);
});

test("a lone surrogate becomes U+FFFD and keeps every offset", async () => {
  const [document] = await read(['{"text": "a\\ud800b😀"}']);
  expect(document.text).toBe("a\uFFFDb😀");
});

test("spans are carried", async () => {
  const spans = [
    { concept: "c", kind: "trigger", turn: 0, start: 0, end: 2 },
    { concept: "c", kind: "decision", turn: 1 },
  ];
  expect((await read([{ messages, spans }]))[0].spans).toEqual(spans);
});

const span = { concept: "c", kind: "trigger", turn: 0, start: 0, end: 3 };
test.each([
  [
    "both contents",
    { text: "x", messages },
    "expected exactly one of text, messages, conversation, got text and messages",
  ],
  ["no content", { id: "x" }, "expected exactly one of text, messages, conversation, got none"],
  [
    "an unknown role",
    { messages: [{ role: "tool", content: "x" }] },
    /messages\[0\]\.role: .*"system".*got "tool"/,
  ],
  [
    "content in parts",
    { messages: [{ role: "user", content: [{ type: "text" }] }] },
    /messages\[0\]\.content: .*string.*got \[/,
  ],
  ["a missing content", { messages: [{ role: "user" }] }, /messages\[0\]\.content: .*got nothing/],
  ["no messages", { messages: [] }, /messages: /],
  ["an empty text", { text: "" }, /text: .*got ""/],
  ["an unknown split", { text: "x", split: "dev" }, /split: .*got "dev"/],
  ["an array", [1], /expected object, got \[1\]/],
  [
    "a span beyond its content",
    { messages, spans: [span] },
    /spans\[0\]: expected 0 ≤ start < end ≤ 2, got 0 and 3/,
  ],
  [
    "a span of no turn",
    { messages, spans: [{ ...span, turn: 2 }] },
    /spans\[0\]: expected a turn below 2, got 2/,
  ],
  ["a span on plain text", { text: "abc", spans: [span] }, /spans\[0\]: expected a turn below 0/],
  ["no JSON", "{oops", /expected one JSON value/],
])("%s is refused with file, line and field", async (_, line, message) => {
  const attempt = read([{ text: "fine" }, line]);
  await expect(attempt).rejects.toThrow(message);
  await expect(attempt).rejects.toThrow(/forum\.jsonl:2/);
});

test("a file without a document, or no file, is refused", async () => {
  await expect(read([], "empty.jsonl")).rejects.toThrow("expected at least one document, got an empty file");
  await expect(collect(join(root, "absent.jsonl"))).rejects.toThrow(/absent\.jsonl/);
});
