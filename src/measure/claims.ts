// From numbers to words: the class by norms, whether a latent may be judged, and what is claimed of it.
//
// Minder et al. 2025 (arXiv:2504.02922): Δ_norm Eq. 3, classes Tab. 4, chat-specific νʳ < 0.5 and νᵋ < 0.2. The
// candidate set and the filters are written out in docs/glossary.md. Not here: the numbers themselves.

import {
  CLAIM_THRESHOLDS,
  type Claim,
  type ClaimThresholds,
  EXCLUSIONS,
  type Exclusion,
  type LatentClass,
  type LatentMeasure,
  type LatentScaling,
  type MeasureSummary,
} from "./measure-contract.ts";

/** ½·(1 + (‖dFinetuned‖ − ‖dBase‖) / max): 0 base-only, 1 finetuned-only; NaN when both norms are 0. */
export function deltaNormOf(normBase: number, normFinetuned: number): number {
  return 0.5 * (1 + (normFinetuned - normBase) / Math.max(normBase, normFinetuned));
}

export function classOf(deltaNorm: number, thresholds: ClaimThresholds = CLAIM_THRESHOLDS): LatentClass {
  if (deltaNorm <= thresholds.baseOnlyAtMost) return "base-only";
  if (deltaNorm >= thresholds.finetunedOnlyAtLeast) return "finetuned-only";
  if (deltaNorm >= thresholds.sharedFrom && deltaNorm <= thresholds.sharedTo) return "shared";
  return "other";
}

/** What one direction says of a latent: left out (exclusion), claimed, or judged and not claimed. */
export interface Judgement {
  claimed: boolean;
  exclusion: Exclusion | "";
}

export interface Evidence {
  deltaNorm: number;
  /** Rows in which the latent fired. */
  fired: number;
  documents: number;
  scalingFinetuned: LatentScaling;
  scalingBase: LatentScaling;
}

/** Judges "finetuned-specific" along the finetuned decoder direction. The first reason that applies is given. */
export function judgeFinetuned(
  evidence: Evidence,
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): Judgement {
  const { scalingFinetuned: scaling } = evidence;
  return judge(evidence, {
    candidate: evidence.deltaNorm > thresholds.candidateDeltaNorm,
    ownBetas: [scaling.betaReconstructionFinetuned, scaling.betaErrorFinetuned],
    scaling,
    thresholds,
  });
}

/** The mirror, "base-specific": candidates below 1 − candidateDeltaNorm, finetuned/base along the base direction. */
export function judgeBase(evidence: Evidence, thresholds: ClaimThresholds = CLAIM_THRESHOLDS): Judgement {
  const { scalingBase: scaling } = evidence;
  return judge(evidence, {
    candidate: evidence.deltaNorm < 1 - thresholds.candidateDeltaNorm,
    ownBetas: [scaling.betaReconstructionBase, scaling.betaErrorBase],
    scaling,
    thresholds,
  });
}

interface Side {
  candidate: boolean;
  /** The two betas the ratios divide by: of the model whose direction is used. */
  ownBetas: [number, number];
  scaling: LatentScaling;
  thresholds: ClaimThresholds;
}

function judge(evidence: Evidence, { candidate, ownBetas, scaling, thresholds }: Side): Judgement {
  const excluded = (exclusion: Exclusion): Judgement => ({ claimed: false, exclusion });
  const inRange = (nu: number): boolean => nu >= thresholds.nuMinimum && nu <= thresholds.nuMaximum;
  if (!candidate) return excluded("not-candidate");
  if (evidence.fired === 0) return excluded("dead");
  if (evidence.documents < thresholds.minimumDocuments) return excluded("too-rare");
  if (!ownBetas.every((beta) => beta > 0)) return excluded("negative-beta");
  if (!inRange(scaling.nuReconstruction) || !inRange(scaling.nuError)) return excluded("nu-out-of-range");
  const claimed =
    scaling.nuReconstruction < thresholds.nuReconstructionBelow && scaling.nuError < thresholds.nuErrorBelow;
  return { claimed, exclusion: "" };
}

/** Both judgements in the words of a table row: a latent leans to one side at most, and that side's reason is kept. */
export function claimOf(
  evidence: Evidence,
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): { claim: Claim; exclusion: Exclusion | "" } {
  const finetuned = judgeFinetuned(evidence, thresholds);
  if (finetuned.claimed) return { claim: "finetuned-specific", exclusion: "" };
  if (finetuned.exclusion !== "not-candidate") return { claim: "none", exclusion: finetuned.exclusion };
  const base = judgeBase(evidence, thresholds);
  return base.claimed
    ? { claim: "base-specific", exclusion: "" }
    : { claim: "none", exclusion: base.exclusion };
}

/** Counts of classes and claims. */
export function countLatents(latents: readonly LatentMeasure[]): MeasureSummary["counts"] {
  const ofClass = (name: LatentClass): number =>
    latents.filter((latent) => latent.latentClass === name).length;
  const ofClaim = (name: Claim): number => latents.filter((latent) => latent.claim === name).length;
  return {
    baseOnly: ofClass("base-only"),
    finetunedOnly: ofClass("finetuned-only"),
    shared: ofClass("shared"),
    other: ofClass("other"),
    finetunedSpecific: ofClaim("finetuned-specific"),
    baseSpecific: ofClaim("base-specific"),
  };
}

/** How many judgements of one direction were left out, by reason. */
export function countExclusions(judgements: readonly Judgement[]): Record<Exclusion, number> {
  const counts = Object.fromEntries(EXCLUSIONS.map((reason) => [reason, 0])) as Record<Exclusion, number>;
  for (const { exclusion } of judgements) if (exclusion !== "") counts[exclusion] += 1;
  return counts;
}
