// Concepts of a pair of models that never existed: directions, strengths and frequencies, drawn from a seed.
//
// With these the truth of a comparison is exact: of every concept it is known how strong it is in either model wherever it
// fires. known-dictionary.ts draws rows from them. Nothing here imitates a particular model.

import { ConfigError } from "../errors.ts";
import { createRng, keyedPermutation } from "../numerics/rng.ts";

/**
 * - shared: one direction, equal strength. rotated: the finetuned direction is turned by a small angle.
 * - base-only, finetuned-only: strength 0 in the other model.
 * - weaker-in-base, weaker-in-finetuned: one direction; the weaker model has `ratio` of the strength.
 * - contexts-apart, contexts-overlapping: one direction and strength, but either model fires it in documents of its own; of the
 *   documents in which one model may fire it, the other may in none or in a stated share.
 */
export const CONCEPT_KINDS = [
  "shared",
  "rotated",
  "base-only",
  "finetuned-only",
  "weaker-in-base",
  "weaker-in-finetuned",
  "contexts-apart",
  "contexts-overlapping",
] as const;
export type ConceptKind = (typeof CONCEPT_KINDS)[number];

export interface ConceptSettings {
  /** Of each model. */
  dModel: number;
  counts: Record<ConceptKind, number>;
  /** Mean number of concepts that fire at a row, whether in one model or in both. */
  meanActive: number;
  /** Share of rows of the concept of frequency rank r (from 0) ∝ (r + zipfOffset)^−zipfExponent. */
  zipfExponent: number;
  zipfOffset: number;
  /** Standard deviation of the logarithm of a concept's gain, about 0. */
  gainSpread: number;
  /** The weaker model's share of the strength is uniform between these. */
  weakerRatio: [number, number];
  /** Largest angle of a rotated concept, degrees; uniform from 0. */
  rotationDegrees: number;
  /** Of contexts-overlapping: share of one model's documents that are the other's, too. */
  contextOverlap: number;
  /** Pairs of concepts that fire together. */
  correlatedPairs: number;
  /** Of the rarer one's rows, at most this share is taken from the other's. */
  togetherShare: number;
}

export interface KnownConcept {
  kind: ConceptKind;
  /** [dModel] f64, unit length. */
  directionBase: Float64Array;
  directionFinetuned: Float64Array;
  /** Raw activation units for a magnitude of 1; 0 where the model does not have it. */
  gainBase: number;
  gainFinetuned: number;
  /** Share of rows. */
  rate: number;
  /** Of the documents in which one model may fire it, the share in which the other may; 1 but for contexts. */
  overlap: number;
  /** Concept whose rows it shares, and with which probability it fires where that one does. */
  leader: { concept: number; probability: number } | undefined;
}

/** Above the limits neither, a concept is on no side of the question: between them it is not scored. */
export const TRUTH_THRESHOLDS = {
  /** The other model has at most this share of the strength: specific. */
  specificAtMost: 0.2,
  /** At least this share: not specific. */
  sharedFrom: 0.5,
} as const;

export type Specificity = "specific" | "unscored" | "not-specific";

/** ratio: strength in the other model / strength in this one, over the rows in which this one fires it. */
export function specificityOf(ratio: number): Specificity {
  if (ratio <= TRUTH_THRESHOLDS.specificAtMost) return "specific";
  return ratio >= TRUTH_THRESHOLDS.sharedFrom ? "not-specific" : "unscored";
}

/**
 * Base / finetuned strength over the rows in which the finetuned model fires the concept; Infinity when it never does.
 *
 * A concept of different contexts therefore counts by its firing, not by its direction: where the finetuned model fires it, the
 * base has the `overlap` of it. With contexts apart the firing is specific to either model although both know the direction.
 */
export function strengthRatio({ gainBase, gainFinetuned, overlap }: KnownConcept): number {
  return gainFinetuned === 0 ? Number.POSITIVE_INFINITY : (overlap * gainBase) / gainFinetuned;
}

/** In the order of CONCEPT_KINDS; rates and pairs are dealt independently of kinds. Throws ConfigError. */
export function drawConcepts(settings: ConceptSettings, seed: number): KnownConcept[] {
  const kinds = CONCEPT_KINDS.flatMap((kind) => Array<ConceptKind>(settings.counts[kind]).fill(kind));
  const rates = drawRates(settings, kinds.length, seed);
  const rng = createRng(seed, "truth.concept");
  const concepts = kinds.map((kind, i): KnownConcept => {
    const [low, high] = settings.weakerRatio;
    const gain = Math.exp(settings.gainSpread * rng.normal(0, i));
    const weaker = gain * (low + (high - low) * rng.uniform(1, i));
    const directionBase = unitVector(settings.dModel, { seed, name: "truth.direction", index: i });
    return {
      kind,
      directionBase,
      directionFinetuned:
        kind === "rotated"
          ? rotate(directionBase, {
              towards: unitVector(settings.dModel, { seed, name: "truth.rotation", index: i }),
              degrees: settings.rotationDegrees * rng.uniform(2, i),
            })
          : directionBase,
      gainBase: kind === "finetuned-only" ? 0 : kind === "weaker-in-base" ? weaker : gain,
      gainFinetuned: kind === "base-only" ? 0 : kind === "weaker-in-finetuned" ? weaker : gain,
      rate: rates[i],
      overlap: kind === "contexts-apart" ? 0 : kind === "contexts-overlapping" ? settings.contextOverlap : 1,
      leader: undefined,
    };
  });
  pairUp(concepts, settings, seed);
  return concepts;
}

/** [n] shares of rows; their sum is meanActive. */
function drawRates(settings: ConceptSettings, n: number, seed: number): Float64Array {
  const { zipfExponent, zipfOffset, meanActive } = settings;
  const place = keyedPermutation(createRng(seed, "truth.rank"), 0, n);
  const weight = Float64Array.from({ length: n }, (_, i) => (place(i) + zipfOffset) ** -zipfExponent);
  const sum = weight.reduce((a, b) => a + b, 0);
  const rates = weight.map((w) => (meanActive * w) / sum);
  const most = Math.max(...rates);
  if (!(most < 1)) {
    throw new ConfigError(`meanActive: expected every concept below one firing a row, got ${most}`, {
      hint: "give more concepts, a smaller meanActive or a larger zipfOffset",
    });
  }
  return rates;
}

/** Gives the rarer concept of each pair its leader. Rates stay: what is not taken from the leader is drawn alone. */
function pairUp(concepts: KnownConcept[], settings: ConceptSettings, seed: number): void {
  if (2 * settings.correlatedPairs > concepts.length) {
    throw new ConfigError(
      `correlatedPairs: expected at most half of ${concepts.length} concepts, got ${settings.correlatedPairs}`,
    );
  }
  const place = keyedPermutation(createRng(seed, "truth.pair"), 0, concepts.length);
  for (let pair = 0; pair < settings.correlatedPairs; pair += 1) {
    const [a, b] = [place(2 * pair), place(2 * pair + 1)];
    const [leader, follower] = concepts[a].rate >= concepts[b].rate ? [a, b] : [b, a];
    const probability = (settings.togetherShare * concepts[follower].rate) / concepts[leader].rate;
    concepts[follower].leader = { concept: leader, probability };
  }
}

export function unitVector(
  dModel: number,
  { seed, name, index }: { seed: number; name: string; index: number },
): Float64Array {
  const rng = createRng(seed, name);
  const vector = Float64Array.from({ length: dModel }, (_, i) => rng.normal(index, i));
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

/** The unit vector at the given angle from `from`, in the plane of both. */
function rotate(
  from: Float64Array,
  { towards, degrees }: { towards: Float64Array; degrees: number },
): Float64Array {
  const inner = from.reduce((sum, value, i) => sum + value * towards[i], 0);
  const across = towards.map((value, i) => value - inner * from[i]);
  const norm = Math.hypot(...across);
  const angle = (degrees * Math.PI) / 180;
  return from.map((value, i) => Math.cos(angle) * value + (Math.sin(angle) * across[i]) / norm);
}
