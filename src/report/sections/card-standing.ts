// How sure one claim is, for its card: the verdict with its reason, the q-value, and whether other dictionaries have it.
//
// Words and rows only; the tables behind them and what to do when one is missing stand in sections/certainty.ts.

import type { ClaimThresholds, LatentMeasure } from "../../measure/measure-contract.ts";
import { verdictReason } from "../../measure/verdict.ts";
import { formatFixed } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { LateTable, LateTables, Nulls, StabilityTable } from "../late-tables.ts";
import { term } from "../terms.ts";

/** Said in place of a number that a table would hold. */
const WITHOUT = { absent: "not made", outdated: "outdated" } as const;

/** The verdict and why, in one or two sentences. */
export function verdictLine(measure: LatentMeasure, thresholds: ClaimThresholds): Html | false {
  if (measure.verdict === "") return false;
  const reason = verdictReason({ ...measure, fired: measure.documents }, thresholds);
  return html`<p class="judgement"><b>${term("verdict", capital(measure.verdict))}.</b> ${reason}</p>`;
}

/** "0.012", or why there is none. */
export function qValueWords(nulls: LateTable<Nulls>, latent: number): string {
  if (nulls.state !== "made") return WITHOUT[nulls.state];
  return formatQ(nulls.value.rows[latent]?.q ?? Number.NaN);
}

/** A q-value is never below what one false claim among all would be; two digits are what three draws can tell. */
export function formatQ(q: number): string {
  if (Number.isNaN(q)) return "none";
  return q < 0.1 ? formatFixed(q, 3) : formatFixed(q, 2);
}

/** "3 of 3 (claimed there too: 2)", or why it cannot be said. */
export function foundAgainWords(stability: LateTable<StabilityTable>, latent: number): string {
  if (stability.state !== "made") return WITHOUT[stability.state];
  const row = stability.value.latents[latent];
  if (row === undefined || row.nCompared === 0) return "not compared: never fired";
  return `${row.directionFound} of ${row.nCompared} (claimed there too: ${row.claimReplicated})`;
}

/** Short, for a column: "3/3". */
export function foundAgainShort({ stability }: Pick<LateTables, "stability">, latent: number): string {
  if (stability.state !== "made") return "";
  const row = stability.value.latents[latent];
  return row === undefined || row.nCompared === 0 ? "" : `${row.directionFound}/${row.nCompared}`;
}

/** "other seeds" when all others are as large as the study's own, else "other dictionaries". */
export function othersWords({ record }: StabilityTable): string {
  const { others, reference } = record;
  const seeds = others.every(({ nLatents }) => nLatents === reference.nLatents);
  return `other ${seeds ? "seed" : "dictionar"}${others.length === 1 ? (seeds ? "" : "y") : seeds ? "s" : "ies"}`;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
