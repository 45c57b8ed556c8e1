// Hostile and broken chat templates: a typed error or a defined result, never a hang, never a fallen process.
//
// The deadline is shorter than the default so that the table stays fast; what counts is that each case ends by itself.

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { createChatTemplate, loadChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-hostile-template-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const CHAT: ChatMessage[] = [
  { role: "user", content: "hi" },
  { role: "assistant", content: "yo" },
];
/** The promise is two seconds with the default deadline; the rest is room for a busy machine starting a process anew. */
const HANG_MS = 20_000;

async function render(source: string): Promise<string> {
  const template = createChatTemplate({
    place: "evil",
    source,
    namedTokens: { bos_token: "<bos>" },
    limits: { deadlineMs: 250 },
  });
  return template.render(CHAT);
}

const nested = (open: string, close: string, n: number): string => open.repeat(n) + close.repeat(n);
const doublings = (n: number): string =>
  `{% set ns = namespace(s='xxxxxxxx') %}${"{% set ns.s = ns.s + ns.s %}".repeat(n)}{{ ns.s }}`;

test.each([
  ["nested loops", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"],
  ["loop over one huge range", "{% for a in range(1000000000) %}{% endfor %}"],
  ["a huge range kept", "{% set a = range(1000000000) %}{{ a | length }}"],
  ["a range of a million million", "{{ range(1000000000000) }}"],
  [
    "a backward endless range",
    "{% for a in range(0, 10, -1) %}x{% endfor %}{% for a in range(9999999) %}{% for b in range(999) %}{% endfor %}{% endfor %}",
  ],
  ["doubled strings", doublings(27)],
  ["strings doubled beyond the engine's limit", doublings(40)],
  [
    "doubled in a loop",
    "{% set ns = namespace(s='x') %}{% for a in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
  ],
  [
    "lists doubled in a loop",
    "{% set ns = namespace(s=[1]) %}{% for a in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
  ],
  ["two megabytes of output", "{% for a in range(2000000) %}x{% endfor %}"],
  ["output without end", "{% for a in range(999999999) %}{{ messages }}{% endfor %}"],
  ["a macro that calls itself", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"],
  [
    "two macros that call each other",
    "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
  ],
  [
    "a macro that branches",
    "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
  ],
  ["twenty thousand parentheses", `{{ ${nested("(", ")", 20_000)} }}`],
  ["twenty thousand brackets", `{{ ${nested("[", "]", 20_000)} }}`],
  ["two thousand nested ifs", nested("{% if true %}", "{% endif %}", 2_000)],
  ["ten thousand nots", `{{ ${"not ".repeat(10_000)}true }}`],
  ["ten thousand filters", `{{ 'x'${" | upper".repeat(5_000)} }}`],
  [
    "replace that grows",
    "{% set ns = namespace(s='x') %}{% for a in range(40) %}{% set ns.s = ns.s | replace('x', 'xxxxxxxx') %}{% endfor %}{{ ns.s }}",
  ],
  [
    "join that grows",
    "{% set ns = namespace(s='x') %}{% for a in range(40) %}{% set ns.s = [ns.s, ns.s] | join(ns.s) %}{% endfor %}{{ ns.s }}",
  ],
  ["indent of a huge width", "{{ 'a' | indent(1000000000, true) }}"],
  [
    "a dictionary that holds itself",
    "{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns | tojson }}{{ undefined_function() }}",
  ],
])(
  "a template with %s ends with a typed error",
  async (_, source) => {
    const outcome = await render(source).catch((error: unknown) => error);
    // Small outputs of large programs are results like any other; anything else is our own error.
    if (typeof outcome === "string") expect(outcome.length).toBeLessThan(1000);
    else expect(outcome).toBeInstanceOf(FormatError);
    expect(await render("{{ messages[0].content }}")).toBe("hi");
  },
  HANG_MS,
);

test.each([
  ["an unclosed expression", "{{ messages"],
  ["an unclosed block", "{% for m in messages %}x"],
  ["an end without a beginning", "{% endfor %}"],
  ["an unknown statement", "{% frobnicate %}"],
  ["an unfinished product", "{{ 'x' * }}"],
  ["an unclosed string", "{{ 'x }}"],
  ["include", "{% include 'secret.txt' %}"],
  ["import", "{% import 'os' as os %}{{ os.system('id') }}"],
  ["from import", "{% from 'os' import system %}"],
  ["extends", "{% extends 'base.html' %}"],
  ["an unknown filter", "{{ messages | frobnicate }}"],
  ["an unknown test", "{{ messages is frobnicated }}"],
  ["an undefined function", "{{ frobnicate() }}"],
  ["a call of a string", "{{ messages[0].content() }}"],
  ["raise_exception", "{{ raise_exception('no') }}"],
  ["a constructor that is called", "{{ ''.constructor.constructor('return process')() }}"],
  ["a constructor of a function", "{{ raise_exception.constructor('return 1')() }}"],
  ["a prototype walk", "{{ messages.__proto__.push(1) }}"],
  ["a class walk as in Python", "{{ ''.__class__.__mro__[1].__subclasses__() }}"],
  ["globals as in Python", "{{ strftime_now.__globals__['os'].popen('id') }}"],
  ["process", "{{ process.exit(1) }}"],
  ["require", "{{ require('fs').readFileSync('/etc/passwd') }}"],
  ["globalThis", "{{ globalThis.process.kill(1) }}"],
  ["self", "{{ self.__init__.__globals__.os }}{{ cycler.__init__() }}"],
])(
  "a template with %s is refused with the reason",
  async (_, source) => {
    await expect(render(source)).rejects.toThrow(FormatError);
    await expect(render(source)).rejects.toThrow(/^evil: expected a chat template/);
  },
  HANG_MS,
);

test.each([
  ["an attribute of nothing", "{{ messages[9].content }}", ""],
  ["a constructor that is only looked at", "{{ ''.constructor }}{{ messages.constructor }}", ""],
  ["__proto__ looked at", "{{ messages[0].__proto__ }}{{ messages[0]['__proto__'] }}", ""],
  ["a namespace named __proto__", "{% set ns = namespace(__proto__='x') %}{{ ns.polluted }}ok", "ok"],
  [
    "__proto__ set on a namespace",
    "{% set ns = namespace() %}{% set ns.__proto__ = 'x' %}{{ {}.x }}ok",
    "ok",
  ],
  ["a variable named constructor", "{% set constructor = 'c' %}{{ constructor }}", "c"],
  ["a message role that it writes over", "{% set messages = [] %}{{ messages | length }}", "0"],
  ["a generation block", "{% generation %}{{ messages[1].content }}{% endgeneration %}", "yo"],
  [
    "break and continue",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content }}{% endfor %}{% for m in messages %}{% break %}{% endfor %}",
    "yo",
  ],
  [
    "HTML and escapes",
    "<script>\u001b[31m{{ messages[0].content }}</script>",
    "<script>\u001b[31mhi</script>",
  ],
  ["a byte order mark", "\uFEFF{{ messages[0].content }}", "\uFEFFhi"],
  ["nothing", "", ""],
  ["a comment only", "{# nothing #}", ""],
  ["tools that are undefined", "{% if tools is defined %}T{% else %}none{% endif %}", "none"],
  ["a date", "{{ strftime_now('%Y-%m-%d') }}", "2024-07-26"],
  ["windows line ends", "{% if true %}\r\na\r\nb{% endif %}\r\n", "a\nb"],
])(
  "a template with %s has a defined result",
  async (_, source, expected) => {
    const outcome = await render(source).catch((error: unknown) => error);
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(FormatError);
    else expect(outcome).toBe(expected);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  },
  HANG_MS,
);

test.each([
  ["a number", 7],
  ["true", true],
  ["an object", { default: "x" }],
  ["an empty list", []],
  ["a list without default", [{ name: "tool_use", template: "x" }]],
  ["a list of strings", ["x"]],
  ["a default that is no string", [{ name: "default", template: 7 }]],
  ["a list with null", [null]],
])("a chat_template that is %s is refused with its place", async (name, value) => {
  const folder = mkdtempSync(join(root, "config-"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ chat_template: value }));
  await expect(loadChatTemplate(folder, {}), name).rejects.toThrow(
    /tokenizer_config\.json: chat_template: expected/,
  );
});

test.each([
  ["cut short", '{"chat_template": "x'],
  ["a list", "[]"],
  ["empty", ""],
  ["nested without end", "[".repeat(100_000)],
  ["led by a byte order mark", '\uFEFF{"chat_template": "x"}'],
  ["not UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
])("a tokenizer_config.json that is %s is refused with its place", async (_, bytes) => {
  const folder = mkdtempSync(join(root, "config-"));
  writeFileSync(join(folder, "tokenizer_config.json"), bytes);
  await expect(loadChatTemplate(folder, {})).rejects.toThrow(FormatError);
  await expect(loadChatTemplate(folder, {})).rejects.toThrow("tokenizer_config.json: expected");
});

test("files far too large are refused without being read", async () => {
  const folder = mkdtempSync(join(root, "large-"));
  writeFileSync(join(folder, "chat_template.jinja"), "");
  truncateSync(join(folder, "chat_template.jinja"), 2 ** 30);
  await expect(loadChatTemplate(folder, {})).rejects.toThrow("expected at most");
});

test("a loop whose output the interpreter would lose is refused before it is run", async () => {
  const source =
    "{% for m in messages %}{{ m.content }}{% if loop.first %}{% continue %}{% endif %}.{% endfor %}";
  await expect(render(source)).rejects.toThrow(/continue.*would lose that output/);
});
