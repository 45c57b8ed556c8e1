// tunediff encode DICTIONARY: codes and reconstructions of a file of activations, to a safetensors file.

import { resolve } from "node:path";
import type { Command } from "commander";
import { encodeActivationsFile } from "../dictionary/encode-file.ts";
import { ConfigError } from "../errors.ts";
import { parseNumberOption } from "./compare.ts";
import { createProgressPrinter, pc } from "./terminal.ts";

interface Flags {
  activations: string;
  out: string;
  threads?: string;
  json?: boolean;
}

function threadsOf({ threads }: Flags): number | undefined {
  const value = parseNumberOption("--threads", threads);
  if (value === undefined || (Number.isInteger(value) && value >= 1)) return value;
  throw new ConfigError(`--threads: expected a whole number from 1, got ${threads}`);
}

export function addEncodeCommand(program: Command): void {
  program
    .command("encode")
    .description("encode a file of activations with a dictionary and decode it again")
    .argument("<dictionary>", "folder with model.safetensors, or such a file; ours or dictionary_learning's")
    .requiredOption("--activations <file.safetensors>", "base and finetuned [n, d], raw residuals")
    .requiredOption(
      "--out <file.safetensors>",
      "file to write: codeRowStart, codeLatent, codeValue, reconstructionBase, reconstructionFinetuned",
    )
    .option("--threads <n>", "threads of the products (default: all cores)")
    .option("--json", "print one JSON object on stdout")
    .action(async (dictionary: string, flags: Flags) => {
      const out = resolve(flags.out);
      const printer = createProgressPrinter(process.stderr);
      const { warnings, ...facts } = await encodeActivationsFile({
        dictionary: resolve(dictionary),
        activations: resolve(flags.activations),
        out,
        threads: threadsOf(flags),
        report: printer.report,
      }).finally(printer.finish);
      for (const warning of warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
      const l0 = facts.l0 === null ? "" : `, ${facts.l0.toFixed(1)} codes a row`;
      process.stderr.write(`${facts.nRows} rows × ${facts.nLatents} latents${l0} → ${out}\n`);
      if (flags.json)
        process.stdout.write(`${JSON.stringify({ schemaVersion: 1, out, ...facts, warnings })}\n`);
    });
}
