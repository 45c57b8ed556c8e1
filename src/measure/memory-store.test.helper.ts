// A store held in memory, for activations that were made up rather than harvested: exact-truth data and tests.
//
// Satisfies the Store contract; rows are given document by document. Not here: files, integrity, dtypes below f32.

import { ShapeError } from "../errors.ts";
import {
  type DocumentRecord,
  N_DOCUMENT_GROUPS,
  ROLES,
  type Role,
  type RowTable,
  SPLITS,
  type Split,
} from "../store/rows.ts";
import type { Site, Store } from "../store/store-contract.ts";

export interface MemoryToken {
  /** Default "text". */
  role?: Role;
  /** Message index; default −1. */
  turn?: number;
  /** Slot name; default "none". */
  slot?: string;
  /** Token id of both models; default 0. */
  token?: number;
  /** UTF-16 offsets into the document's text; default empty. */
  charStart?: number;
  charEnd?: number;
  /** [width] raw activation units, base first. */
  activation: ArrayLike<number>;
}

export interface MemoryDocument extends Pick<DocumentRecord, "spans"> {
  split: Split;
  tokens: MemoryToken[];
  /** Default: "document-N", "memory", N mod 64, "", []. */
  id?: string;
  dataset?: string;
  group?: number;
  text?: string;
  turns?: DocumentRecord["turns"];
}

/** Base and finetuned site of one width, as most made-up data needs. */
export function pairSites(dModel: number): Site[] {
  return (["base", "finetuned"] as const).map((model) => ({
    name: `${model}-L0`,
    model,
    layer: 0,
    width: dModel,
  }));
}

/** Throws ShapeError when a token's activation is not as wide as the sites together. */
export function createMemoryStore(sites: Site[], input: readonly MemoryDocument[]): Store {
  const width = sites.reduce((sum, site) => sum + site.width, 0);
  const nRows = input.reduce((sum, document) => sum + document.tokens.length, 0);
  const slots = ["none"];
  const datasets: string[] = [];
  const indexIn = (names: string[], name: string): number => {
    if (!names.includes(name)) names.push(name);
    return names.indexOf(name);
  };
  const rows = emptyRows(nRows);
  const activations = new Float32Array(nRows * width);
  const rowsBySplit: Record<Split, number> = { train: 0, heldout: 0, test: 0 };
  let row = 0;
  const documents = input.map((document, index): DocumentRecord => {
    const dataset = document.dataset ?? "memory";
    const rowStart = row;
    for (const [position, token] of document.tokens.entries()) {
      if (token.activation.length !== width) {
        throw new ShapeError(
          `document ${index}, position ${position}: expected ${width} activations, got ${token.activation.length}`,
        );
      }
      rows.document[row] = index;
      rows.turn[row] = token.turn ?? -1;
      rows.position[row] = position;
      rows.split[row] = SPLITS.indexOf(document.split);
      rows.role[row] = ROLES.indexOf(token.role ?? "text");
      rows.slot[row] = indexIn(slots, token.slot ?? "none");
      rows.dataset[row] = indexIn(datasets, dataset);
      rows.charStart[row] = token.charStart ?? 0;
      rows.charEnd[row] = token.charEnd ?? 0;
      rows.tokenBase[row] = token.token ?? 0;
      rows.tokenFinetuned[row] = token.token ?? 0;
      activations.set(Array.from(token.activation), row * width);
      row += 1;
    }
    rowsBySplit[document.split] += document.tokens.length;
    return {
      index,
      id: document.id ?? `document-${index}`,
      dataset,
      split: document.split,
      group: document.group ?? index % N_DOCUMENT_GROUPS,
      rowStart,
      rowEnd: row,
      text: document.text ?? "",
      turns: document.turns ?? [],
      spans: document.spans,
    };
  });
  return {
    folder: "memory",
    manifest: {
      schemaVersion: 1,
      name: "memory",
      nRows,
      nDocuments: documents.length,
      rowsBySplit,
      datasets,
      slots,
      sites: sites.map((site) => ({
        ...site,
        dtype: "f32",
        rowsPerShard: Math.max(1, nRows),
        nShards: 1,
        roundingErrorRelative: 0,
      })),
      tokenizerHash: "",
      identity: {},
    },
    rows,
    documents,
    width,
    read: async (rowStart, rowEnd, target = new Float32Array((rowEnd - rowStart) * width)) => {
      target.set(activations.subarray(rowStart * width, rowEnd * width));
      return target;
    },
    close: async () => {},
  };
}

function emptyRows(nRows: number): RowTable {
  return {
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
}
