// dashboard-index.sqlite, beside examples.sqlite: the text of every example in blocks, and which trigrams each block has. Derived, can be
// made again.
//
// meta(key, value): schemaVersion, source (size and time of change of the examples it was made from, their dictionary), examples, blockTexts,
// bandBlocks.
// Texts are numbered in the order of the examples; block b holds the texts from b · blockTexts on.
// blocks(block, places, texts): texts in UTF-8, one behind the other; places i32 [texts, 6] little-endian: latent, bin, rank, where the text
// ends in `texts` in bytes and in UTF-16 code units, where it ends in `folded`. folded(block, bytes): the same texts in lower case (fold), UTF-8,
// NUL after each.
// grams(band, bucket, bits): search-grams.ts. Searching is search-candidates.ts.

import { existsSync } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InterruptedError, StorageError } from "../errors.ts";
import { acquireLock, commitFile, temporaryBeside } from "../formats/atomic.ts";
import { openDatabase, type SqliteDatabase } from "../formats/sqlite.ts";
import { openExamplesFile } from "../measure/examples-file.ts";
import { fold } from "./required-literals.ts";
import { createGramBand, GRAM_SETTINGS, type GramBand } from "./search-grams.ts";

export const INDEX_FILE = "dashboard-index.sqlite";
const LOCK_FILE = ".dashboard-index.lock";

export const INDEX_SETTINGS = {
  schemaVersion: 2,
  /** Examples of a block: what is read and looked through as one. */
  blockTexts: 256,
  /** Bytes of a page of the file: a block's texts lie on few. */
  pageBytes: 32_768,
  /** Blocks between two reports of progress. */
  reportEvery: 8,
} as const;

/** Numbers of a text in `places`. */
export const PLACE_FIELDS = 6;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE folded (block INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE blocks (block INTEGER PRIMARY KEY, places BLOB NOT NULL, texts BLOB NOT NULL);
CREATE TABLE grams (band INTEGER NOT NULL, bucket INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (band, bucket)) WITHOUT ROWID;`;

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

/** How the texts are cut up; stored with the index. Others than the usual only for tests: few texts have many blocks then. */
export interface IndexSizes {
  blockTexts: number;
  bandBlocks: number;
}

const USUAL_SIZES: IndexSizes = {
  blockTexts: INDEX_SETTINGS.blockTexts,
  bandBlocks: GRAM_SETTINGS.bandBlocks,
};

export interface BuildOptions {
  examplesPath: string;
  sizes?: IndexSizes;
  /** Called every few thousand examples. */
  report?: ((made: number, of: number) => void) | undefined;
  /** Asked as often; true ends the work with InterruptedError. */
  isCancelled?: (() => boolean) | undefined;
}

/**
 * Makes the index in one step: a reader sees the old one or the whole new one. Synchronous work: for a worker thread. Throws
 * StorageError when another process makes it or the folder cannot be written, FormatError for damaged examples.
 */
export async function buildIndex(options: BuildOptions): Promise<void> {
  const { examplesPath } = options;
  const folder = dirname(examplesPath);
  const lock = await acquireLock(join(folder, LOCK_FILE), { takeOverOwn: true });
  const path = join(folder, INDEX_FILE);
  const temporary = temporaryBeside(path);
  try {
    const source = await sourceOf(examplesPath);
    const database = openDatabase(temporary);
    try {
      fill(database, { ...options, source });
    } finally {
      database.close();
    }
    await commitFile(temporary, path);
  } finally {
    await rm(temporary, { force: true });
    await lock.release();
  }
}

interface IndexedText {
  latent: number;
  bin: number;
  rank: number;
  text: string;
}

function fill(
  database: SqliteDatabase,
  { examplesPath, sizes = USUAL_SIZES, source, report, isCancelled }: BuildOptions & { source: string },
): void {
  const examples = openDatabase(examplesPath, { readOnly: true });
  try {
    database.exec(
      `PRAGMA page_size = ${INDEX_SETTINGS.pageBytes}; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; ${SCHEMA} BEGIN;`,
    );
    const total = Number(examples.prepare("SELECT count(*) AS n FROM examples").get()?.n ?? 0);
    const writer = createBlockWriter(database, {
      bandBlocks: sizes.bandBlocks,
      nBlocks: Math.ceil(total / sizes.blockTexts),
    });
    let made = 0;
    for (const texts of eachBlock(examples, sizes.blockTexts)) {
      writer.add(texts);
      made += texts.length;
      if (writer.nBlocks() % INDEX_SETTINGS.reportEvery !== 0) continue;
      if (isCancelled?.()) throw new InterruptedError("the search index: interrupted");
      report?.(made, total);
    }
    const meta = database.prepare("INSERT INTO meta VALUES (?, ?)");
    meta.run("schemaVersion", String(INDEX_SETTINGS.schemaVersion));
    for (const [key, value] of Object.entries({ ...sizes, examples: made })) meta.run(key, String(value));
    meta.run("source", source);
    database.exec("COMMIT;");
    report?.(made, made);
  } finally {
    examples.close();
  }
}

/** The texts of all examples in their order, a block at a time. */
function* eachBlock(examples: SqliteDatabase, blockTexts: number): Generator<IndexedText[]> {
  const strings = new Map<number, string>();
  for (const { token, string } of examples.prepare("SELECT token, string FROM tokens").iterate())
    strings.set(Number(token), String(string).replaceAll("\0", "\ufffd")); // NUL stands between texts
  const rows = examples.prepare(
    "SELECT latent, bin, rank, token_ids FROM examples ORDER BY latent, bin, rank",
  );
  let texts: IndexedText[] = [];
  for (const { latent, bin, rank, token_ids: bytes } of rows.iterate()) {
    const ids = bytes as Uint8Array;
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
    let text = "";
    for (let at = 0; at + 4 <= ids.length; at += 4) {
      const token = view.getInt32(at, true);
      text += strings.get(token) ?? `<${token}>`;
    }
    texts.push({ latent: Number(latent), bin: Number(bin), rank: Number(rank), text });
    if (texts.length < blockTexts) continue;
    yield texts;
    texts = [];
  }
  if (texts.length > 0) yield texts;
}

function createBlockWriter(
  database: SqliteDatabase,
  { bandBlocks, nBlocks }: { bandBlocks: number; nBlocks: number },
) {
  const newBand = (): GramBand => createGramBand(Math.min(bandBlocks, nBlocks - n));
  const block = database.prepare("INSERT INTO blocks VALUES (?, ?, ?)");
  const folded = database.prepare("INSERT INTO folded VALUES (?, ?)");
  const grams = database.prepare("INSERT INTO grams VALUES (?, ?, ?)");
  let n = 0;
  let band = newBand();
  return {
    nBlocks: () => n,
    add(texts: readonly IndexedText[]): void {
      const places = new Int32Array(texts.length * PLACE_FIELDS);
      // What is stored is what is read again: half a surrogate pair becomes U+FFFD before anything else is made of it.
      const parts = texts.map(({ text }) => Buffer.from(text));
      const low = parts.map((part) => `${fold(part.toString())}\0`);
      let [end, unitsEnd, foldedEnd] = [0, 0, 0];
      for (const [i, { latent, bin, rank }] of texts.entries()) {
        end += parts[i].length;
        unitsEnd += low[i].length - 1; // folding keeps offsets
        foldedEnd += Buffer.byteLength(low[i]);
        places.set([latent, bin, rank, end, unitsEnd, foldedEnd], i * PLACE_FIELDS);
      }
      const joined = low.join("");
      block.run(n, new Uint8Array(places.buffer), Buffer.concat(parts));
      folded.run(n, Buffer.from(joined));
      band.add(n % bandBlocks, joined);
      n += 1;
      if (n % bandBlocks !== 0 && n < nBlocks) return;
      const number = Math.floor((n - 1) / bandBlocks);
      for (const { bucket, bits } of band.rows()) grams.run(number, bucket, bits);
      band = newBand();
    },
  };
}

/** Opens a current index for searching. Throws StorageError when it is not there. */
export function openIndex(path: string): SqliteDatabase {
  if (existsSync(path)) return openDatabase(path, { readOnly: true });
  throw new StorageError(`${path}: expected the search index, found none`, {
    hint: "search again: it is made when it is first asked for",
  });
}

/** Of an index: how many texts, and how they are cut up. */
export function readSizes(database: SqliteDatabase): IndexSizes & { nTexts: number } {
  const rows = database.prepare("SELECT key, value FROM meta").all();
  const of = (name: string): number => Number(rows.find(({ key }) => key === name)?.value ?? 0);
  return { nTexts: of("examples"), blockTexts: of("blockTexts"), bandBlocks: of("bandBlocks") };
}
