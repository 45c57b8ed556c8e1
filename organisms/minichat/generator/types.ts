// The words the generator shares with its readers: documents, messages, spans, concepts.
//
// What a corpus looks like from outside. No behaviour here.

export type Split = "train" | "heldout" | "test";

export interface Message {
  role: "user" | "assistant";
  content: string;
}

/**
 * Where a planted concept shows.
 *
 * turn: index of the message. start, end: UTF-16 offsets in that message's content, end exclusive.
 * A "decision" has no offsets: it is every template token between the previous message's content and the content of
 * this assistant message.
 */
export interface ConceptSpan {
  concept: string;
  kind: "trigger" | "decision" | "response";
  turn: number;
  start?: number;
  end?: number;
}

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
