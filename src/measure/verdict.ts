// The verdict on a latent that leans to one side: is it really of that model alone, as far as the held-out rows can tell?
//
// Minder et al. 2025 (arXiv:2504.02922, §2.3 and §3.5) name the two ways in which a latent looks model-specific without
// being so: complete shrinkage (the concept sits in the other model's error) and latent decoupling (other latents hold it
// there). Here both are judged by the 95 % limits of intervals.ts, not by the point estimates that make a claim (claims.ts):
// a claim may stand and its verdict be "uncertain". A verdict does not look at the claim's bounds on nu or at own betas; an
// own beta that is not positive leaves no limits, hence "uncertain".

import {
  CLAIM_THRESHOLDS,
  type ClaimThresholds,
  type Interval,
  type LatentIntervals,
  type Verdict,
} from "./measure-contract.ts";

/** The model a latent leans to by its decoder norms; "" for neither. */
export type LatentSide = "finetuned" | "base" | "";

export interface VerdictEvidence {
  deltaNorm: number;
  /** Rows in which the latent fired; only whether it is 0 counts. */
  fired: number;
  /** Held-out documents in which it fired. */
  documents: number;
  intervals: LatentIntervals;
}

/** "finetuned" above candidateDeltaNorm, "base" below its mirror, "" between and for NaN; the candidates of claims.ts. */
export function sideOf(deltaNorm: number, thresholds: ClaimThresholds = CLAIM_THRESHOLDS): LatentSide {
  if (deltaNorm > thresholds.candidateDeltaNorm) return "finetuned";
  if (deltaNorm < 1 - thresholds.candidateDeltaNorm) return "base";
  return "";
}

/** "" for a latent that leans to no side: there is nothing to judge, whether it fired or not. */
export function verdictOf(
  evidence: VerdictEvidence,
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): Verdict | "" {
  const side = sideOf(evidence.deltaNorm, thresholds);
  if (side === "") return "";
  if (evidence.fired === 0) return "dead";
  if (evidence.documents < thresholds.minimumDocuments) return "too rare";
  const { nuError, nuReconstruction } = evidence.intervals[side];
  const shrunk = nuError.low > thresholds.nuErrorBelow;
  const decoupled = nuReconstruction.low > thresholds.nuReconstructionBelow;
  if (shrunk && decoupled) return "complete shrinkage and latent decoupling";
  if (shrunk) return "complete shrinkage";
  if (decoupled) return "latent decoupling";
  const genuine =
    nuError.high < thresholds.nuErrorBelow && nuReconstruction.high < thresholds.nuReconstructionBelow;
  return genuine ? "genuine" : "uncertain";
}

/**
 * The verdict in one or two plain sentences with its numbers, for the report and the dashboard; "" where there is none.
 */
export function verdictReason(
  evidence: VerdictEvidence,
  thresholds: ClaimThresholds = CLAIM_THRESHOLDS,
): string {
  const side = sideOf(evidence.deltaNorm, thresholds);
  const verdict = verdictOf(evidence, thresholds);
  if (side === "" || verdict === "") return "";
  const { documents, intervals } = evidence;
  const own = side === "finetuned" ? "fine-tune" : "base model";
  const other = side === "finetuned" ? "base model" : "fine-tune";
  const { nuError, nuReconstruction } = intervals[side];
  const inError = `nuError ${range(nuError)}`;
  const inReconstruction = `nuReconstruction ${range(nuReconstruction)}`;
  const errorLimit = thresholds.nuErrorBelow;
  const reconstructionLimit = thresholds.nuReconstructionBelow;
  const shrinkage = `The concept is in the ${other} too, but its decoder row there has shrunk away: the ${other}'s error holds it (${inError}, above ${errorLimit}).`;
  const decoupling = `Other latents already reconstruct the concept in the ${other} (${inReconstruction}, above ${reconstructionLimit}).`;
  switch (verdict) {
    case "dead":
      return "It never fired on the held-out rows, so there is nothing to judge.";
    case "too rare":
      return `It fired in ${documents} held-out ${documents === 1 ? "document" : "documents"}; ${thresholds.minimumDocuments} are needed to judge it.`;
    case "genuine":
      return `Only the ${own} has it: neither the ${other}'s error (${inError}, below ${errorLimit}) nor its reconstruction (${inReconstruction}, below ${reconstructionLimit}) holds it.`;
    case "complete shrinkage":
      return shrinkage;
    case "latent decoupling":
      return decoupling;
    case "complete shrinkage and latent decoupling":
      return `${shrinkage} ${decoupling}`;
    case "uncertain":
      return `It cannot be told whether the ${other} has it: ${openQuestions([
        { name: "nuError", interval: nuError, threshold: errorLimit },
        { name: "nuReconstruction", interval: nuReconstruction, threshold: reconstructionLimit },
      ])}. It fired in ${documents} documents and ${intervals.nGroupsFired} document groups.`;
  }
}

/** Of an uncertain verdict, what is not below its threshold; none is wholly above, or there would be another verdict. */
function openQuestions(
  questions: readonly { name: string; interval: Interval; threshold: number }[],
): string {
  return questions
    .filter(({ interval, threshold }) => !(interval.high < threshold))
    .map(({ name, interval, threshold }) =>
      Number.isFinite(interval.low) || Number.isFinite(interval.high)
        ? `${name} ${range(interval)} reaches both sides of ${threshold}`
        : `${name} has no limits`,
    )
    .join(" and ");
}

/** "0.031 to 0.120 (95 %)"; an end without limit is said in words. */
function range({ low, high }: Interval): string {
  const from = Number.isFinite(low) ? decimal(low) : "unlimited";
  const to = Number.isFinite(high) ? decimal(high) : "unlimited";
  return `${from} to ${to} (95 %)`;
}

/** Three decimals, without a minus before zero. */
function decimal(value: number): string {
  const text = value.toFixed(3);
  return Number(text) === 0 ? "0.000" : text.replace("-", "−");
}
