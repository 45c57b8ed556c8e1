import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import {
  TINY_VOCAB_SIZE,
  tinyTokenizerJson,
  writeTinyTokenizer,
} from "../../test/golden/text/tiny-tokenizer.ts";
import { packageRoot } from "../package-root.ts";
import { type Encoding, loadTokenizer } from "./tokenizer.ts";
import { hashTokenizer, type TokenizerJson } from "./tokenizer-file.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-tokenizer-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = writeTinyTokenizer(join(root, "tiny"));
const tokenizer = await loadTokenizer(folder);

const fixture = (name: string): string => join(packageRoot(), "test/golden/text/fixtures", name);
const pieces = (text: string, { start, end }: Encoding): string[] =>
  Array.from(start, (from, i) => text.slice(from, end[i]));
/** Ids of the tiny tokenizer: 5 control tokens, then the bytes, then the merges. */
const byteId = (character: string): number => 5 + character.charCodeAt(0);

test("ids and characters of a hand-made vocabulary are those worked out by hand", async () => {
  const text = "<bos>hi hi user!";
  const encoding = await tokenizer.encode(text);
  expect(Array.from(encoding.ids)).toEqual([1, 261, 262, byteId(" "), 265, byteId("!")]);
  expect(pieces(text, encoding)).toEqual(["<bos>", "hi", " hi", " ", "user", "!"]);
  expect(tokenizer.vocabSize).toBe(TINY_VOCAB_SIZE);
  expect(tokenizer.bosId).toBe(1);
});

test("offsets are UTF-16 units behind emoji and accents", async () => {
  const text = "a😀é e\u0301👩‍👩‍👧hi<eos>x";
  const encoding = await tokenizer.encode(text);
  const whole = pieces(text, encoding);
  expect(whole.slice(-3)).toEqual(["hi", "<eos>", "x"]);
  expect(whole.filter((piece) => piece === "😀")).toHaveLength(4); // four bytes of one character
  expect(new Set(whole)).toContain("\u0301");
});

test("the tokens of any text cover it without gaps, in order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 40 }), async (text) => {
      const { ids, start, end } = await tokenizer.encode(text);
      let covered = 0;
      for (let i = 0; i < ids.length; i += 1) {
        expect(start[i]).toBeLessThanOrEqual(covered);
        expect(end[i]).toBeGreaterThan(start[i]);
        covered = Math.max(covered, end[i]);
      }
      expect(covered).toBe(text.length);
    }),
    { numRuns: 100, seed: 1 },
  );
});

test("a batch gives what the texts give one by one", async () => {
  const texts = ["hi", "", "😀 user\n\n", "<start_of_turn>user\nhi"];
  const alone = await Promise.all(texts.map((text) => tokenizer.encode(text)));
  expect(await tokenizer.encodeBatch(texts)).toEqual(alone);
});

test("token strings are readable: spaces as they are, control tokens by name, lone bytes escaped", () => {
  expect([261, 262, 4, byteId("\n"), 5 + 0xe2, 9999].map((id) => tokenizer.tokenString(id))).toEqual([
    "hi",
    " hi",
    "<end_of_turn>",
    "\n",
    "\\xE2",
    "<id 9999>",
  ]);
});

test("a SentencePiece vocabulary reads with spaces and bytes too", async () => {
  const gemma = await loadTokenizer(fixture("gemma-like"));
  const { ids } = await gemma.encode("the river 😀");
  const strings = Array.from(ids, (id) => gemma.tokenString(id));
  expect(strings.join("")).toBe("the river \\xF0\\x9F\\x98\\x80");
});

test.each(["gemma-like", "llama3-like", "chatml"])(
  "guarded encoding of %s equals the ordinary one when every control token is allowed",
  async (name) => {
    const model = await loadTokenizer(fixture(name));
    const [open, close] = Array.from(model.specialTokens.keys()).slice(-2);
    const text = `${open}user\nthe river 😀 ran${close}\n${open}model\n to the sea${close}`;
    const ordinary = await model.encode(text);
    const controls = Array.from(ordinary.ids, (id, i) => ({
      id,
      start: ordinary.start[i],
      end: ordinary.end[i],
    }));
    const specialIds = new Set(model.specialTokens.values());
    const places = controls.filter(({ id }) => specialIds.has(id));
    expect(places).toHaveLength(4);
    expect(await model.encodeGuarded(text, places)).toEqual(ordinary);
    const none = await model.encodeGuarded(text, []);
    expect(none.ids.some((id) => specialIds.has(id))).toBe(false);
    expect(none.end.at(-1)).toBe(text.length);
  },
);

test("the hash ignores what does not decide ids and notices what does", () => {
  const json = (change: (json: Record<string, unknown>) => void): TokenizerJson => {
    const copy = structuredClone(tinyTokenizerJson());
    change(copy);
    return copy as TokenizerJson;
  };
  const model = (copy: Record<string, unknown>) => copy.model as Record<string, unknown>;
  const hash = hashTokenizer(json(() => {}));
  expect(hash).toBe(tokenizer.hash);
  const harmless = [
    (copy: Record<string, unknown>) =>
      Object.assign(copy, { padding: { strategy: "BatchLongest" }, decoder: null }),
    (copy: Record<string, unknown>) => delete model(copy).ignore_merges,
    (copy: Record<string, unknown>) => {
      model(copy).merges = (model(copy).merges as string[][]).map((merge) => merge.join(" "));
    },
  ];
  for (const change of harmless) expect(hashTokenizer(json(change))).toBe(hash);
  const harmful: [string, (copy: Record<string, unknown>) => void][] = [
    ["merges, entry 5", (copy) => (model(copy).merges as unknown[]).pop()],
    ["normalizer", (copy) => Object.assign(copy, { normalizer: { type: "NFC" } })],
    ["vocabulary, entry 0", (copy) => Object.assign(model(copy).vocab as object, { "<pad>": 1, "<bos>": 0 })],
    ["added tokens, entry 4", (copy) => (copy.added_tokens as unknown[]).pop()],
    ["model options", (copy) => Object.assign(model(copy), { ignore_merges: true })],
  ];
  for (const [difference, change] of harmful) {
    expect(hashTokenizer(json(change)), difference).not.toBe(hash);
  }
});

test("a missing, cut or foreign tokenizer.json is refused with its place", async () => {
  await expect(loadTokenizer(join(root, "nowhere"))).rejects.toThrow(
    /nowhere.tokenizer\.json: expected a tokenizer file, got none/,
  );
  const cut = writeTinyTokenizer(join(root, "cut"));
  const whole = readFileSync(join(cut, "tokenizer.json"), "utf8");
  writeFileSync(join(cut, "tokenizer.json"), whole.slice(0, whole.length / 2));
  await expect(loadTokenizer(cut)).rejects.toThrow(/cut.tokenizer\.json: expected whole JSON/);
  const bad: [string, RegExp, (json: Record<string, unknown>) => void][] = [
    ["no-model", /expected "model"/, (json) => delete json.model],
    [
      "bad-added",
      /added_tokens\[1\]: expected an id/,
      (json) => Object.assign((json.added_tokens as object[])[1], { id: -3 }),
    ],
    [
      "bad-model",
      /model\.type: expected BPE/,
      (json) => Object.assign(json.model as object, { type: "Nonsense" }),
    ],
    [
      "bad-id",
      /expected id 4, got 0/,
      (json) => Object.assign((json.added_tokens as object[])[4], { content: "<pad>" }),
    ],
    [
      "bad-vocab",
      /expected an id below/,
      (json) => Object.assign((json.model as { vocab: object }).vocab, { zz: 1e9 }),
    ],
  ];
  for (const [name, message, change] of bad) {
    await expect(loadTokenizer(writeTinyTokenizer(join(root, name), change))).rejects.toThrow(message);
  }
});
