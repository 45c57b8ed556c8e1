// Whether an answer is still language: repetition, and perplexity under the model as it is without steering.
//
// A strong enough push makes any model babble; a behaviour counted in babble is no behaviour. Perplexity is held against that of the
// same model's own unsteered answers, which are likely by construction, and against a bound of its own: a fluent answer of
// another manner is a surprise, too.

import { quantileOfSorted } from "../numerics/statistics.ts";

export const DEGENERATE_THRESHOLDS = {
  /** Tokens of the repeated pieces. */
  pieceTokens: 4,
  /** More of the pieces than this share were seen before … */
  repetitionAbove: 0.5,
  /** … in an answer of at least so many pieces. */
  piecesAtLeast: 8,
  /** Perplexity above so many times the median of the unsteered answers … */
  perplexityRatioAbove: 4,
  /** … and above this. */
  perplexityAbove: 30,
} as const;

/** Share of the answer's 4-grams that were seen before in it; 0 for an answer without any. tokenIds: the stop id left out. */
export function repetitionOf(tokenIds: ArrayLike<number>): number {
  const { pieceTokens } = DEGENERATE_THRESHOLDS;
  const nPieces = tokenIds.length - pieceTokens + 1;
  if (nPieces <= 0) return 0;
  const seen = new Set<string>();
  const ids = Array.from(tokenIds);
  for (let i = 0; i < nPieces; i += 1) seen.add(ids.slice(i, i + pieceTokens).join());
  return (nPieces - seen.size) / nPieces;
}

/** Median perplexity of unsteered answers: what the others' is held against. NaN for none. */
export function referencePerplexity(perplexities: readonly number[]): number {
  return quantileOfSorted(
    perplexities.toSorted((a, b) => a - b),
    0.5,
  );
}

/** "" or what is wrong with an answer. tokens: without the stop id. reference: see referencePerplexity. */
export function describeDegenerate(answer: {
  tokens: number;
  repetition: number;
  perplexity: number;
  reference: number;
}): string {
  const { tokens, repetition, perplexity, reference } = answer;
  const { pieceTokens, piecesAtLeast, repetitionAbove, perplexityAbove, perplexityRatioAbove } =
    DEGENERATE_THRESHOLDS;
  const faults: string[] = [];
  if (tokens === 0) faults.push("ended at once");
  if (tokens - pieceTokens + 1 >= piecesAtLeast && repetition > repetitionAbove) {
    faults.push(
      `repeats itself: ${(100 * repetition).toFixed(0)} % of its ${pieceTokens}-token pieces came before`,
    );
  }
  // Written so that NaN is a fault.
  if (!(perplexity <= perplexityAbove || perplexity <= perplexityRatioAbove * reference)) {
    faults.push(
      `unlikely text: perplexity ${perplexity.toPrecision(3)}, unsteered ${reference.toPrecision(3)}`,
    );
  }
  return faults.join("; ");
}
