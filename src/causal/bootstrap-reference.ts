// Slow twin of bootstrap.ts: every draw listed, its conversations added up one by one, all results sorted, the limits read off.
//
// For tests and for readers; never called by the product.

import { quantileOfSorted } from "../numerics/statistics.ts";
import { BOOTSTRAP_SETTINGS, picksOfDraw } from "./bootstrap.ts";
import type { Estimate } from "./causal-contract.ts";

/** of: the quantity, of the conversations that a draw lists (with repetition). */
export function bootstrapReference(
  of: (conversations: readonly number[]) => number,
  { nConversations, draws, seed }: { nConversations: number; draws: number; seed: number },
): Estimate {
  const everyOne = Array.from({ length: nConversations }, (_, conversation) => conversation);
  const mean = of(everyOne);
  if (nConversations < 2) return { mean, interval: { low: Number.NaN, high: Number.NaN } };
  const values = Array.from({ length: draws }, (_, draw) =>
    of([...picksOfDraw(seed, { draw, nConversations })]),
  );
  const tail = (1 - BOOTSTRAP_SETTINGS.level) / 2;
  return {
    mean,
    interval: {
      low: limit(values, tail, Number.NEGATIVE_INFINITY),
      high: limit(values, 1 - tail, Number.POSITIVE_INFINITY),
    },
  };
}

/** Quantile q with `absent` in the place of values that do not exist; NaN when it touches one. */
function limit(values: readonly number[], q: number, absent: number): number {
  const sorted = values.map((value) => (Number.isFinite(value) ? value : absent)).sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  if ([sorted[Math.floor(at)], sorted[Math.ceil(at)]].includes(absent)) return Number.NaN;
  return quantileOfSorted(sorted, q);
}
