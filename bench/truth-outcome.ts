// One trained dictionary against the truth: who claims which latents, whether they are right, and whether nu flags the rest.

import { CLAIM_THRESHOLDS, type LatentMeasure } from "../src/measure/measure-contract.ts";
import {
  type ClaimsAgainstTruth,
  FALSE_CAUSES,
  type FalseCause,
  scoreClaimsByConcept,
  verdictOf,
} from "../src/truth/claim-causes.ts";
import type { LatentMatch } from "../src/truth/concept-match.ts";
import type { KnownDictionary } from "../src/truth/known-dictionary.ts";
import type { Fit } from "./truth-grid.ts";

/** By whom a latent is claimed. All ask for as many held-out documents as Latent Scaling does. */
export const CLAIMANTS = {
  "deltaNorm >= 0.9": ({ deltaNorm }: LatentMeasure) => deltaNorm >= CLAIM_THRESHOLDS.finetunedOnlyAtLeast,
  "deltaNorm > 0.6": ({ deltaNorm }: LatentMeasure) => deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm,
  "Latent Scaling": ({ claim }: LatentMeasure) => claim === "finetuned-specific",
} as const;
export type Claimant = keyof typeof CLAIMANTS;
export const BY_NORM: Claimant = "deltaNorm >= 0.9";

/** One dictionary of one seed. */
export interface Outcome {
  fit: Fit;
  dead: number;
  /** If every latent were claimed: what the dictionary has learned at all. */
  recallAnyLatent: number;
  scores: Record<Claimant, ClaimsAgainstTruth>;
  /** Claims by norm: how many nu flags, of those that are true and of those of each cause. */
  flagged: Record<"true" | "unscored" | FalseCause, number>;
  /** Of complete shrinkage those that nuError flags, of latent decoupling those that nuReconstruction flags. */
  flaggedByItsOwnNu: { shrinkage: number; decoupling: number };
}

export function scoreDictionary({
  known,
  latents,
  matches,
}: {
  known: KnownDictionary;
  latents: readonly LatentMeasure[];
  matches: readonly LatentMatch[];
}): Omit<Outcome, "fit" | "dead"> {
  const judged = latents.filter(({ documents }) => documents >= CLAIM_THRESHOLDS.minimumDocuments);
  const claimedBy = (claimant: Claimant): number[] =>
    judged.filter(CLAIMANTS[claimant]).map(({ latent }) => latent);
  const scores = Object.fromEntries(
    (Object.keys(CLAIMANTS) as Claimant[]).map((claimant) => [
      claimant,
      scoreClaimsByConcept({ known, matches, claimed: claimedBy(claimant) }),
    ]),
  ) as Outcome["scores"];
  const byNorm = claimedBy(BY_NORM).map((latent) => ({
    verdict: verdictOf(matches[latent]),
    error: latents[latent].scalingFinetuned.nuError >= CLAIM_THRESHOLDS.nuErrorBelow,
    reconstruction:
      latents[latent].scalingFinetuned.nuReconstruction >= CLAIM_THRESHOLDS.nuReconstructionBelow,
  }));
  const count = (wanted: (claim: (typeof byNorm)[number]) => boolean): number => byNorm.filter(wanted).length;
  const flagged = Object.fromEntries(
    (["true", "unscored", ...FALSE_CAUSES] as const).map((verdict) => [
      verdict,
      count((claim) => claim.verdict === verdict && (claim.error || claim.reconstruction)),
    ]),
  ) as Outcome["flagged"];
  const all = judged.map(({ latent }) => latent);
  return {
    recallAnyLatent: scoreClaimsByConcept({ known, matches, claimed: all }).recall,
    scores,
    flagged,
    flaggedByItsOwnNu: {
      shrinkage: count(({ verdict, error }) => verdict === "complete-shrinkage" && error),
      decoupling: count(({ verdict, reconstruction }) => verdict === "latent-decoupling" && reconstruction),
    },
  };
}
