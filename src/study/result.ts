// What a finished comparison prints with --json: one object, the same for demo, compare and run.

import { join } from "node:path";
import type { PatchingResult } from "../causal/causal-contract.ts";
import { readGlance } from "../glance/glance-file.ts";
import { readMeasure } from "../measure/measure.ts";
import type { MeasureSummary } from "../measure/measure-contract.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import type { NullRecord } from "../measure/null-file.ts";
import type { StabilityRecord } from "../measure/stability-file.ts";
import { type LateTables, readLateTables } from "../report/late-tables.ts";
import type { SparsityFigures } from "../report/sparsity-comparison.ts";
import { readTruth } from "../truth/truth.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { StudyConfig } from "./config.ts";
import { type StudyRun, studyPaths } from "./run-study.ts";

/** fve: pooled over held-out rows without BOS and norm outliers; the measured figures are those of tables/measure.json. */
export interface ComparisonResult
  extends Pick<MeasureSummary, "fve" | "l0" | "deadFraction" | "nLatents" | "counts" | "verdicts"> {
  schemaVersion: 1;
  seed: number;
  /** Null when the data carries no planted truth. */
  truth: TruthScore | null;
  /** Pairs of latents; their numbers are in tables/measure.json. */
  twins: number;
  /** Of tables/null.json; null: not made, or of an older dictionary. */
  nullPairs: (Pick<NullRecord, "counts" | "expectedFalseClaims" | "claimsUpTo"> & { draws: number }) | null;
  /** Of tables/stability.json; null as above. */
  stability: (Pick<StabilityRecord, "counts"> & { others: number }) | null;
  /** Of tables/sparsity.json, the study's own dictionary first; null as above. */
  sparsities: SparsityFigures[] | null;
  /** Of tables/causal.json; null as above, or where the paper's experiment was not asked for. */
  causal: {
    conversations: number;
    predictedTokens: number;
    /** KL to the fine-tune in nats and the share of the gap closed; null where there is no gap. */
    outcomes: { name: string; nLatents: number; kl: number; gapClosed: number | null }[];
  } | null;
  /** Summed over all runs that worked on this study; glance and causal: of the runs that made what is there. */
  seconds: {
    harvest: number;
    train: number;
    measure: number;
    glance: number;
    causal: number;
    report: number;
    total: number;
  };
  peakRssBytes: number;
  /** Path of report.html. */
  report: string;
  warnings: string[];
}

/** Collects the result of a finished study from its files. */
export async function collectResult(
  folder: string,
  config: StudyConfig,
  run: StudyRun,
): Promise<ComparisonResult> {
  const dictionaryFolder = join(folder, studyPaths(config).dictionary);
  const { latents, summary } = await readMeasure(dictionaryFolder);
  const late = await readLateTables({
    folder: dictionaryFolder,
    dictionarySha256: await dictionarySha256(dictionaryFolder),
    latents,
  });
  const found = await readGlance(folder);
  const { seconds } = run;
  const lateSeconds = {
    glance: found?.seconds ?? 0,
    causal: late.causal.state === "made" ? late.causal.value.record.seconds : 0,
  };
  const measureSeconds = seconds.measure + seconds.lens + seconds.truth;
  return {
    schemaVersion: 1,
    seed: config.seed,
    fve: summary.fve,
    l0: summary.l0,
    deadFraction: summary.deadFraction,
    nLatents: summary.nLatents,
    counts: summary.counts,
    verdicts: summary.verdicts,
    truth: (await readTruth(dictionaryFolder)) ?? null,
    twins: summary.twins.length,
    ...lateResults(late),
    seconds: {
      harvest: seconds.harvest,
      train: seconds.train,
      measure: measureSeconds,
      ...lateSeconds,
      report: seconds.report,
      total:
        seconds.harvest +
        seconds.train +
        measureSeconds +
        lateSeconds.glance +
        lateSeconds.causal +
        seconds.report,
    },
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    report: join(folder, studyPaths(config).report),
    warnings: run.warnings,
  };
}

function lateResults({
  nulls,
  stability,
  sparsity,
  causal,
}: LateTables): Pick<ComparisonResult, "nullPairs" | "stability" | "sparsities" | "causal"> {
  const record = nulls.state === "made" ? nulls.value.record : undefined;
  const others = stability.state === "made" ? stability.value.record : undefined;
  return {
    nullPairs: record
      ? {
          draws: record.draws.length + (record.control?.included ? 1 : 0),
          counts: record.counts,
          expectedFalseClaims: record.expectedFalseClaims,
          claimsUpTo: record.claimsUpTo,
        }
      : null,
    stability: others ? { others: others.others.length, counts: others.counts } : null,
    sparsities: sparsity.state === "made" ? sparsity.value.dictionaries : null,
    causal: causal.state === "made" ? causalResult(causal.value.record.patching) : null,
  };
}

function causalResult(patching: PatchingResult | null): ComparisonResult["causal"] {
  if (patching === null) return null;
  return {
    conversations: patching.conversations.count,
    predictedTokens: patching.outcomes[0]?.sets.all.tokens ?? 0,
    outcomes: patching.outcomes.map(({ name, nLatents, sets: { all } }) => ({
      ...{ name, nLatents },
      kl: all.kl.mean,
      gapClosed: all.gapClosed?.mean ?? null,
    })),
  };
}
