// Estimates of causal experiments in words: means with their 95 % intervals, p-values of bootstrap draws.

import type { Estimate, Limits } from "../../causal/causal-contract.ts";
import { formatFixed, formatPercent, formatSignificant } from "../format.ts";
import { type Html, html } from "../html.ts";

export const nats = formatSignificant;
/** A share of the gap; small ones keep two digits, either sign. */
export const share = (value: number): string =>
  formatPercent(value, value === 0 ? 0 : Math.abs(value) < 0.01 ? 2 : 1);

/** "0.91 to 1.10"; "not known" without draws. */
export function intervalWords({ low, high }: Limits, format: (value: number) => string): string {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return "not known";
  return `${format(low)} to ${format(high)}`;
}

/** Mean over interval, for a cell. */
export function estimateCell({ mean, interval }: Estimate, format: (value: number) => string): Html {
  return html`${format(mean)}<span class="under">${intervalWords(interval, format)}</span>`;
}

/** "p 0.03"; none of the draws: "p < 0.001". */
export function pWords(p: number, draws: number): string {
  if (!Number.isFinite(p)) return "no p";
  return p === 0 ? `p < ${1 / draws}` : `p ${formatFixed(p, p < 0.1 ? 3 : 2)}`;
}
