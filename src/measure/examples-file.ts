// examples.sqlite: the strongest examples of every latent, for look-ups by latent; derived, can be made again.
//
// meta(key, value): schemaVersion, dictionarySha256, windowRadius. tokens(token, string): the strings of the ids that
// occur. examples(latent, rank, …): token ids as int32 and activations (code × W) as f32 blobs, little-endian, of
// equal length; peak is an index into them.

import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { identityTag, ownIdentity } from "../formats/process-identity.ts";
import { openDatabase } from "../formats/sqlite.ts";
import type { Store } from "../store/store-contract.ts";
import type { LatentExample } from "./measure-contract.ts";
import { type TopExamples, WINDOW_RADIUS } from "./top-examples.ts";

export const EXAMPLES_SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (token INTEGER PRIMARY KEY, string TEXT NOT NULL);
CREATE TABLE examples (
  latent INTEGER NOT NULL, rank INTEGER NOT NULL,
  document INTEGER NOT NULL, document_id TEXT NOT NULL, dataset TEXT NOT NULL,
  peak INTEGER NOT NULL, max_activation REAL NOT NULL, token_ids BLOB NOT NULL, activations BLOB NOT NULL,
  PRIMARY KEY (latent, rank)
) WITHOUT ROWID;`;

export interface ExamplesToWrite {
  path: string;
  store: Store;
  nLatents: number;
  examples: TopExamples;
  tokenString: (id: number) => string;
  dictionarySha256: string;
}

/** Builds the database beside `path` under a temporary name (of the form removeStaleTemporaries knows) and commits it. */
export async function writeExamples(options: ExamplesToWrite): Promise<void> {
  const { path, store, nLatents, examples, tokenString, dictionarySha256 } = options;
  const { pid, host, started } = ownIdentity();
  const temporary = `${path}.tmp-${pid}-${identityTag({ host, started })}${randomBytes(4).toString("hex")}`;
  try {
    fillDatabase(temporary, { store, nLatents, examples, tokenString, dictionarySha256 });
    await writeFileAtomic(path, await readFile(temporary));
  } finally {
    await rm(temporary, { force: true });
  }
}

function fillDatabase(
  path: string,
  { store, nLatents, examples, tokenString, dictionarySha256 }: Omit<ExamplesToWrite, "path">,
): void {
  const database = openDatabase(path);
  try {
    database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; ${SCHEMA} BEGIN;`);
    const meta = database.prepare("INSERT INTO meta VALUES (?, ?)");
    meta.run("schemaVersion", String(EXAMPLES_SCHEMA_VERSION));
    meta.run("dictionarySha256", dictionarySha256);
    meta.run("windowRadius", String(WINDOW_RADIUS));
    const insert = database.prepare("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    const seen = new Set<number>();
    for (let latent = 0; latent < nLatents; latent += 1) {
      for (const [rank, example] of examples.ofLatent(latent).entries()) {
        const ids = Int32Array.from(
          store.rows.tokenFinetuned.subarray(example.windowStart, example.windowEnd),
        );
        for (const id of ids) seen.add(id);
        const document = store.documents[example.document];
        insert.run(
          latent,
          rank,
          document.index,
          document.id,
          document.dataset,
          example.peakRow - example.windowStart,
          example.maxActivation,
          bytesOf(ids),
          bytesOf(example.activations),
        );
      }
    }
    const token = database.prepare("INSERT INTO tokens VALUES (?, ?)");
    for (const id of [...seen].sort((a, b) => a - b)) token.run(id, tokenString(id));
    database.exec("COMMIT;");
  } finally {
    database.close();
  }
}

export interface ExamplesReader {
  dictionarySha256: string;
  /** Strongest first, at most `limit`. Empty for a latent that never fired. */
  ofLatent(latent: number, limit: number): LatentExample[];
  close(): void;
}

/** Opens examples.sqlite for reading. Throws StorageError when it cannot be opened, FormatError when it is no such file. */
export function openExamplesFile(path: string): ExamplesReader {
  const again = "run `tunediff measure` again to write it anew";
  const database = openDatabase(path, { readOnly: true });
  try {
    const meta = new Map<string, string>();
    for (const row of database.prepare("SELECT key, value FROM meta").all()) {
      const { key, value } = row as { key: string; value: string };
      meta.set(key, value);
    }
    if (meta.get("schemaVersion") !== String(EXAMPLES_SCHEMA_VERSION)) {
      throw new FormatError(
        `${path}: expected schemaVersion ${EXAMPLES_SCHEMA_VERSION}, got ${meta.get("schemaVersion")}`,
        { hint: again },
      );
    }
    const select = database.prepare("SELECT * FROM examples WHERE latent = ? ORDER BY rank LIMIT ?");
    const selectToken = database.prepare("SELECT string FROM tokens WHERE token = ?");
    const strings = new Map<number, string>();
    const stringOf = (id: number): string => {
      let string = strings.get(id);
      if (string === undefined) {
        string = (selectToken.get(id) as { string: string } | undefined)?.string ?? `<${id}>`;
        strings.set(id, string);
      }
      return string;
    };
    return {
      dictionarySha256: meta.get("dictionarySha256") ?? "",
      ofLatent: (latent, limit) =>
        select.all(latent, limit).map((row) => exampleOf(row as unknown as ExampleRow, stringOf)),
      close: () => database.close(),
    };
  } catch (cause) {
    database.close();
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`${path}: expected the tables meta, tokens and examples, could not read them`, {
      hint: again,
      cause,
    });
  }
}

interface ExampleRow {
  latent: number;
  rank: number;
  document: number;
  document_id: string;
  dataset: string;
  peak: number;
  max_activation: number;
  token_ids: Uint8Array;
  activations: Uint8Array;
}

function exampleOf(row: ExampleRow, stringOf: (id: number) => string): LatentExample {
  const ids = new Int32Array(Uint8Array.from(row.token_ids).buffer);
  const activations = new Float32Array(Uint8Array.from(row.activations).buffer);
  return {
    latent: row.latent,
    rank: row.rank,
    document: row.document,
    documentId: row.document_id,
    dataset: row.dataset,
    tokens: Array.from(ids, stringOf),
    activations: Array.from(activations),
    peak: row.peak,
    maxActivation: row.max_activation,
  };
}

function bytesOf(array: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
