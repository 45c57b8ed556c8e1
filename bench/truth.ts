// Claims against exact truth: activations drawn from a known dictionary, ReLU + L1 beside BatchTopK.
//
// For every configuration and seed of truth-grid.ts: how many claims are true and how many specific concepts are answered, by
// deltaNorm alone and by Latent Scaling; what the false ones come from; whether nu flags them. Figures of score, not of time.
// About twelve minutes on an idle machine of two cores. There is no peer: the two kinds are compared with each other.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measure } from "../src/measure/measure.ts";
import { trainMany } from "../src/training/train-many.ts";
import { matchLatents } from "../src/truth/concept-match.ts";
import { drawKnownDictionary, type KnownDictionarySettings } from "../src/truth/known-dictionary.ts";
import type { BenchRow } from "./run.ts";
import { chooseHeadlines, findingOf, GRID, SEEDS, TRUTHS } from "./truth-grid.ts";
import { type Outcome, scoreDictionary } from "./truth-outcome.ts";
import { type GridResult, mean, normClaimsOf, rowsOfHeadline, rowsOfPoint, tableOf } from "./truth-tables.ts";

export async function benchTruth(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const [truth, settings] of Object.entries(TRUTHS)) {
    const bySeed: Outcome[][] = [];
    for (const seed of SEEDS) bySeed.push(await scoreSeed(settings, { truth, seed }));
    const results = GRID.map((point, i): GridResult => {
      const outcomes = bySeed.map((ofSeed) => ofSeed[i]);
      const fit = {
        fve: mean(outcomes.map((outcome) => outcome.fit.fve)),
        l0: mean(outcomes.map((outcome) => outcome.fit.l0)),
      };
      return { point, outcomes, fit };
    });
    rows.push(...report(truth, results));
  }
  return rows;
}

/** Prints the table and the finding; returns the rows. */
function report(name: string, results: readonly GridResult[]): BenchRow[] {
  console.error(`\n${name}\n\n${tableOf(results)}\n`);
  const headlines = chooseHeadlines(results);
  const { batchTopK } = headlines;
  const rows = results.flatMap((result) => rowsOfPoint(name, result));
  for (const [equal, l1] of [
    ["equal fve", headlines.l1EqualFve],
    ["equal L0", headlines.l1EqualL0],
  ] as const) {
    const finding = findingOf({ l1: normClaimsOf(l1), batchTopK: normClaimsOf(batchTopK) });
    console.error(
      `${equal}: ${batchTopK.point.name} against ${l1.point.name}: the paper's finding ${finding}.`,
    );
    rows.push(...rowsOfHeadline(`${name}; headline, ${equal}`, batchTopK, l1));
  }
  return rows;
}

/** One pass over the rows trains all of the grid. Returns one outcome a grid point. */
async function scoreSeed(
  settings: KnownDictionarySettings,
  { truth, seed }: { truth: string; seed: number },
): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const started = performance.now();
  try {
    const known = drawKnownDictionary(settings, seed);
    const runs = GRID.map(({ config }, i) => ({
      config: { ...config, seed },
      folder: join(folder, String(i)),
    }));
    const trained = await trainMany({ store: known.store, runs });
    const outcomes: Outcome[] = [];
    for (const [i, { dictionary }] of trained.entries()) {
      const { threads } = GRID[i].config;
      const matches = await matchLatents({ known, dictionary, threads });
      const { latents, summary } = await measure({
        ...{ store: known.store, dictionary, folder: runs[i].folder, threads, examplesPerLatent: 1 },
        tokenString: (token) => (token === 0 ? "nothing" : `concept ${token - 1}`),
      });
      outcomes.push({
        fit: { fve: summary.fve.total, l0: summary.l0 },
        dead: summary.deadFraction,
        ...scoreDictionary({ known, latents, matches }),
      });
    }
    console.error(`${truth}, seed ${seed}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return outcomes;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
