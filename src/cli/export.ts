// tunediff export STUDY: what was measured of a dictionary, as files for other programs.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { exportNeuronpedia, type NeuronpediaExport } from "../dashboard/export/neuronpedia.ts";
import { openNotes } from "../dashboard/notes.ts";
import { loadDictionary } from "../dictionary/dictionary-file.ts";
import { ConfigError, FormatError } from "../errors.ts";
import { ADAPTER_CONFIG } from "../lm/adapter-config.ts";
import { readArchitecture } from "../lm/config.ts";
import { writeFeatureDf } from "../measure/feature-df.ts";
import { readMeasure } from "../measure/measure.ts";
import { dictionarySha256, measurePaths } from "../measure/measure-files.ts";
import { writeReferenceExamples } from "../measure/reference-examples.ts";
import { displayName } from "../report/display-name.ts";
import { type LatentsTable, writeLatentsTable } from "../report/latents-table.ts";
import { readStudyConfig, type StudyConfig } from "../study/config.ts";
import { interruptSignal } from "./session.ts";
import { createProgressPrinter, pc } from "./terminal.ts";

interface ExportFlags {
  dictionary?: string;
  featureDf?: string;
  examplesDb?: string;
  neuronpedia?: string;
  json?: boolean;
}

export interface ExportResult {
  latents: LatentsTable;
  featureDf?: { path: string; nLatents: number; nColumns: number };
  examplesDb?: { path: string; nExamples: number; nSequences: number };
  neuronpedia?: NeuronpediaExport;
}

export function addExportCommand(program: Command): void {
  program
    .command("export")
    .description(
      "write what was measured of every latent to one table, and to the files that the paper's code reads",
    )
    .argument("<study>", "study folder whose dictionary has been measured")
    .option("--dictionary <name>", "below dictionaries/ (default: the one the study trains)")
    .option("--feature-df <file>", "also a CSV with the columns of the published feature_df.csv")
    .option("--examples-db <file>", "also the examples, as SQLite in the schema of the reference code")
    .option(
      "--neuronpedia <folder>",
      "also one source a model in Neuronpedia's bulk layout, with people's labels from notes.sqlite",
    )
    .option("--json", "print one JSON object on stdout")
    .addHelpText(
      "after",
      "\nlatents.parquet is written into the dictionary's folder: a row a latent, with the lens, the null draws and the stability\nwhere these have been run. docs/formats.md lists the columns.\n",
    )
    .action(async (study: string, flags: ExportFlags) => {
      const folder = resolve(study);
      const config = await readStudyConfig(join(folder, "study.yaml"));
      const name = flags.dictionary ?? config.dictionary.name;
      const result = await exportDictionary({
        dictionaryFolder: join(folder, "dictionaries", name),
        featureDf: flags.featureDf,
        examplesDb: flags.examplesDb,
      });
      if (flags.neuronpedia !== undefined) {
        result.neuronpedia = await exportForNeuronpedia({
          ...{ study: folder, folder: resolve(flags.neuronpedia), name, config },
        });
      }
      for (const warning of [...result.latents.warnings, ...(result.neuronpedia?.warnings ?? [])])
        process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
      process.stderr.write(`${exportText(result)}\n`);
      if (flags.json === true) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...result })}\n`);
    });
}

/** Writes the files that are asked for; latents.parquet always. Throws ConfigError when two of them are one, and what writing throws. */
export async function exportDictionary(options: {
  dictionaryFolder: string;
  featureDf?: string;
  examplesDb?: string;
}): Promise<ExportResult> {
  const { dictionaryFolder } = options;
  const [featureDf, examplesDb] = [options.featureDf, options.examplesDb].map(
    (file) => file && resolve(file),
  );
  const { examples } = measurePaths(dictionaryFolder);
  if (examplesDb !== undefined && [examples, featureDf].includes(examplesDb)) {
    throw new ConfigError(`--examples-db: expected a file of its own, got ${examplesDb}`, {
      hint: "name a new file: what is read is never replaced",
    });
  }
  const result: ExportResult = { latents: await writeLatentsTable(dictionaryFolder) };
  if (featureDf !== undefined) {
    const { latents, summary } = await readMeasure(dictionaryFolder);
    const dictionary = await loadDictionary(dictionaryFolder);
    const { columns, rows } = await writeFeatureDf(featureDf, { latents, summary, dictionary });
    result.featureDf = { path: featureDf, nLatents: rows.length, nColumns: columns.length };
  }
  if (examplesDb !== undefined) {
    result.examplesDb = await writeReferenceExamples({ examples, path: examplesDb });
  }
  return result;
}

/** With what people call the latents. Throws what exportNeuronpedia throws, and FormatError for notes that cannot be read. */
export async function exportForNeuronpedia({
  study,
  folder,
  name,
  config,
}: {
  study: string;
  folder: string;
  /** Of the dictionary. */
  name: string;
  config: Pick<StudyConfig, "base" | "finetuned">;
}): Promise<NeuronpediaExport> {
  const dictionaryFolder = join(study, "dictionaries", name);
  // An adapter has as many blocks as the model that it is put on.
  const isAdapter = existsSync(join(config.finetuned, ADAPTER_CONFIG));
  const finetunedConfig = isAdapter ? config.base : config.finetuned;
  const notes = openNotes(study);
  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  try {
    const labels = new Map(
      notes.list(await dictionarySha256(dictionaryFolder)).map(({ latent, label }) => [latent, label]),
    );
    return await exportNeuronpedia({
      ...{ dictionaryFolder, folder, name },
      models: {
        base: { name: displayName(config.base), nLayers: await blocksOf(config.base) },
        finetuned: { name: displayName(config.finetuned), nLayers: await blocksOf(finetunedConfig) },
      },
      labelOf: (latent) => labels.get(latent) ?? "",
      signal: interrupt.signal,
      reportProgress: printer.report,
    });
  } finally {
    notes.close();
    printer.finish();
    interrupt.release();
  }
}

/** By the checkpoint's config.json; undefined where it is gone or no longer one. */
async function blocksOf(checkpoint: string): Promise<number | undefined> {
  try {
    return (await readArchitecture(checkpoint)).config.nLayers;
  } catch (error) {
    if (error instanceof FormatError) return undefined; // exportNeuronpedia says that it is not known
    throw error;
  }
}

/** The closing lines for people. Pure. */
export function exportText({ latents, featureDf, examplesDb, neuronpedia }: ExportResult): string {
  const joined = latents.joined.length > 0 ? `, with ${latents.joined.join(", ")}` : "";
  const lines = [
    `${latents.nLatents} latents × ${latents.nColumns} columns${joined} → ${pc.cyan(latents.path)}`,
  ];
  if (featureDf !== undefined)
    lines.push(`${featureDf.nLatents} latents × ${featureDf.nColumns} columns → ${pc.cyan(featureDf.path)}`);
  if (examplesDb !== undefined)
    lines.push(
      `${examplesDb.nExamples} examples in ${examplesDb.nSequences} windows → ${pc.cyan(examplesDb.path)}`,
    );
  for (const { path, nFeatures, nActivations } of neuronpedia?.sources ?? [])
    lines.push(`${nFeatures} latents, ${nActivations} examples → ${pc.cyan(path)}`);
  return lines.join("\n");
}
