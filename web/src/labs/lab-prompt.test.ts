// What people paste, and how a prompt stands in the address.

import { expect, test } from "vitest";
import { API_LIMITS, type LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { hashText, promptsFromQuery, promptsToQuery, type TextStore } from "./kept-prompts.ts";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";
import { parsePasted, promptFault, promptTitle, readPrompt, toKind, writePrompt } from "./lab-prompt.ts";

const CHAT: LabPrompt = {
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: 'Say ~50% of "ü\n漢".' },
  ],
};
const HOSTILE = "a~b%7Ec%\\n\n\r&=#+ </script>\u202e\ud83d\ude00";

function memoryStore(most = Number.POSITIVE_INFINITY): TextStore & { texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    getItem: (key) => texts.get(key) ?? null,
    setItem(key, text) {
      if (text.length > most) throw new Error("full");
      texts.set(key, text);
    },
  };
}

test("the fields keep the server's own limits", () => {
  const names = Object.keys(LAB_LIMITS) as (keyof typeof LAB_LIMITS)[];
  expect(names.length).toBe(6);
  for (const name of names) expect(LAB_LIMITS[name]).toBe(API_LIMITS[name]);
});

test("JSON of data files is understood in every form, and anything else is text", () => {
  const { messages } = CHAT as Extract<LabPrompt, { messages: unknown }>;
  expect(parsePasted(JSON.stringify({ messages, id: "x" }))).toEqual([CHAT]);
  expect(parsePasted(` ${JSON.stringify({ conversation: messages }, null, 2)}\n`)).toEqual([CHAT]);
  expect(parsePasted(JSON.stringify(messages))).toEqual([CHAT]);
  expect(parsePasted('{"text": "as it is"}')).toEqual([{ text: "as it is" }]);
  expect(parsePasted('[{"role":"model","content":"a"}]')).toEqual([
    { messages: [{ role: "assistant", content: "a" }] },
  ]);
  expect(parsePasted(`{"text":"one"}\n\n${JSON.stringify({ messages })}\n`)).toEqual([{ text: "one" }, CHAT]);
  expect(parsePasted(JSON.stringify([{ text: "one" }, { messages }]))).toEqual([{ text: "one" }, CHAT]);
  for (const text of [
    "What is the capital of France?",
    "",
    "[1] a footnote",
    "{braces}",
    "[]",
    "{}",
    '{"messages": []}',
    '{"messages": [{"role": "user"}]}',
    '{"messages": [{"role": "__proto__", "content": "x"}]}',
    '{"messages": [{"role": "constructor", "content": "x"}]}',
    '{"text": 5}',
    '{"text":"one"}\nand more',
  ])
    expect([text, parsePasted(text)]).toEqual([text, null]);
});

test("a prompt that cannot be answered or read says why", () => {
  const fault = (prompt: LabPrompt, isAnswered = true): string => promptFault(prompt, { isAnswered });
  expect(fault(CHAT)).toBe("");
  expect(fault({ text: " " })).toBe("");
  expect(fault({ text: "" })).toContain("Write");
  expect(fault({ messages: [] })).toContain("Write");
  expect(fault({ messages: [{ role: "user", content: " " }] })).toContain("Write");
  const open = { role: "assistant", content: "Yes." } as const;
  expect(fault({ messages: [{ role: "user", content: "" }, open] })).toContain("Turn 1");
  expect(fault({ messages: [open] })).toContain("user's turn");
  expect(fault({ messages: [open] }, false)).toBe("");
  expect(fault({ text: "x".repeat(LAB_LIMITS.prompt) })).toBe("");
  expect(fault({ text: "x".repeat(LAB_LIMITS.prompt + 1) })).toContain("Shorten");
});

test("a change of kind keeps the words, and a title is one bounded line", () => {
  expect(toKind(CHAT, "text")).toEqual({ text: 'Be brief.\n\nSay ~50% of "ü\n漢".' });
  expect(toKind({ text: "hi" }, "chat")).toEqual({ messages: [{ role: "user", content: "hi" }] });
  expect(toKind(CHAT, "chat")).toBe(CHAT);
  expect(promptTitle(CHAT)).toBe('Say ~50% of "ü 漢".');
  expect(promptTitle({ text: "abc def" }, 5)).toBe("abc…");
});

test("a prompt comes back from the address as it was, whatever it holds", () => {
  const prompts: LabPrompt[] = [
    CHAT,
    { text: HOSTILE },
    { text: "" },
    { messages: [{ role: "user", content: HOSTILE }] },
  ];
  for (const prompt of prompts) {
    const address = new URLSearchParams({ prompt: writePrompt(prompt) }).toString();
    expect(readPrompt(new URLSearchParams(address).get("prompt")!)).toEqual(prompt);
  }
  for (const value of ["", "user", "text~a~text~b", "god~be", "user~a~god~b", "user~a".repeat(99)])
    expect(readPrompt(value)).toBeNull();
});

test("prompts too long for the address are kept in the tab and named by it; another tab says they are lost", () => {
  const long: LabPrompt[] = [{ text: `${HOSTILE}${"y".repeat(LAB_FIGURES.addressText)}` }, CHAT];
  const store = memoryStore();
  const query = new URLSearchParams({ prompt: "text~old", screen: "prompt-lab" });
  promptsToQuery(query, long, store);
  expect(query.toString().length).toBeLessThan(80);
  expect(query.has("prompt")).toBe(false);
  expect(promptsFromQuery(query, store)).toEqual({ prompts: long, where: "tab" });
  expect(promptsFromQuery(query, memoryStore())).toEqual({ prompts: [], where: "lost" });
  promptsToQuery(query, [CHAT], store);
  expect(query.has("kept")).toBe(false);
  expect(promptsFromQuery(query, store)).toEqual({ prompts: [CHAT], where: "address" });
  promptsToQuery(query, long, memoryStore(10));
  expect(query.get("kept")).toBe("");
  expect(promptsFromQuery(query, store).where).toBe("lost");
});

test("texts that differ in one letter have other hashes", () => {
  const hashes = Array.from({ length: 500 }, (_, i) => hashText(`text ${i}`));
  expect(new Set(hashes).size).toBe(500);
});
