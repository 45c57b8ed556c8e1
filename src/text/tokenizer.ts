// Tokenizer of a model folder: text to ids with the characters each token covers.
//
// Hugging Face's Rust tokenizers through npm `tokenizers`: the same engine as Python's fast tokenizers, so ids are
// those of transformers with add_special_tokens=False. Offsets come as code points and leave as UTF-16.
// The post-processor (BOS and friends, trimmed offsets), truncation and padding are taken out of the file: who adds a BOS
// is decided in tokenize-document.ts. What in a text is template and what content is not known here.

import { join } from "node:path";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { FormatError } from "../errors.ts";
import { createGuardedJson, GUARD_MARK, guardedSpelling } from "./guarded-json.ts";
import { createReadableToken } from "./token-strings.ts";
import {
  hashTokenizer,
  type NamedTokens,
  readNamedTokens,
  readTokenizerJson,
  type TokenizerJson,
  vocabularyEntries,
} from "./tokenizer-file.ts";
import { codePointTable } from "./utf16-offsets.ts";

/** Arrays of length nTokens; start and end are UTF-16 offsets in the text, end exclusive. */
export interface Encoding {
  ids: Uint32Array;
  start: Uint32Array;
  end: Uint32Array;
}

/** A place of a text that is a control token. UTF-16 offsets, end exclusive. */
export interface ControlPlace {
  id: number;
  start: number;
  end: number;
}

export interface Tokenizer {
  /** Where it was loaded from. */
  folder: string;
  /** Largest id + 1, added tokens included. */
  vocabSize: number;
  /** SHA-256 hex of everything that decides ids; see tokenizer-file.ts. */
  hash: string;
  /** Special tokens of the file: content → id. */
  specialTokens: Map<string, number>;
  /** Contents of BOS, EOS, pad and unk, as chat templates want them. */
  namedTokens: NamedTokens;
  bosId: number | undefined;
  unknownId: number | undefined;
  /** Special tokens written in the text become control tokens, as in Hugging Face. */
  encode(text: string): Promise<Encoding>;
  encodeBatch(texts: string[]): Promise<Encoding[]>;
  /**
   * As encode, but only the given places (ascending, disjoint) become control tokens; anything else that reads like
   * one stays ordinary characters. Builds a second tokenizer when first called.
   */
  encodeGuarded(text: string, controls: ControlPlace[]): Promise<Encoding>;
  /** Readable form of a token: surface text with its spaces, control tokens by name, lone bytes as \xNN. */
  tokenString(id: number): string;
}

function createEngine(folder: string, json: TokenizerJson): RustTokenizer {
  try {
    return RustTokenizer.fromString(
      JSON.stringify({ ...json, truncation: null, padding: null, post_processor: null }),
    );
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${join(folder, "tokenizer.json")}: expected a tokenizer, got: ${reason}`, {
      cause,
    });
  }
}

function createGuardedEngine(
  folder: string,
  json: TokenizerJson,
  specials: Map<string, number>,
): RustTokenizer {
  const engine = createEngine(folder, createGuardedJson(json, specials));
  for (const [content, id] of specials) {
    const got = engine.tokenToId(guardedSpelling(id));
    if (got !== id) {
      throw new FormatError(
        `${join(folder, "tokenizer.json")}: "${content}" cannot be guarded: id ${id} became ${got}`,
      );
    }
  }
  return engine;
}

type RustEncoding = Awaited<ReturnType<RustTokenizer["encode"]>>;

function toEncoding(text: string, encoded: RustEncoding): Encoding {
  const ids = Uint32Array.from(encoded.getIds());
  const offsets = encoded.getOffsets();
  const start = new Uint32Array(ids.length);
  const end = new Uint32Array(ids.length);
  const table = codePointTable(text);
  for (let i = 0; i < ids.length; i += 1) {
    const [from, to] = offsets[i];
    start[i] = table ? table[from] : from;
    end[i] = table ? table[to] : to;
  }
  return { ids, start, end };
}

/** Writes the twin's spelling over the control places. toOriginal maps UTF-16 offsets back. */
function rewriteControls(text: string, controls: ControlPlace[]) {
  let rewritten = "";
  let from = 0;
  /** Ascending [rewritten offset, original offset] of each border between literal text and control. */
  const borders: [number, number][] = [[0, 0]];
  for (const { id, start, end } of controls) {
    rewritten += text.slice(from, start);
    borders.push([rewritten.length, start]);
    rewritten += guardedSpelling(id);
    borders.push([rewritten.length, end]);
    from = end;
  }
  rewritten += text.slice(from);
  let at = 0;
  const toOriginal = (offset: number): number => {
    while (at > 0 && borders[at][0] > offset) at -= 1;
    while (at + 1 < borders.length && borders[at + 1][0] <= offset) at += 1;
    const isInsideControl = at % 2 === 1;
    return borders[at][1] + (isInsideControl ? 0 : offset - borders[at][0]);
  };
  return { rewritten, toOriginal };
}

/** Loads folder/tokenizer.json and the names in tokenizer_config.json. Throws FormatError. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const json = await readTokenizerJson(folder);
  const namedTokens = await readNamedTokens(folder, json);
  const engine = createEngine(folder, json);

  const tokens = new Map<number, string>(vocabularyEntries(json).map(([token, id]) => [id, token]));
  const added = new Map<number, string>();
  const specialTokens = new Map<string, number>();
  const names = new Set<string | undefined>(Object.values(namedTokens));
  for (const entry of json.added_tokens) {
    const id = engine.tokenToId(entry.content);
    if (id !== entry.id) {
      throw new FormatError(
        `${join(folder, "tokenizer.json")}: added token "${entry.content}": expected id ${entry.id}, got ${id} from the vocabulary`,
      );
    }
    added.set(id, entry.content);
    if (entry.special || names.has(entry.content)) specialTokens.set(entry.content, id);
  }
  let vocabSize = 0;
  for (const id of [...tokens.keys(), ...added.keys()]) vocabSize = Math.max(vocabSize, id + 1);

  const readable = createReadableToken(json);
  const idOf = (name: string | undefined): number | undefined =>
    name === undefined ? undefined : (engine.tokenToId(name) ?? undefined);
  let guarded: RustTokenizer | undefined;

  return {
    folder,
    vocabSize,
    hash: hashTokenizer(json),
    specialTokens,
    namedTokens,
    bosId: idOf(namedTokens.bos_token),
    unknownId: idOf(namedTokens.unk_token ?? (json.model.unk_token as string | undefined) ?? undefined),
    encode: async (text) => toEncoding(text, await engine.encode(text, null, { addSpecialTokens: false })),
    encodeBatch: async (texts) => {
      const encodings = await engine.encodeBatch(texts, { addSpecialTokens: false });
      return encodings.map((encoded, i) => toEncoding(texts[i], encoded));
    },
    encodeGuarded: async (text, controls) => {
      if (text.includes(GUARD_MARK)) {
        throw new FormatError(
          "text contains the private-use characters U+F5A1 U+F5A7, which are reserved here",
          {
            hint: "remove them from the data file",
          },
        );
      }
      guarded ??= createGuardedEngine(folder, json, specialTokens);
      const { rewritten, toOriginal } = rewriteControls(text, controls);
      const encoded = await guarded.encode(rewritten, null, { addSpecialTokens: false });
      const encoding = toEncoding(rewritten, encoded);
      for (let i = 0; i < encoding.ids.length; i += 1) {
        encoding.start[i] = toOriginal(encoding.start[i]);
        encoding.end[i] = toOriginal(encoding.end[i]);
      }
      return encoding;
    },
    tokenString: (id) => {
      const token = added.get(id);
      if (token !== undefined) return token;
      const entry = tokens.get(id);
      return entry === undefined ? `<id ${id}>` : readable(entry);
    },
  };
}
