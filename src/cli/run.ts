// tunediff run study.yaml: a comparison from a file; picks up where it stopped.

import { basename, dirname, resolve } from "node:path";
import type { Command } from "commander";
import { readStudyConfig } from "../study/config.ts";
import { runStudyCommand } from "./session.ts";

export function addRunCommand(program: Command): void {
  program
    .command("run")
    .description("run a study file, or go on with it where it stopped")
    .argument("<study.yaml>", "study file; its folder holds the results unless --out says otherwise")
    .option("--out <folder>", "folder of the results")
    .option("--json", "print the result as one JSON object on stdout")
    .action(async (file: string, options: { out?: string; json?: boolean }) => {
      const path = resolve(file);
      const folder = resolve(options.out ?? dirname(path));
      const commands = [`tunediff run ${basename(folder)}/study.yaml`];
      await runStudyCommand({
        folder,
        config: await readStudyConfig(path),
        commands,
        json: options.json === true,
      });
    });
}
