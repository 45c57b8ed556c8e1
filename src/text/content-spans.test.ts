import fc from "fast-check";
import { expect, test } from "vitest";
import { createChatTemplate } from "./chat-template.ts";
import { createChatLocator, type LocatedChat } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";

const template = (source: string) =>
  createChatTemplate({ place: "test", source, namedTokens: { bos_token: "<bos>" } });

const chat = (...contents: string[]): ChatMessage[] =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const withSystem = (content: string, ...contents: string[]): ChatMessage[] => [
  { role: "system", content },
  ...chat(...contents),
];

async function locate(source: string, messages: ChatMessage[]): Promise<LocatedChat> {
  const [outcome] = await createChatLocator(template(source))([messages]);
  if ("refused" in outcome) throw new Error(outcome.refused);
  return outcome;
}
/** "message:text" of each segment. */
const segmentsOf = ({ text, segments }: LocatedChat): string[] =>
  segments.map(({ message, start, end }) => `${message}:${text.slice(start, end)}`);
const closesOf = ({ text, segments }: LocatedChat): string[] =>
  segments.map(({ end, closeEnd }) => text.slice(end, closeEnd));

const GEMMA =
  "{{ bos_token }}{% for m in messages %}<s>{{ m.role }}\n{{ m.content | trim }}</s>{{ '\\n' }}{% endfor %}";
const RAW = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{{ '\\n' }}{% endfor %}";
/** Brackets around the user, end mark only after the assistant, as Mistral's first template. */
const BRACKETS =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}";
/** Writes an end-of-text mark after the last message only, as Phi-3's. */
const FINAL_MARK =
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if not add_generation_prompt %}<|endoftext|>{% endif %}";
/** Strips thinking from every answer, as DeepSeek-R1's. */
const NO_THINKING =
  "{% for m in messages %}<s>{{ m.role }}:{% if m.role == 'assistant' and '</think>' in m.content %}{{ m.content.split('</think>')[-1] | trim }}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}";
/** Puts the system content in front of the last user message, as Mistral's third template. */
const SYSTEM_LAST =
  "{% set system = '' %}{% for m in messages %}{% if m.role == 'system' %}{% set system = m.content %}{% elif m.role == 'user' %}[INST]{% if loop.last or loop.index0 == messages | length - 2 %}{{ messages[0].content if messages[0].role == 'system' }}\n\n{% endif %}{{ m.content }}[/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}";

test("contents are found where the template trims, repeats words or is given nothing", async () => {
  const located = await locate(GEMMA, chat("  hi ", "user", "hi", "", "</s>\n<s>user\nhi"));
  expect(segmentsOf(located)).toEqual(["0:hi", "1:user", "2:hi", "3:", "4:</s>\n<s>user\nhi"]);
  expect(located.segments.map(({ contentStart }) => contentStart)).toEqual([2, 0, 0, 0, 0]);
  expect(segmentsOf(await locate(RAW, chat("  hi ", "\n")))).toEqual(["0:  hi ", "1:\n"]);
  expect(segmentsOf(await locate(GEMMA, chat("hi", " \n ")))).toEqual(["0:hi", "1:"]);
});

test("a template that trims one role only keeps the other's white space as content", async () => {
  const source =
    "{% for m in messages %}<s>{% if m.role == 'user' %}{{ m.content | trim }}{% else %}{{ m.content }}{% endif %}</s>{% endfor %}";
  expect(segmentsOf(await locate(source, chat(" a ", " b ", " c ")))).toEqual(["0:a", "1: b ", "2:c"]);
});

test("any contents are found, and the text around them is the template's", async () => {
  const locator = createChatLocator(template(GEMMA));
  const content = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("", " ", "</s>", "<s>user\n", "\uF5B8\uF5C0\uF5BB\uF5C0\uF5BB\uF5C0\uF5B9"),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(content, { minLength: 1, maxLength: 5 }), async (contents) => {
      const [located] = (await locator([chat(...contents)])) as [LocatedChat];
      expect(segmentsOf(located)).toEqual(contents.map((text, i) => `${i}:${text.trim()}`));
      expect(closesOf(located)).toEqual(contents.map(() => "</s>\n"));
    }),
    { numRuns: 200, seed: 2 },
  );
});

test("end marks belong to the message they close, headers to the one they open", async () => {
  expect(closesOf(await locate(BRACKETS, chat("a", "b", "c", "d")))).toEqual([
    " [/INST]",
    "</s>",
    " [/INST]",
    "</s>",
  ]);
  const closes = closesOf(await locate(FINAL_MARK, chat("a", "b")));
  // "<|" begins both the mark that only a last message has and the next header; tokens, not characters, settle it.
  expect(closes).toEqual(["<|end|><|", "<|end|><|endoftext|>"]);
});

test("a template that refuses chats ending early leaves the border to the next header", async () => {
  const even = `{% if messages | length is odd %}{{ raise_exception('odd') }}{% endif %}${RAW}`;
  const located = await locate(even, chat("a", "b"));
  expect(segmentsOf(located)).toEqual(["0:a", "1:b"]);
  expect(closesOf(located)).toEqual(["", "</s>\n"]);
});

test("a default system prompt is preamble, before the words that open any user message", async () => {
  const source = `{% if messages[0].role != 'system' %}<s>system\nBe good.</s>{{ '\\n' }}{% endif %}${RAW}`;
  const located = await locate(source, chat("a", "b"));
  expect(located.text.slice(0, located.preambleEnd)).toBe("<s>system\nBe good.</s>\n");
  expect((await locate(source, withSystem("s", "a"))).preambleEnd).toBe(0);
});

test("thinking that the template strips is nobody's text, and the answer behind it is found", async () => {
  const located = await locate(
    NO_THINKING,
    chat("q", "<think>\nhm </s>\n</think>\n\nyes", "q", "<think></think>no"),
  );
  expect(segmentsOf(located)).toEqual(["0:q", "1:yes", "2:q", "3:no"]);
  expect(located.segments[1].contentStart).toBe("<think>\nhm </s>\n</think>\n\n".length);
});

test("thinking that the template reads and writes again is content where the characters are the same", async () => {
  const source =
    "{% for m in messages %}<s>{% set c = m.content %}{% if '</think>' in c %}{% set t = c.split('</think>')[0].split('<think>')[-1] | trim %}{% set a = c.split('</think>')[-1] | trim %}<think>\n{{ t }}\n</think>\n\n{{ a }}{% else %}{{ c }}{% endif %}</s>{% endfor %}";
  const same = await locate(source, chat("q", "<think>\nhm\n</think>\n\nyes"));
  expect(segmentsOf(same)).toEqual(["0:q", "1:<think>\nhm\n</think>\n\nyes"]);
  const other = await locate(source, chat("q", "<think>hm</think>yes"));
  expect(segmentsOf(other)).toEqual(["0:q", "1:hm", "1:yes"]);
});

test("a system content moved into a later message is still the system's", async () => {
  const located = await locate(SYSTEM_LAST, withSystem("S", "a", "b", "c"));
  expect(segmentsOf(located)).toEqual(["1:a", "2:b", "0:S", "3:c"]);
  expect(closesOf(located)[1]).toBe("</s>");
});

test.each([
  [
    "drops",
    "{% for m in messages %}{% if not loop.first %}<s>{{ m.content }}{% endif %}{% endfor %}",
    ["1:two", "2:"],
  ],
  [
    "repeats",
    "{% for m in messages %}<s>{{ m.content }}{{ m.content }}{% endfor %}",
    ["0:one", "0:one", "1:two", "1:two", "2:"],
  ],
  ["reverses", "{% for m in messages | reverse %}<s>{{ m.content }}{% endfor %}", ["2:", "1:two", "0:one"]],
  ["rewrites", "{% for m in messages %}<s>{{ m.content | upper }}{% endfor %}", ["0:ONE", "1:TWO", "2:"]],
  [
    "omits when empty",
    "{% for m in messages %}{% if m.content %}<s>{{ m.content }}{% endif %}{% endfor %}",
    ["0:one", "1:two"],
  ],
])("a template that %s contents says whose the characters are", async (_, source, expected) => {
  const located = await locate(source, chat("one", "two", ""));
  expect(segmentsOf(located)).toEqual(expected);
  const isVerbatim = located.segments.every((segment) => segment.isVerbatim);
  expect(isVerbatim).toBe(!source.includes("upper"));
});

test.each([
  ["cuts by length", "{% for m in messages %}<s>{{ m.content[:6] }}{% endfor %}"],
  ["counts characters", "{% for m in messages %}<s>{{ m.content | length }}{{ m.content }}{% endfor %}"],
  ["capitalises", "{% for m in messages %}<s>{{ m.content | capitalize }}{% endfor %}"],
  [
    "writes other words for known ones",
    "{% for m in messages %}<s>{{ 'Good day' if m.content == 'some words' else m.content }}{% endfor %}",
  ],
])("a template that %s is refused with the message at fault", async (_, source) => {
  await expect(locate(source, chat("some words"))).rejects.toThrow("messages[0] (user)");
});

test("a refused chat leaves the others of its batch alone", async () => {
  const source = `{% if messages[0].content == 'no' %}{{ raise_exception('not that one') }}{% endif %}${RAW}`;
  const outcomes = await createChatLocator(template(source))([chat("a"), chat("no"), chat("b")]);
  expect(outcomes.map((outcome) => ("refused" in outcome ? outcome.refused : segmentsOf(outcome)))).toEqual([
    ["0:a"],
    expect.stringContaining("not that one"),
    ["0:b"],
  ]);
});
