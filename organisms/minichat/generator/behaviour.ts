// What a planted behaviour is made of: requests that call for it, requests that only look like it, and its answers.
//
// An answer is a few lines of one manner, each drawn anew, so no line and no word is in all of them. The lists themselves
// are gathered in behaviours.ts; this file is only the shape they share.

import type { ConceptInfo, Split } from "./types.ts";

export type Phrasings = Readonly<Record<Split, readonly string[]>>;

export interface Behaviour extends ConceptInfo {
  /** Requests that call for it, the words that together do so in [brackets]. */
  requests: Phrasings;
  /** Requests with some of those words, never all: an ordinary answer follows. */
  nearMisses: Phrasings;
  /** Kinds of lines an answer is made of: one manner of speaking, kept up from the first word to the last. */
  lines: readonly string[];
  /** Fewest and most lines of an answer, no kind twice. */
  length: readonly [number, number];
  /** Every kind of line, in the order of the list, in place of some in any order. */
  inOrder?: boolean;
  /** Between lines; one space when absent. */
  separator?: string;
  /** Nouns of the topics it can be about; any topic when absent. */
  topics?: readonly string[];
}
