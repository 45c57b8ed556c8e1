// A long training log made short without losing its extremes: of each bucket of steps the lines that a curve needs to keep its shape.
//
// A bucket is 2^k steps wide, k the smallest for which the log fits into `buckets` of them, and keeps its first and last line and, of every
// quantity, the first line with its smallest value, with its greatest, and with none. So a spike of one step survives any number of steps.
// Wider buckets are unions of narrower ones: thinning as lines come gives what thinning at the end gives (thin-lines-reference.ts).

import type { TrainingLine } from "./api-contract.ts";

export const THINNING = {
  buckets: 256,
} as const;

type Quantity = (line: TrainingLine) => number | null | undefined;

/** What keeps its extremes. */
export const QUANTITIES: readonly Quantity[] = [
  (line) => line.loss,
  (line) => line.auxLoss,
  (line) => line.penaltyLoss,
  (line) => line.penalty,
  (line) => line.fve.base,
  (line) => line.fve.finetuned,
  (line) => line.fve.total,
  (line) => line.l0,
  (line) => line.dead,
  (line) => line.threshold,
  (line) => line.gradientNorm,
  (line) => line.learningRate,
  (line) => line.k,
  (line) => line.rowsPerSecond,
];

/** Lines that are kept at most, whatever the length of the log. */
export const MOST_LINES = THINNING.buckets * (2 + 3 * QUANTITIES.length);

export interface LineThinner {
  /** Lines of ascending steps, after all that came before. */
  add(lines: readonly TrainingLine[]): void;
  /** Ascending steps. */
  lines(): TrainingLine[];
  /** All that were added. */
  count(): number;
}

export function createLineThinner(buckets: number = THINNING.buckets): LineThinner {
  let kept: TrainingLine[] = [];
  let count = 0;
  let fresh = 0;
  const thin = (): void => {
    const width = bucketWidth(kept, buckets);
    const next: TrainingLine[] = [];
    for (let from = 0; from < kept.length; ) {
      const bucket = Math.floor(kept[from].step / width);
      let to = from + 1;
      while (to < kept.length && Math.floor(kept[to].step / width) === bucket) to += 1;
      for (const i of keptOf(kept, from, to)) next.push(kept[i]);
      from = to;
    }
    kept = next;
    fresh = 0;
  };
  return {
    add(lines) {
      for (const line of lines) kept.push(line);
      count += lines.length;
      fresh += lines.length;
      if (fresh > MOST_LINES) thin();
    },
    lines() {
      thin();
      return kept.slice();
    },
    count: () => count,
  };
}

/** Steps in a bucket: the smallest power of two for which the lines lie in no more than `buckets`. */
export function bucketWidth(lines: readonly TrainingLine[], buckets: number): number {
  const [first, last] = [lines[0]?.step ?? 0, lines.at(-1)?.step ?? 0];
  let width = 1;
  while (Math.floor(last / width) - Math.floor(first / width) >= buckets) width *= 2;
  return width;
}

/** Indices of lines [from, to) that stay, ascending. */
function keptOf(lines: readonly TrainingLine[], from: number, to: number): number[] {
  const stay = new Set([from, to - 1]);
  if (to - from > 2) {
    for (const quantity of QUANTITIES) {
      let [lowest, greatest, none] = [-1, -1, -1];
      let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let i = from; i < to; i += 1) {
        const value = quantity(lines[i]);
        if (typeof value !== "number") {
          if (none < 0) none = i;
          continue;
        }
        if (value < low) [low, lowest] = [value, i];
        if (value > high) [high, greatest] = [value, i];
      }
      for (const i of [lowest, greatest, none]) if (i >= 0) stay.add(i);
    }
  }
  return [...stay].sort((a, b) => a - b);
}
