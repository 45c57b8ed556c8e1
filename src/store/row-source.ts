// A store read by range: the little that a pass over many rows needs at a time, in memory that hardly grows with the rows.
//
// openStore holds every row's columns and every document's text (some 30 bytes a row and the text itself); here a document
// costs 15 bytes and rows come from disk when they are asked for. sourceOfStore gives a store in memory the same face.

import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { FormatError } from "../errors.ts";
import { readManifest, verifyFolder } from "../formats/atomic.ts";
import { openSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import { type ColumnName, requireColumn } from "./row-file.ts";
import { type DocumentRecord, N_DOCUMENT_GROUPS, SPLITS, type Split } from "./rows.ts";
import { openSites } from "./site-reader.ts";
import { readFinishedManifest, requireOneHarvest } from "./store.ts";
import type { Store, StoreManifest } from "./store-contract.ts";

/** What is held of every document, in index order. */
export interface DocumentIndex {
  nDocuments: number;
  /** [nDocuments + 1]: rows of document i are [rowStart[i], rowStart[i + 1]). */
  rowStart: Float64Array;
  /** [nDocuments] 0 … 63, index into SPLITS, index into the manifest's datasets. */
  group: Uint8Array;
  split: Uint8Array;
  dataset: Uint8Array;
}

/** Columns of a range of rows, as in RowTable. */
export interface RowFacts {
  role: Uint8Array;
  slot: Uint8Array;
  tokenFinetuned: Uint32Array;
}

export interface RowSource extends Pick<Store, "folder" | "width" | "read" | "readBits" | "close"> {
  manifest: StoreManifest;
  documents: DocumentIndex;
  /** Whether another thread can open it by its folder; a store in memory cannot be. */
  isOnDisk: boolean;
  /** target (arrays of rowEnd − rowStart) is filled and returned when given. */
  readFacts(rowStart: number, rowEnd: number, target?: RowFacts): Promise<RowFacts>;
  /** Ids of the wanted documents, by index; one sweep over the documents' file. */
  documentIds(wanted: ReadonlySet<number>): Promise<Map<number, string>>;
}

function emptyFacts(nRows: number): RowFacts {
  return { role: new Uint8Array(nRows), slot: new Uint8Array(nRows), tokenFinetuned: new Uint32Array(nRows) };
}

/** A store in memory as a source; it stays the owner of its data and is closed with it. */
export async function sourceOfStore(store: Store): Promise<RowSource> {
  const { folder, manifest, width, read, readBits, close, rows } = store;
  return {
    ...{ folder, manifest, width, read, readBits, close },
    documents: await indexDocuments(store.documents, store),
    isOnDisk: false,
    readFacts: async (rowStart, rowEnd, target = emptyFacts(rowEnd - rowStart)) => {
      target.role.set(rows.role.subarray(rowStart, rowEnd));
      target.slot.set(rows.slot.subarray(rowStart, rowEnd));
      target.tokenFinetuned.set(rows.tokenFinetuned.subarray(rowStart, rowEnd));
      return target;
    },
    documentIds: async (wanted) => new Map([...wanted].map((index) => [index, store.documents[index].id])),
  };
}

/**
 * Opens a finished store for reading by range. verify: check every CRC32 of rows/ now (default); a second reader of the same
 * process need not. Shards of sites are verified when they are touched. Throws as openStore does.
 */
export async function openRowSource(
  folder: string,
  { verify = true }: { verify?: boolean } = {},
): Promise<RowSource> {
  const { storeId, ...manifest } = await readFinishedManifest(folder);
  const rowsFolder = join(folder, "rows");
  const { details } = verify ? await verifyFolder(rowsFolder) : await readManifest(rowsFolder);
  const documentsPath = join(rowsFolder, "documents.jsonl");
  const documents = await indexDocuments(eachDocument(documentsPath), { folder, manifest });
  const file = await openSafetensors(join(rowsFolder, "rows.safetensors"));
  try {
    const nRows = requireColumn(file, "document");
    for (const name of ["role", "slot", "tokenFinetuned"] as const) requireColumn(file, name);
    await requireOneHarvest(folder, { manifest, storeId, details, nRows });
    if (documents.rowStart[documents.nDocuments] !== nRows) {
      throw new FormatError(
        `${documentsPath}: expected documents over ${nRows} rows, got ${documents.rowStart[documents.nDocuments]}`,
        { hint: "run `tunediff harvest` again to write the rows anew" },
      );
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  const { close: closeSites, ...sites } = openSites({ folder, storeId, manifest });
  return {
    ...{ folder, manifest, documents, isOnDisk: true, ...sites },
    readFacts: async (rowStart, rowEnd, target = emptyFacts(rowEnd - rowStart)) => {
      for (const [name, column] of Object.entries(target))
        await readColumn(file, name as ColumnName, { rowStart, rowEnd, column });
      return target;
    },
    documentIds: async (wanted) => {
      const ids = new Map<number, string>();
      for await (const { index, id } of eachDocument(documentsPath)) {
        if (wanted.has(index)) ids.set(index, id);
      }
      return ids;
    },
    async close() {
      await Promise.all([file.close(), closeSites()]);
    },
  };
}

async function readColumn(
  file: SafetensorsFile,
  name: ColumnName,
  { rowStart, rowEnd, column }: { rowStart: number; rowEnd: number; column: Uint8Array | Uint32Array },
): Promise<void> {
  const bytes = new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
  await file.readRowBytes(name, rowStart, rowEnd, bytes);
}

/** Verified with the folder and written by us: parsed without further caps. */
async function* eachDocument(path: string): AsyncGenerator<DocumentRecord> {
  const lines = createInterface({ input: createReadStream(path) });
  for await (const line of lines) yield JSON.parse(line) as DocumentRecord;
}

/** Throws FormatError when there are more or fewer documents than the manifest says. */
async function indexDocuments(
  documents: AsyncIterable<DocumentRecord> | Iterable<DocumentRecord>,
  { folder, manifest }: { folder: string; manifest: StoreManifest },
): Promise<DocumentIndex> {
  const { nDocuments } = manifest;
  const index: DocumentIndex = {
    nDocuments,
    rowStart: new Float64Array(nDocuments + 1),
    group: new Uint8Array(nDocuments),
    split: new Uint8Array(nDocuments),
    dataset: new Uint8Array(nDocuments),
  };
  const datasets = new Map(manifest.datasets.map((name, i) => [name, i]));
  let seen = 0;
  for await (const { rowEnd, group, split, dataset } of documents) {
    if (seen < nDocuments) {
      index.rowStart[seen + 1] = rowEnd;
      index.group[seen] = group;
      index.split[seen] = SPLITS.indexOf(split);
      index.dataset[seen] = datasets.get(dataset) ?? 0;
    }
    seen += 1;
  }
  if (seen === nDocuments) return index;
  throw new FormatError(`${folder}: expected ${nDocuments} documents, got ${seen}`, {
    hint: "run `tunediff harvest` again to write the rows anew",
  });
}

/** Documents of one group and split that have rows, ascending. */
export function documentsOfGroup(
  { nDocuments, rowStart, group, split }: DocumentIndex,
  wanted: { group: number; split: Split },
): number[] {
  const splitIndex = SPLITS.indexOf(wanted.split);
  const found: number[] = [];
  for (let i = 0; i < nDocuments; i += 1) {
    if (group[i] === wanted.group && split[i] === splitIndex && rowStart[i] < rowStart[i + 1]) found.push(i);
  }
  return found;
}

/** Rows of a split in each document group: [64]. */
export function rowsByGroup(
  { nDocuments, rowStart, group, split }: DocumentIndex,
  wanted: Split,
): Float64Array {
  const counts = new Float64Array(N_DOCUMENT_GROUPS);
  const splitIndex = SPLITS.indexOf(wanted);
  for (let i = 0; i < nDocuments; i += 1) {
    if (split[i] === splitIndex) counts[group[i]] += rowStart[i + 1] - rowStart[i];
  }
  return counts;
}
