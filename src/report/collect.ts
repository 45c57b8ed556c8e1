// Gathers what the report says from the files of a study folder; reads everything, computes nothing, writes nothing.
//
// The layout is that of docs/formats.md. What the page does with it is report.ts.

import { basename, join } from "node:path";
import { StorageError } from "../errors.ts";
import { readJsonLinesArray } from "../formats/jsonl.ts";
import { readLens } from "../lens/lens-file.ts";
import { openExamples, readMeasure } from "../measure/measure.ts";
import type { LatentExample } from "../measure/measure-contract.ts";
import { readSummaryFile } from "../measure/measure-files.ts";
import { openStore } from "../store/store.ts";
import type { Store } from "../store/store-contract.ts";
import type { TrainConfig } from "../training/config.ts";
import { isTrainingLine, METRICS_FILE, type MetricsEntry } from "../training/metrics.ts";
import { readTrainingRecord, type TrainingRecord } from "../training/training-record.ts";
import { readTruth } from "../truth/truth-file.ts";
import { displayName } from "./display-name.ts";
import { readGlanceOfStudy } from "./glance-of-study.ts";
import { readLateTables } from "./late-tables.ts";
import type { PerModel, ReportInput, TrainingMetric } from "./report-input.ts";
import { CARD_LIMITS } from "./sections/claims.ts";

export { displayName } from "./display-name.ts";

interface ComparedModel {
  /** Folder or id, as the user named it. */
  path: string;
  /** Folder of the LoRA adapter merged over it. */
  adapter?: string;
  hash: string;
  dModel: number;
}

export interface CollectOptions {
  /** The study. */
  folder: string;
  /** Names under stores/ and dictionaries/. */
  config: { store: { name: string }; dictionary: { name: string } };
  /** What study.lock.json resolved. */
  lock: {
    tunediff: string;
    base: ComparedModel;
    finetuned: ComparedModel;
    data: { path: string; sha256: string };
    tokenizer: { hash: string };
    layer: { base: number; finetuned: number };
  };
  /** How to make the study again, one command each. */
  commands: string[];
  /** Sentences of this run; those of training are added. */
  warnings: string[];
  /** Default: the clock. */
  now?: Date;
}

/**
 * The report's input. A study without planted truth has none; every other stage must have run.
 *
 * Throws StorageError or FormatError naming the file that is missing or damaged.
 */
export async function collectReportInput(options: CollectOptions): Promise<ReportInput> {
  const { folder, config, lock, commands, now = new Date() } = options;
  const dictionaryFolder = join(folder, "dictionaries", config.dictionary.name);
  const training = await readTrainingRecord(dictionaryFolder);
  if (training === undefined) {
    throw new StorageError(
      `${join(dictionaryFolder, "training.json")}: expected a finished training, found none`,
      {
        hint: "run `tunediff train` on this study first",
      },
    );
  }
  const { latents, summary } = await readMeasure(dictionaryFolder);
  const { dictionarySha256 } = (await readSummaryFile(dictionaryFolder)).inputs;
  const claims = latents.filter(({ claim }) => claim !== "none").map(({ latent }) => latent);
  const lens = new Map((await readLens(dictionaryFolder)).map((row) => [row.latent, row]));
  const examples = readExamples(dictionaryFolder, claims);
  const seconds = await stageSeconds(join(folder, "journal.jsonl"));
  const names = { base: modelName(lock.base), finetuned: modelName(lock.finetuned) };

  return {
    title: `${names.finetuned} against ${names.base}`,
    generatedAt: `${now.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    toolVersion: lock.tunediff,
    pair: {
      ...names,
      baseHash: lock.base.hash,
      finetunedHash: lock.finetuned.hash,
      layer: perModel(lock.layer),
      dModel: perModel({ base: lock.base.dModel, finetuned: lock.finetuned.dModel }),
      tokenizerHash: lock.tokenizer.hash,
    },
    data: await dataFacts(join(folder, "stores", config.store.name), lock.data),
    training: await trainingFacts(dictionaryFolder, training, seconds.train),
    summary,
    latents,
    lens,
    examples: (latent) => examples.get(latent)?.strongest ?? [],
    samples: (latent) => examples.get(latent)?.sample ?? [],
    truth: await readTruth(dictionaryFolder),
    ...(await readLateTables({ folder: dictionaryFolder, dictionarySha256, latents })),
    glance: await readGlanceOfStudy({
      ...{ dictionaryFolder, lock },
      storeFolder: join(folder, "stores", config.store.name),
    }),
    warnings: [...new Set([...options.warnings, ...training.warnings])],
    commands,
    seconds,
  };
}

async function dataFacts(
  storeFolder: string,
  data: { path: string; sha256: string },
): Promise<ReportInput["data"]> {
  const store = await openStore(storeFolder);
  try {
    const { nDocuments, nRows, rowsBySplit, sites } = store.manifest;
    return {
      description: `${basename(data.path)} (SHA-256 ${data.sha256}). Every document lies in one split.`,
      nDocuments,
      nRows,
      rowsBySplit,
      datasets: rowsByDataset(store),
      dtype: [...new Set(sites.map((site) => site.dtype))].join(", "),
      roundingErrorRelative: sites.map((site) => ({ site: site.name, value: site.roundingErrorRelative })),
    };
  } finally {
    await store.close();
  }
}

function rowsByDataset({ rows, manifest }: Store): { name: string; rows: number }[] {
  const counts = new Array<number>(manifest.datasets.length).fill(0);
  for (const dataset of rows.dataset) counts[dataset] += 1;
  return manifest.datasets.map((name, i) => ({ name, rows: counts[i] }));
}

async function trainingFacts(
  dictionaryFolder: string,
  { config, seconds }: TrainingRecord,
  stageSeconds: number | undefined,
): Promise<ReportInput["training"]> {
  const lines = (await readJsonLinesArray(join(dictionaryFolder, METRICS_FILE), {
    tolerateTornEnd: true,
  })) as MetricsEntry[];
  const metrics = lines.filter(isTrainingLine).map(
    ({ step, fve, l0, loss, dead }): TrainingMetric => ({
      step,
      fve: fve.total,
      l0,
      loss,
      dead: dead / config.nLatents,
    }),
  );
  const { nLatents, k, steps, batchRows, learningRate, seed } = config;
  return {
    nLatents,
    k,
    steps,
    batchRows,
    sparsity: sparsityWords(config),
    learningRate,
    seed,
    seconds: stageSeconds ?? seconds.total,
    metrics,
  };
}

/** "BatchTopK, k 5"; "ReLU + L1, penalty 0.04", where k has no meaning. */
export function sparsityWords({ sparsity, k }: Pick<TrainConfig, "sparsity" | "k">): string {
  if (sparsity?.kind === "reluL1") return `ReLU + L1, penalty ${sparsity.penalty}`;
  return `${sparsity?.kind === "topK" ? "TopK" : "BatchTopK"}, k ${k}`;
}

interface ExamplesOfLatent {
  strongest: LatentExample[];
  sample: LatentExample[];
}

/** Read at once and held in memory, so that no database stays open behind the input. */
function readExamples(dictionaryFolder: string, claims: number[]): Map<number, ExamplesOfLatent> {
  const reader = openExamples(dictionaryFolder);
  const ofLatent = (latent: number): ExamplesOfLatent => ({
    strongest: reader.ofLatent(latent, CARD_LIMITS.examples),
    sample: reader.sampleOfLatent(latent).filter(({ rank }) => rank < CARD_LIMITS.samplePerBin),
  });
  try {
    return new Map(claims.map((latent) => [latent, ofLatent(latent)]));
  } finally {
    reader.close();
  }
}

interface StageEvent {
  stage: string;
  event: string;
  key: string;
  seconds?: number;
}

/** Seconds each stage worked for its newest finished result, interrupted runs included. */
async function stageSeconds(journalPath: string): Promise<Record<string, number>> {
  const events = (await readJsonLinesArray(journalPath, { tolerateTornEnd: true })) as StageEvent[];
  const seconds: Record<string, number> = {};
  for (const stage of new Set(events.map((event) => event.stage))) {
    const done = events.findLast((event) => event.stage === stage && event.event === "done");
    if (done === undefined) continue;
    seconds[stage] = events
      .filter((event) => event.stage === stage && event.key === done.key)
      .reduce((sum, event) => sum + (event.seconds ?? 0), 0);
  }
  return seconds;
}

function modelName({ path, adapter }: ComparedModel): string {
  return adapter === undefined ? displayName(path) : `${displayName(path)} + ${displayName(adapter)}`;
}

function perModel(value: { base: number; finetuned: number }): PerModel {
  return value.base === value.finetuned ? value.base : value;
}
