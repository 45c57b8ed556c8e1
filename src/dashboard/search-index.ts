// dashboard-index.sqlite, beside examples.sqlite: the text of every example and a trigram index over it. Derived, can be made again.
//
// meta(key, value): schemaVersion, source (size and time of change of the examples it was made from, their dictionary), examples.
// texts(id, latent, bin, rank, text): ids in the order of the examples. grams: FTS5, contentless, trigrams of the folded text without positions,
// which finds candidates; whether a candidate matches is seen from its text. Searching is search-texts.ts.

import { existsSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InterruptedError, StorageError } from "../errors.ts";
import { acquireLock, commitFile, temporaryBeside } from "../formats/atomic.ts";
import { openDatabase, type SqliteDatabase } from "../formats/sqlite.ts";
import { openExamplesFile } from "../measure/examples-file.ts";
import { fold } from "./regex-trigrams.ts";

export const INDEX_FILE = "dashboard-index.sqlite";
const LOCK_FILE = ".dashboard-index.lock";

export const INDEX_SETTINGS = {
  schemaVersion: 1,
  /** Bytes of the trigrams that are collected before they are written. */
  hashBytes: 2 ** 25,
  /** Examples between two reports of progress. */
  reportEvery: 2000,
} as const;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE texts (
  id INTEGER PRIMARY KEY, latent INTEGER NOT NULL, bin INTEGER NOT NULL, rank INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE VIRTUAL TABLE grams USING fts5(
  text, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1'
);`;

export interface IndexState {
  path: string;
  /** What the index must have been made from. */
  source: string;
  isCurrent: boolean;
}

/** Whether there is an index of today's examples. Throws StorageError or FormatError for examples that are not there or damaged. */
export async function indexState(examplesPath: string): Promise<IndexState> {
  const source = await sourceOf(examplesPath);
  const path = join(dirname(examplesPath), INDEX_FILE);
  return { path, source, isCurrent: metaOf(path)?.get("source") === source };
}

async function sourceOf(examplesPath: string): Promise<string> {
  const examples = openExamplesFile(examplesPath);
  examples.close();
  const { size, mtimeNs } = await stat(examplesPath, { bigint: true });
  return JSON.stringify([
    INDEX_SETTINGS.schemaVersion,
    examples.dictionarySha256,
    String(size),
    String(mtimeNs),
  ]);
}

/** undefined for an index that is not there or cannot be read: making it again makes it whole. */
function metaOf(path: string): Map<string, string> | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const database = openDatabase(path, { readOnly: true });
    try {
      const rows = database.prepare("SELECT key, value FROM meta").all();
      return new Map(rows.map(({ key, value }) => [String(key), String(value)]));
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

export interface BuildOptions {
  examplesPath: string;
  /** Called every few thousand examples. */
  report?: ((made: number, of: number) => void) | undefined;
  /** Asked as often; true ends the work with InterruptedError. */
  isCancelled?: (() => boolean) | undefined;
}

/**
 * Makes the index in one step: a reader sees the old one or the whole new one. Synchronous work: for a worker thread. Throws
 * StorageError when another process makes it or the folder cannot be written, FormatError for damaged examples.
 */
export async function buildIndex({ examplesPath, report, isCancelled }: BuildOptions): Promise<void> {
  const folder = dirname(examplesPath);
  const lock = await acquireLock(join(folder, LOCK_FILE), { takeOverOwn: true });
  const path = join(folder, INDEX_FILE);
  const temporary = temporaryBeside(path);
  try {
    const source = await sourceOf(examplesPath);
    const database = openDatabase(temporary);
    try {
      fill(database, { examplesPath, source, report, isCancelled });
    } finally {
      database.close();
    }
    await commitFile(temporary, path);
  } finally {
    await rm(temporary, { force: true });
    await lock.release();
  }
}

function fill(
  database: SqliteDatabase,
  { examplesPath, source, report, isCancelled }: BuildOptions & { source: string },
): void {
  const examples = openDatabase(examplesPath, { readOnly: true });
  try {
    database.exec(`PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; ${SCHEMA} BEGIN;`);
    database.prepare("INSERT INTO grams(grams, rank) VALUES ('hashsize', ?)").run(INDEX_SETTINGS.hashBytes);
    const strings = new Map<number, string>();
    for (const { token, string } of examples.prepare("SELECT token, string FROM tokens").iterate())
      strings.set(Number(token), String(string).replaceAll("\0", "\ufffd")); // SQLite ends a text at NUL
    const total = Number(examples.prepare("SELECT count(*) AS n FROM examples").get()?.n ?? 0);
    const text = database.prepare("INSERT INTO texts VALUES (?, ?, ?, ?, ?)");
    const grams = database.prepare("INSERT INTO grams(rowid, text) VALUES (?, ?)");
    const rows = examples.prepare(
      "SELECT latent, bin, rank, token_ids FROM examples ORDER BY latent, bin, rank",
    );
    let id = 0;
    for (const { latent, bin, rank, token_ids: bytes } of rows.iterate()) {
      const ids = new Int32Array(Uint8Array.from(bytes as Uint8Array).buffer);
      const whole = Array.from(ids, (token) => strings.get(token) ?? `<${token}>`).join("");
      text.run(id, latent, bin, rank, whole);
      grams.run(id, fold(whole));
      id += 1;
      if (id % INDEX_SETTINGS.reportEvery === 0) {
        if (isCancelled?.()) throw new InterruptedError("the search index: interrupted");
        report?.(id, total);
      }
    }
    database.prepare("INSERT INTO grams(grams) VALUES ('optimize')").run();
    const meta = database.prepare("INSERT INTO meta VALUES (?, ?)");
    meta.run("schemaVersion", String(INDEX_SETTINGS.schemaVersion));
    meta.run("examples", String(id));
    meta.run("source", source);
    database.exec("COMMIT;");
    report?.(id, id);
  } finally {
    examples.close();
  }
}

/** Opens a current index for searching. Throws StorageError when it is not there. */
export function openIndex(path: string): SqliteDatabase {
  if (existsSync(path)) return openDatabase(path, { readOnly: true });
  throw new StorageError(`${path}: expected the search index, found none`, {
    hint: "search again: it is made when it is first asked for",
  });
}
