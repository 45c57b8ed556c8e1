// Claims against exact truth: activations drawn from a known dictionary, ReLU + L1 beside BatchTopK.
//
// For every configuration and seed of truth-grid.ts: how many claims are true and how many specific concepts are answered, by
// deltaNorm alone and by Latent Scaling; what the false ones come from; whether nu flags them. Figures of score, not of time.
// About ten minutes on two idle cores. There is no peer: the two kinds are compared with each other.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measure } from "../src/measure/measure.ts";
import { CLAIM_THRESHOLDS, type LatentMeasure } from "../src/measure/measure-contract.ts";
import { trainMany } from "../src/training/train-many.ts";
import {
  type ClaimsAgainstTruth,
  FALSE_CAUSES,
  type FalseCause,
  scoreClaimsByConcept,
  verdictOf,
} from "../src/truth/claim-causes.ts";
import { type LatentMatch, matchLatents } from "../src/truth/concept-match.ts";
import { drawKnownDictionary, type KnownDictionary } from "../src/truth/known-dictionary.ts";
import type { BenchRow } from "./run.ts";
import { chooseHeadlines, type Fit, findingOf, GRID, type GridPoint, SEEDS, TRUTH } from "./truth-grid.ts";

/** By whom a latent is claimed. All ask for as many held-out documents as Latent Scaling does. */
const CLAIMANTS = {
  "deltaNorm >= 0.9": ({ deltaNorm }: LatentMeasure) => deltaNorm >= CLAIM_THRESHOLDS.finetunedOnlyAtLeast,
  "deltaNorm > 0.6": ({ deltaNorm }: LatentMeasure) => deltaNorm > CLAIM_THRESHOLDS.candidateDeltaNorm,
  "Latent Scaling": ({ claim }: LatentMeasure) => claim === "finetuned-specific",
} as const;
type Claimant = keyof typeof CLAIMANTS;
const BY_NORM: Claimant = "deltaNorm >= 0.9";

/** One dictionary of one seed. */
interface Outcome {
  fit: Fit;
  dead: number;
  scores: Record<Claimant, ClaimsAgainstTruth>;
  /** Claims by norm: how many nu flags, of those that are true and of those of each cause. */
  flagged: Record<"true" | "unscored" | FalseCause, number>;
  /** Of complete shrinkage those that nuError flags, of latent decoupling those that nuReconstruction flags. */
  flaggedByItsOwnNu: { shrinkage: number; decoupling: number };
}

interface GridResult {
  point: GridPoint;
  /** One a seed. */
  outcomes: Outcome[];
  fit: Fit;
}

export async function benchTruth(): Promise<BenchRow[]> {
  const bySeed: Outcome[][] = [];
  for (const seed of SEEDS) bySeed.push(await scoreSeed(seed));
  const results = GRID.map((point, i): GridResult => {
    const outcomes = bySeed.map((ofSeed) => ofSeed[i]);
    const fit = {
      fve: mean(outcomes.map((outcome) => outcome.fit.fve)),
      l0: mean(outcomes.map((outcome) => outcome.fit.l0)),
    };
    return { point, outcomes, fit };
  });
  console.error(tableOf(results));
  const headlines = chooseHeadlines(results);
  const { batchTopK } = headlines;
  const rows = results.flatMap(rowsOfPoint);
  for (const [name, l1] of [
    ["equal fve", headlines.l1EqualFve],
    ["equal L0", headlines.l1EqualL0],
  ] as const) {
    const finding = findingOf({ l1: normClaimsOf(l1), batchTopK: normClaimsOf(batchTopK) });
    console.error(
      `At ${name}, ${batchTopK.point.name} against ${l1.point.name}, the paper's finding ${finding}.`,
    );
    rows.push(...rowsOfHeadline(`headline, ${name}`, batchTopK, l1));
  }
  return rows;
}

/** One pass over the rows trains all of the grid. */
async function scoreSeed(seed: number): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const started = performance.now();
  try {
    const known = drawKnownDictionary(TRUTH, seed);
    const runs = GRID.map(({ config }, i) => ({
      config: { ...config, seed },
      folder: join(folder, String(i)),
    }));
    const trained = await trainMany({ store: known.store, runs });
    const outcomes: Outcome[] = [];
    for (const [i, { dictionary }] of trained.entries()) {
      const { latents, summary } = await measure({
        store: known.store,
        dictionary,
        folder: runs[i].folder,
        tokenString: (token) => (token === 0 ? "nothing" : `concept ${token - 1}`),
        threads: GRID[i].config.threads,
      });
      const matches = await matchLatents({ known, dictionary, threads: GRID[i].config.threads });
      outcomes.push({
        fit: { fve: summary.fve.total, l0: summary.l0 },
        dead: summary.deadFraction,
        ...scoreDictionary({ known, latents, matches }),
      });
    }
    console.error(`seed ${seed}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return outcomes;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function scoreDictionary({
  known,
  latents,
  matches,
}: {
  known: KnownDictionary;
  latents: readonly LatentMeasure[];
  matches: readonly LatentMatch[];
}): Pick<Outcome, "scores" | "flagged" | "flaggedByItsOwnNu"> {
  const judged = latents.filter(({ documents }) => documents >= CLAIM_THRESHOLDS.minimumDocuments);
  const claimedBy = (claimant: Claimant): number[] =>
    judged.filter(CLAIMANTS[claimant]).map(({ latent }) => latent);
  const scores = Object.fromEntries(
    (Object.keys(CLAIMANTS) as Claimant[]).map((claimant) => [
      claimant,
      scoreClaimsByConcept({ known, matches, claimed: claimedBy(claimant) }),
    ]),
  ) as Outcome["scores"];
  const byNorm = claimedBy(BY_NORM).map((latent) => ({
    verdict: verdictOf(matches[latent]),
    error: latents[latent].scalingFinetuned.nuError >= CLAIM_THRESHOLDS.nuErrorBelow,
    reconstruction:
      latents[latent].scalingFinetuned.nuReconstruction >= CLAIM_THRESHOLDS.nuReconstructionBelow,
  }));
  const count = (wanted: (claim: (typeof byNorm)[number]) => boolean): number => byNorm.filter(wanted).length;
  const flagged = Object.fromEntries(
    (["true", "unscored", ...FALSE_CAUSES] as const).map((verdict) => [
      verdict,
      count((claim) => claim.verdict === verdict && (claim.error || claim.reconstruction)),
    ]),
  ) as Outcome["flagged"];
  return {
    scores,
    flagged,
    flaggedByItsOwnNu: {
      shrinkage: count(({ verdict, error }) => verdict === "complete-shrinkage" && error),
      decoupling: count(({ verdict, reconstruction }) => verdict === "latent-decoupling" && reconstruction),
    },
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;

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
function normClaimsOf({ outcomes }: GridResult): { falseShare: number; flagged: number } {
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

/** Two tables in Markdown: scores as mean (lowest–highest seed); what claims by norm were, all seeds together. */
function tableOf(results: readonly GridResult[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const shown = (column: Column, outcomes: readonly Outcome[]): string => {
    const { mean, low, high } = overSeeds(column, outcomes);
    if (Number.isNaN(mean)) return "–";
    const [a, b, c] = [mean, low, high].map((value) => value.toFixed(column.digits));
    return b === c ? a : `${a} (${b}–${c})`;
  };
  const verdicts = ["true", "unscored", ...FALSE_CAUSES] as const;
  const counted = (result: GridResult, verdict: (typeof verdicts)[number]): string => {
    const total = sum(
      result.outcomes.map(({ scores }) => {
        const { nTrue, nUnscored, falseByCause } = scores[BY_NORM];
        return verdict === "true" ? nTrue : verdict === "unscored" ? nUnscored : falseByCause[verdict];
      }),
    );
    return `${total} (${sum(result.outcomes.map(({ flagged }) => flagged[verdict]))})`;
  };
  const ownNu = ({ outcomes }: GridResult): string =>
    `${sum(outcomes.map(({ flaggedByItsOwnNu }) => flaggedByItsOwnNu.shrinkage))}, ${sum(
      outcomes.map(({ flaggedByItsOwnNu }) => flaggedByItsOwnNu.decoupling),
    )}`;
  const titles = ["configuration", ...COLUMNS.map(({ title }) => title)];
  const causes = ["configuration", ...verdicts, "shrinkage by nuError, decoupling by nuReconstruction"];
  const rule = (cells: readonly string[]): string => line(cells.map(() => "---"));
  return [
    `${SEEDS.length} seeds, mean (range):`,
    line(titles),
    rule(titles),
    ...results.map((result) =>
      line([result.point.name, ...COLUMNS.map((column) => shown(column, result.outcomes))]),
    ),
    `Claims by ${BY_NORM}, all seeds, in brackets those that nu flags:`,
    line(causes),
    rule(causes),
    ...results.map((result) =>
      line([result.point.name, ...verdicts.map((verdict) => counted(result, verdict)), ownNu(result)]),
    ),
  ].join("\n");
}

const NO_PEER = { peer: null, peerName: null, ratio: null };

/** Means; of recall and precision the lowest and the highest seed, too; false claims by norm by cause, all seeds together. */
function rowsOfPoint({ point, outcomes }: GridResult): BenchRow[] {
  const rows = COLUMNS.flatMap((column): BenchRow[] => {
    const { mean, low, high } = overSeeds(column, outcomes);
    const row = (metric: string, ours: number): BenchRow[] =>
      Number.isFinite(ours) ? [{ case: point.name, metric, ours, unit: column.unit, ...NO_PEER }] : [];
    const isScore = column.title.startsWith("recall") || column.title.startsWith("precision");
    return [
      ...row(column.title, mean),
      ...(isScore ? [...row(`${column.title}, lowest`, low), ...row(`${column.title}, highest`, high)] : []),
    ];
  });
  const causes = FALSE_CAUSES.map(
    (cause): BenchRow => ({
      case: point.name,
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
function rowsOfHeadline(name: string, batchTopK: GridResult, l1: GridResult): BenchRow[] {
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
