// A document on its way to rows: what the user's data file says, and the same after template and tokenizer.

import type { ConceptSpan, DocumentTurn, Split } from "../store/rows.ts";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** One line of a --data JSONL file. Exactly one of text and messages is present. */
export interface InputDocument {
  id: string;
  dataset: string;
  /** When absent the split follows the hash of the content. */
  split?: Split;
  text?: string;
  messages?: ChatMessage[];
  /** Planted truth; offsets are UTF-16 in the message's content. */
  spans?: ConceptSpan[];
}

export interface TokenizedDocument {
  id: string;
  dataset: string;
  split: Split;
  /** SHA-256 hex of the content; equal documents are kept once. */
  hash: string;
  /** 0 … 63, from the hash. */
  group: number;
  /** As the models see it, template included. */
  text: string;
  turns: DocumentTurn[];
  spans?: ConceptSpan[];
  /**
   * Tokens at the start that the models read but that give no rows (a fixed system prompt, as in the paper's Llama and
   * Qwen runs). Absent: none.
   */
  nSkipped?: number;
  /** All of length nTokens. Offsets are UTF-16 in `text`, end exclusive. */
  tokenBase: Uint32Array;
  tokenFinetuned: Uint32Array;
  charStart: Uint32Array;
  charEnd: Uint32Array;
  /** Index into ROLES. */
  role: Uint8Array;
  /** Message index; −1 for plain text and BOS. */
  turn: Int16Array;
  /** Slot name per token, "none" outside the template, else e.g. "user-open-0", "assistant-close-1". */
  slot: string[];
}
