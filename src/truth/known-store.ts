// A store of made-up activations in memory: what training and measuring read, without files.
//
// Documents of equal length, plain text, one dataset, a base and a finetuned site of one width. Not here: shards, checksums,
// dtypes below f32; those are the real store's.

import { ShapeError } from "../errors.ts";
import { N_DOCUMENT_GROUPS, ROLES, SPLITS } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";

export interface KnownStoreInput {
  dModel: number;
  /** Documents of the training split come first, held-out ones after them. */
  trainDocuments: number;
  heldoutDocuments: number;
  documentRows: number;
  /** [rows, 2 · dModel] f32, base first; kept, not copied. */
  activations: Float32Array;
  /** Token id of each row in both models. */
  tokens: Uint32Array;
  /** What decides every number in it. */
  identity: Record<string, unknown>;
}

/** Throws ShapeError when there are not as many activations as rows. */
export function createKnownStore(input: KnownStoreInput): Store {
  const { dModel, trainDocuments, heldoutDocuments, documentRows, activations, tokens } = input;
  const nDocuments = trainDocuments + heldoutDocuments;
  const nRows = nDocuments * documentRows;
  const width = 2 * dModel;
  if (activations.length !== nRows * width || tokens.length !== nRows) {
    throw new ShapeError(
      `store: expected ${nRows} × ${width} activations and ${nRows} tokens, got ${activations.length} and ${tokens.length}`,
    );
  }
  const splitOf = (document: number): number =>
    SPLITS.indexOf(document < trainDocuments ? "train" : "heldout");
  const document = Uint32Array.from({ length: nRows }, (_, row) => Math.floor(row / documentRows));
  return {
    folder: "known dictionary",
    manifest: {
      schemaVersion: 1,
      name: "known-dictionary",
      nRows,
      nDocuments,
      rowsBySplit: {
        train: trainDocuments * documentRows,
        heldout: heldoutDocuments * documentRows,
        test: 0,
      },
      datasets: ["known"],
      slots: ["none"],
      sites: (["base", "finetuned"] as const).map((model) => ({
        name: `${model}-L0`,
        model,
        layer: 0,
        width: dModel,
        dtype: "f32",
        rowsPerShard: nRows,
        nShards: 1,
        roundingErrorRelative: 0,
      })),
      tokenizerHash: "",
      identity: input.identity,
    },
    rows: {
      nRows,
      document,
      turn: new Int16Array(nRows).fill(-1),
      position: Uint16Array.from({ length: nRows }, (_, row) => row % documentRows),
      split: Uint8Array.from(document, splitOf),
      role: new Uint8Array(nRows).fill(ROLES.indexOf("text")),
      slot: new Uint8Array(nRows),
      dataset: new Uint8Array(nRows),
      charStart: new Uint32Array(nRows),
      charEnd: new Uint32Array(nRows),
      tokenBase: tokens,
      tokenFinetuned: tokens,
    },
    documents: Array.from({ length: nDocuments }, (_, index) => ({
      index,
      id: `document-${index}`,
      dataset: "known",
      split: SPLITS[splitOf(index)],
      group: index % N_DOCUMENT_GROUPS,
      rowStart: index * documentRows,
      rowEnd: (index + 1) * documentRows,
      text: "",
      turns: [],
    })),
    width,
    read: async (rowStart, rowEnd, target = new Float32Array((rowEnd - rowStart) * width)) => {
      target.set(activations.subarray(rowStart * width, rowEnd * width));
      return target;
    },
    close: async () => {},
  };
}
