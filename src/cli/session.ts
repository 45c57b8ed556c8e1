// What every long command shares: Ctrl-C handling, progress on stderr, the closing summary, JSON on stdout.

import { join, resolve } from "node:path";
import { readStudyConfig, type StudyConfig } from "../study/config.ts";
import type { StageName } from "../study/journal.ts";
import { type ComparisonResult, collectResult } from "../study/result.ts";
import { runStudy, type StudyOptions } from "../study/run-study.ts";
import { createProgressPrinter, pc, shortDuration } from "./terminal.ts";

/** An AbortSignal that Ctrl-C and SIGTERM abort; a second one ends the process at once. */
export function interruptSignal(): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write("\nstopping at the next safe point (again to stop at once)\n");
    controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    release: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}

type LateOptions = Pick<StudyOptions, "folder" | "config" | "reportProgress" | "signal">;

/**
 * Runs what adds tables to a study (null pairs, other seeds) as a person's command, then writes the report anew. study: the folder
 * as the user named it. text: the closing lines. json: the object for stdout, undefined when none is asked for.
 */
export async function runLateCommand<R extends { warnings: readonly string[] }>(
  study: string,
  command: {
    work: (options: LateOptions) => Promise<R>;
    text: (result: R) => string;
    json: (result: R, folder: string) => object | undefined;
  },
): Promise<void> {
  const folder = resolve(study);
  const config = await readStudyConfig(join(folder, "study.yaml"));
  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  try {
    const options = { folder, config, reportProgress: printer.report, signal: interrupt.signal };
    const result = await command.work(options);
    await runStudy({ ...options, commands: [`tunediff run ${study}/study.yaml`] });
    printer.finish();
    for (const warning of result.warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
    process.stderr.write(`${command.text(result)}\n`);
    const printed = command.json(result, folder);
    if (printed !== undefined) process.stdout.write(`${JSON.stringify(printed)}\n`);
  } finally {
    printer.finish();
    interrupt.release();
  }
}

export interface StudyCommand {
  folder: string;
  config: StudyConfig;
  commands: string[];
  json: boolean;
  /** Stop after this stage; no result is printed then. */
  until?: StageName;
  /** Tables that come after the stages and before the last report; returns warnings. */
  late?: (options: LateOptions) => Promise<readonly string[]>;
}

/** Runs a study as a person's command: progress, warnings, summary or JSON. */
export async function runStudyCommand(command: StudyCommand): Promise<void> {
  const { folder, config, commands, json, until, late } = command;
  const printer = createProgressPrinter(process.stderr);
  const interrupt = interruptSignal();
  try {
    const options = { folder, config, reportProgress: printer.report, signal: interrupt.signal };
    // Without the report where it is written last anyway.
    const stages = late === undefined ? until : "truth";
    let run = await runStudy({ ...options, commands, ...(stages !== undefined && { until: stages }) });
    if (late !== undefined) {
      const warnings = await late(options);
      const { skipped } = run;
      run = await runStudy({ ...options, commands });
      run.skipped = skipped;
      run.warnings.push(...warnings.filter((warning) => !run.warnings.includes(warning)));
    }
    printer.finish();
    for (const warning of run.warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
    if (run.skipped.length > 0)
      process.stderr.write(`already done, not repeated: ${run.skipped.join(", ")}\n`);
    if (until !== undefined && until !== "report") {
      if (json)
        process.stdout.write(
          `${JSON.stringify({ schemaVersion: 1, folder, stage: until, seconds: run.seconds[until] })}\n`,
        );
      return;
    }
    const result = await collectResult(folder, config, run);
    process.stderr.write(`${summaryText(result)}\n`);
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    printer.finish();
    interrupt.release();
  }
}

/** The closing lines for people. Pure. */
export function summaryText(result: ComparisonResult): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const { fve, counts, truth, causal } = result;
  const lines = [
    "",
    pc.bold("What the fine-tune changed"),
    `  fit            ${percent(fve.base)} of the base's variance explained, ${percent(fve.finetuned)} of the fine-tune's, at L0 ${result.l0.toFixed(1)}; ${percent(result.deadFraction)} of ${result.nLatents} latents dead`,
    `  by norm        ${counts.shared} shared, ${counts.finetunedOnly} finetuned-only, ${counts.baseOnly} base-only, ${counts.other} other`,
    `  claims         ${pc.bold(String(counts.finetunedSpecific))} finetuned-specific, ${counts.baseSpecific} base-specific (Latent Scaling)`,
  ];
  if (truth !== null) {
    const found = truth.concepts.filter((concept) => concept.found).map((concept) => concept.name);
    lines.push(
      `  against truth  ${truth.conceptsFound} of ${truth.conceptsPlanted} planted behaviours found (recall ${truth.recall.toFixed(2)}; labels permuted ${truth.permutedRecall.toFixed(2)})`,
      `                 precision ${truth.precision.toFixed(2)} without, ${truth.precisionWithTemplate.toFixed(2)} with template latents`,
      `                 found: ${found.length > 0 ? found.join(", ") : "none"}`,
    );
  }
  const gapOf = (name: string): string | undefined => {
    const gapClosed = causal?.outcomes.find((outcome) => outcome.name === name)?.gapClosed;
    return gapClosed == null ? undefined : percent(gapClosed);
  };
  const [claims, controls] = [gapOf("claims, additive"), gapOf("claims, additive control")];
  if (claims !== undefined) {
    lines.push(
      `  causes         put into the base, the claims close ${pc.bold(claims)} of the gap between the answers${controls === undefined ? "" : `; as many random latents like them ${controls}`}`,
    );
  }
  lines.push(
    `  time           ${shortDuration(result.seconds.total)}, peak memory ${(result.peakRssBytes / 2 ** 30).toFixed(2)} GiB`,
    `  report         ${pc.cyan(result.report)}`,
  );
  return lines.join("\n");
}
