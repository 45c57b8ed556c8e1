// examples.sqlite: the strongest examples of every latent and a sample over the paper's activation bins, for look-ups by latent.
//
// Derived, can be made again. meta(key, value): schemaVersion, dictionarySha256, windowRadius, binEdges. tokens(token, string): the
// strings of the ids that occur. examples(latent, bin, rank, …): bin −1 is the list of the strongest, 0 … 4 the paper's bins, weakest
// first; token ids as int32 and activations (code × W) as f32 blobs, little-endian, of equal length; peak is an index into them,
// row_start the store's row of the first. outputs: what both models predict at each token of each window, where the store knows it;
// joined-outputs.ts.

import { copyFile, rm } from "node:fs/promises";
import { FormatError } from "../errors.ts";
import { commitFile, temporaryBeside } from "../formats/atomic.ts";
import { openDatabase, type SqliteDatabase } from "../formats/sqlite.ts";
import { type Outputs, openOutputs } from "../store/outputs.ts";
import type { RowSource } from "../store/row-source.ts";
import { SAMPLE_BINS, type SampledExample, sampleBins } from "./example-sample.ts";
import {
  type ExampleTokenOutputs,
  fillOutputs,
  OUTPUTS_KEY,
  outputsIdentity,
  outputsReader,
} from "./joined-outputs.ts";
import type { LatentExample } from "./measure-contract.ts";
import { type ExampleWindow, type HashedWindow, WINDOW_RADIUS } from "./window.ts";
import { readWindowTokens } from "./window-tokens.ts";

export const EXAMPLES_SCHEMA_VERSION = 2;
/** Bin of the list of the strongest. */
export const TOP_BIN = -1;
/** Latents whose windows are read together. */
const LATENTS_AT_A_TIME = 512;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tokens (token INTEGER PRIMARY KEY, string TEXT NOT NULL);
CREATE TABLE examples (
  latent INTEGER NOT NULL, bin INTEGER NOT NULL, rank INTEGER NOT NULL,
  document INTEGER NOT NULL, document_id TEXT NOT NULL, dataset TEXT NOT NULL, row_start INTEGER NOT NULL,
  peak INTEGER NOT NULL, max_activation REAL NOT NULL, token_ids BLOB NOT NULL, activations BLOB NOT NULL,
  PRIMARY KEY (latent, bin, rank)
) WITHOUT ROWID;`;

export interface ExamplesToWrite {
  path: string;
  source: RowSource;
  nLatents: number;
  examples: {
    top: { ofLatent(latent: number): HashedWindow[] };
    sample: { ofLatent(latent: number): SampledExample[] };
  };
  /** Largest activation of a latent; NaN when it never fired. */
  maxActivation: (latent: number) => number;
  /** Of each of the paper's bins. */
  perBin: number;
  tokenString: (id: number) => string;
  dictionarySha256: string;
}

/** Builds the database beside `path` under a temporary name and commits it; with the store's outputs, where it has some. */
export async function writeExamples(options: ExamplesToWrite): Promise<void> {
  const temporary = temporaryBeside(options.path);
  const outputs = await openOutputs(options.source.folder);
  try {
    await fillDatabase(temporary, { ...options, outputs });
    await commitFile(temporary, options.path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Joins the store's outputs to examples that were written before they were harvested, in one step: a reader sees the old file or
 * the whole new one. Nothing happens when the store has none or they are joined already; returns whether they were joined now.
 * Throws FormatError when path is no such file, and what reading outputs throws.
 */
export async function joinOutputs(
  options: Pick<ExamplesToWrite, "path" | "source" | "tokenString">,
): Promise<boolean> {
  const { path, source, tokenString } = options;
  const outputs = await openOutputs(source.folder);
  if (outputs === undefined) return false;
  const reader = openExamplesFile(path);
  reader.close();
  if (reader.outputsSha256 === outputsIdentity(outputs.manifest)) return false;
  const temporary = temporaryBeside(path);
  try {
    await copyFile(path, temporary);
    const database = openDatabase(temporary);
    try {
      database.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;");
      await fillOutputs(database, { outputs, nRows: source.manifest.nRows, tokenString });
      database.exec("COMMIT;");
    } finally {
      database.close();
    }
    await commitFile(temporary, path);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

interface PlacedExample {
  latent: number;
  bin: number;
  rank: number;
  window: ExampleWindow;
}

/** The examples of one latent: the strongest, then the bins. */
function examplesOf(latent: number, { examples, maxActivation, perBin }: ExamplesToWrite): PlacedExample[] {
  const top = examples.top.ofLatent(latent);
  if (top.length === 0) return [];
  const sample = examples.sample.ofLatent(latent);
  const placed = top.map((window, rank): PlacedExample => ({ latent, bin: TOP_BIN, rank, window }));
  let rank = 0;
  let last = TOP_BIN;
  for (const { bin, example } of sampleBins({ top, sample, maximum: maxActivation(latent), perBin })) {
    rank = bin === last ? rank + 1 : 0;
    last = bin;
    placed.push({ latent, bin, rank, window: example });
  }
  return placed;
}

async function fillDatabase(
  path: string,
  options: ExamplesToWrite & { outputs: Outputs | undefined },
): Promise<void> {
  const { source, nLatents, tokenString, dictionarySha256, outputs } = options;
  const { manifest, documents } = source;
  const database = openDatabase(path);
  try {
    database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; ${SCHEMA} BEGIN;`);
    writeMeta(database, dictionarySha256);
    const ids = await documentIds(options);
    const insert = database.prepare("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    const seen = new Set<number>();
    for (let from = 0; from < nLatents; from += LATENTS_AT_A_TIME) {
      const latents = Array.from(
        { length: Math.min(LATENTS_AT_A_TIME, nLatents - from) },
        (_, i) => from + i,
      );
      const placed = latents.flatMap((latent) => examplesOf(latent, options));
      const tokens = await readWindowTokens(
        source,
        placed.map(({ window }) => window),
      );
      for (const [i, { latent, bin, rank, window }] of placed.entries()) {
        for (const id of tokens[i]) seen.add(id);
        const dataset = manifest.datasets[documents.dataset[window.document]] ?? "";
        insert.run(
          ...[latent, bin, rank, window.document],
          ids.get(window.document) ?? "",
          dataset,
          ...[window.windowStart, window.peakRow - window.windowStart, window.maxActivation],
          bytesOf(Int32Array.from(tokens[i])),
          bytesOf(window.activations),
        );
      }
    }
    const token = database.prepare("INSERT INTO tokens VALUES (?, ?)");
    for (const id of [...seen].sort((a, b) => a - b)) token.run(id, tokenString(id));
    if (outputs !== undefined) await fillOutputs(database, { outputs, nRows: manifest.nRows, tokenString });
    database.exec("COMMIT;");
  } finally {
    database.close();
  }
}

function writeMeta(database: SqliteDatabase, dictionarySha256: string): void {
  const meta = database.prepare("INSERT INTO meta VALUES (?, ?)");
  meta.run("schemaVersion", String(EXAMPLES_SCHEMA_VERSION));
  meta.run("dictionarySha256", dictionarySha256);
  meta.run("windowRadius", String(WINDOW_RADIUS));
  meta.run("binEdges", JSON.stringify(SAMPLE_BINS.edges));
}

/** Ids of all documents that are shown. */
async function documentIds(options: ExamplesToWrite): Promise<Map<number, string>> {
  const wanted = new Set<number>();
  for (let latent = 0; latent < options.nLatents; latent += 1)
    for (const { window } of examplesOf(latent, options)) wanted.add(window.document);
  return options.source.documentIds(wanted);
}

export interface ExamplesReader {
  dictionarySha256: string;
  /** Strongest first, at most `limit`. Empty for a latent that never fired. */
  ofLatent(latent: number, limit: number): LatentExample[];
  /** The sample over the paper's bins: weakest bin first, in a bin the strongest first; none of the strongest list again. */
  sampleOfLatent(latent: number): LatentExample[];
  /** Of the outputs that were joined; undefined: none were. */
  outputsSha256: string | undefined;
  /**
   * What both models predict after each token of an example, in the order of its tokens; null at a row that the store's outputs
   * do not cover. Null altogether when no outputs were joined.
   */
  outputsOf(example: Pick<LatentExample, "rowStart" | "tokens">): (ExampleTokenOutputs | null)[] | null;
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
    const select = database.prepare(
      `SELECT * FROM examples WHERE latent = ? AND bin = ${TOP_BIN} ORDER BY rank LIMIT ?`,
    );
    const selectSample = database.prepare(
      `SELECT * FROM examples WHERE latent = ? AND bin > ${TOP_BIN} ORDER BY bin, rank`,
    );
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
    const outputsSha256 = meta.get(OUTPUTS_KEY);
    const readOutputs = outputsSha256 === undefined ? undefined : outputsReader(database, stringOf);
    return {
      dictionarySha256: meta.get("dictionarySha256") ?? "",
      outputsSha256,
      outputsOf: ({ rowStart, tokens }) => readOutputs?.(rowStart, rowStart + tokens.length) ?? null,
      ofLatent: (latent, limit) =>
        select.all(latent, limit).map((row) => exampleOf(row as unknown as ExampleRow, stringOf)),
      sampleOfLatent: (latent) =>
        selectSample.all(latent).map((row) => exampleOf(row as unknown as ExampleRow, stringOf)),
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
  bin: number;
  rank: number;
  document: number;
  document_id: string;
  dataset: string;
  row_start: number;
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
    bin: row.bin,
    rank: row.rank,
    document: row.document,
    documentId: row.document_id,
    dataset: row.dataset,
    rowStart: row.row_start,
    tokens: Array.from(ids, stringOf),
    activations: Array.from(activations),
    peak: row.peak,
    maxActivation: row.max_activation,
  };
}

function bytesOf(array: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
