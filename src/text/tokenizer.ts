// Tokenizer of a model folder: text to ids with the characters each token covers.
//
// Hugging Face's Rust tokenizers through npm `tokenizers`: the same engine as Python's fast tokenizers, so ids are
// those of transformers with add_special_tokens=False. Offsets come as code points and leave as UTF-16.
// The post-processor (BOS and friends, trimmed offsets), truncation and padding are taken out of the file: who adds a BOS
// is decided in tokenize-document.ts. What in a text is template and what content is not known here.

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { createEncodeEngine, type EncodeEngine } from "./encode-engine.ts";
import type { RawEncoding } from "./guard-protocol.ts";
import { createGuardedJson, GUARD_MARK, guardedSpelling } from "./guarded-json.ts";
import { createTokenBytes, readableBytes } from "./token-strings.ts";
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
  /**
   * Text of a run of tokens: characters that several tokens share come out whole, control tokens are left out. Bytes that are
   * no character become U+FFFD, ids outside the vocabulary their number.
   */
  decode(ids: ArrayLike<number>): string;
}

/** Throws FormatError with the place and the reason of whatever the engine says. */
async function naming<T>(folder: string, expected: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${join(folder, "tokenizer.json")}: expected ${expected}, got: ${reason}`, {
      hint: "copy or download the tokenizer again, or use the one of the model it was made for",
      cause,
    });
  }
}

/** The engine and the ids that it gives to the added tokens and names, which also proves that it loads. */
function openEngine(folder: string, json: TokenizerJson, contents: string[]) {
  return naming(folder, "a tokenizer", async () => {
    const engine = createEncodeEngine(json);
    const ids = await engine.tokenIds(contents);
    return { engine, idOf: new Map(contents.map((content, i) => [content, ids[i] ?? undefined])) };
  });
}

async function createGuardedTwin(
  folder: string,
  json: TokenizerJson,
  specials: Map<string, number>,
): Promise<EncodeEngine> {
  const spellings = Array.from(specials.values(), guardedSpelling);
  const { engine, idOf } = await openEngine(folder, createGuardedJson(json, specials), spellings);
  for (const [content, id] of specials) {
    const got = idOf.get(guardedSpelling(id));
    if (got !== id) {
      throw new FormatError(
        `${join(folder, "tokenizer.json")}: "${content}" cannot be guarded: id ${id} became ${got}`,
      );
    }
  }
  return engine;
}

/** Code points to UTF-16. */
function toEncoding(text: string, { ids, start, end }: RawEncoding): Encoding {
  const table = codePointTable(text);
  return table
    ? { ids, start: start.map((at) => table[at]), end: end.map((at) => table[at]) }
    : { ids, start, end };
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
  const tokens = new Map<number, string>(vocabularyEntries(json).map(([token, id]) => [id, token]));
  const unknown = namedTokens.unk_token ?? json.model.unk_token;
  const wanted = [...json.added_tokens.map(({ content }) => content), ...Object.values(namedTokens), unknown];
  const { engine, idOf } = await openEngine(
    folder,
    json,
    wanted.filter((content) => typeof content === "string"),
  );

  const added = new Map<number, string>();
  const specialTokens = new Map<string, number>();
  const names = new Set<string | undefined>(Object.values(namedTokens));
  for (const entry of json.added_tokens) {
    const id = idOf.get(entry.content);
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

  const bytesOf = createTokenBytes(json);
  const controlIds = new Set(specialTokens.values());
  const bytesOfId = (id: number): Uint8Array => {
    const token = added.get(id);
    const entry = tokens.get(id);
    if (token !== undefined || entry === undefined) return Buffer.from(token ?? `<id ${id}>`);
    return bytesOf(entry);
  };
  const encodeBatch = (texts: string[]): Promise<Encoding[]> =>
    naming(folder, "a tokenizer that encodes", async () => {
      const encodings = await engine.encodeBatch(texts);
      return encodings.map((encoding, i) => toEncoding(texts[i], encoding));
    });
  let guarded: Promise<EncodeEngine> | undefined;

  return {
    folder,
    vocabSize,
    hash: hashTokenizer(json),
    specialTokens,
    namedTokens,
    bosId: namedTokens.bos_token === undefined ? undefined : idOf.get(namedTokens.bos_token),
    unknownId: typeof unknown === "string" ? idOf.get(unknown) : undefined,
    encode: async (text) => (await encodeBatch([text]))[0],
    encodeBatch,
    encodeGuarded: async (text, controls) => {
      if (text.includes(GUARD_MARK)) {
        throw new FormatError(
          "text contains the private-use characters U+F5A1 U+F5A7, which are reserved here",
          {
            hint: "remove them from the data file",
          },
        );
      }
      guarded ??= createGuardedTwin(folder, json, specialTokens);
      const twin = await guarded;
      const { rewritten, toOriginal } = rewriteControls(text, controls);
      const encoding = await naming(folder, "a tokenizer that encodes", async () =>
        toEncoding(rewritten, (await twin.encodeBatch([rewritten]))[0]),
      );
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
      return entry === undefined ? `<id ${id}>` : readableBytes(bytesOf(entry));
    },
    decode: (ids) => {
      const written = Array.from(ids).filter((id) => !controlIds.has(id));
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(written.map(bytesOfId)));
    },
  };
}
