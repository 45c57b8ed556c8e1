// Small statistics that several stages share: AUROC with ties, F1 and its best threshold, quantiles, pooled sums.
//
// All arithmetic is f64. Scores of latents are mostly zero, so a ranking is described by its positive entries and the
// number of silent items left over: nothing here ever sorts zeros. Not here: intervals and nulls.

import { ShapeError } from "../errors.ts";

/**
 * Items with a score above zero, and how many there are in all; every item not listed has the score 0.
 *
 * scores: any finite number > 0 (for a dense ranking list every item: then any finite number is allowed).
 * labels: same length, 1 for positive. nPositive, nNegative: over all items, listed or not.
 */
export interface ScoredItems {
  scores: ArrayLike<number>;
  labels: ArrayLike<number>;
  nPositive: number;
  nNegative: number;
}

/** Indices of scores, highest first; equal scores keep their order. NaN is a ShapeError. */
export function orderDescending(scores: ArrayLike<number>): Uint32Array {
  const order = new Uint32Array(scores.length);
  for (let i = 0; i < order.length; i += 1) {
    if (Number.isNaN(scores[i])) {
      throw new ShapeError(`scores[${i}]: expected a number that can be ranked, got NaN`);
    }
    order[i] = i;
  }
  return order.sort((a, b) => scores[b] - scores[a] || a - b);
}

/**
 * Area under the ROC curve: the probability that a positive outranks a negative, a tie counting one half.
 *
 * Mann–Whitney by one sweep over groups of equal scores. Items not listed tie with each other below all listed ones.
 * Returns 0.5 when one class is empty (no ranking exists).
 */
export function auroc(items: ScoredItems, order: Uint32Array = orderDescending(items.scores)): number {
  const { scores, labels, nPositive, nNegative } = items;
  if (nPositive === 0 || nNegative === 0) return 0.5;
  let wins = 0;
  let positivesAbove = 0;
  let negativesAbove = 0;
  for (let start = 0; start < order.length; ) {
    let positives = 0;
    let negatives = 0;
    let end = start;
    for (; end < order.length && scores[order[end]] === scores[order[start]]; end += 1) {
      if (labels[order[end]] === 1) positives += 1;
      else negatives += 1;
    }
    wins += negatives * (positivesAbove + positives / 2);
    positivesAbove += positives;
    negativesAbove += negatives;
    start = end;
  }
  wins += (nNegative - negativesAbove) * (positivesAbove + (nPositive - positivesAbove) / 2);
  return wins / (nPositive * nNegative);
}

/** AUROC of a fully listed ranking. scores: any finite numbers. labels: 1 positive, 0 negative. */
export function aurocDense(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  if (scores.length !== labels.length) {
    throw new ShapeError(`labels: expected ${scores.length} as scores, got ${labels.length}`);
  }
  let nPositive = 0;
  for (let i = 0; i < labels.length; i += 1) nPositive += labels[i] === 1 ? 1 : 0;
  return auroc({ scores, labels, nPositive, nNegative: labels.length - nPositive });
}

/** F1 = 2·TP / (predicted + actual); 0 when nothing is predicted and nothing is there. */
export function f1Score(truePositives: number, predicted: number, actual: number): number {
  return predicted + actual === 0 ? 0 : (2 * truePositives) / (predicted + actual);
}

export interface F1Threshold {
  /** An item is predicted positive when its score is > threshold. Infinity when no threshold helps. */
  threshold: number;
  f1: number;
}

/**
 * The threshold with the best F1, among those that leave silent items (score 0) negative.
 *
 * It stands half-way between the lowest score taken in and the highest left out (0 when all listed are taken), so it
 * leans to neither side on new data. Of equal F1 the highest threshold is taken.
 */
export function bestF1Threshold(
  items: ScoredItems,
  order: Uint32Array = orderDescending(items.scores),
): F1Threshold {
  const { scores, labels, nPositive } = items;
  let best: F1Threshold = { threshold: Number.POSITIVE_INFINITY, f1: 0 };
  let truePositives = 0;
  for (let taken = 1; taken <= order.length; taken += 1) {
    if (labels[order[taken - 1]] === 1) truePositives += 1;
    const lowest = scores[order[taken - 1]];
    const next = taken < order.length ? scores[order[taken]] : 0;
    if (next === lowest) continue;
    const f1 = f1Score(truePositives, taken, nPositive);
    if (f1 > best.f1) best = { threshold: (lowest + next) / 2, f1 };
  }
  return best;
}

/** F1 of "score > threshold" on items; threshold ≥ 0, so that items not listed are predicted negative. */
export function f1AtThreshold(items: ScoredItems, threshold: number): number {
  let truePositives = 0;
  let predicted = 0;
  for (let i = 0; i < items.scores.length; i += 1) {
    if (!(items.scores[i] > threshold)) continue;
    predicted += 1;
    if (items.labels[i] === 1) truePositives += 1;
  }
  return f1Score(truePositives, predicted, items.nPositive);
}

/**
 * Quantile with linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, numpy's default).
 *
 * sorted: ascending. q in [0, 1]. Returns NaN for an empty array.
 */
export function quantileOfSorted(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/**
 * Σ‖x − x̄‖² of n vectors from pooled sums: Σ‖x‖² − ‖Σx‖²/n.
 *
 * sum: Σx per coordinate, f64. Never negative (rounding is cut at 0); 0 when n = 0.
 */
export function pooledSquaredDeviation(n: number, sum: ArrayLike<number>, sumOfSquares: number): number {
  if (n === 0) return 0;
  let squaredNorm = 0;
  for (let i = 0; i < sum.length; i += 1) squaredNorm += sum[i] * sum[i];
  return Math.max(0, sumOfSquares - squaredNorm / n);
}
