// Tokenised documents to the store's columns: one row a token, documents one after another.

import { FormatError } from "../errors.ts";
import { type DocumentRecord, type RowTable, SPLITS } from "../store/rows.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { TokenizedDocument } from "../text/document.ts";

export interface BuiltRows {
  rows: RowTable;
  documents: DocumentRecord[];
  /** What the row columns `dataset` and `slot` point into, in order of first appearance; slots[0] is "none". */
  datasets: string[];
  slots: string[];
  /** Per document, ids that both models read before its first row; empty but for skipFirst. */
  skipped: Record<ModelSide, Uint32Array>[];
}

/** u8 columns point into these lists. */
const MAX_NAMES = 256;

function createNames(what: string, first: string[]): { names: string[]; indexOf: (name: string) => number } {
  const names = [...first];
  const indices = new Map(names.map((name, i) => [name, i]));
  const indexOf = (name: string): number => {
    const known = indices.get(name);
    if (known !== undefined) return known;
    if (names.length === MAX_NAMES) {
      throw new FormatError(`${what} "${name}": expected at most ${MAX_NAMES} different ones, got more`, {
        hint: `give the documents fewer ${what}s`,
      });
    }
    indices.set(name, names.length);
    return names.push(name) - 1;
  };
  return { names, indexOf };
}

/**
 * Row order is document order; the first nSkipped tokens of a document give no rows, and a document of nothing else is left
 * out. Throws FormatError for more than 256 datasets.
 */
export function buildRows(all: TokenizedDocument[]): BuiltRows {
  const rowsOf = ({ tokenBase, nSkipped = 0 }: TokenizedDocument): number => tokenBase.length - nSkipped;
  const tokenized = all.filter((document) => rowsOf(document) > 0);
  const nRows = tokenized.reduce((sum, document) => sum + rowsOf(document), 0);
  const rows: RowTable = {
    nRows,
    document: new Uint32Array(nRows),
    turn: new Int16Array(nRows),
    position: new Uint16Array(nRows),
    split: new Uint8Array(nRows),
    role: new Uint8Array(nRows),
    slot: new Uint8Array(nRows),
    dataset: new Uint8Array(nRows),
    charStart: new Uint32Array(nRows),
    charEnd: new Uint32Array(nRows),
    tokenBase: new Uint32Array(nRows),
    tokenFinetuned: new Uint32Array(nRows),
  };
  const datasets = createNames("dataset", []);
  const slots = createNames("slot", ["none"]);
  const documents: DocumentRecord[] = [];
  const skipped: BuiltRows["skipped"] = [];
  let rowStart = 0;
  for (const [index, document] of tokenized.entries()) {
    const { id, dataset, split, group, text, turns, spans } = document;
    const { nSkipped = 0 } = document;
    const rowEnd = rowStart + rowsOf(document);
    rows.document.fill(index, rowStart, rowEnd);
    rows.split.fill(SPLITS.indexOf(split), rowStart, rowEnd);
    rows.dataset.fill(datasets.indexOf(dataset), rowStart, rowEnd);
    for (let row = rowStart; row < rowEnd; row += 1) {
      const token = row - rowStart + nSkipped;
      rows.position[row] = token;
      rows.slot[row] = slots.indexOf(document.slot[token]);
    }
    for (const column of ["turn", "role", "charStart", "charEnd", "tokenBase", "tokenFinetuned"] as const) {
      rows[column].set(document[column].subarray(nSkipped), rowStart);
    }
    const record = { index, id, dataset, split, group, rowStart, rowEnd, text, turns };
    documents.push(spans === undefined ? record : { ...record, spans });
    skipped.push({
      base: document.tokenBase.subarray(0, nSkipped),
      finetuned: document.tokenFinetuned.subarray(0, nSkipped),
    });
    rowStart = rowEnd;
  }
  return { rows, documents, datasets: datasets.names, slots: slots.names, skipped };
}
