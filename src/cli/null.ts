// tunediff null STUDY: how many claims the same pipeline makes where nothing was learned, and a q-value for each claim.

import { join } from "node:path";
import type { Command } from "commander";
import type { NullRecord } from "../measure/null-file.ts";
import { type NullStudy, runNullStudy } from "../study/null-study.ts";
import { parseNumberOption } from "./compare.ts";
import { runLateCommand } from "./session.ts";
import { pc } from "./terminal.ts";

interface NullOptions {
  draws: string;
  control?: string;
  includeControl?: boolean;
  keep?: boolean;
  json?: boolean;
}

/** The rate that the closing lines speak of; the record has others, too. */
const SHOWN_Q = 0.05;

export function addNullCommand(program: Command): void {
  program
    .command("null")
    .description(
      "run the study's pipeline on pairs in which nothing was learned, and give each claim a q-value",
    )
    .argument("<study>", "study folder, made by `compare` or holding a study.yaml")
    .option(
      "--draws <n>",
      "null pairs, each the base against itself with noise on its weights (at least 3)",
      "3",
    )
    .option(
      "--control <folder>",
      "a real checkpoint for one more null pair, such as the base trained further on base text; reported apart",
    )
    .option("--include-control", "count the control's pair among the draws")
    .option("--keep", "keep the stores of the null pairs: each is as large as the study's own")
    .option("--json", "print the result as one JSON object on stdout")
    .addHelpText(
      "after",
      `
A null pair costs a harvest, a training and a measurement. Its store is deleted once it is measured, unless --keep is given;
its dictionary stays beside the study's own. Run again, the command goes on where it stopped. The q-values are written to
tables/null.parquet of the dictionary, what they stand on to tables/null.json.
`,
    )
    .action((study: string, options: NullOptions) =>
      runLateCommand<NullStudy>(study, {
        work: (common) =>
          runNullStudy({
            ...common,
            draws: parseNumberOption("--draws", options.draws),
            control: options.control,
            includeControl: options.includeControl === true,
            keep: options.keep === true,
          }),
        text: nullText,
        json: ({ record: { schemaVersion, ...record }, dictionaryFolder }, folder) =>
          options.json === true
            ? { schemaVersion, folder, dictionary: dictionaryFolder, ...record }
            : undefined,
      }),
    );
}

/** The closing lines for people. Pure. */
export function nullText({
  record,
  dictionaryFolder,
}: Pick<NullStudy, "record" | "dictionaryFolder">): string {
  const { counts, expectedFalseClaims: expected, claimsUpTo, draws, control } = record;
  const upTo = claimsUpTo.find(({ q }) => q === SHOWN_Q);
  const line = (side: "finetuned" | "base", name: string): string =>
    `  ${name.padEnd(19)}${pc.bold(claims(counts[side].claims))}; the null pairs made ${shortMean(expected[side])} on average; ${claims(upTo?.[side] ?? 0)} at q ≤ ${SHOWN_Q}`;
  const ratio = (value: number): string => value.toPrecision(2);
  const lines = [
    "",
    pc.bold("Against pairs in which nothing was learned"),
    line("finetuned", "finetuned-specific"),
    line("base", "base-specific"),
    `  ${"null pairs".padEnd(19)}${draws.length} of noisy weights, which change the residuals by ${ratio(mean(draws.map((draw) => draw.changeRatio)))} of their square (the fine-tune: ${ratio(record.changeRatio)})`,
  ];
  if (control !== null) lines.push(controlLine(control));
  lines.push(
    `  ${"files".padEnd(19)}${pc.cyan(join(dictionaryFolder, "tables", "null.parquet"))}, null.json`,
  );
  return lines.join("\n");
}

function controlLine(control: NonNullable<NullRecord["control"]>): string {
  const { finetuned, base } = control.counts;
  const place = control.included ? "counted among them" : "not counted among them";
  return `  ${"control".padEnd(19)}${finetuned.claims} finetuned-specific and ${base.claims} base-specific claims, ${place}; it changes the residuals by ${control.changeRatio.toPrecision(2)}`;
}

const claims = (n: number): string => `${n} claim${n === 1 ? "" : "s"}`;

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const shortMean = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
