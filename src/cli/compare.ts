// tunediff compare BASE FINETUNED: the whole comparison of two local checkpoints over a text file.

import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../errors.ts";
import { parseStudyConfig, type StudyConfigInput } from "../study/config.ts";
import { runStudyCommand } from "./session.ts";

export interface CompareOptions {
  data: string;
  out: string;
  layer?: string;
  latents?: string;
  k?: string;
  steps?: string;
  learningRate?: string;
  seed?: string;
  dtype?: string;
  maxTokens?: string;
  threads?: string;
  name?: string;
  json?: boolean;
}

/** "13" → 13, "13:16" → { base: 13, finetuned: 16 }. Throws ConfigError. */
export function parseLayer(text: string): number | { base: number; finetuned: number } {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  if (match === null) {
    throw new ConfigError(
      `--layer: expected a block number such as 13, or 13:16 for base:finetuned, got "${text}"`,
      {
        hint: "blocks count from 0; the output of that block is compared",
      },
    );
  }
  return match[2] === undefined ? Number(match[1]) : { base: Number(match[1]), finetuned: Number(match[2]) };
}

/** A number option, or undefined when absent. Throws ConfigError naming the flag. */
export function parseNumberOption(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new ConfigError(`${flag}: expected a number, got "${text}"`, {
      hint: "see `tunediff compare --help`",
    });
  }
  return value;
}

/** Command-line flags as a study configuration; undefined entries fall to the schema's defaults. */
export function studyConfigInput(base: string, finetuned: string, options: CompareOptions): StudyConfigInput {
  const seed = parseNumberOption("--seed", options.seed);
  return {
    base: resolve(base),
    finetuned: resolve(finetuned),
    data: resolve(options.data),
    layer: options.layer === undefined ? undefined : parseLayer(options.layer),
    seed,
    threads: parseNumberOption("--threads", options.threads),
    store: {
      dtype: options.dtype as "bf16" | "f32" | undefined,
      maxTokens: parseNumberOption("--max-tokens", options.maxTokens),
    },
    dictionary: {
      name: options.name,
      nLatents: parseNumberOption("--latents", options.latents),
      k: parseNumberOption("--k", options.k),
      steps: parseNumberOption("--steps", options.steps),
      learningRate: parseNumberOption("--learning-rate", options.learningRate),
    },
  };
}

export function addCompareCommand(program: Command): void {
  program
    .command("compare")
    .description("compare a base model and its fine-tune over the same text, end to end")
    .argument("<base>", "folder of the base model (Hugging Face checkpoint, Llama architecture)")
    .argument("<finetuned>", "folder of the fine-tuned model")
    .requiredOption("--data <file.jsonl>", 'one {"text": …} or {"messages": […]} a line')
    .option("--out <folder>", "study folder; run again to go on where it stopped", "study")
    .option(
      "--layer <n | base:finetuned>",
      "0-based block whose output is compared (default: the middle one)",
    )
    .option("--latents <n>", "size of the dictionary (default: 2048)")
    .option("--k <n>", "mean number of latents that fire at a token (default: 16)")
    .option("--steps <n>", "training steps of 1024 rows (default: 1200)")
    .option("--learning-rate <x>", "peak learning rate of Adam")
    .option("--seed <n>", "seed of initialisation and sampling (default: 0)")
    .option(
      "--name <name>",
      "name of the dictionary in the study; several may live side by side (default: main)",
    )
    .option("--dtype <bf16 | f32>", "how activations are stored (default: bf16)")
    .option("--max-tokens <n>", "longer documents are cut (default: 512)")
    .option("--threads <n>", "threads of the dense products (default: all cores)")
    .option("--json", "print the result as one JSON object on stdout")
    .action(async (base: string, finetuned: string, options: CompareOptions) => {
      const config = parseStudyConfig(studyConfigInput(base, finetuned, options), "command line");
      const command = `tunediff run ${options.out}/study.yaml`;
      await runStudyCommand({
        folder: resolve(options.out),
        config,
        commands: [command],
        json: options.json === true,
      });
    });
}
