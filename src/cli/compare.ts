// tunediff compare BASE FINETUNED: the whole comparison of two local checkpoints over a text file.

import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../errors.ts";
import { parseDevice } from "../lm/device.ts";
import { parseStudyConfig, type StudyConfigInput } from "../study/config.ts";
import { LLAMA_3_BASE_REPLACEMENTS } from "../text/token-replacement.ts";
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
  baseToken?: string[];
  skipFirst?: string;
  outputs?: boolean;
  device?: string;
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

/** ["<|eot_id|>=####"] → { "<|eot_id|>": "####" }; "llama-3" is the paper's set. Throws ConfigError. */
export function parseReplacements(texts: string[] | undefined): Record<string, string> | undefined {
  if (texts === undefined) return undefined;
  return Object.fromEntries(
    texts.flatMap((text) => {
      if (text === "llama-3") return Object.entries(LLAMA_3_BASE_REPLACEMENTS);
      const at = text.lastIndexOf("=");
      if (at > 0 && at < text.length - 1) return [[text.slice(0, at), text.slice(at + 1)]];
      throw new ConfigError(`--base-token: expected TOKEN=OTHER or llama-3, got "${text}"`, {
        hint: "such as --base-token '<|eot_id|>=####': the base reads #### where the text has <|eot_id|>",
      });
    }),
  );
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
    device: options.device === undefined ? undefined : parseDevice(options.device),
    store: {
      dtype: options.dtype as "bf16" | "f32" | undefined,
      maxTokens: parseNumberOption("--max-tokens", options.maxTokens),
      baseReplacements: parseReplacements(options.baseToken),
      skipFirst: parseNumberOption("--skip-first", options.skipFirst),
      outputs: options.outputs,
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
    .argument("<base>", "folder of the base model (Hugging Face checkpoint)")
    .argument("<finetuned>", "folder of the fine-tuned model, or of a LoRA adapter over the base")
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
    .option(
      "--base-token <token=other...>",
      "the base reads OTHER where the text has TOKEN; llama-3 stands for the paper's set",
    )
    .option("--skip-first <n>", "tokens at the start of each document that are read but not stored")
    .option("--outputs", "also store KL, NLL and top tokens of both models at held-out and test rows")
    .option("--threads <n>", "threads of the dense products (default: all cores)")
    .option("--device <cpu | webgpu | cuda>", "where the models run (default: cpu)")
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
