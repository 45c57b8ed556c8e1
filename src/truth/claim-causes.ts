// Whether a claim "finetuned-specific" is true of a known dictionary, and what a false one comes from.
//
// Truth is a ratio of strengths over the rows in which the latent fires (known-concepts.ts); what a latent answers to is in
// concept-match.ts. Minder et al. 2025 (arXiv:2504.02922, §2.2) name the two failures. Not here: who claims, and by which numbers.

import { CLAIM_THRESHOLDS } from "../measure/measure-contract.ts";
import { type LatentMatch, MATCH_THRESHOLDS } from "./concept-match.ts";
import { CONCEPT_KINDS, type ConceptKind, specificityOf, strengthRatio } from "./known-concepts.ts";
import type { KnownDictionary } from "./known-dictionary.ts";

/**
 * - complete-shrinkage: the base has the concept, most of its part there is in the error.
 * - latent-decoupling: most of it is reconstructed by other latents.
 * - own-row: most of it is in the latent's own base row: nothing failed but the choice of candidates.
 * - mixture: no single concept, but some that its code goes with. no-concept: noise.
 */
export const FALSE_CAUSES = [
  "complete-shrinkage",
  "latent-decoupling",
  "own-row",
  "mixture",
  "no-concept",
] as const;
export type FalseCause = (typeof FALSE_CAUSES)[number];

/** "unscored": the matched concept's ratio lies between the limits of truth. */
export type ClaimVerdict = "true" | "unscored" | FalseCause;

/** The verdict if this latent were claimed to be finetuned-specific. */
export function verdictOf({ concept, correlation, ratio, basePart }: LatentMatch): ClaimVerdict {
  if (concept < 0) return correlation >= MATCH_THRESHOLDS.mixtureCorrelation ? "mixture" : "no-concept";
  const specificity = specificityOf(ratio);
  if (specificity === "specific") return "true";
  if (specificity === "unscored") return "unscored";
  const { own, others, error } = basePart;
  if (own >= others && own >= error) return "own-row";
  return error >= others ? "complete-shrinkage" : "latent-decoupling";
}

/** Concepts that are specific to the finetuned model and fire there in enough held-out documents to be judged. */
export function specificConcepts(known: KnownDictionary): number[] {
  const documents = heldoutDocuments(known);
  return known.concepts.flatMap((concept, c) =>
    specificityOf(strengthRatio(concept)) === "specific" && documents[c] >= CLAIM_THRESHOLDS.minimumDocuments
      ? [c]
      : [],
  );
}

/** [concepts] held-out documents in which the finetuned model fires it, norm outliers left out. */
export function heldoutDocuments({ concepts, store, strengths, outlier }: KnownDictionary): Uint32Array {
  const counts = new Uint32Array(concepts.length);
  const last = new Int32Array(concepts.length).fill(-1);
  for (const { split, index, rowStart, rowEnd } of store.documents) {
    if (split !== "heldout") continue;
    for (let row = rowStart; row < rowEnd; row += 1) {
      if (outlier[row] === 1) continue;
      for (let at = strengths.rowStart[row]; at < strengths.rowStart[row + 1]; at += 1) {
        const concept = strengths.concept[at];
        if (strengths.finetuned[at] === 0 || last[concept] === index) continue;
        last[concept] = index;
        counts[concept] += 1;
      }
    }
  }
  return counts;
}

export interface ClaimsAgainstTruth {
  nClaims: number;
  nTrue: number;
  nUnscored: number;
  /** True / (claims − unscored); NaN without any. */
  precision: number;
  falseByCause: Record<FalseCause, number>;
  /** Specific concepts that some true claim answers to / specificConcepts. */
  recall: number;
  recallByKind: Partial<Record<ConceptKind, { answered: number; of: number }>>;
}

/** claimed: latents; matches: of all latents, in latent order. Several claims may answer to one concept and all be true. */
export function scoreClaimsByConcept({
  known,
  matches,
  claimed,
}: {
  known: KnownDictionary;
  matches: readonly LatentMatch[];
  claimed: readonly number[];
}): ClaimsAgainstTruth {
  const verdicts = claimed.map((latent) => verdictOf(matches[latent]));
  const count = (wanted: ClaimVerdict): number => verdicts.filter((verdict) => verdict === wanted).length;
  const [nTrue, nUnscored] = [count("true"), count("unscored")];
  const answered = new Set(
    claimed.filter((_, i) => verdicts[i] === "true").map((latent) => matches[latent].concept),
  );
  const specific = specificConcepts(known);
  const isAnswered = (concepts: readonly number[]): number => concepts.filter((c) => answered.has(c)).length;
  return {
    nClaims: claimed.length,
    nTrue,
    nUnscored,
    precision: nTrue / (claimed.length - nUnscored),
    falseByCause: Object.fromEntries(FALSE_CAUSES.map((cause) => [cause, count(cause)])) as Record<
      FalseCause,
      number
    >,
    recall: isAnswered(specific) / specific.length,
    recallByKind: Object.fromEntries(
      CONCEPT_KINDS.flatMap((kind) => {
        const ofKind = specific.filter((c) => known.concepts[c].kind === kind);
        return ofKind.length === 0 ? [] : [[kind, { answered: isAnswered(ofKind), of: ofKind.length }]];
      }),
    ),
  };
}
