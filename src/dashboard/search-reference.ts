// The slow, readable twin of a search through the index: every text is looked at, nothing is left out beforehand.

import type { SearchHit } from "./api-contract.ts";
import { clipped, type LatentText, matcherOf, type Question } from "./search-texts.ts";

/** All hits in order. */
export function searchReference(question: Question, texts: readonly LatentText[]): SearchHit[] {
  const match = matcherOf(question);
  const hits: SearchHit[] = [];
  for (const { latent, bin, rank, text } of texts) {
    const ofLatent = hits.filter((hit) => hit.latent === latent).length;
    const found = match(text);
    if (found === undefined || ofLatent >= question.each || hits.length >= question.most) continue;
    hits.push({ ...{ latent, bin, rank }, ...clipped(text, found) });
  }
  return hits;
}
