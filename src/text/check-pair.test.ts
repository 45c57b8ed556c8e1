// The matrix of pairs: every row has a case, every case names what is found, and docs/pairs.md shows the same rows.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import { packageRoot } from "../package-root.ts";
import { checkPair, checkUsedIds, judgePair, type PairMember } from "./check-pair.ts";
import { PAIR_RULES, type PairLevel, type PairRuleName } from "./pair-rules.ts";
import { loadTokenizer } from "./tokenizer.ts";
import { hashTokenizer, readNamedTokens, readTokenizerJson } from "./tokenizer-file.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-pair-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Json {
  model: { vocab: Record<string, number>; merges: string[][]; [option: string]: unknown };
  added_tokens: Record<string, unknown>[];
  [part: string]: unknown;
}
type Edit = (json: Json) => void;

let nFolders = 0;
/** What the check asks of a tokenizer, without an engine: some of these edits no engine would load. */
async function tokenizerWith(edit: Edit): Promise<PairMember["tokenizer"]> {
  nFolders += 1;
  const folder = writeTinyTokenizer(join(root, `tokenizer-${nFolders}`), (json) => {
    const own = json as unknown as Json;
    own.model.merges = [...own.model.merges]; // the list is shared by all tiny tokenizers
    edit(own);
  });
  const json = await readTokenizerJson(folder);
  const ids = [...Object.values(json.model.vocab as object), ...json.added_tokens.map(({ id }) => id)];
  return {
    folder,
    hash: hashTokenizer(json),
    vocabSize: Math.max(...ids) + 1,
    specialTokens: new Map(),
    namedTokens: await readNamedTokens(folder, json),
  };
}

const tokenizer = await loadTokenizer(writeTinyTokenizer(join(root, "same")));
const nIds = tokenizer.vocabSize;
const member = (change: Partial<PairMember> = {}): PairMember => ({
  folder: "some/model",
  modelType: "llama",
  nLayers: 4,
  dModel: 64,
  vocabSize: 512,
  layer: 2,
  tokenizer,
  templateHash: "t",
  rope: '{"theta":10000}',
  dtype: "float32",
  maxPositions: 2048,
  isTied: true,
  ...change,
});

const addToken =
  (id: number, content = `<extra ${id}>`): Edit =>
  ({ added_tokens }) => {
    added_tokens.push({ ...added_tokens[0], id, content });
  };
const addWord =
  (id: number): Edit =>
  ({ model }) => {
    model.vocab[`word${id}`] = id;
  };
const renameWord: Edit = ({ model: { vocab } }) => {
  vocab.HI = vocab.hi;
  delete vocab.hi;
};
const swapWords: Edit = ({ model: { vocab } }) => {
  [vocab.hi, vocab.us] = [vocab.us, vocab.hi];
};
const setPart =
  (part: string, value: unknown): Edit =>
  (json) => {
    json[part] = value;
  };
const setOption =
  (option: string, value: unknown): Edit =>
  ({ model }) => {
    model[option] = value;
  };
const setFlag =
  (flag: string, value: boolean): Edit =>
  ({ added_tokens }) => {
    added_tokens[3][flag] = value;
  };
const renameAdded: Edit = ({ added_tokens, model }) => {
  added_tokens[3].content = "<tool>";
  delete model.vocab["<start_of_turn>"];
  model.vocab["<tool>"] = 3;
};

interface Case {
  name: string;
  base?: Partial<PairMember>;
  finetuned?: Partial<PairMember>;
  editBase?: Edit;
  editFinetuned?: Edit;
  replaced?: number[];
  /** All that is found, in order. */
  rules: PairRuleName[];
  /** Of the gravest finding's message: both values are in it. */
  message?: RegExp;
}

const names = (change: Record<string, string | undefined>): Partial<PairMember> => ({
  tokenizer: { ...tokenizer, namedTokens: { ...tokenizer.namedTokens, ...change } as never },
});

const CASES: Case[] = [
  { name: "nothing differs", rules: [] },
  {
    name: "spare embedding rows on both sides",
    base: { vocabSize: 4096 },
    finetuned: { vocabSize: 4096 },
    rules: [],
  },
  // Tokenizers: which ids there are and what they mean.
  {
    name: "a word of the vocabulary is another word",
    editFinetuned: renameWord,
    rules: ["vocabulary-conflict"],
    message: /base [0-9a-f]{12} .*finetuned [0-9a-f]{12} .*vocabulary, entry \d+: base "hi", finetuned "HI"/,
  },
  {
    name: "two words have changed places",
    editFinetuned: swapWords,
    rules: ["vocabulary-conflict"],
    message: /and 1 more/,
  },
  {
    name: "two words have changed places and both are replaced for the base",
    editFinetuned: swapWords,
    replaced: [261, 263],
    rules: ["vocabulary-conflict-replaced"],
    message: /base "hi", finetuned "us"/,
  },
  {
    name: "two words have changed places and one is replaced",
    editFinetuned: swapWords,
    replaced: [261],
    rules: ["vocabulary-conflict"],
  },
  {
    name: "a reserved token was given a name",
    editFinetuned: renameAdded,
    rules: ["added-token-renamed"],
    message: /entry 3: base "<start_of_turn>", finetuned "<tool>"/,
  },
  {
    name: "a new control token for which the base has a spare row",
    editFinetuned: addToken(nIds),
    rules: ["ids-only-finetuned-with-rows"],
    message: new RegExp(`id ${nIds} .*rows for them \\(512\\)`),
  },
  {
    name: "a new word for which the base has a spare row",
    editFinetuned: addWord(nIds + 2),
    rules: ["ids-only-finetuned-with-rows"],
  },
  {
    name: "a new control token and a resized embedding",
    editFinetuned: addToken(520),
    finetuned: { vocabSize: 640 },
    rules: ["ids-only-finetuned-without-rows", "embedding-rows"],
    message: /id 520 .*beyond the 512 embedding rows/,
  },
  {
    name: "new tokens with and without a row",
    editFinetuned: (json) => [nIds, 511, 512, 513].forEach((id) => void addToken(id)(json)),
    finetuned: { vocabSize: 520 },
    rules: ["ids-only-finetuned-with-rows", "ids-only-finetuned-without-rows", "embedding-rows"],
    message: new RegExp(`2 ids \\(${nIds} to 511\\)`),
  },
  {
    name: "a new token beyond the base's rows, replaced for the base",
    editFinetuned: addToken(520),
    finetuned: { vocabSize: 640 },
    replaced: [520],
    rules: ["ids-only-finetuned-replaced", "embedding-rows"],
  },
  {
    name: "a token that the fine-tune no longer has",
    editBase: addToken(nIds),
    rules: ["ids-only-base"],
    message: new RegExp(`id ${nIds} .*only in the base`),
  },
  { name: "a smaller embedding in the fine-tune", finetuned: { vocabSize: 300 }, rules: ["embedding-rows"] },
  {
    name: "more embedding rows in the fine-tune",
    finetuned: { vocabSize: 520 },
    rules: ["embedding-rows"],
    message: /embedding rows differ: base 512, finetuned 520/,
  },
  {
    name: "fewer rows in the fine-tune than its tokenizer has ids",
    finetuned: { vocabSize: 200 },
    rules: ["tokenizer-beyond-embedding", "embedding-rows"],
    message: /267 ids.*got 200 rows \(finetuned\)/,
  },
  {
    name: "fewer rows in the base than its tokenizer has ids",
    base: { vocabSize: 266 },
    rules: ["tokenizer-beyond-embedding", "embedding-rows"],
    message: /267 ids.*got 266 rows \(base\)/,
  },
  // Tokenizers: how a text is cut.
  {
    name: "another algorithm",
    editFinetuned: setOption("type", "WordPiece"),
    rules: ["tokenizer-algorithm"],
    message: /base BPE, finetuned WordPiece/,
  },
  {
    name: "merges in another order",
    editFinetuned: ({ model }) => void model.merges.reverse(),
    rules: ["merges-different"],
    message: /entry 0: base \["h","i"\] of 6, finetuned \["Ċ","Ċ"\] of 6/,
  },
  {
    name: "a merge is missing",
    editFinetuned: ({ model }) => void model.merges.pop(),
    rules: ["merges-different"],
    message: /entry 5: base \["Ċ","Ċ"\] of 6, finetuned nothing of 5/,
  },
  {
    name: "merges that go on, with their new word",
    editFinetuned: ({ model }) => {
      model.merges.push(["hi", "hi"]);
      model.vocab.hihi = nIds;
    },
    rules: ["ids-only-finetuned-with-rows", "merges-extended"],
  },
  {
    name: "merges spelled in the older way are the same merges",
    editFinetuned: ({ model }) => {
      model.merges = model.merges.map((merge) => merge.join(" ")) as never;
    },
    rules: [],
  },
  {
    name: "a normalizer on one side",
    editFinetuned: setPart("normalizer", { type: "NFC" }),
    rules: ["normalizer"],
    message: /normalizer: base null, finetuned \{"type":"NFC"\}/,
  },
  {
    name: "two normalizers",
    editBase: setPart("normalizer", { type: "NFC" }),
    editFinetuned: setPart("normalizer", { type: "NFKC" }),
    rules: ["normalizer"],
  },
  {
    name: "a prefix space in one pre-tokenizer",
    editFinetuned: setPart("pre_tokenizer", { type: "ByteLevel", add_prefix_space: true, use_regex: true }),
    rules: ["pre-tokenizer"],
    message: /pre-tokenizer: base \{"add_prefix_space":false.*finetuned \{"add_prefix_space":true/,
  },
  {
    name: "no pre-tokenizer on one side",
    editBase: setPart("pre_tokenizer", null),
    rules: ["pre-tokenizer"],
  },
  {
    name: "byte fallback",
    editFinetuned: setOption("byte_fallback", true),
    rules: ["model-options"],
    message: /byte_fallback/,
  },
  {
    name: "merges ignored for whole words",
    editFinetuned: setOption("ignore_merges", true),
    rules: ["model-options"],
  },
  {
    name: "an option that is off is no difference",
    editFinetuned: setOption("new_option", false),
    rules: [],
  },
  {
    name: "a control token that is ordinary in the fine-tune",
    editFinetuned: setFlag("special", false),
    rules: ["added-token-flags"],
    message: /"<start_of_turn>" \(id 3\): base .*"special":true.*finetuned .*"special":false/,
  },
  {
    name: "a control token that eats spaces",
    editFinetuned: setFlag("lstrip", true),
    rules: ["added-token-flags"],
  },
  {
    name: "a word made an added token",
    editFinetuned: ({ added_tokens }) =>
      void added_tokens.push({ ...added_tokens[0], id: 261, content: "hi" }),
    rules: ["added-token-flags"],
  },
  {
    name: "a post-processor",
    editFinetuned: setPart("post_processor", { type: "ByteLevel", trim_offsets: false }),
    rules: ["post-processor"],
  },
  { name: "truncation", editFinetuned: setPart("truncation", { max_length: 5 }), rules: ["post-processor"] },
  { name: "padding", editBase: setPart("padding", { pad_id: 0 }), rules: ["post-processor"] },
  {
    name: "another BOS",
    finetuned: names({ bos_token: "<eos>" }),
    rules: ["bos"],
    message: /BOS differs: base <bos> .*finetuned <eos>/,
  },
  {
    name: "a BOS only in the base",
    finetuned: names({ bos_token: undefined }),
    rules: ["bos"],
    message: /finetuned none/,
  },
  {
    name: "another EOS",
    finetuned: names({ eos_token: "<end_of_turn>" }),
    rules: ["eos-pad"],
    message: /<eos>.*<end_of_turn>/,
  },
  { name: "no pad in the base", base: names({ pad_token: undefined }), rules: ["eos-pad"] },
  // Templates.
  { name: "no template in the base", base: { templateHash: undefined }, rules: ["template-missing-base"] },
  {
    name: "no template in the fine-tune",
    finetuned: { templateHash: undefined },
    rules: ["template-missing-finetuned"],
  },
  {
    name: "another template",
    finetuned: { templateHash: "u" },
    rules: ["template-different"],
    message: /chat templates differ/,
  },
  {
    name: "no template at all",
    base: { templateHash: undefined },
    finetuned: { templateHash: undefined },
    rules: ["template-missing-both"],
  },
  // Shapes and layers.
  {
    name: "another width",
    finetuned: { dModel: 96 },
    rules: ["width"],
    message: /shapes differ: base 4 blocks of width 64, finetuned 4 blocks of width 96/,
  },
  {
    name: "another depth, same layer",
    finetuned: { nLayers: 8 },
    rules: ["depth"],
    message: /base 4 blocks.*finetuned 8 blocks/,
  },
  {
    name: "another depth and layer",
    finetuned: { nLayers: 8, layer: 5 },
    rules: ["depth"],
    message: /layers 2 and 5 are compared/,
  },
  {
    name: "another width and depth",
    finetuned: { nLayers: 8, dModel: 96, layer: 5 },
    rules: ["width", "depth"],
  },
  {
    name: "another layer",
    finetuned: { layer: 1 },
    rules: ["layer-different"],
    message: /layers differ: base 2, finetuned 1/,
  },
  {
    name: "the last layer of both",
    base: { layer: 3 },
    finetuned: { layer: 3 },
    rules: ["layer-last", "layer-last"],
  },
  { name: "the last layer of one", finetuned: { layer: 3 }, rules: ["layer-last", "layer-different"] },
  {
    name: "a layer beyond the base",
    base: { layer: 4 },
    rules: ["layer-out-of-range", "layer-different"],
    message: /layer of base: expected 0 to 3 \(some\/model has 4 blocks\), got 4/,
  },
  {
    name: "a negative layer",
    finetuned: { layer: -1 },
    rules: ["layer-out-of-range", "layer-different"],
    message: /got -1/,
  },
  {
    name: "half a layer",
    finetuned: { layer: 1.5 },
    rules: ["layer-out-of-range", "layer-different"],
    message: /got 1\.5/,
  },
  {
    name: "a layer that only the deeper fine-tune has, given to both",
    base: { layer: 6 },
    finetuned: { nLayers: 8, layer: 6 },
    rules: ["layer-out-of-range", "depth"],
  },
  // What config.json says.
  {
    name: "another family",
    finetuned: { modelType: "qwen2" },
    rules: ["family"],
    message: /base llama, finetuned qwen2/,
  },
  {
    name: "another rope theta",
    finetuned: { rope: '{"theta":500000}' },
    rules: ["rope"],
    message: /base \{"theta":10000\}, finetuned \{"theta":500000\}/,
  },
  { name: "rope that is not known of one side", base: { rope: undefined }, rules: [] },
  {
    name: "another dtype",
    finetuned: { dtype: "bfloat16" },
    rules: ["dtype"],
    message: /base float32, finetuned bfloat16/,
  },
  {
    name: "a longer context",
    finetuned: { maxPositions: 8192 },
    rules: ["max-positions"],
    message: /base 2048, finetuned 8192.*cut at 2048/,
  },
  {
    name: "a head of its own",
    finetuned: { isTied: false },
    rules: ["tied"],
    message: /base tied.*finetuned stored apart/,
  },
  // Adapters and identity.
  {
    name: "an adapter made for this base",
    finetuned: { folder: "some/adapter", adapter: { kind: "LORA", baseName: "hub/model" } },
    rules: ["adapter"],
  },
  {
    name: "an adapter that names no base",
    finetuned: { folder: "some/adapter", adapter: { kind: "lora" } },
    rules: ["adapter"],
  },
  {
    name: "an adapter made for another base",
    finetuned: { folder: "some/adapter", adapter: { kind: "LORA", baseName: "hub/other" } },
    rules: ["adapter-other-base"],
    message: /made for hub\/other, merged over some\/model/,
  },
  {
    name: "prefix tuning",
    finetuned: { folder: "some/adapter", adapter: { kind: "PREFIX_TUNING" } },
    rules: ["adapter-kind"],
    message: /expected LORA, got PREFIX_TUNING/,
  },
  {
    name: "an adapter as base",
    base: { folder: "some/adapter", adapter: { kind: "LORA" } },
    rules: ["adapter-as-base"],
    message: /expected a whole model as base, got a LORA adapter/,
  },
  {
    name: "one folder twice",
    base: { folder: root },
    finetuned: { folder: root },
    rules: ["same-model"],
    message: /a null pair/,
  },
  {
    name: "one folder twice, through a link",
    base: { folder: root },
    finetuned: { folder: join(root, "link") },
    rules: ["same-model"],
  },
  {
    name: "several things at once: all are found, the gravest decides",
    editFinetuned: swapWords,
    finetuned: { dModel: 96, dtype: "float16", templateHash: "u" },
    rules: ["width", "vocabulary-conflict", "template-different", "dtype"],
  },
];
mkdirSync(join(root, "target"));
symlinkSync(root, join(root, "link"));

const LEVELS: PairLevel[] = ["allowed", "warning", "refused"];
const gravest = (rules: PairRuleName[]): PairLevel =>
  LEVELS[Math.max(0, ...rules.map((rule) => LEVELS.indexOf(PAIR_RULES[rule].level)))];

test.each(CASES.map((entry) => [gravest(entry.rules), entry.name, entry] as const))(
  "%s: %s",
  async (level, _, { base, finetuned, editBase, editFinetuned, replaced, rules, message }) => {
    const pairing = {
      base: member({ ...base, ...(editBase && { tokenizer: await tokenizerWith(editBase) }) }),
      finetuned: member({
        ...finetuned,
        ...(editFinetuned && { tokenizer: await tokenizerWith(editFinetuned) }),
      }),
      ...(replaced && { replacedIds: new Set(replaced) }),
    };
    const verdict = await judgePair(pairing);
    expect(verdict.findings.map(({ rule }) => rule)).toEqual(rules);
    expect(verdict.level).toBe(level);
    for (const finding of verdict.findings) {
      expect(finding.level).toBe(PAIR_RULES[finding.rule].level);
      expect(finding.hint).not.toBe("");
    }
    const worst = verdict.findings.find((finding) => finding.level === level);
    if (message !== undefined) expect(worst?.message).toMatch(message);
    if (level === "refused") {
      const expected = worst?.rule === "layer-out-of-range" ? ConfigError : MismatchError;
      const thrown = await checkPair(pairing).catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(expected);
      expect(thrown).toMatchObject({ message: worst?.message, hint: worst?.hint });
    } else {
      const warnings = verdict.findings.filter((finding) => finding.level === "warning");
      expect(await checkPair(pairing)).toEqual([...new Set(warnings.map((finding) => finding.message))]);
    }
  },
);

test("every row of the matrix has a case, and there are at least forty mismatches", () => {
  const covered = new Set(CASES.flatMap(({ rules }) => rules));
  covered.add("used-id-without-row"); // tested below: it is found after tokenising
  expect(Object.keys(PAIR_RULES).filter((rule) => !covered.has(rule as PairRuleName))).toEqual([]);
  expect(CASES.filter(({ rules }) => rules.length > 0).length).toBeGreaterThanOrEqual(40);
});

test("docs/pairs.md shows the rows of the matrix, in order and word for word", () => {
  const page = readFileSync(join(packageRoot(), "docs", "pairs.md"), "utf8");
  const rows = page
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => cells.length === 7 && /^`[a-z-]+`$/.test(cells[5]))
    .map(([, aspect, difference, level, why, name]) => [
      name.slice(1, -1),
      { aspect, difference, level, why },
    ]);
  expect(rows).toEqual(Object.entries(PAIR_RULES));
});

test("ids that the text uses must have a row: the first is named with its place and both numbers", () => {
  const check = (ids: number[]): void =>
    checkUsedIds(Uint32Array.from(ids), {
      side: "base",
      member: member(),
      place: (position) => `document d${position}`,
    });
  expect(() => check([0, 511, 3])).not.toThrow();
  expect(() => check([])).not.toThrow();
  expect(() => check([1, 512])).toThrow(MismatchError);
  expect(() => check([1, 2, 512, 7, 900])).toThrow(
    /^document d2: expected token ids below 512, the embedding rows of base \(some\/model\), got 512 and 1 more/,
  );
});

test("a tokenizer file that changes while it is compared is no agreement", async () => {
  const other = { ...(await tokenizerWith(() => {})), hash: "another" };
  await expect(checkPair({ base: member(), finetuned: member({ tokenizer: other }) })).rejects.toThrow(
    FormatError,
  );
});
