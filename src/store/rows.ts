// What a row is: one token position of one document, and everything known about it but its activations.
//
// Held as columns (one typed array each), because a study has 10^5 to 10^8 rows. The strings behind the small
// integers stand in the constants here and in the store's manifest.

export const SPLITS = ["train", "heldout", "test"] as const;
export type Split = (typeof SPLITS)[number];

/** `bos` and `template` win over the role of the turn around them. */
export const ROLES = ["text", "system", "user", "assistant", "template", "bos"] as const;
export type Role = (typeof ROLES)[number];

/** Statistics are summed per group, so that intervals can come from resampling groups afterwards. */
export const N_DOCUMENT_GROUPS = 64;

/** Columns of equal length nRows, in harvest order (documents one after another, positions ascending). */
export interface RowTable {
  nRows: number;
  /** Index into the store's documents. */
  document: Uint32Array;
  /** Message index the row belongs to (headers and end marks belong to their message); −1 for plain text and BOS. */
  turn: Int16Array;
  /** Token position in the document, 0-based, BOS included. */
  position: Uint16Array;
  /** Index into SPLITS. */
  split: Uint8Array;
  /** Index into ROLES. */
  role: Uint8Array;
  /** Index into the manifest's `slots`; 0 = "none". */
  slot: Uint8Array;
  /** Index into the manifest's `datasets`. */
  dataset: Uint8Array;
  /** UTF-16 offsets into the document's rendered text, end exclusive; equal for tokens without text. */
  charStart: Uint32Array;
  charEnd: Uint32Array;
  /** Token ids fed to each model. */
  tokenBase: Uint32Array;
  tokenFinetuned: Uint32Array;
}

/** Names of a planted concept's places in a document; only organisms with known truth have them. */
export interface ConceptSpan {
  concept: string;
  kind: "trigger" | "decision" | "response";
  /** Message index. */
  turn: number;
  /** UTF-16 offsets in that message's content, end exclusive; absent for "decision". */
  start?: number;
  end?: number;
}

export interface DocumentTurn {
  role: "system" | "user" | "assistant";
  /** UTF-16 offsets of the content in the rendered text, end exclusive. */
  start: number;
  end: number;
}

export interface DocumentRecord {
  index: number;
  id: string;
  dataset: string;
  split: Split;
  /** 0 … N_DOCUMENT_GROUPS − 1, by hash of the content. */
  group: number;
  /** Rows [rowStart, rowEnd) of the table. */
  rowStart: number;
  rowEnd: number;
  /** The text as the models saw it, chat template included. */
  text: string;
  /** Empty for plain text. */
  turns: DocumentTurn[];
  spans?: ConceptSpan[];
}
