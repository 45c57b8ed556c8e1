// What a finished comparison prints with --json: one object, the same for demo, compare and run.

import { join } from "node:path";
import { readSummary } from "../measure/measure.ts";
import type { MeasureSummary } from "../measure/measure-contract.ts";
import { readTruth } from "../truth/truth.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { StudyConfig } from "./config.ts";
import { type StudyRun, studyPaths } from "./run-study.ts";

/** fve: pooled over held-out rows without BOS and norm outliers; the measured figures are those of tables/measure.json. */
export interface ComparisonResult
  extends Pick<MeasureSummary, "fve" | "l0" | "deadFraction" | "nLatents" | "counts"> {
  schemaVersion: 1;
  seed: number;
  /** Null when the data carries no planted truth. */
  truth: TruthScore | null;
  /** Summed over all runs that worked on this study. */
  seconds: { harvest: number; train: number; measure: number; report: number; total: number };
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
  const summary = await readSummary(dictionaryFolder);
  const { seconds } = run;
  const measureSeconds = seconds.measure + seconds.lens + seconds.truth;
  return {
    schemaVersion: 1,
    seed: config.seed,
    fve: summary.fve,
    l0: summary.l0,
    deadFraction: summary.deadFraction,
    nLatents: summary.nLatents,
    counts: summary.counts,
    truth: (await readTruth(dictionaryFolder)) ?? null,
    seconds: {
      harvest: seconds.harvest,
      train: seconds.train,
      measure: measureSeconds,
      report: seconds.report,
      total: seconds.harvest + seconds.train + measureSeconds + seconds.report,
    },
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    report: join(folder, studyPaths(config).report),
    warnings: run.warnings,
  };
}
