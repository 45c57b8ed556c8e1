// What is kept of a patched conversation: a sum a token set and metric, and the squares of KL for the published interval.
//
// Layout [run, set, SUMS] f64 with sets in the order of TOKEN_SETS: a conversation's tokens are never kept. These are the parts that a
// stopped experiment goes on from.

import { METRICS, type PositionMetrics, type PredictedPositions, TOKEN_SETS } from "./causal-contract.ts";

/** Metrics in their order, then Σ kl². */
export const SUMS = [...METRICS, "klSquares"] as const;
export type SumName = (typeof SUMS)[number];

/** Sums of one conversation under one run. */
export const SUMS_A_RUN = TOKEN_SETS.length * SUMS.length;

/** Predicted tokens of each set: [TOKEN_SETS]. */
export function countTokens(predicted: PredictedPositions): Uint32Array {
  const ones = new Uint8Array(predicted.positions.length).fill(1);
  return Uint32Array.from(sumBySet(ones, predicted));
}

/** [TOKEN_SETS, SUMS] f64. metrics: an entry a predicted position, as predicted.positions. */
export function sumMetrics(metrics: PositionMetrics, predicted: PredictedPositions): Float64Array {
  const sums = new Float64Array(SUMS_A_RUN);
  for (const [i, name] of SUMS.entries()) {
    const values = name === "klSquares" ? metrics.kl.map((kl) => kl * kl) : metrics[name];
    for (const [set, sum] of sumBySet(values, predicted).entries()) sums[set * SUMS.length + i] = sum;
  }
  return sums;
}

/** Σ of the values of each set, in the order of TOKEN_SETS. */
function sumBySet(values: ArrayLike<number>, { isFirstNine, isRest }: PredictedPositions): number[] {
  let [all, firstNine, rest] = [0, 0, 0];
  for (let entry = 0; entry < values.length; entry += 1) {
    all += values[entry];
    if (isFirstNine[entry] === 1) firstNine += values[entry];
    if (isRest[entry] === 1) rest += values[entry];
  }
  const sums = { all, firstNine, rest };
  return TOKEN_SETS.map((set) => sums[set]);
}

/** `whole` with its entries from `from` on replaced: before the first changed position a patched model says what None does. */
export function withPatched(
  whole: PositionMetrics,
  { from, metrics }: { from: number; metrics: PositionMetrics },
): PositionMetrics {
  return Object.fromEntries(
    METRICS.map((name) => {
      const values = whole[name].slice();
      values.set(metrics[name], from);
      return [name, values];
    }),
  ) as PositionMetrics;
}
