// tunediff harvest | train | measure | lens | report STUDY: one stage of a study, and what it stands on.

import { join, resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../errors.ts";
import { readStudyConfig } from "../study/config.ts";
import type { StageName } from "../study/journal.ts";
import { type MeasureImportedFlags, measureImportedCommand } from "./measure-imported.ts";
import { runStudyCommand } from "./session.ts";

const DESCRIPTIONS: [StageName, string][] = [
  ["harvest", "run both models over the text and store their residuals"],
  ["train", "learn the dictionary from the store"],
  ["measure", "measure every latent on held-out rows"],
  ["lens", "read every latent's directions through each model's vocabulary"],
  ["report", "write report.html"],
];

export function addStageCommands(program: Command): void {
  for (const [stage, description] of DESCRIPTIONS) {
    const command = program
      .command(stage)
      .description(`${description} (earlier stages run first if they must)`)
      .argument("<study>", "study folder, made by `compare` or holding a study.yaml")
      .option("--json", "print one JSON object on stdout")
      .action(async (study: string, options: { json?: boolean } & Partial<MeasureImportedFlags>) => {
        const { dictionary, name, calibrate, lens } = options;
        if (dictionary !== undefined) return measureImportedCommand(study, { ...options, dictionary });
        if (name !== undefined || calibrate || lens) {
          throw new ConfigError(
            "--dictionary: expected a path beside --name, --calibrate and --lens, got none",
            {
              hint: "name the dictionary to measure, or leave them out to measure the study's own",
            },
          );
        }
        const folder = resolve(study);
        const config = await readStudyConfig(join(folder, "study.yaml"));
        const commands = [`tunediff run ${study}/study.yaml`];
        await runStudyCommand({ folder, config, commands, json: options.json === true, until: stage });
      });
    if (stage === "measure") addImportOptions(command);
  }
}

function addImportOptions(command: Command): void {
  command
    .option(
      "--dictionary <path>",
      "measure this crosscoder instead, without training: a folder with model.safetensors, or such a file",
    )
    .option("--name <name>", "its name below dictionaries/ (default: that of its folder)")
    .option("--calibrate", "set its threshold on held-out rows so that k latents fire in the mean")
    .option("--lens", "also read its directions through each model's vocabulary");
}
