// What the server says of a training's log and of the store's documents: the plain shapes, without what may be missing. Part of
// api-contract.ts, through which the browser side knows them.

/**
 * GET …/training: training lines of metrics.jsonl, thinned to a bounded number (thin-lines.ts). A number that is not known or was not finite is
 * null. Figures are of the one batch before so many steps were complete, losses in normalised units.
 */
export interface TrainingLine {
  /** Completed steps. */
  step: number;
  loss: number | null;
  fve: { base: number | null; finetuned: number | null; total: number | null };
  l0: number | null;
  dead: number | null;
  auxLoss?: number | null;
  /** Of ReLU + L1 alone. */
  penaltyLoss?: number | null;
  penalty?: number | null;
  /** Running θ, activation units. */
  threshold?: number | null;
  /** Before clipping. */
  gradientNorm?: number | null;
  learningRate?: number | null;
  k?: number | null;
  rowsPerSecond?: number | null;
}

/** Held-out figures in threshold mode, between the training lines. */
export interface TrainingValidation {
  step: number;
  /** Of the finished dictionary with its calibrated θ. */
  calibrated: boolean;
  fve: { base: number | null; finetuned: number | null; total: number | null };
  l0: number | null;
  deadFraction: number | null;
  threshold: number | null;
}

/** live: a process holds the dictionary, or its log has grown just now. none: nothing of it has been logged. */
export interface TrainingState {
  kind: "none" | "live" | "finished" | "stopped";
  /** ISO time of the log's last change; null without one. */
  changed: string | null;
}

/**
 * GET …/training/live?with=STUDY/DICTIONARY,…: server-sent events of this dictionary and up to API_LIMITS.dictionariesFollowed − 1 others in one
 * connection: one of each at once, then one whenever its log or its state has changed. Ends only with the server.
 */
export interface TrainingEvent {
  study: number;
  dictionary: string;
  state: TrainingState;
  /** The log begins anew: what was sent before is not of it. True in the first event of each. */
  reset: boolean;
  /** In the order of their steps; after a reset thinned. */
  lines: TrainingLine[];
  /** Training lines of the log so far, before thinning. */
  nLines: number;
  validations: TrainingValidation[];
  /** Steps that were not finite and gone past without an update. */
  passedSteps: number[];
}

export interface TrainingFact {
  /** "result", "time", "rows", "configuration", "constants", "made by". */
  group: string;
  name: string;
  value: string | number | boolean;
}

export interface HarvestFacts {
  /** Longest document, tokens. */
  maxTokens: number | null;
  /** Tokens at the start of each document that were read and not kept. */
  skipFirst: number | null;
  /** Token ids that the base reads in place of others. */
  nBaseReplacements: number | null;
  /** Of the harvest: truncated documents, duplicates and the like. */
  counts: Record<string, number>;
  warnings: string[];
}

/** GET …/documents?from=&count=&dataset=&split=: in the store's order. A Part, as of the store. */
export interface DocumentPage {
  /** All that the filters let through. */
  total: number;
  documents: DocumentEntry[];
}

export interface DocumentEntry {
  /** Index in the store, from 0. */
  number: number;
  id: string;
  dataset: string;
  split: "train" | "heldout" | "test";
  /** Of the 64 document groups that statistics are summed by. */
  group: number;
  nRows: number;
  /** Messages; 0 for plain text. */
  nTurns: number;
  /** How its text begins, chat template included. */
  opening: string;
}

/** What becomes of a row: trained on, measured, kept for the test; or left out of all, and why. */
export type RowUse = "trained" | "measured" | "tested" | "bos" | "outlier";

/** GET …/documents/:number?from=: API_LIMITS.documentTokens tokens at most. A Part, as of the store. One entry a token in each list. */
export interface DocumentTokens {
  document: DocumentEntry;
  /** Position in the document of the first token here. */
  from: number;
  /** Surface text; "" for a token without text, or whose character another token has begun. */
  tokens: string[];
  roles: string[];
  /** Template slot; "none" is no template token. */
  slots: string[];
  /** Message; −1 for plain text and BOS. */
  turns: number[];
  uses: RowUse[];
  /** Ids that each model read. */
  idsBase: number[];
  idsFinetuned: number[];
  /** Whether norm outliers were looked for; without a training record they are not known. */
  areOutliersKnown: boolean;
}
