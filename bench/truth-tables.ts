// What the truth bench prints and writes: a table in Markdown, and rows as every bench has them.

import { type ClaimsAgainstTruth, FALSE_CAUSES } from "../src/truth/claim-causes.ts";
import type { BenchRow } from "./run.ts";
import type { Fit, GridPoint, NormClaims } from "./truth-grid.ts";
import { BY_NORM, CLAIMANTS, type Claimant, type Outcome } from "./truth-outcome.ts";

export interface GridResult {
  point: GridPoint;
  /** One a seed. */
  outcomes: Outcome[];
  fit: Fit;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const mean = (values: readonly number[]): number => sum(values) / values.length;

/** Of all seeds together; 0 of none. */
function shareOf(
  outcomes: readonly Outcome[],
  part: (outcome: Outcome) => number,
  whole: (outcome: Outcome) => number,
): number {
  const all = sum(outcomes.map(whole));
  return all === 0 ? 0 : sum(outcomes.map(part)) / all;
}

const falseClaims = ({ falseByCause }: ClaimsAgainstTruth): number => sum(Object.values(falseByCause));
const scoredClaims = ({ nClaims, nUnscored }: ClaimsAgainstTruth): number => nClaims - nUnscored;

/** Shares over all seeds together. */
export function normClaimsOf({ outcomes }: GridResult): NormClaims {
  return {
    falseShare: shareOf(
      outcomes,
      ({ scores }) => falseClaims(scores[BY_NORM]),
      ({ scores }) => scoredClaims(scores[BY_NORM]),
    ),
    flagged: shareOf(
      outcomes,
      ({ flagged }) => sum(Object.values(flagged)),
      ({ scores }) => scores[BY_NORM].nClaims,
    ),
  };
}

interface Column {
  title: string;
  unit: string;
  /** NaN where a seed has nothing to divide by; such seeds are left out of the mean. */
  of: (outcome: Outcome) => number;
  digits: number;
}

const COLUMNS: Column[] = [
  { title: "L0", unit: "latents a row", of: ({ fit }) => fit.l0, digits: 1 },
  { title: "fve", unit: "share", of: ({ fit }) => fit.fve, digits: 3 },
  { title: "dead", unit: "share of latents", of: ({ dead }) => dead, digits: 2 },
  {
    title: "recall, any latent",
    unit: "share of specific concepts",
    of: ({ recallAnyLatent }) => recallAnyLatent,
    digits: 2,
  },
  ...(Object.keys(CLAIMANTS) as Claimant[]).flatMap((claimant): Column[] => [
    {
      title: `claims, ${claimant}`,
      unit: "latents",
      of: ({ scores }) => scores[claimant].nClaims,
      digits: 0,
    },
    {
      title: `recall, ${claimant}`,
      unit: "share of specific concepts",
      of: ({ scores }) => scores[claimant].recall,
      digits: 2,
    },
    {
      title: `precision, ${claimant}`,
      unit: "share of scored claims",
      of: ({ scores }) => scores[claimant].precision,
      digits: 2,
    },
  ]),
  {
    title: "flagged",
    unit: `share of claims, ${BY_NORM}`,
    of: ({ flagged, scores }) => sum(Object.values(flagged)) / scores[BY_NORM].nClaims,
    digits: 2,
  },
  {
    title: "flagged of the true",
    unit: `share of true claims, ${BY_NORM}`,
    of: ({ flagged, scores }) => flagged.true / scores[BY_NORM].nTrue,
    digits: 2,
  },
  {
    title: "flagged of the false",
    unit: `share of false claims, ${BY_NORM}`,
    of: ({ flagged, scores }) =>
      sum(FALSE_CAUSES.map((cause) => flagged[cause])) / falseClaims(scores[BY_NORM]),
    digits: 2,
  },
];

/** Mean over seeds that have a figure, and its range. */
function overSeeds(
  { of }: Column,
  outcomes: readonly Outcome[],
): { mean: number; low: number; high: number } {
  const values = outcomes.map(of).filter((value) => !Number.isNaN(value));
  return { mean: mean(values), low: Math.min(...values), high: Math.max(...values) };
}

/** A table in Markdown: scores as mean (lowest–highest seed), then what claims by norm were, all seeds together. */
export function tableOf(results: readonly GridResult[]): string {
  const shown = (column: Column, { outcomes }: GridResult): string => {
    const { mean, low, high } = overSeeds(column, outcomes);
    if (Number.isNaN(mean)) return "–";
    const [a, b, c] = [mean, low, high].map((value) => value.toFixed(column.digits));
    return b === c ? a : `${a} (${b}–${c})`;
  };
  const causes = ["true", "unscored", ...FALSE_CAUSES].map((verdict, i) => [
    `${i === 0 ? `of all claims, ${BY_NORM} (flagged): ` : ""}${verdict}`,
    ...results.map((result) =>
      countsOf(result, verdict as keyof Outcome["flagged"])
        .join(" (")
        .concat(")"),
    ),
  ]);
  const ownNu = (which: keyof Outcome["flaggedByItsOwnNu"]): string[] =>
    results.map(({ outcomes }) => String(sum(outcomes.map((one) => one.flaggedByItsOwnNu[which]))));
  const titles = ["", ...results.map(({ point }) => point.name)];
  return [
    titles,
    titles.map((title) => (title === "" ? "---" : "---:")),
    ...COLUMNS.map((column) => [column.title, ...results.map((result) => shown(column, result))]),
    ...causes,
    ["complete-shrinkage that nuError flags", ...ownNu("shrinkage")],
    ["latent-decoupling that nuReconstruction flags", ...ownNu("decoupling")],
  ]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

/** Claims by norm with this verdict, and how many of them nu flags; all seeds together. */
function countsOf({ outcomes }: GridResult, verdict: keyof Outcome["flagged"]): [number, number] {
  const ofVerdict = ({ nTrue, nUnscored, falseByCause }: ClaimsAgainstTruth): number =>
    verdict === "true" ? nTrue : verdict === "unscored" ? nUnscored : falseByCause[verdict];
  return [
    sum(outcomes.map(({ scores }) => ofVerdict(scores[BY_NORM]))),
    sum(outcomes.map(({ flagged }) => flagged[verdict])),
  ];
}

const NO_PEER = { peer: null, peerName: null, ratio: null };

/** Means; of recall and precision the lowest and the highest seed, too; false claims by norm by cause, all seeds together. */
export function rowsOfPoint(name: string, { point, outcomes }: GridResult): BenchRow[] {
  const rows = COLUMNS.flatMap((column): BenchRow[] => {
    const { mean, low, high } = overSeeds(column, outcomes);
    const row = (metric: string, ours: number): BenchRow[] =>
      Number.isFinite(ours)
        ? [{ case: `${name}; ${point.name}`, metric, ours, unit: column.unit, ...NO_PEER }]
        : [];
    const isScore = column.title.startsWith("recall") || column.title.startsWith("precision");
    return [
      ...row(column.title, mean),
      ...(isScore ? [...row(`${column.title}, lowest`, low), ...row(`${column.title}, highest`, high)] : []),
    ];
  });
  const causes = FALSE_CAUSES.map(
    (cause): BenchRow => ({
      case: `${name}; ${point.name}`,
      metric: `false claims, ${cause}`,
      ours: shareOf(
        outcomes,
        ({ scores }) => scores[BY_NORM].falseByCause[cause],
        ({ scores }) => falseClaims(scores[BY_NORM]),
      ),
      unit: `share of false claims, ${BY_NORM}`,
      ...NO_PEER,
    }),
  );
  return [...rows, ...causes];
}

/** BatchTopK as ours, ReLU + L1 as the other side; no ratio where BatchTopK's share is 0. */
export function rowsOfHeadline(name: string, batchTopK: GridResult, l1: GridResult): BenchRow[] {
  const [ours, theirs] = [normClaimsOf(batchTopK), normClaimsOf(l1)];
  const row = (metric: string, [a, b]: [number, number]): BenchRow => ({
    ...{ case: name, metric, ours: a, peer: b, peerName: l1.point.name },
    ratio: a === 0 ? null : b / a,
    unit: `share of claims, ${BY_NORM}`,
  });
  return [
    row("false, of those scored", [ours.falseShare, theirs.falseShare]),
    row("flagged by Latent Scaling", [ours.flagged, theirs.flagged]),
  ];
}
