// What `tunediff demo --full` does after the plain demo: another sparsity beside the study's own, other seeds, null pairs.
//
// Each part leaves its table beside the study's dictionary and the report is written anew after each; a part that is done is not
// repeated, a stopped one goes on. The order is that of cost. Not here: what the tables mean (report/sparsity-comparison.ts,
// measure/stability.ts, measure/false-discovery.ts), and what is printed (cli/demo.ts).

import { join } from "node:path";
import { acquireLock, writeFileAtomic } from "../formats/atomic.ts";
import { type Measurement, measure, readMeasure } from "../measure/measure.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { dictionarySha256 } from "../measure/measure-files.ts";
import { claimsHash } from "../measure/stability-file.ts";
import type { ReportProgress } from "../progress.ts";
import { sparsityWords } from "../report/collect.ts";
import {
  readSparsityComparison,
  type SparsityComparison,
  type SparsityFigures,
  sparsityPath,
} from "../report/sparsity-comparison.ts";
import { openRowSource } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import type { TrainConfig } from "../training/config.ts";
import { train } from "../training/train.ts";
import { storeHash } from "../training/training-record.ts";
import { readTruth, scoreTruth, writeTruth } from "../truth/truth.ts";
import type { TruthScore } from "../truth/truth-contract.ts";
import type { StudyConfig } from "./config.ts";
import { trainConfigOf } from "./dictionary-config.ts";
import { runNullStudy } from "./null-study.ts";
import { runStudy, type StudyRun, studyPaths } from "./run-study.ts";
import { runStabilityStudy } from "./stability-study.ts";

/** Every constant of the full demo. */
export const FULL_DEMO = {
  /**
   * μ of ReLU + L1, chosen so that it explains as much as the demo's BatchTopK, which has a held-out FVE of 0.921 at L0 5.0.
   * Tried with the demo's text, size and seed 0: 0.08 gave FVE 0.919 at L0 30.0, 0.09 0.909 at 26.0, 0.15 0.806 at 9.2,
   * 0.25 0.523 at 0.9. An L0 as low as BatchTopK's costs it a fifth of the variance.
   */
  penalty: 0.08,
  seeds: 3,
  draws: 3,
} as const;

export interface FullDemoOptions {
  folder: string;
  config: StudyConfig;
  /** The commands that make this study again, for the report. */
  commands: string[];
  /** Told before a part begins, in a few words. */
  onPart?: (words: string) => void;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * The plain study is run first where it is not finished. Throws what its parts throw; everything committed before stays, and the
 * same call goes on from there.
 */
export async function runFullDemo(options: FullDemoOptions): Promise<StudyRun> {
  const { onPart } = options;
  const warnings: string[] = [];
  await runStudy(options);
  onPart?.(`another sparsity: ReLU + L1, penalty ${FULL_DEMO.penalty}`);
  await compareSparsities(options, FULL_DEMO.penalty);
  await runStudy(options);
  onPart?.(`stability: ${FULL_DEMO.seeds} other seeds`);
  warnings.push(...(await runStabilityStudy({ ...options, seeds: FULL_DEMO.seeds })).warnings);
  await runStudy(options);
  onPart?.(`null: ${FULL_DEMO.draws} pairs in which nothing was learned`);
  warnings.push(...(await runNullStudy({ ...options, draws: FULL_DEMO.draws })).warnings);
  const run = await runStudy(options);
  return { ...run, warnings: [...new Set([...run.warnings, ...warnings])] };
}

/**
 * Trains ReLU + L1 with this penalty over the study's store, measures and scores it as the study's own, and writes
 * tables/sparsity.json. The study must be measured and scored.
 */
export async function compareSparsities(
  options: FullDemoOptions,
  penalty: number,
): Promise<SparsityComparison> {
  const { folder, config } = options;
  const { lock } = await runStudy({ ...options, until: "measure" });
  const paths = studyPaths(config);
  const ownFolder = join(folder, paths.dictionary);
  const guard = await acquireLock(join(folder, ".lock"));
  try {
    const { tokenString } = await loadTokenizer(lock.tokenizer.path);
    const store = await openStore(join(folder, paths.store));
    try {
      const ownConfig = trainConfigOf(config.dictionary, config);
      const otherConfig: TrainConfig = { ...ownConfig, sparsity: { kind: "reluL1", penalty } };
      const name = `${config.dictionary.name}-relu-l1-${penalty}`;
      const otherFolder = join(folder, "dictionaries", name);
      const { dictionary } = await train({
        ...progressOf(options, name),
        ...{ store, config: otherConfig, folder: otherFolder },
      });
      const own: Judged = {
        ...{ name: config.dictionary.name, config: ownConfig, folder: ownFolder },
        ...(await readMeasure(ownFolder)),
      };
      const source = await openRowSource(store.folder, { verify: false });
      let measured: Measurement;
      try {
        measured = await measure({
          ...progressOf(options, name),
          ...{ store: source, dictionary, folder: otherFolder, tokenString, threads: config.threads },
          examplesPerLatent: config.report.examplesPerLatent,
        });
      } finally {
        await source.close();
      }
      const other: Judged = { name, config: otherConfig, folder: otherFolder, ...measured };
      const identity = await identityOf(store, [own, other]);
      const before = await readSparsityComparison(ownFolder);
      if (before !== undefined && isSame(before, identity)) return before;
      const ownTruth = await readTruth(ownFolder);
      let otherTruth: TruthScore | undefined;
      if (ownTruth !== undefined) {
        otherTruth = await scoreTruth({
          ...progressOf(options, name),
          ...{ store, dictionary, latents: other.latents, seed: config.seed },
          conceptNames: ownTruth.concepts.map((concept) => concept.name),
        });
        await writeTruth(otherFolder, otherTruth);
      }
      const truths = [ownTruth, otherTruth];
      const comparison: SparsityComparison = {
        schemaVersion: 1,
        storeSha256: identity.storeSha256,
        dictionaries: [own, other].map((one, i) => ({
          ...identity.dictionaries[i],
          ...figuresOf(one, truths[i]),
          sparsity: sparsityWords(one.config),
        })),
      };
      await writeFileAtomic(sparsityPath(ownFolder), `${JSON.stringify(comparison, undefined, 2)}\n`);
      return comparison;
    } finally {
      await store.close();
    }
  } finally {
    await guard.release();
  }
}

/** A measured dictionary of the comparison. */
interface Judged extends Measurement {
  name: string;
  config: TrainConfig;
  folder: string;
}

interface Identity {
  storeSha256: string;
  dictionaries: Pick<SparsityFigures, "name" | "dictionarySha256" | "claimsSha256">[];
}

async function identityOf(store: Store, judged: readonly Judged[]): Promise<Identity> {
  const dictionaries: Identity["dictionaries"] = [];
  for (const { name, folder, latents } of judged) {
    dictionaries.push({
      name,
      dictionarySha256: await dictionarySha256(folder),
      claimsSha256: claimsHash(latents),
    });
  }
  return { storeSha256: storeHash(store), dictionaries };
}

function isSame(comparison: SparsityComparison, identity: Identity): boolean {
  const found: Identity = {
    storeSha256: comparison.storeSha256,
    dictionaries: comparison.dictionaries.map(({ name, dictionarySha256, claimsSha256 }) => ({
      name,
      dictionarySha256,
      claimsSha256,
    })),
  };
  return JSON.stringify(found) === JSON.stringify(identity);
}

/** The figures of one column. truth: undefined where nothing was planted. */
export function figuresOf(
  { latents, summary }: Measurement,
  truth: TruthScore | undefined,
): Omit<SparsityFigures, "name" | "sparsity" | "dictionarySha256" | "claimsSha256"> {
  const { nLatents, fve, l0, deadFraction, counts, twins } = summary;
  return {
    ...{ nLatents, fve, l0, deadFraction, counts },
    byNorm: judgeByNorm(latents),
    twins: twins.length,
    truth: truth === undefined ? null : truthFigures(truth),
  };
}

const SURELY: readonly LatentMeasure["verdict"][] = [
  "complete shrinkage",
  "latent decoupling",
  "complete shrinkage and latent decoupling",
];

/** What Latent Scaling says of the latents that are finetuned-only by norm. */
export function judgeByNorm(latents: readonly LatentMeasure[]): SparsityFigures["byNorm"] {
  const byNorm = latents.filter(({ latentClass }) => latentClass === "finetuned-only");
  const judged = byNorm.filter(({ exclusion }) => exclusion === "");
  return {
    latents: byNorm.length,
    judged: judged.length,
    flagged: judged.filter(({ claim }) => claim === "none").length,
    flaggedSurely: judged.filter(({ verdict }) => SURELY.includes(verdict)).length,
  };
}

function truthFigures(truth: TruthScore): NonNullable<SparsityFigures["truth"]> {
  const { conceptsPlanted, conceptsFound, recall, permutedRecall, claims } = truth;
  const ofClaims = (share: number): number | null => (claims.length === 0 ? null : share);
  return {
    ...{ conceptsPlanted, conceptsFound, recall, permutedRecall },
    precision: ofClaims(truth.precision),
    precisionWithTemplate: ofClaims(truth.precisionWithTemplate),
  };
}

/** Stages are told apart by the dictionary they are of. */
function progressOf(
  { reportProgress, signal }: FullDemoOptions,
  name: string,
): { reportProgress?: ReportProgress; signal?: AbortSignal } {
  return {
    ...(reportProgress && {
      reportProgress: (progress) => reportProgress({ ...progress, stage: `${progress.stage} ${name}` }),
    }),
    ...(signal && { signal }),
  };
}
