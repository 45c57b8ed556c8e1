// Prompts to ids: the opened turn, BOS once, quoted control tokens, replaced ids, refusals; and where answers stop.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, FormatError } from "../errors.ts";
import { createPromptTokenizer } from "./chat-prompt.ts";
import { createChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";
import { findStopIds } from "./stop-ids.ts";
import { loadTokenizer } from "./tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-prompt-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = await loadTokenizer(writeTinyTokenizer(join(root, "tiny")));
const { namedTokens } = tokenizer;

const TURNS =
  "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>{{ '\\n' }}{% endfor %}";
const OPENED = `${TURNS}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}`;
const template = (source: string) => createChatTemplate({ place: "test", source, namedTokens });
const ask = (content: string): ChatMessage[] => [{ role: "user", content }];
const read = (ids: Uint32Array): string => Array.from(ids, tokenizer.tokenString).join("");

test("a message becomes a user's turn with the model's turn opened behind it, after one BOS", async () => {
  const prompts = createPromptTokenizer({ tokenizer, template: template(OPENED) });
  const [{ text, tokens }] = await prompts.tokenize([{ id: "p", messages: ask("hi") }]);
  expect(text).toBe("<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n");
  expect(read(tokens.finetuned)).toBe(text);
  expect(tokens.base).toEqual(tokens.finetuned);
});

test("plain text gets the BOS that it does not write, and stands among chats in its place", async () => {
  const prompts = createPromptTokenizer({ tokenizer, template: template(`<bos>${OPENED}`) });
  const tokenized = await prompts.tokenize([
    { id: "a", text: "hi" },
    { id: "b", messages: ask("x") },
    { id: "c", text: "<bos>hi" },
    { id: "d", text: "" },
  ]);
  expect(tokenized.map(({ tokens }) => read(tokens.base))).toEqual([
    "<bos>hi",
    "<bos><start_of_turn>user\nx<end_of_turn>\n<start_of_turn>model\n",
    "<bos>hi",
    "<bos>",
  ]);
});

test("a control token that a message only quotes is spelled out", async () => {
  const prompts = createPromptTokenizer({ tokenizer, template: template(OPENED) });
  const [{ tokens }] = await prompts.tokenize([{ id: "p", messages: ask("a<end_of_turn>b") }]);
  const end = tokenizer.specialTokens.get("<end_of_turn>")!;
  expect(Array.from(tokens.finetuned).filter((id) => id === end)).toHaveLength(1);
  expect(tokenizer.decode(tokens.finetuned)).toBe("user\na<end_of_turn>b\nmodel\n");
});

test("only the base reads replaced ids", async () => {
  const start = tokenizer.specialTokens.get("<start_of_turn>")!;
  const prompts = createPromptTokenizer({
    tokenizer,
    template: template(OPENED),
    baseReplacements: new Map([[start, 9]]),
  });
  const [{ tokens }] = await prompts.tokenize([{ id: "p", messages: ask("hi") }]);
  expect(Array.from(tokens.base)).toEqual(Array.from(tokens.finetuned, (id) => (id === start ? 9 : id)));
  expect(tokens.finetuned).toContain(start);
});

test("a template that ends chats with EOS unless a turn is opened still finds its contents", async () => {
  const source = `${TURNS}{% if add_generation_prompt %}<start_of_turn>model\n{% else %}<eos>{% endif %}`;
  const prompts = createPromptTokenizer({ tokenizer, template: template(source) });
  const [{ text }] = await prompts.tokenize([{ id: "p", messages: ask("hi") }]);
  expect(text.endsWith("hi<end_of_turn>\n<start_of_turn>model\n")).toBe(true);
});

test("what cannot be asked is refused by name", async () => {
  const tokenize = (source: string | undefined, messages: ChatMessage[]) =>
    createPromptTokenizer({
      tokenizer,
      template: source === undefined ? undefined : template(source),
    }).tokenize([{ id: "p7", messages }]);
  await expect(tokenize(undefined, ask("hi"))).rejects.toThrow(FormatError);
  await expect(tokenize(OPENED, [{ role: "assistant", content: "hi" }])).rejects.toThrow(ConfigError);
  await expect(tokenize(OPENED, [])).rejects.toThrow("prompt p7");
  const moody = `${TURNS}{% if add_generation_prompt %}{{ raise_exception('no answers here') }}{% endif %}`;
  await expect(tokenize(moody, ask("hi"))).rejects.toThrow(/prompt p7: .*no answers here/);
  const rewriting = `{% if add_generation_prompt %}other{% else %}{{ messages[0].content }}{% endif %}`;
  await expect(tokenize(rewriting, ask("hi"))).rejects.toThrow(/prompt p7: .*another text/);
});

test("answers stop at EOS, at the turn's end mark and at what generation_config names", async () => {
  const folder = writeTinyTokenizer(join(root, "configured"));
  const find = (source: string | undefined) =>
    findStopIds({
      folders: [folder],
      tokenizer,
      template: source === undefined ? undefined : template(source),
    });
  expect(await find(undefined)).toEqual([2]);
  expect(await find(OPENED)).toEqual([2, 4]);
  expect(await find("{% for m in messages %}{{ m.content }};{% endfor %}")).toEqual([2]);
  writeFileSync(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: [77, 2] }));
  expect(await find(OPENED)).toEqual([2, 4, 77]);
  writeFileSync(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: "<eos>" }));
  await expect(find(OPENED)).rejects.toThrow(/generation_config.json: eos_token_id/);
});

test("decoding makes whole characters of bytes that tokens share, and leaves control tokens out", async () => {
  const text = "a😀é hi user\n\n";
  const { ids } = await tokenizer.encode(`<start_of_turn>${text}<end_of_turn>`);
  expect(tokenizer.decode(ids)).toBe(text);
  expect(tokenizer.decode((await tokenizer.encode("é")).ids.subarray(0, 1))).toBe("\uFFFD");
});
