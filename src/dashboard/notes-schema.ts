// The form of notes.sqlite and of what a browser may put into it: tables, version, limits.
//
// Texts are kept to the character, control characters too; making them harmless is the reader's part (text nodes, quoted CSV).
// SQLite ends a TEXT at U+0000, so a string that holds one is a BLOB of its UTF-8; columns are ANY for that.

import { z } from "zod";
import { FormatError } from "../errors.ts";
import type { SqliteDatabase, SqliteValue } from "../formats/sqlite.ts";
import { API_LIMITS } from "./api-contract.ts";

/** PRAGMA user_version. */
export const NOTES_SCHEMA_VERSION = 1;
/** PRAGMA application_id, "tdno": tells a file of notes from any other SQLite file. */
export const NOTES_APPLICATION_ID = 0x74646e6f;

const TABLES = `
CREATE TABLE notes (
  dictionary TEXT NOT NULL, latent INTEGER NOT NULL,
  label ANY NOT NULL, text ANY NOT NULL, starred INTEGER NOT NULL, updated TEXT NOT NULL,
  PRIMARY KEY (dictionary, latent)
) STRICT, WITHOUT ROWID;
CREATE TABLE tags (
  dictionary TEXT NOT NULL, latent INTEGER NOT NULL, place INTEGER NOT NULL, tag ANY NOT NULL,
  PRIMARY KEY (dictionary, latent, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE views (
  name ANY PRIMARY KEY NOT NULL, query ANY NOT NULL, dictionary TEXT NOT NULL, updated TEXT NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA application_id = ${NOTES_APPLICATION_ID};
PRAGMA user_version = ${NOTES_SCHEMA_VERSION};`;

const wellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);
const textUpTo = (most: number) =>
  z.string().max(most).refine(wellFormed, "expected whole characters, got half of a surrogate pair");

/** What PUT …/notes/:latent takes: the fields that change; the others stay as another browser left them. */
export const NotePatchSchema = z
  .strictObject({
    label: textUpTo(API_LIMITS.label),
    text: textUpTo(API_LIMITS.noteText),
    tags: z
      .array(textUpTo(API_LIMITS.tag).min(1))
      .max(API_LIMITS.tags)
      .refine((tags) => new Set(tags).size === tags.length, "expected every tag once"),
    starred: z.boolean(),
    /** Note.updated as the browser last saw it; given, the note must not have changed since. */
    seen: z.string().max(API_LIMITS.tag),
  })
  .partial();
export type NotePatch = z.infer<typeof NotePatchSchema>;

/** What PUT …/views takes. */
export const SavedViewSchema = z.strictObject({
  name: textUpTo(API_LIMITS.viewName).min(1),
  query: textUpTo(API_LIMITS.viewQuery),
});

/**
 * Makes the tables in a new database; the caller holds the transaction. Throws FormatError for a database of something else, or of a
 * newer program.
 */
export function prepareNotes(database: SqliteDatabase, path: string): void {
  if (!isNotes(database, path)) database.exec(TABLES);
}

/** False for a database without anything in it. Throws FormatError as prepareNotes. */
export function isNotes(database: SqliteDatabase, path: string): boolean {
  const version = pragma(database, "user_version");
  if (pragma(database, "application_id") !== NOTES_APPLICATION_ID) {
    if (version === 0 && database.prepare("SELECT 1 FROM sqlite_master LIMIT 1").get() === undefined)
      return false;
    throw new FormatError(`${path}: expected people's notes, got another SQLite database`, {
      hint: "move the file away: it is not one of tunediff's",
    });
  }
  if (version !== NOTES_SCHEMA_VERSION) {
    throw new FormatError(`${path}: expected schema version ${NOTES_SCHEMA_VERSION}, got ${version}`, {
      hint: "the notes were written by a newer tunediff: use that version; nothing was changed in them",
    });
  }
  return true;
}

function pragma(database: SqliteDatabase, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

/** A string as SQLite keeps it to the last character. */
export function stored(text: string): SqliteValue {
  return text.includes("\0") ? new TextEncoder().encode(text) : text;
}

export function restored(value: SqliteValue | undefined): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value ?? "");
}
