// The demo's figures for three seeds, from the built command line as its user runs it. No peer does this job.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../src/package-root.ts";
import type { ComparisonResult } from "../src/study/result.ts";
import type { BenchRow } from "./run.ts";

const SEEDS = [0, 1, 2];
/** Set to 1: seed 0 runs with --full, which adds null pairs, other seeds and another sparsity: many minutes more. */
const IS_FULL = process.env.TUNEDIFF_BENCH_FULL === "1";

function runDemo(out: string, seed: number): { result: ComparisonResult; wallSeconds: number } {
  const started = performance.now();
  const run = spawnSync(
    process.execPath,
    [
      ...[join(packageRoot(), "bin", "tunediff.js"), "demo", "--out", out, "--seed", String(seed), "--json"],
      ...(IS_FULL && seed === SEEDS[0] ? ["--full"] : []),
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 2 ** 26 },
  );
  if (run.status !== 0) throw new Error(`demo --seed ${seed} ended with ${run.status}`);
  return { result: JSON.parse(run.stdout), wallSeconds: (performance.now() - started) / 1000 };
}

/** What --full adds; nothing without it. */
function fullFigures({ nullPairs, stability, sparsities }: ComparisonResult): [string, number, string][] {
  const figures: [string, number, string][] = [];
  if (nullPairs !== null) {
    figures.push(
      ["finetuned-specific in a null pair", nullPairs.expectedFalseClaims.finetuned, "latents"],
      ["base-specific in a null pair", nullPairs.expectedFalseClaims.base, "latents"],
      ...nullPairs.claimsUpTo.map(({ q, finetuned }): [string, number, string] => [
        `finetuned-specific at q ≤ ${q}`,
        finetuned,
        "latents",
      ]),
    );
  }
  if (stability !== null) {
    const { finetunedSpecific, leaningUnclaimed } = stability.counts;
    const share = (name: string, value: number | null): [string, number, string][] =>
      value === null ? [] : [[name, value, "share of other seeds"]];
    figures.push(
      ...share("claims found again", finetunedSpecific.meanDirectionFound),
      ...share("claims claimed there too", finetunedSpecific.meanClaimReplicated),
      ...share("leaning, unclaimed found again", leaningUnclaimed.meanDirectionFound),
    );
  }
  for (const { sparsity, fve, l0, byNorm, counts, twins, truth } of sparsities ?? []) {
    figures.push(
      [`${sparsity}: fve`, fve.total, "share"],
      [`${sparsity}: l0`, l0, "latents a row"],
      [`${sparsity}: finetuned-only by norm`, byNorm.latents, "latents"],
      [`${sparsity}: of these judged`, byNorm.judged, "latents"],
      [`${sparsity}: of these flagged`, byNorm.flagged, "latents"],
      [`${sparsity}: finetuned-specific`, counts.finetunedSpecific, "latents"],
      [`${sparsity}: twins`, twins, "pairs"],
    );
    if (truth !== null) figures.push([`${sparsity}: recall`, truth.recall, "share"]);
  }
  return figures;
}

/** Each seed in a folder of its own, so that every wall-clock figure is of a whole run. */
export async function benchDemo(): Promise<BenchRow[]> {
  return SEEDS.flatMap((seed) => {
    const out = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
    try {
      const { result, wallSeconds } = runDemo(out, seed);
      const { fve, truth, counts, seconds } = result;
      if (truth === null) throw new Error("the demo's data carries no truth");
      const figures: [string, number, string][] = [
        ["wall", wallSeconds, "s"],
        ["harvest", seconds.harvest, "s"],
        ["train", seconds.train, "s"],
        ["measure", seconds.measure, "s"],
        ["peak memory", result.peakRssBytes / 2 ** 30, "GiB"],
        ["fve base", fve.base, "share"],
        ["fve finetuned", fve.finetuned, "share"],
        ["l0", result.l0, "latents a row"],
        ["dead", result.deadFraction, "share of latents"],
        ["claims finetuned-specific", counts.finetunedSpecific, "latents"],
        ["claims base-specific", counts.baseSpecific, "latents"],
        ["verdict genuine", result.verdicts.genuine, "latents that lean"],
        ["verdict uncertain", result.verdicts.uncertain, "latents that lean"],
        ["twins", result.twins, "pairs"],
        ["concepts planted", truth.conceptsPlanted, "concepts"],
        ["concepts found", truth.conceptsFound, "concepts"],
        ["recall at F1 0.7", truth.recall, "share"],
        ["recall at F1 0.6", truth.recallAt06, "share"],
        ["recall at F1 0.8", truth.recallAt08, "share"],
        ["recall, any latent", truth.recallAnyLatent, "share"],
        ["recall, labels permuted", truth.permutedRecall, "share"],
        ["precision", truth.precision, "share of claims"],
        ["precision with template", truth.precisionWithTemplate, "share of claims"],
        ...fullFigures(result),
      ];
      return figures.map(([metric, ours, unit]) => ({
        case: `seed ${seed}`,
        metric,
        ours,
        peer: null,
        peerName: null,
        ratio: null,
        unit,
      }));
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
}
