// An examples.sqlite of given texts, every text one token: what the search reads of a measurement, without one.

import { openDatabase } from "../formats/sqlite.ts";
import type { LatentText } from "./search-texts.ts";

export function writeExamplesForTest(path: string, texts: readonly LatentText[]): void {
  const database = openDatabase(path);
  try {
    database.exec(`
      CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE tokens (token INTEGER PRIMARY KEY, string TEXT NOT NULL);
      CREATE TABLE examples (
        latent INTEGER NOT NULL, bin INTEGER NOT NULL, rank INTEGER NOT NULL,
        document INTEGER NOT NULL, document_id TEXT NOT NULL, dataset TEXT NOT NULL, row_start INTEGER NOT NULL,
        peak INTEGER NOT NULL, max_activation REAL NOT NULL, token_ids BLOB NOT NULL, activations BLOB NOT NULL,
        PRIMARY KEY (latent, bin, rank)
      ) WITHOUT ROWID;
      INSERT INTO meta VALUES ('schemaVersion', '2'), ('dictionarySha256', 'none');
      BEGIN;`);
    const token = database.prepare("INSERT INTO tokens VALUES (?, ?)");
    const example = database.prepare("INSERT INTO examples VALUES (?, ?, ?, 0, '', '', 0, 0, 1, ?, ?)");
    const activations = new Uint8Array(new Float32Array(1).buffer);
    for (const [id, { latent, bin, rank, text }] of texts.entries()) {
      token.run(id, text);
      example.run(latent, bin, rank, new Uint8Array(Int32Array.of(id).buffer), activations);
    }
    database.exec("COMMIT;");
  } finally {
    database.close();
  }
}
