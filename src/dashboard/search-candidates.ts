// What may match a question in an index, in the order of the examples: blocks by their trigrams, then texts by the literals themselves.
//
// Nothing that matches is left out; whether a text does match is seen by search-texts.ts. Its bytes are looked through before a text is
// made a string, so that a frequent trigram costs little. The twin that looks at every text is search-reference.ts.

import type { SqliteDatabase } from "../formats/sqlite.ts";
import { fold, type LiteralQuery, literalQuery, requiredLiterals } from "./required-literals.ts";
import { bucketsOf, rowBytes } from "./search-grams.ts";
import { PLACE_FIELDS, readSizes } from "./search-index.ts";
import type { LatentText, Question } from "./search-texts.ts";

export const CANDIDATE_SETTINGS = {
  /** Alternatives that are looked for in the bytes; more of them, and every text of a block is a candidate. */
  literals: 8,
  /** Blocks in which literals are counted, to choose the rarest. */
  sampleBlocks: 6,
} as const;

export interface Candidates {
  /** Texts that may match, as far as their blocks say. */
  count: number;
  blocks: Iterable<CandidateBlock>;
}

export interface CandidateBlock {
  /** Texts that are done with when these have been looked at: they and those that were left out. */
  nTexts: number;
  texts: Iterable<LatentText>;
}

/** skips: latents of which no more is wanted; their texts may be left out. */
export function candidatesIn(
  database: SqliteDatabase,
  { mode, text }: Pick<Question, "mode" | "text">,
  skips: (latent: number) => boolean = () => false,
): Candidates {
  const query = mode === "text" ? literalQuery(fold(text)) : requiredLiterals(text);
  const { nTexts, blockTexts: size, bandBlocks } = readSizes(database);
  const chosen = blocksWith(database, query, { nBlocks: Math.ceil(nTexts / size), bandBlocks });
  const textsOf = (block: number): number => Math.min(size, nTexts - block * size);
  const readFolded = database.prepare("SELECT bytes FROM folded WHERE block = ?");
  const readBlock = database.prepare("SELECT places, texts FROM blocks WHERE block = ?");
  const open = (block: number): OpenBlock => openBlock(readBlock.get(block));
  /** Text in either case is looked for in folded bytes, what an expression requires as it is written. */
  const searched = (block: number): Searched => {
    if (mode === "text") {
      const bytes = bufferOf(readFolded.get(block)?.bytes);
      return { bytes, ends: FIELD.foldedEnd, open: () => open(block) };
    }
    const opened = open(block);
    return { bytes: opened.texts, ends: FIELD.end, open: () => opened };
  };
  const literals = rarest(optionsOf(query), chosen, searched);
  const blocks = function* (): Generator<CandidateBlock> {
    for (const block of chosen) {
      const texts =
        literals === undefined ? everyText(open(block), skips) : textsWith(searched(block), literals, skips);
      yield { nTexts: textsOf(block), texts };
    }
  };
  return { count: chosen.reduce((sum, block) => sum + textsOf(block), 0), blocks: blocks() };
}

/** Numbers of the blocks whose trigrams allow a match, ascending. */
function blocksWith(
  database: SqliteDatabase,
  query: LiteralQuery,
  { nBlocks, bandBlocks }: { nBlocks: number; bandBlocks: number },
): number[] {
  const read = database.prepare("SELECT bits FROM grams WHERE band = ? AND bucket = ?");
  const chosen: number[] = [];
  for (let band = 0; band * bandBlocks < nBlocks; band += 1) {
    const end = Math.min(bandBlocks, nBlocks - band * bandBlocks);
    const rowOf = (bucket: number): Uint8Array =>
      (read.get(band, bucket)?.bits as Uint8Array | undefined) ?? new Uint8Array(rowBytes(end));
    const bits = bitsOf(query, rowOf);
    for (let i = 0; i < end; i += 1)
      if (bits === undefined || (bits[i >>> 3] & (1 << (i & 7))) !== 0) chosen.push(band * bandBlocks + i);
  }
  return chosen;
}

/** undefined: every block. */
function bitsOf(query: LiteralQuery, rowOf: (bucket: number) => Uint8Array): Uint8Array | undefined {
  const rows =
    query.kind === "literal"
      ? bucketsOf(fold(query.literal)).map(rowOf)
      : query.of.map((part) => bitsOf(part, rowOf));
  if (query.kind === "any") {
    if (rows.includes(undefined)) return undefined;
    return combined(rows as Uint8Array[], (a, b) => a | b);
  }
  const known = rows.filter((row) => row !== undefined);
  return known.length === 0 ? undefined : combined(known, (a, b) => a & b);
}

function combined(rows: readonly Uint8Array[], join: (a: number, b: number) => number): Uint8Array {
  const [first, ...rest] = rows;
  const bits = Uint8Array.from(first);
  for (const row of rest) for (let i = 0; i < bits.length; i += 1) bits[i] = join(bits[i], row[i]);
  return bits;
}

/** Lists of a few literals, of each of which every match has at least one. None: a match need have nothing. */
export function optionsOf(query: LiteralQuery): string[][] {
  if (query.kind === "literal") {
    // Half a surrogate pair is found in no bytes, but may be in a text: it requires nothing.
    return Buffer.from(query.literal).toString() === query.literal ? [[query.literal]] : [];
  }
  const parts = query.of.map(optionsOf);
  if (query.kind === "all") return parts.flat();
  const shortest = (literals: readonly string[]): number => Math.min(...literals.map(({ length }) => length));
  const longest = parts.map((options) => options.toSorted((a, b) => shortest(b) - shortest(a))[0]);
  if (longest.includes(undefined as never)) return [];
  const all = longest.flat();
  return all.length > CANDIDATE_SETTINGS.literals ? [] : [all];
}

/** Of the options the one with fewest occurrences in a sample of the blocks; undefined: there is none. */
function rarest(
  options: readonly string[][],
  blocks: readonly number[],
  searched: (block: number) => Searched,
): Buffer[] | undefined {
  const [first, ...others] = options.map((literals) => literals.map((literal) => Buffer.from(literal)));
  if (others.length === 0) return first;
  const { sampleBlocks } = CANDIDATE_SETTINGS;
  const step = Math.max(1, Math.floor(blocks.length / sampleBlocks));
  const sample = blocks.filter((_, i) => i % step === 0).map((block) => searched(block).bytes);
  const occurrences = (literals: readonly Buffer[]): number => {
    let n = 0;
    for (const bytes of sample)
      for (const literal of literals)
        for (let at = bytes.indexOf(literal); at >= 0; at = bytes.indexOf(literal, at + 1)) n += 1;
    return n;
  };
  let best = { literals: first, n: occurrences(first) };
  for (const literals of others) {
    const n = occurrences(literals);
    if (n < best.n) best = { literals, n };
  }
  return best.literals;
}

interface OpenBlock {
  /** i32 [texts, PLACE_FIELDS]. */
  places: Int32Array;
  texts: Buffer;
}

/** The bytes of a block that are looked through, and the field of `places` that says where in them each text ends. */
interface Searched {
  bytes: Buffer;
  ends: number;
  open: () => OpenBlock;
}

/** Of `places`; the latent is the first. */
const FIELD = { bin: 1, rank: 2, end: 3, unitsEnd: 4, foldedEnd: 5 } as const;

function openBlock(row: Record<string, unknown> | undefined): OpenBlock {
  const places = bufferOf(row?.places);
  const aligned = new Int32Array(places.length / 4);
  new Uint8Array(aligned.buffer).set(places);
  return { places: aligned, texts: bufferOf(row?.texts) };
}

/** No copy. */
function bufferOf(bytes: unknown): Buffer {
  const { buffer, byteOffset, byteLength } = (bytes as Uint8Array | undefined) ?? new Uint8Array();
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** Where text i begins: where the one before it ends. */
function startOf(places: Int32Array, i: number, ends: number): number {
  return i === 0 ? 0 : places[(i - 1) * PLACE_FIELDS + ends];
}

/** Field by field: a spread costs as much as the search in a text. */
function latentText(places: Int32Array, i: number, text: string): LatentText {
  const at = i * PLACE_FIELDS;
  return { latent: places[at], bin: places[at + FIELD.bin], rank: places[at + FIELD.rank], text };
}

/** All texts of a block: made a string at once, and cut. */
function* everyText({ places, texts }: OpenBlock, skips: (latent: number) => boolean): Generator<LatentText> {
  const whole = texts.toString();
  const n = places.length / PLACE_FIELDS;
  for (let i = 0; i < n; i += 1) {
    if (skips(places[i * PLACE_FIELDS])) continue;
    const end = places[i * PLACE_FIELDS + FIELD.unitsEnd];
    yield latentText(places, i, whole.slice(startOf(places, i, FIELD.unitsEnd), end));
  }
}

/** Texts that have one of the literals; where it spans the border of two texts, the first of them may not have it after all. */
function* textsWith(
  { bytes, ends, open }: Searched,
  literals: readonly Buffer[],
  skips: (latent: number) => boolean,
): Generator<LatentText> {
  // Most blocks lack a rare literal: nothing else of them is read.
  const next = literals.map((literal) => bytes.indexOf(literal));
  if (next.every((at) => at < 0)) return;
  const { places, texts } = open();
  const n = places.length / PLACE_FIELDS;
  for (let i = 0; i < n; i += 1) {
    if (skips(places[i * PLACE_FIELDS])) continue;
    const start = startOf(places, i, ends);
    let nearest = Number.POSITIVE_INFINITY;
    for (let k = 0; k < next.length; k += 1) {
      if (next[k] >= 0 && next[k] < start) next[k] = bytes.indexOf(literals[k], start);
      if (next[k] >= 0 && next[k] < nearest) nearest = next[k];
    }
    if (nearest === Number.POSITIVE_INFINITY) return;
    if (nearest >= places[i * PLACE_FIELDS + ends]) continue;
    const text = texts.toString("utf8", startOf(places, i, FIELD.end), places[i * PLACE_FIELDS + FIELD.end]);
    yield latentText(places, i, text);
  }
}
