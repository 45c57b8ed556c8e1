// tokenizer.json and tokenizer_config.json as data: read with caps, hashed, compared. Runs no tokenizer.
//
// The hash covers what decides the ids of a text, not what decorates them: truncation, padding, post-processing and
// decoding are left out, so that a file saved again by a newer library keeps its hash. Merges come in two spellings
// ("a b" and ["a", "b"]) and switches that are off may be absent; both are brought to one form first.
// Not here: what a tokenizer's regular expressions do (encode-engine.ts); only shapes, counts and sizes are checked.

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";

const MAX_TOKENIZER_BYTES = 100 * 2 ** 20;
const MAX_CONFIG_BYTES = 10 * 2 ** 20;
const MAX_VOCAB = 2 ** 21;
const MAX_MERGES = 2 ** 22;
const MAX_TOKEN_CHARS = 10_000;
const MAX_NESTING = 64;
const MODEL_TYPES: readonly unknown[] = ["BPE", "Unigram", "WordPiece", "WordLevel", undefined];

export interface AddedTokenEntry {
  id: number;
  content: string;
  special: boolean;
}

export interface TokenizerJson {
  model: Record<string, unknown>;
  added_tokens: (AddedTokenEntry & Record<string, unknown>)[];
  [key: string]: unknown;
}

export const TOKENIZER_PARTS = [
  "vocabulary",
  "merges",
  "model options",
  "normalizer",
  "pre-tokenizer",
  "added tokens",
] as const;
export type TokenizerPart = (typeof TOKENIZER_PARTS)[number];

export type NamedTokens = Partial<Record<"bos_token" | "eos_token" | "pad_token" | "unk_token", string>>;

async function readCapped(path: string, maxBytes: number): Promise<string | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) return undefined;
  if (info.size > maxBytes) {
    throw new FormatError(`${path}: expected at most ${maxBytes} bytes, got ${info.size}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (cause) {
    throw new FormatError(`${path}: expected UTF-8 text, got other bytes`, {
      hint: "copy or download the file again",
      cause,
    });
  }
}

/** Deepest bracket outside strings, seen before parsing: JSON.parse of ten million brackets takes many seconds. */
function nestingOf(source: string): number {
  let deepest = 0;
  let depth = 0;
  for (let at = 0; at < source.length; at += 1) {
    const c = source.charCodeAt(at);
    if (c === 0x22) {
      for (at += 1; at < source.length && source.charCodeAt(at) !== 0x22; at += 1) {
        if (source.charCodeAt(at) === 0x5c) at += 1;
      }
    } else if (c === 0x5b || c === 0x7b) {
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (deepest > MAX_NESTING) return deepest;
    } else if (c === 0x5d || c === 0x7d) depth -= 1;
  }
  return deepest;
}

function parseObject(path: string, source: string): Record<string, unknown> {
  if (nestingOf(source) > MAX_NESTING) {
    throw new FormatError(`${path}: expected at most ${MAX_NESTING} levels of nesting, got more`, {
      hint: "no tokenizer is built like that: the file is damaged or hostile",
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new FormatError(`${path}: expected whole JSON, got ${source.length} characters that do not parse`, {
      hint: "the file is probably cut short; copy or download it again",
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(
      `${path}: expected a JSON object, got ${Array.isArray(value) ? "an array" : typeof value}`,
    );
  }
  return value as Record<string, unknown>;
}

/** An optional small JSON file of a model folder; undefined when it is not there. Throws FormatError. */
export async function readFolderJson(
  folder: string,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  const source = await readCapped(join(folder, name), MAX_CONFIG_BYTES);
  return source === undefined ? undefined : parseObject(join(folder, name), source);
}

/** A chat template or another small text file; undefined when it is not there. Throws FormatError. */
export async function readFolderText(folder: string, name: string): Promise<string | undefined> {
  return readCapped(join(folder, name), MAX_CONFIG_BYTES);
}

/** Reads folder/tokenizer.json. Throws FormatError when it is missing, cut short or not a tokenizer. */
export async function readTokenizerJson(folder: string): Promise<TokenizerJson> {
  const path = join(folder, "tokenizer.json");
  const source = await readCapped(path, MAX_TOKENIZER_BYTES);
  if (source === undefined) {
    throw new FormatError(`${path}: expected a tokenizer file, got none`, {
      hint: "tunediff reads the fast tokenizer format; save it with AutoTokenizer.from_pretrained(…).save_pretrained(…)",
    });
  }
  const json = parseObject(path, source);
  const { model } = json;
  if (typeof model !== "object" || model === null || !("vocab" in model)) {
    throw new FormatError(
      `${path}: expected "model" with a "vocab", got ${model === undefined ? "none" : "something else"}`,
    );
  }
  const added = json.added_tokens ?? [];
  const isEntry = (entry: unknown): boolean =>
    typeof entry === "object" &&
    entry !== null &&
    Number.isInteger((entry as AddedTokenEntry).id) &&
    (entry as AddedTokenEntry).id >= 0 &&
    (entry as AddedTokenEntry).id < MAX_VOCAB &&
    typeof (entry as AddedTokenEntry).content === "string" &&
    (entry as AddedTokenEntry).content !== "" &&
    (entry as AddedTokenEntry).content.length <= MAX_TOKEN_CHARS;
  const firstBad = Array.isArray(added) ? added.findIndex((entry) => !isEntry(entry)) : 0;
  if (firstBad >= 0) {
    const got = JSON.stringify(Array.isArray(added) ? added[firstBad] : added).slice(0, 80);
    throw new FormatError(`${path}: added_tokens[${firstBad}]: expected an id and a content, got ${got}`);
  }
  const checked = { ...json, added_tokens: added } as TokenizerJson;
  checkModel(path, checked);
  return checked;
}

/** Shapes, counts and uniqueness of vocabulary, merges and added tokens. */
function checkModel(path: string, json: TokenizerJson): void {
  const fail = (place: string, expected: string, got: unknown): FormatError => {
    const shown = (typeof got === "string" ? got : (JSON.stringify(got) ?? String(got))).slice(0, 80);
    return new FormatError(`${path}: ${place}: expected ${expected}, got ${shown}`, {
      hint: "copy or download the tokenizer again",
    });
  };
  const { type, vocab, merges, dropout } = json.model;
  if (!MODEL_TYPES.includes(type)) throw fail("model.type", "BPE, Unigram, WordPiece or WordLevel", type);
  if (typeof vocab !== "object" || vocab === null) throw fail("model.vocab", "an object or a list", vocab);
  if (Array.isArray(vocab)) {
    if (vocab.length > MAX_VOCAB) throw fail("model.vocab", `at most ${MAX_VOCAB} entries`, vocab.length);
    const bad = vocab.findIndex(
      (entry) => !Array.isArray(entry) || typeof entry[0] !== "string" || !Number.isFinite(entry[1]),
    );
    if (bad >= 0) throw fail(`model.vocab[${bad}]`, "a token and a score", vocab[bad]);
  }
  const tokenOfId = new Map<number, string>();
  for (const [token, id] of vocabularyEntries(json)) {
    const other = tokenOfId.get(id);
    if (other !== undefined)
      throw fail(`model.vocab["${token}"]`, `an id of its own`, `${id}, that of "${other}"`);
    tokenOfId.set(id, token);
  }
  if (merges !== undefined && merges !== null) {
    if (!Array.isArray(merges)) throw fail("model.merges", "a list", merges);
    if (merges.length > MAX_MERGES)
      throw fail("model.merges", `at most ${MAX_MERGES} entries`, merges.length);
    const isPair = (merge: unknown): boolean =>
      typeof merge === "string" ||
      (Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string"));
    const bad = merges.findIndex((merge) => !isPair(merge));
    if (bad >= 0) throw fail(`model.merges[${bad}]`, "two tokens", merges[bad]);
  }
  if (dropout !== undefined && dropout !== null && dropout !== 0) {
    throw fail("model.dropout", "none (it would make the ids random)", dropout);
  }
  const addedIds = new Map<number, string>();
  for (const { id, content } of json.added_tokens) {
    const other = addedIds.get(id);
    if (other !== undefined && other !== content) {
      throw fail(`added token "${content}"`, "an id of its own", `${id}, that of "${other}"`);
    }
    addedIds.set(id, content);
  }
}

/** Vocabulary of the model part in id order: [token, id]. Added tokens are not in it unless the model lists them. */
export function vocabularyEntries(json: TokenizerJson): [string, number][] {
  const vocab = json.model.vocab as Record<string, number> | [string, number][];
  const entries: [string, number][] = Array.isArray(vocab)
    ? vocab.map(([token], id) => [token, id])
    : Object.entries(vocab);
  if (entries.length > MAX_VOCAB) {
    throw new FormatError(
      `tokenizer.json: model.vocab: expected at most ${MAX_VOCAB} tokens, got ${entries.length}`,
    );
  }
  const bad = entries.find(([, id]) => !Number.isInteger(id) || id < 0 || id >= MAX_VOCAB);
  if (bad) {
    throw new FormatError(
      `tokenizer.json: model.vocab["${bad[0]}"]: expected an id below ${MAX_VOCAB}, got ${bad[1]}`,
    );
  }
  return entries.sort((a, b) => a[1] - b[1]);
}

/** The parts that decide ids, each in one canonical form. */
export function tokenizerParts(json: TokenizerJson): Record<TokenizerPart, unknown> {
  const { vocab, merges, ...options } = json.model;
  const isOn = ([, value]: [string, unknown]): boolean =>
    value !== null && value !== undefined && value !== false;
  return {
    vocabulary: Array.isArray(vocab) ? vocab : vocabularyEntries(json),
    merges: Array.isArray(merges)
      ? merges.map((merge: string | string[]) => (typeof merge === "string" ? merge.split(" ") : merge))
      : [],
    "model options": Object.fromEntries(Object.entries(options).filter(isOn)),
    normalizer: json.normalizer ?? null,
    "pre-tokenizer": json.pre_tokenizer ?? null,
    "added tokens": [...json.added_tokens].sort((a, b) => a.id - b.id),
  };
}

/** SHA-256 hex over all parts. */
export function hashTokenizer(json: TokenizerJson): string {
  const parts = tokenizerParts(json);
  const hash = createHash("sha256");
  for (const part of TOKENIZER_PARTS) hash.update(`${part}\n${canonicalJson(parts[part])}\n`);
  return hash.digest("hex");
}

function tokenContent(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (
    typeof value === "object" &&
    value !== null &&
    "content" in value &&
    typeof value.content === "string"
  ) {
    return value.content;
  }
  return undefined;
}

/**
 * BOS, EOS, pad and unk by name, from tokenizer_config.json, else special_tokens_map.json.
 *
 * Where neither names a BOS, the first token of a TemplateProcessing post-processor is one.
 */
export async function readNamedTokens(folder: string, json: TokenizerJson): Promise<NamedTokens> {
  const config =
    (await readFolderJson(folder, "tokenizer_config.json")) ??
    (await readFolderJson(folder, "special_tokens_map.json")) ??
    {};
  const named: NamedTokens = {};
  for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"] as const) {
    const content = tokenContent(config[name]);
    if (content !== undefined && content !== "") named[name] = content;
  }
  if (!("bos_token" in config)) {
    const processors = [
      json.post_processor,
      (json.post_processor as { processors?: unknown } | null)?.processors,
    ].flat();
    for (const processor of processors as (
      | { single?: { SpecialToken?: { id?: string } }[] }
      | null
      | undefined
    )[]) {
      const first = processor?.single?.[0]?.SpecialToken?.id;
      if (typeof first === "string") named.bos_token ??= first;
    }
  }
  return named;
}
