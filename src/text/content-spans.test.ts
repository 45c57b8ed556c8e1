import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { createChatTemplate, frozenDate, loadChatTemplate } from "./chat-template.ts";
import { createChatLocator, type LocatedChat } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-template-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const template = (source: string) =>
  createChatTemplate({ place: "test", source, namedTokens: { bos_token: "<bos>" } });
const locator = (source: string) => createChatLocator(template(source));
const chat = (...contents: string[]): ChatMessage[] =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const contentsOf = ({ text, messages }: LocatedChat): string[] =>
  messages.map(({ start, end }) => text.slice(start, end));
const closesOf = ({ text, messages }: LocatedChat): string[] =>
  messages.map(({ end, closeEnd }) => text.slice(end, closeEnd));

const GEMMA =
  "{{ bos_token }}{% for m in messages %}<s>{{ m.role }}\n{{ m.content | trim }}</s>{{ '\\n' }}{% endfor %}";
const RAW = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{{ '\\n' }}{% endfor %}";
/** Brackets around the user, end mark only after the assistant, as Mistral's first template. */
const BRACKETS =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}";
/** Writes an end-of-text mark after the last message only, as Phi-3's. */
const FINAL_MARK =
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if not add_generation_prompt %}<|endoftext|>{% endif %}";

test("contents are found where the template trims, repeats words or is given nothing", () => {
  const located = locator(GEMMA)(chat("  hi ", "user", "hi", "", "</s>\n<s>user\nhi"));
  expect(contentsOf(located)).toEqual(["hi", "user", "hi", "", "</s>\n<s>user\nhi"]);
  expect(located.messages.map(({ trimmedStart }) => trimmedStart)).toEqual([2, 0, 0, 0, 0]);
  expect(contentsOf(locator(RAW)(chat("  hi ", "\n")))).toEqual(["  hi ", "\n"]);
});

test("any contents are found, and the text around them is the template's", () => {
  const locate = locator(GEMMA);
  const content = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("", " ", "</s>", "<s>user\n", "\uF5B80.0\uF5B9"),
  );
  fc.assert(
    fc.property(fc.array(content, { minLength: 1, maxLength: 5 }), (contents) => {
      const located = locate(chat(...contents));
      expect(contentsOf(located)).toEqual(contents.map((text) => text.trim()));
      expect(closesOf(located)).toEqual(contents.map(() => "</s>\n"));
    }),
    { numRuns: 300, seed: 2 },
  );
});

test("end marks belong to the message they close, headers to the one they open", () => {
  expect(closesOf(locator(BRACKETS)(chat("a", "b", "c", "d")))).toEqual([
    " [/INST]",
    "</s>",
    " [/INST]",
    "</s>",
  ]);
  const closes = closesOf(locator(FINAL_MARK)(chat("a", "b")));
  // "<|" begins both the mark that only a last message has and the next header; tokens, not characters, settle it.
  expect(closes).toEqual(["<|end|><|", "<|end|><|endoftext|>"]);
});

test("a template that refuses chats ending early leaves the border to the next header", () => {
  const even = `{% if messages | length is odd %}{{ raise_exception('odd') }}{% endif %}${RAW}`;
  const located = locator(even)(chat("a", "b"));
  expect(contentsOf(located)).toEqual(["a", "b"]);
  expect(closesOf(located)).toEqual(["", "</s>\n"]);
});

test.each([
  [
    "drops a content",
    "{% for m in messages %}{% if not loop.first %}<s>{{ m.content }}{% endif %}{% endfor %}",
    "dropped or cut",
  ],
  [
    "repeats a content",
    "{% for m in messages %}<s>{{ m.content }}{{ m.content }}{% endfor %}",
    "repeated or moved",
  ],
  [
    "reverses the chat",
    "{% for m in messages | reverse %}<s>{{ m.content }}{% endfor %}",
    "repeated or moved",
  ],
  ["rewrites a content", "{% for m in messages %}<s>{{ m.content | upper }}{% endfor %}", "rewritten"],
  [
    "omits empty contents",
    "{% for m in messages %}{% if m.content %}<s>{{ m.content }}{% endif %}{% endfor %}",
    "rewritten",
  ],
])("a template that %s is refused", (_, source, reason) => {
  expect(() => locator(source)(chat("one", "", "two"))).toThrow(reason);
});

test("the template's own refusal is passed on with its place", () => {
  const source = "{{ raise_exception('System role not supported') }}";
  expect(() => template(source).render(chat("hi"))).toThrow(/^test: .*user.*System role not supported/);
});

test("sources and outputs beyond the caps are refused", () => {
  expect(() => template(" ".repeat(65_537))).toThrow("at most 65536 bytes");
  expect(() => template("{{ 'x' * ")).toThrow("parses");
  const long = template("{% for m in messages %}{{ m.content }}{% endfor %}");
  expect(() => long.render(chat("x".repeat(600_000), "y".repeat(600_000)))).toThrow(
    "at most 1000000 characters",
  );
});

test("dates are frozen, so that a render depends on its messages only", () => {
  expect(frozenDate("%d %b %Y, %A %H:%M %q")).toBe("26 Jul 2024, Friday 00:00 %q");
  const dated = template("\n{{ strftime_now('%d %b %Y') }}|{{ messages[0].content }}");
  expect(dated.render(chat("hi"))).toBe("\n26 Jul 2024|hi");
});

test("chat_template.jinja goes before tokenizer_config.json, whose named lists give their default", async () => {
  expect(await loadChatTemplate(root, {})).toBeUndefined();
  const named = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "from config" },
  ];
  writeFileSync(join(root, "tokenizer_config.json"), JSON.stringify({ chat_template: named }));
  expect((await loadChatTemplate(root, {}))?.source).toBe("from config");
  writeFileSync(join(root, "chat_template.jinja"), "from file");
  expect((await loadChatTemplate(root, {}))?.source).toBe("from file");
});
