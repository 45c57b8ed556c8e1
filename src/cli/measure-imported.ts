// tunediff measure STUDY --dictionary PATH: a dictionary that was trained elsewhere, measured on a study's store.

import { join, resolve } from "node:path";
import { readStudyConfig } from "../study/config.ts";
import { type ImportedMeasurement, measureImported } from "../study/import-dictionary.ts";
import { interruptSignal } from "./session.ts";
import { createProgressPrinter, pc } from "./terminal.ts";

export interface MeasureImportedFlags {
  dictionary: string;
  name?: string;
  calibrate?: boolean;
  lens?: boolean;
  json?: boolean;
}

/** The whole command: progress, warnings, closing summary, JSON. */
export async function measureImportedCommand(study: string, flags: MeasureImportedFlags): Promise<void> {
  const folder = resolve(study);
  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  try {
    const result = await measureImported({
      folder,
      config: await readStudyConfig(join(folder, "study.yaml")),
      dictionary: resolve(flags.dictionary),
      name: flags.name,
      calibrate: flags.calibrate === true,
      lens: flags.lens === true,
      reportProgress: printer.report,
      signal: interrupt.signal,
    });
    printer.finish();
    for (const warning of result.warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
    process.stderr.write(`${importedText(result)}\n`);
    if (flags.json === true) process.stdout.write(`${JSON.stringify(importedJson(folder, result))}\n`);
  } finally {
    printer.finish();
    interrupt.release();
  }
}

/** The closing lines for people. Pure. */
export function importedText({ name, folder, dictionary, summary }: ImportedMeasurement): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const { fve, counts } = summary;
  return [
    "",
    pc.bold(`The dictionary "${name}" on this study's held-out rows`),
    `  fit            ${percent(fve.base)} of the base's variance explained, ${percent(fve.finetuned)} of the fine-tune's, at L0 ${summary.l0.toFixed(1)} with threshold ${dictionary.inferenceThreshold.toPrecision(4)}; ${percent(summary.deadFraction)} of ${summary.nLatents} latents dead`,
    `  by norm        ${counts.shared} shared, ${counts.finetunedOnly} finetuned-only, ${counts.baseOnly} base-only, ${counts.other} other`,
    `  claims         ${pc.bold(String(counts.finetunedSpecific))} finetuned-specific, ${counts.baseSpecific} base-specific (Latent Scaling)`,
    `  tables         ${pc.cyan(folder)}`,
  ].join("\n");
}

function importedJson(study: string, { name, folder, dictionary, summary }: ImportedMeasurement): object {
  const { nLatents, nRows, fve, l0, deadFraction, counts, exclusionsFinetuned, exclusionsBase } = summary;
  return {
    schemaVersion: 1,
    folder: study,
    dictionary: folder,
    name,
    inferenceThreshold: dictionary.inferenceThreshold,
    ...{ nLatents, nRows, fve, l0, deadFraction, counts, exclusionsFinetuned, exclusionsBase },
  };
}
