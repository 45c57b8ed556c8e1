// A study from text to report: the stages in order, each skipped when its inputs are unchanged and its outputs exist.
//
// Stages meet only in files (docs/architecture.md); this file decides the order and the names of those files, nothing else.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { throwIfInterrupted } from "../errors.ts";
import { acquireLock, writeFileAtomic } from "../formats/atomic.ts";
import { ensureFolder } from "../formats/disk.ts";
import { harvest } from "../harvest/harvest.ts";
import { lens, writeLens } from "../lens/lens.ts";
import { openModel } from "../lm/adapter.ts";
import { loadUnembedding } from "../lm/runner.ts";
import { measure, readMeasure } from "../measure/measure.ts";
import { MEASURE_FORMAT } from "../measure/measure-files.ts";
import type { ReportProgress } from "../progress.ts";
import { collectReportInput } from "../report/collect.ts";
import { lateTablesKey } from "../report/late-tables.ts";
import { writeLatentsTable } from "../report/latents-table.ts";
import { renderReport } from "../report/report.ts";
import { openRowSource } from "../store/row-source.ts";
import { openStore } from "../store/store.ts";
import { readDocuments } from "../text/read-documents.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { train } from "../training/train.ts";
import { scoreTruth, writeTruth } from "../truth/truth.ts";
import { type StudyConfig, writeStudyConfig } from "./config.ts";
import { outcomeOf, trainConfigOf } from "./dictionary-config.ts";
import { isDone, type Journal, openJournal, type StageName, secondsSpent, stageKey } from "./journal.ts";
import { resolveLock, type StudyLock, writeLock } from "./lock.ts";

/** Where a study's files lie, relative to its folder. */
export interface StudyPaths {
  store: string;
  dictionary: string;
  report: string;
}

export function studyPaths(config: StudyConfig): StudyPaths {
  return {
    store: join("stores", config.store.name),
    dictionary: join("dictionaries", config.dictionary.name),
    report: "report.html",
  };
}

export interface StudyRun {
  lock: StudyLock;
  warnings: string[];
  /** Stages whose inputs were unchanged and which were therefore not repeated. */
  skipped: StageName[];
  /** Seconds a stage took, summed over all runs that worked on it. */
  seconds: Record<StageName, number>;
}

export interface StudyOptions {
  folder: string;
  config: StudyConfig;
  /** Stop after this stage; absent: all stages. */
  until?: StageName;
  /** The commands that make this study again, for the report. */
  commands: string[];
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/** Raised when the same tables would give another page. */
const REPORT_FORMAT = 2;

const STAGES: readonly StageName[] = ["harvest", "train", "measure", "lens", "truth", "report"];

/**
 * Runs what is left of a study in `folder`, which is made when it does not exist.
 *
 * Throws what the stages throw; everything committed before stays, and the same call goes on from there.
 */
export async function runStudy(options: StudyOptions): Promise<StudyRun> {
  const { folder, config } = options;
  const { lock, warnings } = await resolveLock(config);
  await ensureFolder(folder);
  const guard = await acquireLock(join(folder, ".lock"));
  try {
    const record = async (): Promise<void> => {
      await writeStudyConfig(join(folder, "study.yaml"), config);
      await writeLock(folder, lock);
    };
    if (!existsSync(join(folder, "study.yaml"))) await record();
    const journal = await openJournal(folder);
    const run: StudyRun = { lock, warnings, skipped: [], seconds: noSeconds() };
    const lateTables = await lateTablesKey(join(folder, studyPaths(config).dictionary));
    const steps = stageSteps({ ...options, lock, warnings, lateTables });
    for (const stage of STAGES) {
      throwIfInterrupted(options.signal);
      const { key, outputs, work } = steps[stage];
      if (isDone(journal, stage, key)) run.skipped.push(stage);
      else await runStage({ journal, stage, key, outputs, work });
      run.seconds[stage] = secondsSpent(journal, stage, key);
      // Not before: a run that does not belong into this folder is refused by then and must not replace its record.
      if (stage === "train") await record();
      if (stage === options.until) break;
    }
    return run;
  } finally {
    await guard.release();
  }
}

interface StageStep {
  key: string;
  outputs: string[];
  work: () => Promise<void>;
}

async function runStage(step: StageStep & { journal: Journal; stage: StageName }): Promise<void> {
  const { journal, stage, key, outputs } = step;
  const started = performance.now();
  const secondsSoFar = (): number => (performance.now() - started) / 1000;
  await journal.append({ stage, key, event: "start" });
  try {
    await step.work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await journal.append({ stage, key, event: "failed", seconds: secondsSoFar(), message });
    throw error;
  }
  await journal.append({ stage, key, event: "done", seconds: secondsSoFar(), outputs });
}

function stageSteps(
  options: StudyOptions & { lock: StudyLock; warnings: string[]; lateTables: Record<string, string> },
): Record<StageName, StageStep> {
  const { folder, config, lock, warnings, reportProgress, signal } = options;
  const paths = studyPaths(config);
  const storeFolder = join(folder, paths.store);
  const dictionaryFolder = join(folder, paths.dictionary);
  const tables = (name: string): string => join(paths.dictionary, "tables", name);

  const { threads } = config;
  const trainConfig = trainConfigOf(config.dictionary, config);
  // Outputs are no part of the store: asking for them must repeat nothing but the harvest, which then makes only them.
  const { outputs, ...storeConfig } = config.store;
  const harvestKey = stageKey(
    "harvest",
    lock.base.hash,
    lock.finetuned.hash,
    lock.data.sha256,
    lock.layer,
    storeConfig,
  );
  const trainKey = stageKey("train", harvestKey, paths.dictionary, outcomeOf(trainConfig));
  const measureKey = stageKey("measure", MEASURE_FORMAT, trainKey, config.report);
  const lensKey = stageKey("lens", trainKey);
  const truthKey = stageKey("truth", measureKey);
  const reportKey = stageKey(
    "report",
    REPORT_FORMAT,
    ...[measureKey, lensKey, truthKey, lock.tunediff, options.commands],
    options.lateTables, // null pairs, other seeds: made after a report, they make it again
  );

  const withStore = async <T>(
    use: (store: Awaited<ReturnType<typeof openStore>>) => Promise<T>,
  ): Promise<T> => {
    const store = await openStore(storeFolder);
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  };
  const conceptNamesOf = (store: Awaited<ReturnType<typeof openStore>>): string[] =>
    [
      ...new Set(store.documents.flatMap((document) => document.spans?.map((span) => span.concept) ?? [])),
    ].sort();

  return {
    harvest: {
      key: outputs ? stageKey("outputs", harvestKey) : harvestKey,
      outputs: ["manifest.json", ...(outputs ? [join("outputs", "manifest.json")] : [])].map((file) =>
        join(paths.store, file),
      ),
      work: async () => {
        const result = await harvest({
          base: config.base,
          finetuned: config.finetuned,
          documents: readDocuments(config.data),
          layer: lock.layer,
          storeFolder,
          storeName: config.store.name,
          dtype: config.store.dtype,
          maxTokens: config.store.maxTokens,
          baseReplacements: config.store.baseReplacements,
          skipFirst: config.store.skipFirst,
          outputs,
          device: config.device,
          threads,
          identity: { data: lock.data.sha256 },
          reportProgress,
          signal,
        });
        for (const warning of result.warnings) if (!warnings.includes(warning)) warnings.push(warning);
      },
    },
    train: {
      key: trainKey,
      outputs: ["model.safetensors", "config.json", "training.json"].map((file) =>
        join(paths.dictionary, file),
      ),
      work: () =>
        withStore(async (store) => {
          await train({ store, config: trainConfig, folder: dictionaryFolder, reportProgress, signal });
        }),
    },
    measure: {
      // Outputs that came later are joined to the examples; nothing is measured again.
      key: outputs ? stageKey("outputs", measureKey) : measureKey,
      outputs: [tables("measure.parquet"), tables("measure.json"), join(paths.dictionary, "examples.sqlite")],
      work: async () => {
        const tokenizer = await loadTokenizer(lock.tokenizer.path);
        const source = await openRowSource(storeFolder);
        try {
          await measure({
            store: source,
            dictionary: await loadDictionary(dictionaryFolder),
            folder: dictionaryFolder,
            tokenString: tokenizer.tokenString,
            examplesPerLatent: config.report.examplesPerLatent,
            threads,
            reportProgress,
            signal,
          });
        } finally {
          await source.close();
        }
      },
    },
    lens: {
      key: lensKey,
      outputs: [tables("lens.parquet")],
      work: async () => {
        const tokenizer = await loadTokenizer(lock.tokenizer.path);
        const rows = await lens({
          dictionary: await loadDictionary(dictionaryFolder),
          unembeddings: {
            base: await unembeddingOf(config.base, config),
            finetuned: await unembeddingOf(config.finetuned, config),
          },
          tokenString: tokenizer.tokenString,
          reportProgress,
          signal,
        });
        await writeLens(dictionaryFolder, rows);
      },
    },
    truth: {
      key: truthKey,
      outputs: [],
      work: () =>
        withStore(async (store) => {
          const conceptNames = conceptNamesOf(store);
          if (conceptNames.length === 0) return; // ordinary data: there is nothing to score against
          const { latents } = await readMeasure(dictionaryFolder);
          const dictionary = await loadDictionary(dictionaryFolder);
          await writeTruth(
            dictionaryFolder,
            await scoreTruth({
              store,
              dictionary,
              latents,
              conceptNames,
              seed: config.seed,
              reportProgress,
              signal,
            }),
          );
        }),
    },
    report: {
      key: reportKey,
      outputs: [paths.report, join(paths.dictionary, "latents.parquet")],
      work: async () => {
        const input = await collectReportInput({
          folder,
          config,
          lock,
          commands: options.commands,
          warnings,
        });
        await writeFileAtomic(join(folder, paths.report), renderReport(input));
        await writeLatentsTable(dictionaryFolder);
      },
    },
  };
}

/** What the lens reads a side's directions through. */
export async function unembeddingOf(
  folder: string,
  { base }: StudyConfig,
): Promise<Awaited<ReturnType<typeof loadUnembedding>>> {
  const checkpoint = await openModel(folder, { base });
  try {
    return await loadUnembedding(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

function noSeconds(): Record<StageName, number> {
  return { harvest: 0, train: 0, measure: 0, lens: 0, truth: 0, report: 0 };
}
