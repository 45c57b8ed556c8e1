// The command line: parses arguments, runs a command, prints one result, sets the exit code.
//
// Human lines go to stderr, data to stdout. This folder is the only one that prints or exits.

import { Command, CommanderError } from "commander";
import { packageVersion } from "../package-root.ts";
import { addActivationsCommand } from "./activations.ts";
import { addCausalCommand } from "./causal.ts";
import { addCompareCommand } from "./compare.ts";
import { addDemoCommand } from "./demo.ts";
import { addEncodeCommand } from "./encode.ts";
import { addExportCommand } from "./export.ts";
import { addFoldCommand } from "./fold.ts";
import { addGlanceCommand } from "./glance.ts";
import { addNullCommand } from "./null.ts";
import { addRunCommand } from "./run.ts";
import { addServeCommand } from "./serve.ts";
import { addStabilityCommand } from "./stability.ts";
import { addStageCommands } from "./stages.ts";
import { addSteerCommand } from "./steer.ts";
import { describeError } from "./terminal.ts";
import { addVerifyCommand } from "./verify.ts";

/** Builds the whole command tree; separate from main so that tests can read it. */
export function createProgram(): Command {
  const program = new Command("tunediff")
    .description("Tells what fine-tuning changed inside a language model.")
    .version(packageVersion())
    .showHelpAfterError("(run `tunediff --help` for what there is)")
    .exitOverride()
    .addHelpText(
      "after",
      "\nStart here:\n  $ tunediff demo\n  $ tunediff compare BASE FINETUNED --data texts.jsonl --out study\n",
    );
  addDemoCommand(program);
  addGlanceCommand(program);
  addCompareCommand(program);
  addRunCommand(program);
  addStageCommands(program);
  addNullCommand(program);
  addStabilityCommand(program);
  addSteerCommand(program);
  addCausalCommand(program);
  addServeCommand(program);
  addExportCommand(program);
  addActivationsCommand(program);
  addEncodeCommand(program);
  addFoldCommand(program);
  addVerifyCommand(program);
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError(`(run \`tunediff ${command.name()} --help\`)`);
  return program;
}

/**
 * Runs one command line (without node and script) and sets process.exitCode: 0, 2 usage, 3 bad data, 4 numerics,
 * 5 remote, 130 interrupted, 1 a defect of ours.
 */
export async function main(argv: string[]): Promise<void> {
  try {
    await createProgram().parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    const { text, exitCode } = describeError(error);
    process.stderr.write(`${text}\n`);
    process.exitCode = exitCode;
  }
}
