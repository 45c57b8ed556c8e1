// A measured dictionary as Neuronpedia's bulk layout: one source a model side, {model}/{source}/ with its four head files,
// features/batch-N.jsonl.gz and activations/batch-N.jsonl.gz. The same latent has the same index on both sides.
//
// Rows are neuronpedia-rows.ts. Tables and examples are read a batch at a time and rows are compressed as they are made, so memory
// is the dictionary's and one batch's. Each source folder is committed whole, with a manifest.json of ours, and replaces an older export.

import { createWriteStream, existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Dictionary } from "../../dictionary/dictionary.ts";
import { loadDictionary } from "../../dictionary/dictionary-file.ts";
import { decoderNorms, siteOffsets } from "../../dictionary/latent-norms.ts";
import { MismatchError, StorageError, throwIfInterrupted } from "../../errors.ts";
import { commitFolder, readManifest } from "../../formats/atomic.ts";
import { openParquetColumns, type ParquetColumns } from "../../formats/parquet-columns.ts";
import type { TokenScore } from "../../lens/lens-contract.ts";
import { parseActivationBins } from "../../measure/activation-bins.ts";
import { type ExamplesReader, openExamplesFile } from "../../measure/examples-file.ts";
import {
  ACTIVATION_QUANTILES,
  type ActivationBins,
  type MeasureSummary,
  type Neighbour,
} from "../../measure/measure-contract.ts";
import { dictionarySha256, measurePaths, readSummaryFile } from "../../measure/measure-files.ts";
import type { ReportProgress } from "../../progress.ts";
import {
  type ActivationSpread,
  activationRow,
  featureRow,
  headRows,
  neuronpediaName,
  type PairTexts,
  type SideOfLatent,
  type SourceNames,
} from "./neuronpedia-rows.ts";

export const NEURONPEDIA_EXPORT = {
  /** Latents of a batch file. */
  batchLatents: 1024,
  /** More than a measurement keeps of the strongest. */
  mostExamples: 1000,
  /** As SAEDashboard compresses. */
  gzipLevel: 5,
  /** In the manifest of a source folder: what tells one of ours from somebody's files. */
  kind: "neuronpedia source",
} as const;

export interface NeuronpediaOptions {
  /** dictionaries/NAME, measured. */
  dictionaryFolder: string;
  /** {model}/{source}/ are made below it. */
  folder: string;
  /** Of the dictionary; in names of source sets and of the release. */
  name: string;
  models: Record<"base" | "finetuned", { name: string; nLayers?: number }>;
  /** What people call a latent; "" for nothing. */
  labelOf?: (latent: number) => string;
  /** Latents of a batch file; default NEURONPEDIA_EXPORT.batchLatents. */
  batchLatents?: number;
  now?: Date;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface NeuronpediaExport {
  folder: string;
  /** Base first: import it first, the finetuned source refers to it. */
  sources: { path: string; modelId: string; sourceId: string; nFeatures: number; nActivations: number }[];
  nBatches: number;
  /** Sentences: what is missing from the export. */
  warnings: string[];
}

/**
 * Writes both sources. Throws StorageError or FormatError for what is missing or damaged, MismatchError when the tables are about
 * another dictionary or there is no pair of models, StorageError for a folder that holds something else, InterruptedError.
 */
export async function exportNeuronpedia(options: NeuronpediaOptions): Promise<NeuronpediaExport> {
  const { dictionaryFolder, folder, reportProgress, signal } = options;
  const { batchLatents = NEURONPEDIA_EXPORT.batchLatents } = options;
  const { summary, inputs } = await readSummaryFile(dictionaryFolder);
  const sha256 = await dictionarySha256(dictionaryFolder);
  if (sha256 !== inputs.dictionarySha256) {
    throw new MismatchError(
      `${dictionaryFolder}: expected a measurement of dictionary ${sha256}, got one of ${inputs.dictionarySha256}`,
      { hint: "run `tunediff measure` again" },
    );
  }
  const dictionary = await loadDictionary(dictionaryFolder);
  const norms = decoderNorms(dictionary);
  const names = sourceNames(dictionary, options);
  for (const { modelId, sourceId } of names) await requireOurs(join(folder, modelId, sourceId));
  const texts = pairTexts(summary, options);
  const tables = await openTables(dictionaryFolder, summary.nLatents);
  const unknown = names.filter(({ nLayers }) => nLayers === 0).map(({ displayName }) => displayName);
  if (unknown.length > 0)
    tables.warnings.push(
      `the number of blocks of ${unknown.join(", ")} is not known, so "layers" is 0 in model.jsonl: put the checkpoint back where study.yaml looks for it`,
    );
  try {
    const sources: NeuronpediaExport["sources"] = [];
    for (const [at, side] of names.entries()) {
      const path = join(folder, side.modelId, side.sourceId);
      let nActivations = 0;
      await commitFolder(
        path,
        async (temporary) => {
          const rows = headRows(side, texts, at === 0 ? undefined : names[0]);
          for (const [file, row] of Object.entries(rows))
            await writeLines(join(temporary, `${file}.jsonl`), [row]);
          for (const kind of ["features", "activations"]) await mkdir(join(temporary, kind));
          for (let from = 0; from < summary.nLatents; from += batchLatents) {
            throwIfInterrupted(signal);
            const to = Math.min(from + batchLatents, summary.nLatents);
            const batch = await readBatch({ tables, dictionary, norms, at, side, from, to, options });
            const file = `batch-${from / batchLatents}.jsonl.gz`;
            await writeLines(
              join(temporary, "features", file),
              batch.map((latent) => featureRow(side, latent, texts.createdAt)),
            );
            const activations = activationsOf({ batch, side, tables, sha256, createdAt: texts.createdAt });
            nActivations += await writeLines(join(temporary, "activations", file), activations);
            const done = at * summary.nLatents + to;
            const total = names.length * summary.nLatents;
            reportProgress?.({ stage: "neuronpedia", done, total, unit: "latents" });
          }
        },
        { kind: NEURONPEDIA_EXPORT.kind, dictionarySha256: sha256 },
      );
      const { modelId, sourceId } = side;
      sources.push({ path, modelId, sourceId, nFeatures: summary.nLatents, nActivations });
    }
    const nBatches = Math.ceil(summary.nLatents / batchLatents);
    return { folder, sources, nBatches, warnings: tables.warnings };
  } finally {
    await tables.close();
  }
}

/** Base first. Throws MismatchError unless there is one site a model. */
function sourceNames({ sites }: Dictionary, { name, models }: NeuronpediaOptions): SourceNames[] {
  if (sites.length !== 2 || sites[0].model !== "base" || sites[1].model !== "finetuned") {
    throw new MismatchError(
      `the dictionary: expected one site of each model, got ${sites.map((site) => site.name).join(", ")}`,
      { hint: "only a crosscoder of two models has a source a side" },
    );
  }
  return sites.map(({ model, layer, width }) => {
    const setName = `${neuronpediaName(`tunediff-${name}`)}-${model === "base" ? "base" : "ft"}`;
    return {
      ...{ side: model, modelId: neuronpediaName(models[model].name), displayName: models[model].name },
      ...{ setName, sourceId: `${layer}-${setName}`, layer, dModel: width },
      nLayers: models[model].nLayers ?? 0,
    };
  });
}

function pairTexts(
  { fve, l0, nLatents, nRows, nDocuments, counts, categories }: MeasureSummary,
  { models, name, now = new Date() }: NeuronpediaOptions,
): PairTexts {
  const { base, finetuned } = models;
  return {
    releaseName: neuronpediaName(`tunediff-${name}-${finetuned.name}`, 64),
    title: `Crosscoder of ${base.name} and ${finetuned.name}`,
    notes:
      `${nLatents} latents, L0 ${l0.toFixed(1)}, fraction of variance explained ${fve.base.toFixed(3)} (base) and ` +
      `${fve.finetuned.toFixed(3)} (finetuned) on ${nRows} held-out tokens; ${counts.finetunedSpecific} latents are ` +
      `finetuned-specific and ${counts.baseSpecific} base-specific (arXiv:2504.02922). A latent has one index in both sources. ` +
      "Histograms and binContains are estimated from the measured distribution of activations.",
    datasets: categories.dataset,
    nDocuments,
    createdAt: now.toISOString(),
  };
}

/** A folder that somebody else filled is not replaced. */
async function requireOurs(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const details = await readManifest(path).then(
    (manifest) => manifest.details,
    () => ({}), // no manifest of ours: not ours
  );
  if ("kind" in details && details.kind === NEURONPEDIA_EXPORT.kind) return;
  throw new StorageError(`${path}: expected nothing or an older export of ours, found another folder`, {
    hint: "name another folder, or move this one away",
  });
}

interface Tables {
  measure: ParquetColumns;
  lens: ParquetColumns | undefined;
  examples: ExamplesReader;
  columns: Record<(typeof NUMBERS)[number], Float64Array>;
  warnings: string[];
  close(): Promise<void>;
}

const QUANTILES = Object.entries(ACTIVATION_QUANTILES).map(([name, share]) => ({
  name: `activationQuantiles_${name as keyof typeof ACTIVATION_QUANTILES}` as const,
  share,
}));
const NUMBERS = [
  ...(["frequency", "maxCode", "maxActivation", "deltaNorm", "decoderCosine"] as const),
  ...(["scalingFinetuned_nuReconstruction", "scalingFinetuned_nuError"] as const),
  ...QUANTILES.map(({ name }) => name),
] as const;

async function openTables(folder: string, nLatents: number): Promise<Tables> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const each of closers) await each();
  };
  const open = async (path: string): Promise<ParquetColumns> => {
    const columns = await openParquetColumns(path);
    closers.push(() => columns.close());
    if (columns.nRows === nLatents) return columns;
    throw new MismatchError(`${path}: expected ${nLatents} latents, got ${columns.nRows}`, {
      hint: "the table is about another dictionary: run its stage again",
    });
  };
  try {
    const { table, examples: examplesPath } = measurePaths(folder);
    const measure = await open(table);
    const lensPath = join(folder, "tables", "lens.parquet");
    const lens = existsSync(lensPath) ? await open(lensPath) : undefined;
    const examples = openExamplesFile(examplesPath);
    closers.push(() => examples.close());
    const columns = {} as Tables["columns"];
    for (const name of NUMBERS) columns[name] = await measure.numbers(name);
    const warnings = [
      ...(lens
        ? []
        : [`${folder}: tables/lens.parquet is missing, so no tokens are exported: run \`tunediff lens\``]),
      ...(measure.columns.some(({ name }) => name === "activationHistogram")
        ? []
        : [
            `${folder}: the measurement has no histograms of activations, so none are exported: run \`tunediff measure\` again`,
          ]),
    ];
    return { measure, lens, examples, columns, warnings, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What is known of latents [from, to) on one side. */
async function readBatch({
  tables,
  dictionary,
  norms,
  at,
  side,
  from,
  to,
  options,
}: {
  tables: Tables;
  dictionary: Dictionary;
  /** Of its decoder rows, by site. */
  norms: readonly Float32Array[];
  /** Of the site. */
  at: number;
  side: SourceNames;
  from: number;
  to: number;
  options: NeuronpediaOptions;
}): Promise<SideOfLatent[]> {
  const Side = side.side === "base" ? "Base" : "Finetuned";
  const lists = async <T>(table: ParquetColumns | undefined, name: string): Promise<T[][]> =>
    (await table?.strings(name, from, to))?.map((text) => JSON.parse(text) as T[]) ?? [];
  const promoted = await lists<TokenScore>(tables.lens, `promoted${Side}`);
  const suppressed = await lists<TokenScore>(tables.lens, `suppressed${Side}`);
  const nearest = await lists<Neighbour>(tables.measure, `nearest${Side}`);
  const claims = await tables.measure.strings("claim", from, to);
  const histograms = await histogramsOf(tables.measure, from, to);
  const offset = siteOffsets(dictionary.sites)[at];
  const { columns } = tables;
  return Array.from({ length: to - from }, (_, i) => {
    const latent = from + i;
    const start = latent * dictionary.width + offset;
    return {
      latent,
      frequency: columns.frequency[latent],
      maxCode: columns.maxCode[latent],
      maxActivation: columns.maxActivation[latent],
      decoderRow: dictionary.decoderWeight.subarray(start, start + side.dModel),
      norm: norms[at][latent],
      totalNorm: norms[0][latent] + norms[1][latent],
      scale: dictionary.normaliser?.scale[at] ?? 1,
      promoted: promoted[i] ?? [],
      suppressed: suppressed[i] ?? [],
      nearest: nearest[i] ?? [],
      bins: histograms?.[i] ?? null,
      words: wordsOf(latent, { columns, claim: claims[i], label: options.labelOf?.(latent) ?? "" }),
    };
  });
}

/** Undefined in a table from before there were histograms. */
async function histogramsOf(
  measure: ParquetColumns,
  from: number,
  to: number,
): Promise<ActivationBins[] | undefined> {
  const name = "activationHistogram";
  if (!measure.columns.some((column) => column.name === name)) return undefined;
  const texts = await measure.strings(name, from, to);
  return texts.map((text, i) => parseActivationBins(text, `${name} of row ${from + i}`));
}

function wordsOf(
  latent: number,
  { columns, claim, label }: { columns: Tables["columns"]; claim: string; label: string },
): string {
  const figure = (word: string, name: keyof Tables["columns"]): string[] => {
    const value = columns[name][latent];
    return Number.isFinite(value) ? [`${word} ${value.toFixed(3)}`] : [];
  };
  return [
    ...(label === "" ? [] : [label]),
    ...(claim === "none" ? [] : [claim]),
    ...figure("deltaNorm", "deltaNorm"),
    ...figure("cosine", "decoderCosine"),
    ...figure("nuReconstruction", "scalingFinetuned_nuReconstruction"),
    ...figure("nuError", "scalingFinetuned_nuError"),
  ].join(", ");
}

function* activationsOf({
  batch,
  side,
  tables,
  sha256,
  createdAt,
}: {
  batch: readonly SideOfLatent[];
  side: SourceNames;
  tables: Tables;
  sha256: string;
  createdAt: string;
}): Generator<Record<string, unknown>> {
  for (const { latent, frequency, maxActivation, bins } of batch) {
    const quantiles = QUANTILES.map(({ name, share }) => ({ share, value: tables.columns[name][latent] }));
    const spread: ActivationSpread = { frequency, maxActivation, bins, quantiles };
    const { examples } = tables;
    const strongest = examples.ofLatent(latent, NEURONPEDIA_EXPORT.mostExamples);
    for (const example of [...strongest, ...examples.sampleOfLatent(latent)])
      yield activationRow(side, { example, spread, dictionarySha256: sha256, createdAt });
  }
}

/** One JSON object a line, compressed when the name ends in .gz; rows are made as the disk takes them. Returns how many. */
async function writeLines(path: string, rows: Iterable<Record<string, unknown>>): Promise<number> {
  let n = 0;
  const lines = function* (): Generator<string> {
    for (const row of rows) {
      n += 1;
      yield `${JSON.stringify(row)}\n`;
    }
  };
  const file = createWriteStream(path);
  const source = Readable.from(lines());
  if (path.endsWith(".gz")) {
    await pipeline(source, createGzip({ level: NEURONPEDIA_EXPORT.gzipLevel }), file);
  } else await pipeline(source, file);
  return n;
}
