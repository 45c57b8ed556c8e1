// Documents of a store by number: a page of them at a time, and the tokens of one. Little is held of each: where its line begins, its
// rows, dataset, split.
//
// Token strings are the surface text between a row's character offsets, so no tokenizer is needed. Activations are read only to tell
// norm outliers, as training and measuring do.

import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, MismatchError, StorageError } from "../errors.ts";
import { readFully } from "../formats/disk.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { isNormOutlier } from "../store/norm-outliers.ts";
import { type ColumnName, ROW_COLUMNS, requireColumn } from "../store/row-file.ts";
import { type DocumentRecord, ROLES, SPLITS, type Split } from "../store/rows.ts";
import { openSites } from "../store/site-reader.ts";
import { readFinishedManifest } from "../store/store.ts";
import {
  API_LIMITS,
  type DocumentEntry,
  type DocumentPage,
  type DocumentTokens,
  type RowUse,
} from "./api-contract.ts";

export interface DocumentReader {
  /** Documents of a dataset and split, or of all, in the store's order. */
  list(question: {
    from: number;
    count: number;
    dataset?: string | undefined;
    split?: Split | undefined;
  }): Promise<DocumentPage>;
  /**
   * Tokens from position `from` on. normLimits: one a site, as in the training record; without them outliers are not looked for.
   * Undefined for a number that is none of a document.
   */
  tokens(question: {
    number: number;
    from: number;
    normLimits: readonly number[] | undefined;
  }): Promise<DocumentTokens | undefined>;
  close(): Promise<void>;
}

/** Characters of a document's text in a list. */
const OPENING_CHARACTERS = 160;
/** Rows whose activations are read together. */
const ROWS_AT_A_TIME = 256;
const NEWLINE = 10;
const COLUMNS = ["turn", "role", "slot", "charStart", "charEnd", "tokenBase", "tokenFinetuned"] as const;
const USE_OF_SPLIT: Record<Split, RowUse> = { train: "trained", heldout: "measured", test: "tested" };

/** What is held of a store's documents. */
export interface DocumentPlaces {
  /** [nDocuments + 1] byte of the line of each in documents.jsonl. */
  line: Float64Array;
  /** [nDocuments + 1] */
  rowStart: Float64Array;
  /** [nDocuments] indices into SPLITS and the manifest's datasets. */
  split: Uint8Array;
  dataset: Uint8Array;
}

/** Throws what reading a store that is missing, damaged or half written throws. */
export async function indexStoreDocuments(folder: string): Promise<DocumentPlaces> {
  return indexDocuments(documentsPath(folder), await readFinishedManifest(folder));
}

const documentsPath = (folder: string): string => join(folder, "rows", "documents.jsonl");

/** Opens the files that an answer needs; the index stays its owner's. */
export async function openDocuments(folder: string, index: DocumentPlaces): Promise<DocumentReader> {
  const { storeId, ...manifest } = await readFinishedManifest(folder);
  const path = documentsPath(folder);
  const columns = await openSafetensors(join(folder, "rows", "rows.safetensors"));
  let documents: FileHandle;
  try {
    for (const name of COLUMNS) requireColumn(columns, name);
    documents = await open(path, "r");
  } catch (error) {
    await columns.close();
    throw error;
  }
  const sites = openSites({ folder, storeId, manifest });

  const record = async (number: number): Promise<DocumentRecord> => {
    const bytes = Buffer.alloc(index.line[number + 1] - index.line[number]);
    await readFully(documents, bytes, index.line[number]);
    return JSON.parse(bytes.toString("utf8")) as DocumentRecord;
  };
  const column = async (
    name: (typeof COLUMNS)[number],
    rowStart: number,
    rowEnd: number,
  ): Promise<ArrayLike<number>> => {
    const bytes = new Uint8Array(
      (rowEnd - rowStart) * ROW_COLUMNS[name satisfies ColumnName].make(new ArrayBuffer(0)).BYTES_PER_ELEMENT,
    );
    await columns.readRowBytes(name, rowStart, rowEnd, bytes);
    return ROW_COLUMNS[name].make(bytes.buffer);
  };
  /** undefined where the activations cannot be read: the text stands without them. */
  const outliers = async (
    limits: readonly number[],
    rowStart: number,
    rowEnd: number,
  ): Promise<boolean[] | undefined> => {
    const found: boolean[] = [];
    try {
      for (let from = rowStart; from < rowEnd; from += ROWS_AT_A_TIME) {
        const to = Math.min(from + ROWS_AT_A_TIME, rowEnd);
        const x = await sites.read(from, to);
        for (let i = 0; i < to - from; i += 1) {
          found.push(isNormOutlier(x, i, { sites: manifest.sites, limits }));
        }
      }
      return found;
    } catch (error) {
      if ([FormatError, StorageError, MismatchError].some((kind) => error instanceof kind)) return undefined;
      throw error;
    }
  };

  return {
    async list({ from, count, dataset, split }) {
      const wantedDataset = dataset === undefined ? -1 : manifest.datasets.indexOf(dataset);
      const wantedSplit = split === undefined ? -1 : SPLITS.indexOf(split);
      const isUnknown = dataset !== undefined && wantedDataset < 0;
      const shown: number[] = [];
      let total = 0;
      for (let i = 0; i < manifest.nDocuments && !isUnknown; i += 1) {
        if (wantedDataset >= 0 && index.dataset[i] !== wantedDataset) continue;
        if (wantedSplit >= 0 && index.split[i] !== wantedSplit) continue;
        if (total >= from && shown.length < count) shown.push(i);
        total += 1;
      }
      return { total, documents: await Promise.all(shown.map(async (i) => entryOf(await record(i)))) };
    },
    async tokens({ number, from, normLimits }) {
      if (number >= manifest.nDocuments) return undefined;
      const document = await record(number);
      const rowStart = Math.min(index.rowStart[number] + from, index.rowStart[number + 1]);
      const rowEnd = Math.min(rowStart + API_LIMITS.documentTokens, index.rowStart[number + 1]);
      // Where the text that is shown already ends: characters of several tokens belong to the first.
      const [before] =
        from > 0 && rowStart < rowEnd ? Array.from(await column("charEnd", rowStart - 1, rowStart)) : [0];
      const values = Object.fromEntries(
        await Promise.all(COLUMNS.map(async (name) => [name, await column(name, rowStart, rowEnd)])),
      ) as Record<(typeof COLUMNS)[number], ArrayLike<number>>;
      const roles = Array.from(values.role, (role) => ROLES[role]);
      const isOutlier = normLimits === undefined ? undefined : await outliers(normLimits, rowStart, rowEnd);
      return {
        ...{ document: entryOf(document), from: rowStart - index.rowStart[number] },
        tokens: surfaceOf(document.text, { start: values.charStart, end: values.charEnd, before }),
        roles,
        slots: Array.from(values.slot, (slot) => manifest.slots[slot] ?? String(slot)),
        turns: Array.from(values.turn),
        uses: roles.map((role, i): RowUse => {
          if (role === "bos") return "bos";
          return isOutlier?.[i] ? "outlier" : USE_OF_SPLIT[document.split];
        }),
        idsBase: Array.from(values.tokenBase),
        idsFinetuned: Array.from(values.tokenFinetuned),
        areOutliersKnown: isOutlier !== undefined,
      };
    },
    async close() {
      await Promise.all([columns.close(), documents.close(), sites.close()]);
    },
  };
}

function entryOf({
  index,
  id,
  dataset,
  split,
  group,
  rowStart,
  rowEnd,
  turns,
  text,
}: DocumentRecord): DocumentEntry {
  return {
    ...{ number: index, id, dataset, split, group },
    ...{ nRows: rowEnd - rowStart, nTurns: turns.length, opening: text.slice(0, OPENING_CHARACTERS) },
  };
}

/** Text of each token; what an earlier one has shown of a shared character is not shown again. UTF-16 offsets. */
function surfaceOf(
  text: string,
  { start, end, before }: { start: ArrayLike<number>; end: ArrayLike<number>; before: number },
): string[] {
  let shown = before;
  return Array.from(start, (from, i) => {
    const surface = text.slice(Math.max(from, shown), end[i]);
    shown = Math.max(shown, end[i]);
    return surface;
  });
}

/** One sweep over the lines. Throws FormatError when their number or rows are not the manifest's. */
async function indexDocuments(
  path: string,
  { nDocuments, nRows, datasets }: { nDocuments: number; nRows: number; datasets: readonly string[] },
): Promise<DocumentPlaces> {
  const index: DocumentPlaces = {
    ...{ line: new Float64Array(nDocuments + 1), rowStart: new Float64Array(nDocuments + 1) },
    ...{ split: new Uint8Array(nDocuments), dataset: new Uint8Array(nDocuments) },
  };
  const datasetIndex = new Map(datasets.map((name, i) => [name, i]));
  let [seen, position] = [0, 0];
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, end)]);
      rest = [];
      from = end + 1;
      position += line.length + 1;
      if (seen < nDocuments) {
        const { rowEnd, split, dataset } = JSON.parse(line.toString("utf8")) as DocumentRecord;
        index.line[seen + 1] = position;
        index.rowStart[seen + 1] = rowEnd;
        index.split[seen] = SPLITS.indexOf(split);
        index.dataset[seen] = datasetIndex.get(dataset) ?? 0;
      }
      seen += 1;
    }
    rest.push(chunk.subarray(from));
  }
  if (seen === nDocuments && index.rowStart[nDocuments] === nRows) return index;
  throw new FormatError(
    `${path}: expected ${nDocuments} documents over ${nRows} rows, got ${seen} over ${index.rowStart[nDocuments]}`,
    { hint: "run `tunediff harvest` again to write the rows anew" },
  );
}
