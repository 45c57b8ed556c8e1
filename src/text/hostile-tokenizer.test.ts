// Hostile and broken tokenizer files: a typed error or ids that can be used, never a hang, never a fallen process.
//
// Each case edits the small hand-made tokenizer of test/golden/text; "loads" cases say what they do instead of failing.

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyTokenizerJson, writeTinyTokenizer } from "../../test/golden/text/tiny-tokenizer.ts";
import { FormatError } from "../errors.ts";
import { createDocumentTokenizer } from "./tokenize-document.ts";
import { loadTokenizer } from "./tokenizer.ts";

const root = mkdtempSync(join(tmpdir(), "tunediff-hostile-tokenizer-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = (): string => mkdtempSync(join(root, "case-"));
const HANG_MS = 20_000;

// biome-ignore lint/suspicious/noExplicitAny: the point is to write what no type allows
type Loose = any;
type Change = (json: Loose) => void;

const model =
  (change: (model: Loose) => void): Change =>
  (json) =>
    change(json.model);
const addToken =
  (entry: Record<string, unknown>): Change =>
  (json) =>
    json.added_tokens.push({
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
      ...entry,
    });
const split =
  (pattern: string): Change =>
  (json) => {
    json.pre_tokenizer = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  };
const replace =
  (pattern: string, content = "y"): Change =>
  (json) => {
    json.normalizer = { type: "Replace", pattern: { Regex: pattern }, content };
  };
const nest = (n: number): unknown => {
  let inner: unknown = { type: "NFC" };
  for (let i = 0; i < n; i += 1) inner = { type: "Sequence", normalizers: [inner] };
  return inner;
};

const BROKEN: [string, Change][] = [
  ["no model", (json) => delete json.model],
  [
    "a model of null",
    (json) => {
      json.model = null;
    },
  ],
  [
    "a model that is a list",
    (json) => {
      json.model = [];
    },
  ],
  ["no vocabulary", model((m) => delete m.vocab)],
  [
    "a vocabulary of null",
    model((m) => {
      m.vocab = null;
    }),
  ],
  [
    "a vocabulary that is a string",
    model((m) => {
      m.vocab = "abc";
    }),
  ],
  [
    "a vocabulary that is a number",
    model((m) => {
      m.vocab = 5;
    }),
  ],
  [
    "an unknown model type",
    model((m) => {
      m.type = "Nonsense";
    }),
  ],
  [
    "a model type that is a number",
    model((m) => {
      m.type = 3;
    }),
  ],
  [
    "an id used twice",
    model((m) => {
      m.vocab.z1 = 7;
    }),
  ],
  [
    "a negative id",
    model((m) => {
      m.vocab.z1 = -1;
    }),
  ],
  [
    "a fractional id",
    model((m) => {
      m.vocab.z1 = 400.5;
    }),
  ],
  [
    "an id of 2^53",
    model((m) => {
      m.vocab.z1 = 2 ** 53;
    }),
  ],
  [
    "an id above 2^32",
    model((m) => {
      m.vocab.z1 = 2 ** 33;
    }),
  ],
  [
    "an id that is a string",
    model((m) => {
      m.vocab.z1 = "400";
    }),
  ],
  [
    "an id of null",
    model((m) => {
      m.vocab.z1 = null;
    }),
  ],
  [
    "an id that is a list",
    model((m) => {
      m.vocab.z1 = [400];
    }),
  ],
  [
    "merges that are an object",
    model((m) => {
      m.merges = {};
    }),
  ],
  [
    "merges that are numbers",
    model((m) => {
      m.merges = [1, 2];
    }),
  ],
  [
    "merges of three",
    model((m) => {
      m.merges = [["a", "b", "c"]];
    }),
  ],
  [
    "merges of one",
    model((m) => {
      m.merges = [["a"]];
    }),
  ],
  [
    "a merge without a space",
    model((m) => {
      m.merges = ["ab"];
    }),
  ],
  [
    "a merge of unknown tokens",
    model((m) => {
      m.merges.push(["qqq", "zzz"]);
    }),
  ],
  [
    "a merge whose result is unknown",
    model((m) => {
      m.merges.push(["x", "y"]);
    }),
  ],
  [
    "dropout",
    model((m) => {
      m.dropout = 0.5;
    }),
  ],
  [
    "dropout that is a string",
    model((m) => {
      m.dropout = "a lot";
    }),
  ],
  [
    "an unknown token that is a number",
    model((m) => {
      m.unk_token = 5;
    }),
  ],
  [
    "a prefix that cuts merges apart",
    model((m) => {
      m.continuing_subword_prefix = "é##########";
      m.merges = [["h", "i"]];
    }),
  ],
  [
    "a switch that is a string",
    model((m) => {
      m.byte_fallback = "yes";
    }),
  ],
  [
    "added tokens that are an object",
    (json) => {
      json.added_tokens = {};
    },
  ],
  [
    "an added token of null",
    (json) => {
      json.added_tokens.push(null);
    },
  ],
  ["an added token without content", addToken({ id: 300 })],
  ["an added token without id", addToken({ content: "<x>" })],
  ["an empty added token", addToken({ id: 300, content: "" })],
  ["an added token with a negative id", addToken({ id: -3, content: "<x>" })],
  ["an added token with a huge id", addToken({ id: 2 ** 40, content: "<x>" })],
  ["an added token of 100,000 characters", addToken({ id: 300, content: "x".repeat(100_000) })],
  ["two added tokens with one id", addToken({ id: 4, content: "<x>" })],
  ["an added token that is in the vocabulary under another id", addToken({ id: 300, content: "hi" })],
  ["an added token whose switches are strings", addToken({ id: 267, content: "<x>", lstrip: "no" })],
  [
    "an unknown normalizer",
    (json) => {
      json.normalizer = { type: "Mystery" };
    },
  ],
  [
    "a normalizer without type",
    (json) => {
      json.normalizer = {};
    },
  ],
  [
    "a normalizer that is a string",
    (json) => {
      json.normalizer = "NFC";
    },
  ],
  [
    "an unknown pre-tokenizer",
    (json) => {
      json.pre_tokenizer = { type: "Mystery" };
    },
  ],
  [
    "a pre-tokenizer without its fields",
    (json) => {
      json.pre_tokenizer = { type: "Split" };
    },
  ],
  [
    "a sequence that is no list",
    (json) => {
      json.pre_tokenizer = { type: "Sequence", pretokenizers: 5 };
    },
  ],
  ["a pattern that is unclosed", split("(unclosed")],
  ["a pattern that repeats nothing", split("*a")],
  [
    "a precompiled map that is no base64",
    (json) => {
      json.normalizer = { type: "Precompiled", precompiled_charsmap: "%%%" };
    },
  ],
  [
    "a precompiled map of rubbish",
    (json) => {
      json.normalizer = { type: "Precompiled", precompiled_charsmap: "AAAAAAAAAAA=" };
    },
  ],
  [
    "normalizers nested 1,000 deep",
    (json) => {
      json.normalizer = nest(1_000);
    },
  ],
  [
    "a lone surrogate in the vocabulary",
    model((m) => {
      m.vocab["\ud800"] = 400;
    }),
  ],
  [
    "Unigram without scores",
    (json) => {
      json.model = { type: "Unigram", vocab: ["a", "b"], unk_id: 0 };
    },
  ],
  [
    "Unigram with an unknown id beyond its end",
    (json) => {
      json.model = { type: "Unigram", vocab: [["a", -1]], unk_id: 9 };
      json.added_tokens = [];
    },
  ],
  [
    "WordLevel whose unknown token is missing",
    (json) => {
      json.model = { type: "WordLevel", vocab: { a: 0 } };
      json.added_tokens = [];
    },
  ],
];

test.each(BROKEN)(
  "a tokenizer with %s is refused with its file's name",
  async (_, change) => {
    const folder = newFolder();
    const error = await loadTokenizer(writeTinyTokenizer(folder, change)).then(
      (tokenizer) => tokenizer.encode("hi user, what is this? 12").catch((cause: unknown) => cause),
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toContain("tokenizer.json");
  },
  HANG_MS,
);

const BOMBS: [string, Change, string][] = [
  ["(a+)+$ in front of another character", split("^(a+)+$"), `${"a".repeat(40)}!`],
  ["(a+)+b", split("(a+)+b"), "a".repeat(200)],
  ["(x+x+)+y", split("(x+x+)+y"), "x".repeat(80)],
  ["(a|aa)+c", split("(?:a|aa)+c"), "a".repeat(100)],
  ["(a|a)*b", split("(?:a|a)*b"), "a".repeat(60)],
  ["(.*)*x", split("(?:.*)*?x"), "y".repeat(3_000)],
  ["a normalizer (a+)+b", replace("(a+)+b"), "a".repeat(300)],
  ["nested classes", split("(([a-z])+.)+[A-Z]([a-z])+$"), "a".repeat(80)],
  ["backward references", split("(a*)*\\1b"), "a".repeat(60)],
  ["look-ahead inside repetition", split("(?:(?=(a+))a)+b"), "a".repeat(20_000)],
  ["a replacement that grows without end", replace("", "z".repeat(1_000_000)), "a".repeat(10_000)],
  ["lazy repetition of repetition", split("(?:a+?)+?b"), "a".repeat(100)],
];

test.each(BOMBS)(
  "the expression %s ends in ids or a typed error, and this process lives",
  async (_, change, text) => {
    const tokenizer = await loadTokenizer(writeTinyTokenizer(newFolder(), change)).catch(
      (cause: unknown) => cause,
    );
    if (tokenizer instanceof Error) {
      expect(tokenizer).toBeInstanceOf(FormatError);
      return;
    }
    const outcome = await (tokenizer as Awaited<ReturnType<typeof loadTokenizer>>)
      .encode(text)
      .catch((cause: unknown) => cause);
    if (outcome instanceof Error) {
      expect(outcome).toBeInstanceOf(FormatError);
      expect(outcome.message).toContain("tokenizer.json: expected a tokenizer that encodes");
    } else expect((outcome as { ids: Uint32Array }).ids.length).toBeGreaterThan(0);
  },
  HANG_MS,
);

test.each<[string, Change, string, number[]]>([
  [
    "gaps between its ids",
    model((m) => {
      m.vocab.hi = 1_000;
    }),
    "hi",
    [1_000],
  ],
  ["an expression of its own", split("hi|."), "hihi", [261, 261]],
  [
    "a token named __proto__",
    model((m) => {
      Object.defineProperty(m.vocab, "__proto__", { value: 400, enumerable: true });
    }),
    "hi",
    [261],
  ],
  [
    "a token named constructor",
    model((m) => {
      m.vocab.constructor = 400;
    }),
    "hi",
    [261],
  ],
  [
    "no merges",
    model((m) => {
      m.merges = [];
    }),
    "hi",
    [109, 110],
  ],
  [
    "merges in a circle",
    model((m) => {
      m.vocab.ih = 400;
      m.merges.push(["i", "h"]);
    }),
    "hihi",
    [261, 261],
  ],
  [
    "the same merge twice",
    model((m) => {
      m.merges.push(["h", "i"]);
    }),
    "hi",
    [261],
  ],
  ["an added token that is a space", addToken({ id: 267, content: " " }), "hi hi", [261, 267, 261]],
  [
    "keys that nobody knows",
    (json) => {
      json.surprise = { deep: [1, 2, { a: 1 }] };
    },
    "hi",
    [261],
  ],
  [
    "truncation and padding",
    (json) => {
      json.truncation = { direction: "Right", max_length: 1, strategy: "LongestFirst", stride: 0 };
    },
    "hi hi",
    [261, 262],
  ],
  [
    "a broken post-processor, which is not used",
    (json) => {
      json.post_processor = { type: "Mystery" };
    },
    "hi",
    [261],
  ],
  [
    "a broken decoder, which is not used",
    (json) => {
      json.decoder = { type: "Mystery" };
    },
    "hi",
    [261],
  ],
])(
  "a tokenizer with %s loads and has defined ids",
  async (_, change, text, ids) => {
    const tokenizer = await loadTokenizer(writeTinyTokenizer(newFolder(), change));
    expect(Array.from((await tokenizer.encode(text)).ids)).toEqual(ids);
  },
  HANG_MS,
);

const whole = JSON.stringify(tinyTokenizerJson());
test.each<[string, string | Buffer]>([
  ["empty", ""],
  ["cut in the middle", whole.slice(0, whole.length / 2)],
  ["followed by another object", `${whole}{}`],
  ["a list", "[]"],
  ["a string", '"tokenizer"'],
  ["null", "null"],
  ["led by a byte order mark", `\uFEFF${whole}`],
  ["not UTF-8", Buffer.concat([Buffer.from(whole.slice(0, -1)), Buffer.from([0xff, 0x7d])])],
  ["UTF-16", Buffer.from(whole, "utf16le")],
  ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"],
  ["a web page", "<!doctype html><title>404</title>"],
  ["ten million brackets", "[".repeat(10_000_000)],
  ["ten million braces", '{"a":'.repeat(2_000_000)],
  ["NaN for an id", whole.replace('"hi":261', '"hi":NaN')],
  ["Infinity for an id", whole.replace('"hi":261', '"hi":Infinity')],
  ["1e400 for an id", whole.replace('"hi":261', '"hi":1e400')],
  ["a zip", Buffer.from("PK\u0003\u0004")],
])(
  "a tokenizer.json that is %s is refused with its place",
  async (_, bytes) => {
    const folder = newFolder();
    writeFileSync(join(folder, "tokenizer.json"), bytes);
    const error = await loadTokenizer(folder).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as FormatError).message).toContain("tokenizer.json");
  },
  HANG_MS,
);

test("a tokenizer.json that is missing, a folder or too large is refused", async () => {
  await expect(loadTokenizer(newFolder())).rejects.toThrow("expected a tokenizer file");
  const folder = newFolder();
  mkdirSync(join(folder, "tokenizer.json"));
  await expect(loadTokenizer(folder)).rejects.toThrow(FormatError);
  const large = newFolder();
  writeFileSync(join(large, "tokenizer.json"), "{");
  truncateSync(join(large, "tokenizer.json"), 101 * 2 ** 20);
  await expect(loadTokenizer(large)).rejects.toThrow(/expected at most \d+ bytes/);
});

test(
  "a vocabulary of more than 2^21 tokens is refused",
  async () => {
    const entries = '["a",0],'.repeat(2 ** 21);
    const folder = newFolder();
    writeFileSync(join(folder, "tokenizer.json"), `{"model":{"type":"Unigram","vocab":[${entries}["a",0]]}}`);
    await expect(loadTokenizer(folder)).rejects.toThrow("2097152");
  },
  HANG_MS,
);

test.each<[string, unknown]>([
  ["a list of names", { bos_token: ["<bos>"] }],
  ["a number", { bos_token: 7 }],
  ["a name that is no token", { bos_token: "<missing>" }],
  ["an object without content", { bos_token: { lstrip: false } }],
  ["null", { bos_token: null }],
])("a BOS given as %s means that there is none", async (_, config) => {
  const folder = writeTinyTokenizer(newFolder());
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  expect((await loadTokenizer(folder)).bosId).toBeUndefined();
});

test(
  "an unfamiliar tokenizer gives the ids and offsets that it would give in this process",
  async () => {
    const familiar = await loadTokenizer(writeTinyTokenizer(newFolder()));
    const same = await loadTokenizer(
      // "(?:\z.)" never matches: the same ids by an expression that is not on the list.
      writeTinyTokenizer(newFolder(), (json: Loose) => {
        json.normalizer = { type: "Replace", pattern: { Regex: "(?:\\z.)" }, content: "" };
      }),
    );
    const texts = ["hi 😀 hi", "", "user\n\nuser", "x".repeat(70_000), "<bos>hi"];
    expect(await same.encodeBatch(texts)).toEqual(await familiar.encodeBatch(texts));
    const documents = createDocumentTokenizer({ tokenizer: same });
    const [document] = await documents.tokenize([{ id: "d", dataset: "t", text: "hi<eos>hi" }]);
    expect([documents.counts.neutralisedControlTokens, Array.from(document.tokenBase).includes(2)]).toEqual([
      1,
      false,
    ]);
  },
  HANG_MS,
);
