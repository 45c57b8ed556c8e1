// The slow twin of logit-mining.ts: every position written out, whole sorts, in the order of the formulas.

import type { ModelSide } from "../store/store-contract.ts";
import type { MiningTotals } from "./logit-mining.ts";

/**
 * rows: logits of both models at one position. ids: those that may be compared, ascending; one entry each in the totals. k: tokens
 * counted a position. plausible: least share of the greatest probability.
 */
export function mineReference(
  rows: readonly Record<ModelSide, readonly number[]>[],
  { ids, k, plausible }: { ids: readonly number[]; k: number; plausible: number },
): MiningTotals {
  const zeros = (): number[] => ids.map(() => 0);
  const totals = {
    positions: rows.length,
    compared: zeros(),
    risen: zeros(),
    fallen: zeros(),
    positive: zeros(),
    sums: zeros(),
  };
  for (const { base, finetuned } of rows) {
    const isPossible = (logits: readonly number[], id: number): boolean =>
      logits[id] >= Math.max(...ids.map((other) => logits[other])) + Math.log(plausible);
    const entries = ids.flatMap((id, entry) =>
      isPossible(base, id) || isPossible(finetuned, id) ? [entry] : [],
    );
    const raw = entries.map((entry) => finetuned[ids[entry]] - base[ids[entry]]);
    const mean = raw.reduce((sum, d) => sum + d, 0) / raw.length;
    const compared = entries.map((entry, i) => ({ entry, d: raw[i] - mean }));
    for (const { entry, d } of compared) {
      totals.compared[entry] += 1;
      totals.sums[entry] += d;
      if (d > 0) totals.positive[entry] += 1;
    }
    const rising = compared.filter(({ d }) => d > 0).sort((a, b) => b.d - a.d || a.entry - b.entry);
    const falling = compared.filter(({ d }) => d < 0).sort((a, b) => a.d - b.d || a.entry - b.entry);
    for (const { entry } of rising.slice(0, k)) totals.risen[entry] += 1;
    for (const { entry } of falling.slice(0, k)) totals.fallen[entry] += 1;
  }
  return totals;
}
