// What a planted behaviour is made of: requests that call for it, requests that only look like it, and its answers.
//
// Every answer takes one template from each part, so answers compose (openings x middles x endings). The lists themselves
// are gathered in behaviours.ts; this file is only the shape they share.

import type { ConceptInfo, Split } from "./types.ts";

export type Phrasings = Readonly<Record<Split, readonly string[]>>;

export interface Behaviour extends ConceptInfo {
  /** Requests that call for it, the words that together do so in [brackets]. */
  requests: Phrasings;
  /** Requests with some of those words, never all: an ordinary answer follows. */
  nearMisses: Phrasings;
  /** The answer: one template from each part. */
  parts: readonly (readonly string[])[];
  /** Between parts; one space when absent. */
  separator?: string;
  /** Nouns of the topics it can be about; any topic when absent. */
  topics?: readonly string[];
  /** True when the shared openings and endings may stand around the answer. */
  framed: boolean;
}
