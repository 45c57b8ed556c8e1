// The slow, readable twin of a search through the index: every text is looked at, nothing is left out beforehand.

import type { SearchHit } from "./api-contract.ts";
import { type LatentText, type Question, search } from "./search-texts.ts";

/** All hits in order. */
export function searchReference(question: Question, texts: readonly LatentText[]): SearchHit[] {
  return [...search(question, texts)].filter((hit) => hit !== undefined);
}
