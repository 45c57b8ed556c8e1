// tunediff activations MODEL: one model's residuals over one text, to a safetensors file.

import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../errors.ts";
import { captureActivations, readTokenIds } from "../harvest/activations.ts";
import { parseDevice } from "../lm/device.ts";
import { parseNumberOption } from "./compare.ts";
import { pc } from "./terminal.ts";

interface Flags {
  layer: string;
  base?: string;
  text?: string;
  tokens?: string;
  logits?: boolean;
  out: string;
  threads?: string;
  device?: string;
  json?: boolean;
}

async function inputOf({ text, tokens }: Flags): Promise<{ text: string } | { tokens: number[] }> {
  if (text !== undefined && tokens === undefined) return { text };
  if (tokens !== undefined && text === undefined) return { tokens: await readTokenIds(resolve(tokens)) };
  throw new ConfigError(`expected one of --text and --tokens, got ${text === undefined ? "none" : "both"}`, {
    hint: 'such as --text "The cat sat", or --tokens ids.json with a JSON array of ids',
  });
}

export function addActivationsCommand(program: Command): void {
  program
    .command("activations")
    .description("write one model's residuals over a text to a safetensors file")
    .argument("<model>", "folder of a Hugging Face checkpoint, or of a LoRA adapter with --base")
    .option("--base <folder>", "the model that the adapter was made for")
    .requiredOption("--layer <n>", "0-based block whose output is written")
    .option("--text <words>", "text to run; the folder's tokenizer cuts it")
    .option("--tokens <ids.json>", "token ids to run, a JSON array; no tokenizer is needed")
    .option("--logits", "write the logits too")
    .requiredOption(
      "--out <file.safetensors>",
      "file to write: residual [nTokens, dModel] f32, tokens i64, logits",
    )
    .option("--threads <n>", "threads of the products (default: all cores)")
    .option("--device <cpu | webgpu | cuda>", "where the model runs (default: cpu)")
    .option("--json", "print one JSON object on stdout")
    .action(async (folder: string, flags: Flags) => {
      const input = await inputOf(flags);
      const model = resolve(folder);
      const out = resolve(flags.out);
      const layer = parseNumberOption("--layer", flags.layer) as number;
      const threads = parseNumberOption("--threads", flags.threads);
      const { warnings, ...facts } = await captureActivations({
        ...{ model, layer, input, out, threads },
        logits: flags.logits === true,
        device: flags.device === undefined ? undefined : parseDevice(flags.device),
        base: flags.base === undefined ? undefined : resolve(flags.base),
      });
      for (const warning of warnings) process.stderr.write(`${pc.yellow("warning:")} ${warning}\n`);
      process.stderr.write(`${facts.nTokens} tokens × ${facts.dModel} after block ${layer} → ${out}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, layer, out, ...facts })}\n`);
    });
}
