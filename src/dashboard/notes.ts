// notes.sqlite of a study: labels, texts, tags, stars and saved views of people. The only thing the dashboard ever writes.
//
// A note belongs to (SHA-256 of the dictionary's model.safetensors, latent), so measuring again changes nothing about it, and
// the notes of a dictionary that was trained anew stay, under the old hash. Nothing derived is in here, and no stage touches it.
//
// Several browsers, several servers: every change is one immediate transaction that sets only the fields it was given. Rollback
// journal, not WAL: studies lie on network disks, where WAL's shared memory does not work, and are copied, when one whole file is
// worth more than readers that never wait. A change takes milliseconds; another process waits for it for at most busyMs.
// The file is made by the first change: reading makes none.

import { statSync } from "node:fs";
import { join } from "node:path";
import { FormatError, StorageError, TunediffError } from "../errors.ts";
import { openDatabase, type SqliteDatabase, type SqliteRow } from "../formats/sqlite.ts";
import type { Note, SavedView } from "./api-contract.ts";
import { isNotes, type NotePatch, prepareNotes, restored, stored } from "./notes-schema.ts";

export const NOTES_LIMITS = {
  /** How long a change or a reading waits for another process. */
  busyMs: 2000,
  /** Views of a study. */
  views: 500,
} as const;

export interface LatentNote extends Note {
  latent: number;
}

export interface Notes {
  path: string;
  /** An empty note where nobody wrote one. */
  get(dictionary: string, latent: number): Note;
  /** Sets the fields that are given; "conflict" when the note has changed since `seen`. A note that says nothing is no note. */
  put(dictionary: string, latent: number, patch: NotePatch): { state: "written" | "conflict"; note: Note };
  remove(dictionary: string, latent: number): void;
  /** Ascending by latent. */
  list(dictionary: string): LatentNote[];
  /** Most used first. */
  tags(dictionary: string): { tag: string; count: number }[];
  /** Notes of other dictionaries, as after a new training: still there. */
  elsewhere(dictionary: string): { dictionary: string; notes: number }[];
  /** By name; those saved at another dictionary say so. */
  views(dictionary: string): SavedView[];
  /** Replaces the view of that name. "full" when there are too many. */
  putView(dictionary: string, view: { name: string; query: string }): "written" | "full";
  removeView(name: string): void;
  close(): void;
}

const EMPTY: Note = { label: "", text: "", tags: [], starred: false, updated: "" };

export function notesPath(studyFolder: string): string {
  return join(studyFolder, "notes.sqlite");
}

/**
 * The notes of a study folder. Nothing is opened before it is asked for something.
 *
 * Every method throws FormatError when the file is damaged, something else or of a newer program, and StorageError when it cannot
 * be written, or another process holds it for longer than busyMs.
 */
export function openNotes(
  studyFolder: string,
  { busyMs = NOTES_LIMITS.busyMs, now = Date.now }: { busyMs?: number; now?: () => number } = {},
): Notes {
  const path = notesPath(studyFolder);
  let open: { database: SqliteDatabase; file: string } | undefined;

  const close = (): void => {
    open?.database.close();
    open = undefined;
  };

  /** Which file lies there; a copy that was put back is another one, and changes must not go into the one that it replaced. */
  const fileThere = (): string => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? "" : `${found.dev}:${found.ino}`;
  };

  const connect = (): SqliteDatabase => {
    if (open !== undefined && open.file !== fileThere()) close();
    if (open === undefined) {
      const database = openDatabase(path); // read-only by itself where the study cannot be written
      try {
        // FULL: a label is on the disk when the browser hears that it is.
        database.exec(`PRAGMA busy_timeout = ${busyMs}; PRAGMA synchronous = FULL;`);
      } catch (error) {
        database.close();
        throw error;
      }
      open = { database, file: fileThere() };
    }
    return open.database;
  };

  const inTransaction = <T>(begin: string, work: (database: SqliteDatabase) => T): T => {
    try {
      const database = connect();
      database.exec(begin);
      try {
        const result = work(database);
        database.exec("COMMIT");
        return result;
      } catch (error) {
        try {
          database.exec("ROLLBACK");
        } catch {
          close(); // SQLite had rolled back by itself (a full disk): the first error is the one to tell
        }
        throw error;
      }
    } catch (error) {
      throw asNotesError(error, path);
    }
  };

  const read = <T>(empty: T, work: (database: SqliteDatabase) => T): T =>
    fileThere() === ""
      ? empty
      : inTransaction("BEGIN", (database) => (isNotes(database, path) ? work(database) : empty));

  const write = <T>(work: (database: SqliteDatabase) => T): T =>
    inTransaction("BEGIN IMMEDIATE", (database) => {
      prepareNotes(database, path);
      return work(database);
    });

  /** Later than `before`, so that a change can be told by it. */
  const timeAfter = (before: string): string =>
    new Date(Math.max(now(), before === "" ? 0 : Date.parse(before) + 1)).toISOString();

  return {
    path,
    get: (dictionary, latent) => read({ ...EMPTY, tags: [] }, (reader) => noteOf(reader, dictionary, latent)),
    put: (dictionary, latent, { seen, ...patch }) =>
      write((writer) => {
        const before = noteOf(writer, dictionary, latent);
        if (seen !== undefined && seen !== before.updated) return { state: "conflict", note: before };
        const note = { ...before, ...patch, updated: timeAfter(before.updated) };
        return { state: "written", note: setNote(writer, { dictionary, latent, note }) };
      }),
    remove: (dictionary, latent) =>
      write((writer) => {
        setNote(writer, { dictionary, latent, note: EMPTY });
      }),
    list: (dictionary) => read([], (reader) => listNotes(reader, dictionary)),
    tags: (dictionary) =>
      read([], (reader) =>
        reader
          .prepare(
            "SELECT tag, count(*) AS count FROM tags WHERE dictionary = ? GROUP BY tag ORDER BY count DESC, tag",
          )
          .all(dictionary)
          .map(({ tag, count }) => ({ tag: restored(tag), count: Number(count) })),
      ),
    elsewhere: (dictionary) =>
      read([], (reader) =>
        reader
          .prepare(
            "SELECT dictionary, count(*) AS notes FROM notes WHERE dictionary <> ? GROUP BY dictionary ORDER BY dictionary",
          )
          .all(dictionary)
          .map((row) => ({ dictionary: String(row.dictionary), notes: Number(row.notes) })),
      ),
    views: (dictionary) =>
      read([], (reader) =>
        reader
          .prepare("SELECT name, query, dictionary FROM views ORDER BY name")
          .all()
          .map((row) => ({
            name: restored(row.name),
            query: restored(row.query),
            ofOtherDictionary: row.dictionary !== dictionary,
          })),
      ),
    putView: (dictionary, { name, query }) =>
      write((writer) => {
        const found = writer.prepare("SELECT updated FROM views WHERE name = ?").get(stored(name));
        const count = Number(writer.prepare("SELECT count(*) AS n FROM views").get()?.n);
        if (found === undefined && count >= NOTES_LIMITS.views) return "full";
        writer
          .prepare("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)")
          .run(stored(name), stored(query), dictionary, timeAfter(String(found?.updated ?? "")));
        return "written";
      }),
    removeView: (name) =>
      write((writer) => {
        writer.prepare("DELETE FROM views WHERE name = ?").run(stored(name));
      }),
    close,
  };
}

function noteOf(database: SqliteDatabase, dictionary: string, latent: number): Note {
  const row = database
    .prepare("SELECT label, text, starred, updated FROM notes WHERE dictionary = ? AND latent = ?")
    .get(dictionary, latent);
  if (row === undefined) return { ...EMPTY, tags: [] };
  const tags = database
    .prepare("SELECT tag FROM tags WHERE dictionary = ? AND latent = ? ORDER BY place")
    .all(dictionary, latent);
  return noteFrom(
    row,
    tags.map(({ tag }) => restored(tag)),
  );
}

function noteFrom(row: SqliteRow, tags: string[]): Note {
  return {
    label: restored(row.label),
    text: restored(row.text),
    tags,
    starred: Number(row.starred) === 1,
    updated: String(row.updated),
  };
}

/** Replaces a note; one that says nothing is removed. Returns what is there afterwards. The caller holds the transaction. */
function setNote(
  database: SqliteDatabase,
  { dictionary, latent, note }: { dictionary: string; latent: number; note: Note },
): Note {
  const { label, text, tags, starred, updated } = note;
  database.prepare("DELETE FROM tags WHERE dictionary = ? AND latent = ?").run(dictionary, latent);
  if (label === "" && text === "" && tags.length === 0 && !starred) {
    database.prepare("DELETE FROM notes WHERE dictionary = ? AND latent = ?").run(dictionary, latent);
    return { ...EMPTY, tags: [] };
  }
  database
    .prepare("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?, ?)")
    .run(dictionary, latent, stored(label), stored(text), starred ? 1 : 0, updated);
  const insert = database.prepare("INSERT INTO tags VALUES (?, ?, ?, ?)");
  for (const [place, tag] of tags.entries()) insert.run(dictionary, latent, place, stored(tag));
  return note;
}

function listNotes(database: SqliteDatabase, dictionary: string): LatentNote[] {
  const tagsOf = new Map<number, string[]>();
  for (const { latent, tag } of database
    .prepare("SELECT latent, tag FROM tags WHERE dictionary = ? ORDER BY latent, place")
    .iterate(dictionary)) {
    const tags = tagsOf.get(Number(latent)) ?? [];
    tags.push(restored(tag));
    tagsOf.set(Number(latent), tags);
  }
  return database
    .prepare("SELECT * FROM notes WHERE dictionary = ? ORDER BY latent")
    .all(dictionary)
    .map((row) => ({ latent: Number(row.latent), ...noteFrom(row, tagsOf.get(Number(row.latent)) ?? []) }));
}

function asNotesError(error: unknown, path: string): unknown {
  if (error instanceof TunediffError) return error;
  const what = error instanceof Error ? error.message : String(error);
  if (/not a database|malformed|no such (table|column)/i.test(what)) {
    return new FormatError(
      `${path}: expected people's notes, got a file that cannot be read as such: ${what}`,
      {
        hint: "put a copy of the file back, or move it away to begin anew; it was left as it is",
        cause: error,
      },
    );
  }
  return new StorageError(`${path}: expected notes that can be read and written, got "${what}"`, {
    hint: /locked|busy/i.test(what)
      ? "another program holds the file: try again, and see that no copy or backup is under way"
      : "check the disk, and that the study folder can be written",
    cause: error,
  });
}
