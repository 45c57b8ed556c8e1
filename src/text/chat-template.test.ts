// Chat templates as foreign programs: their refusals, caps, deadline and clock, and which of a folder's files holds the one.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createChatTemplate, loadChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-template-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const template = (source: string) =>
  createChatTemplate({ place: "test", source, namedTokens: { bos_token: "<bos>" } });
const user = (...contents: string[]): ChatMessage[] => contents.map((content) => ({ role: "user", content }));

test("the template's own refusal is passed on with its place", async () => {
  const source = "{{ raise_exception('System role not supported') }}";
  await expect(template(source).render(user("hi"))).rejects.toThrow(
    /^test: .*user.*System role not supported/,
  );
});

test("sources and outputs beyond the caps are refused", async () => {
  expect(() => template(" ".repeat(65_537))).toThrow("at most 65536 bytes");
  const long = template("{% for m in messages %}{{ m.content }}{% endfor %}");
  await expect(long.render(user("x".repeat(600_000), "y".repeat(600_000)))).rejects.toThrow(
    "at most 1000000 characters",
  );
});

test("dates are frozen, so that a render depends on its messages only", async () => {
  const formats = template("{{ strftime_now('%d %b %Y, %A %H:%M %y %q') }}");
  expect(await formats.render(user("hi"))).toBe("26 Jul 2024, Friday 00:00 24 %q");
  const dated = template("\n{{ strftime_now('%d %b %Y') }}|{{ messages[0].content }}");
  expect(await dated.render(user("hi"))).toBe("\n26 Jul 2024|hi");
  expect([dated.asksForDate, template("x").asksForDate]).toEqual([true, false]);
});

test("generation blocks render as if they were not there", async () => {
  const source =
    "{% for m in messages %}<s>{% generation %}{{ m.content }}{% endgeneration %}</s>{% endfor %}";
  expect(await template(source).render(user("a", "b"))).toBe("<s>a</s><s>b</s>");
});

test("a template that never ends is stopped at the default deadline, and the next one runs", async () => {
  const endless = template(
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
  );
  await expect(endless.render(user("hi"))).rejects.toThrow(
    "test: expected a chat template that parses and runs",
  );
  expect(await template("{{ messages[0].content }}").render(user("hi"))).toBe("hi");
});

test("renders asked for at the same time do not mix", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
  const renders = names.map((name) => template(`${name}{{ messages[0].content }}`).render(user(name)));
  expect(await Promise.all(renders)).toEqual(names.map((name) => name + name));
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
