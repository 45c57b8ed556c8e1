// tunediff harvest | train | measure | lens | report STUDY: one stage of a study, and what it stands on.

import { join, resolve } from "node:path";
import type { Command } from "commander";
import { readStudyConfig } from "../study/config.ts";
import type { StageName } from "../study/journal.ts";
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
    program
      .command(stage)
      .description(`${description} (earlier stages run first if they must)`)
      .argument("<study>", "study folder, made by `compare` or holding a study.yaml")
      .option("--json", "print one JSON object on stdout")
      .action(async (study: string, options: { json?: boolean }) => {
        const folder = resolve(study);
        const config = await readStudyConfig(join(folder, "study.yaml"));
        const commands = [`tunediff run ${study}/study.yaml`];
        await runStudyCommand({ folder, config, commands, json: options.json === true, until: stage });
      });
  }
}
