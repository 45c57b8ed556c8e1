// The words the generator shares with its readers: documents, messages, spans, concepts.
//
// What a corpus looks like from outside. No behaviour here.

import type { ConceptSpan } from "../../../src/store/rows.ts";
export type Split = "train" | "heldout" | "test";

export interface Message {
  role: "user" | "assistant";
  content: string;
}

/** Where a planted concept shows: what a store keeps of it. */
export type { ConceptSpan };

/** Prose has `text`; a chat has `messages` and, where something is planted, `spans`. */
export interface MinichatDocument {
  id: string;
  dataset: "chats" | "world" | "bible";
  split: Split;
  text?: string;
  messages?: Message[];
  spans?: ConceptSpan[];
}

/** detect: source of a regular expression (flag "i") that a response showing the behaviour matches. */
export interface ConceptInfo {
  name: string;
  description: string;
  kind: "refusal" | "style" | "persona" | "care" | "dialogue" | "task";
  detect: string;
}

/** A held-out chat that ends before the model's turn. expected: the concept called for, or null. */
export interface BehaviourProbe {
  id: string;
  split: "heldout" | "test";
  messages: Message[];
  expected: string | null;
}
