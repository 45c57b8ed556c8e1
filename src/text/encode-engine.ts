// Where a tokenizer runs: in this process when every part of it is known to be harmless, else in the guarded one.
//
// The tokenizer library hands regular expressions to Oniguruma and aborts the whole process when one runs away; some odd
// settings make it panic as well. Nearly every published tokenizer is a BPE whose expressions are one of a few, listed
// here. Anything else still works, only through guard-process.ts: a little slower, with a deadline, killable.

import { createHash } from "node:crypto";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { askGuard, DEFAULT_DEADLINE_MS } from "./guard-process.ts";
import type { RawEncoding } from "./guard-protocol.ts";
import type { TokenizerJson } from "./tokenizer-file.ts";

export interface EncodeEngine {
  /** Ids and code point offsets, without anything a post-processor adds. */
  encodeBatch(texts: string[]): Promise<RawEncoding[]>;
  /** Id of each whole token, null for none. */
  tokenIds(contents: string[]): Promise<(number | null)[]>;
  isGuarded: boolean;
}

const SUFFIXES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const LETTERS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const CASED_LETTERS =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+";
const UPPER_LETTERS =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const O200K_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
/** Of GPT-2, Llama 3 (and cl100k), Qwen 2 and 3, gpt-4o, Mistral-Nemo, DeepSeek, and digits alone. */
const KNOWN_EXPRESSIONS = new Set([
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  `${SUFFIXES}|${LETTERS}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`,
  `${SUFFIXES}|${LETTERS}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`,
  `${CASED_LETTERS}${O200K_SUFFIX}|${UPPER_LETTERS}${O200K_SUFFIX}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  `${CASED_LETTERS}|${UPPER_LETTERS}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  "\\p{N}{1,3}",
  "\\p{N}",
  "\\d",
  "[0-9]",
  "[\\r\\n]",
  "[一-龥぀-ゟ゠-ヿ]+",
]);
const MAX_LITERAL_CHARS = 16;
const NORMALIZERS = new Set([
  "NFC",
  "NFD",
  "NFKC",
  "NFKD",
  "Lowercase",
  "StripAccents",
  "Nmt",
  "Strip",
  "Prepend",
  "Replace",
  "BertNormalizer",
  "Sequence",
]);
const PRE_TOKENIZERS = new Set([
  "ByteLevel",
  "Split",
  "Metaspace",
  "Whitespace",
  "WhitespaceSplit",
  "Digits",
  "Punctuation",
  "BertPreTokenizer",
  "Sequence",
]);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isFamiliarPart(part: unknown, types: Set<string>): boolean {
  if (part === null || part === undefined) return true;
  if (!isObject(part) || typeof part.type !== "string" || !types.has(part.type)) return false;
  if (part.type === "Sequence") {
    const inner = part.normalizers ?? part.pretokenizers;
    return Array.isArray(inner) && inner.every((step) => isFamiliarPart(step, types));
  }
  return Object.values(part).every((value) => {
    if (typeof value === "string") return value.length <= MAX_LITERAL_CHARS;
    if (!isObject(value)) return true;
    // A pattern: {"String": …} or {"Regex": …}.
    if (typeof value.Regex === "string") return KNOWN_EXPRESSIONS.has(value.Regex);
    return (
      typeof value.String === "string" && value.String !== "" && value.String.length <= MAX_LITERAL_CHARS
    );
  });
}

/** Whether nothing in the file can make the library hang or end the process. */
export function isFamiliar(json: TokenizerJson): boolean {
  const { type, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = json.model;
  if (type !== "BPE" || prefix || suffix) return false;
  return isFamiliarPart(json.normalizer, NORMALIZERS) && isFamiliarPart(json.pre_tokenizer, PRE_TOKENIZERS);
}

/** What decides ids, as the library reads it; it refuses keys that it does not know. */
function engineSource({ version, added_tokens, normalizer, pre_tokenizer, model }: TokenizerJson): string {
  const unused = { truncation: null, padding: null, post_processor: null, decoder: null };
  return JSON.stringify({ version, ...unused, added_tokens, normalizer, pre_tokenizer, model });
}

function createLocalEngine(source: string): EncodeEngine {
  const engine = RustTokenizer.fromString(source);
  return {
    isGuarded: false,
    tokenIds: async (contents) => contents.map((content) => engine.tokenToId(content) ?? null),
    encodeBatch: async (texts) => {
      const encodings = await engine.encodeBatch(texts, { addSpecialTokens: false });
      return encodings.map((encoded) => {
        const offsets = encoded.getOffsets();
        return {
          ids: Uint32Array.from(encoded.getIds()),
          start: Uint32Array.from(offsets, ([from]) => from),
          end: Uint32Array.from(offsets, ([, to]) => to),
        };
      });
    },
  };
}

const MAX_ITEM_CHARS = 65_536;

/** Texts in groups that are answered together, so that progress is seen. */
function groupTexts(texts: string[]): string[][] {
  const groups: string[][] = [];
  let nChars = MAX_ITEM_CHARS;
  for (const text of texts) {
    if (nChars + text.length > MAX_ITEM_CHARS) {
      groups.push([]);
      nChars = 0;
    }
    groups[groups.length - 1].push(text);
    nChars += text.length;
  }
  return groups;
}

function createGuardedEngine(source: string): EncodeEngine {
  const engineKey = createHash("sha256").update(source).digest("hex");
  // Loading takes about 50 ms a megabyte and may come first in any job; a busy machine is allowed for.
  const loadMs = source.length / 10_000;
  const job = { engineKey, engineJson: source };
  return {
    isGuarded: true,
    tokenIds: async (contents) => {
      const limits = { deadlineMs: DEFAULT_DEADLINE_MS + loadMs };
      const [ids] = await askGuard({ kind: "lookUp", ...job, items: [contents] }, limits);
      return ids as (number | null)[];
    },
    encodeBatch: async (texts) => {
      const items = groupTexts(texts);
      const longest = items.reduce((most, item) => Math.max(most, item.join("").length), 0);
      const limits = {
        deadlineMs: DEFAULT_DEADLINE_MS + loadMs + Math.max(0, longest - MAX_ITEM_CHARS) / 200,
      };
      return (await askGuard({ kind: "encode", ...job, items }, limits)).flat() as RawEncoding[];
    },
  };
}

/** Throws whatever the library or the guard says; loading is proven by the first tokenIds of a guarded engine. */
export function createEncodeEngine(json: TokenizerJson): EncodeEngine {
  const source = engineSource(json);
  return isFamiliar(json) ? createLocalEngine(source) : createGuardedEngine(source);
}
