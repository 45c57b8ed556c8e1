// Searching texts: candidates by the trigram index where the question allows it, then each one looked at. Synchronous, for a worker thread.
//
// The twin without an index is search-reference.ts. What a question is: text in either case, or a regular expression as it is written.

import type { SqliteDatabase, SqliteRow } from "../formats/sqlite.ts";
import type { SearchHit } from "./api-contract.ts";
import { fold, literalTrigrams, requiredTrigrams, type TrigramQuery } from "./regex-trigrams.ts";

export interface Question {
  mode: "text" | "regex";
  text: string;
  /** Most hits of one latent, and of all. */
  each: number;
  most: number;
}

/** A text that is looked at, in the order of the hits. */
export interface LatentText {
  latent: number;
  bin: number;
  rank: number;
  text: string;
}

export interface Candidates {
  count: number;
  texts: Iterable<LatentText>;
}

export const SEARCH_TEXT = {
  /** Characters shown before and after a match. */
  around: 60,
  /** Characters of a match that are shown. */
  match: 120,
} as const;

/** Where a text matches first, as offsets; undefined where it does not. An empty match is none. */
export function matcherOf({
  mode,
  text,
}: Pick<Question, "mode" | "text">): (subject: string) => { start: number; end: number } | undefined {
  if (mode === "text") {
    const wanted = fold(text);
    return (subject) => {
      const start = fold(subject).indexOf(wanted);
      return start < 0 || wanted === "" ? undefined : { start, end: start + wanted.length };
    };
  }
  const expression = new RegExp(text, "gu");
  return (subject) => {
    for (const { 0: match, index } of subject.matchAll(expression))
      if (match !== "") return { start: index, end: index + match.length };
    return undefined;
  };
}

/** Every candidate in turn: its hit, or undefined. Ends when the bound on hits is reached. */
export function* search(question: Question, texts: Iterable<LatentText>): Generator<SearchHit | undefined> {
  const match = matcherOf(question);
  let hits = 0;
  let ofLatent = 0;
  let last = -1;
  for (const { latent, bin, rank, text } of texts) {
    if (latent !== last) ofLatent = 0;
    last = latent;
    const found = ofLatent < question.each ? match(text) : undefined;
    if (found === undefined) {
      yield undefined;
      continue;
    }
    ofLatent += 1;
    hits += 1;
    yield { ...{ latent, bin, rank }, ...clipped(text, found) };
    if (hits >= question.most) return;
  }
}

/** The match with some text around it, and where in that it lies; no surrogate pair is cut. */
function clipped(
  text: string,
  match: { start: number; end: number },
): Pick<SearchHit, "text" | "start" | "end"> {
  const from = wholeAt(text, Math.max(0, match.start - SEARCH_TEXT.around));
  const end = wholeAt(text, Math.min(match.end, match.start + SEARCH_TEXT.match));
  const to = wholeAt(text, Math.min(text.length, end + SEARCH_TEXT.around));
  return { text: text.slice(from, to), start: match.start - from, end: end - from };
}

function wholeAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff && at > 0 ? at - 1 : at;
}

/** What may match in an index: by its trigrams, or every text when the question names none. */
export function candidatesIn(database: SqliteDatabase, { mode, text }: Question): Candidates {
  const query = ftsQuery(mode === "text" ? literalTrigrams(text) : requiredTrigrams(text));
  if (query === undefined) {
    const count = database.prepare("SELECT value FROM meta WHERE key = 'examples'").get();
    const rows = database.prepare("SELECT latent, bin, rank, text FROM texts ORDER BY id").iterate();
    return { count: Number(count?.value ?? 0), texts: typed(rows) };
  }
  const count = database.prepare("SELECT count(*) AS n FROM grams WHERE grams MATCH ?").get(query);
  const rows = database
    .prepare(
      `SELECT texts.latent, texts.bin, texts.rank AS rank, texts.text AS text FROM grams CROSS JOIN texts ON texts.id = grams.rowid
       WHERE grams MATCH ? ORDER BY grams.rowid`,
    )
    .iterate(query);
  return { count: Number(count?.n ?? 0), texts: typed(rows) };
}

function typed(rows: Iterable<SqliteRow>): Iterable<LatentText> {
  return rows as unknown as Iterable<LatentText>;
}

/** In FTS5's words; undefined when nothing is required. */
export function ftsQuery(query: TrigramQuery): string | undefined {
  if (query.kind === "trigram") return `"${query.trigram.replaceAll('"', '""')}"`;
  const parts = query.of.map(ftsQuery);
  if (query.kind === "any") {
    return parts.includes(undefined) || parts.length === 0 ? undefined : `(${parts.join(" OR ")})`;
  }
  const known = parts.filter((part) => part !== undefined);
  return known.length === 0 ? undefined : `(${known.join(" AND ")})`;
}
