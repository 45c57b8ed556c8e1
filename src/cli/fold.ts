// tunediff fold DICTIONARY OUT: the same dictionary for raw activations, its normaliser worked into the weights.

import { resolve } from "node:path";
import type { Command } from "commander";
import { foldDictionary } from "../dictionary/fold-file.ts";

export function addFoldCommand(program: Command): void {
  program
    .command("fold")
    .description("work a dictionary's normaliser into its weights: the same codes from raw activations")
    .argument("<dictionary>", "folder with model.safetensors, or such a file")
    .argument("<out>", "folder to write it to")
    .option("--json", "print one JSON object on stdout")
    .action(async (dictionary: string, folder: string, flags: { json?: boolean }) => {
      const out = resolve(folder);
      const result = await foldDictionary({ dictionary: resolve(dictionary), out });
      const readers =
        result.inferenceThreshold === null
          ? "a threshold for each latent: only tunediff reads it"
          : "one threshold, in the field's layout";
      process.stderr.write(`${result.nLatents} latents, ${readers} → ${out}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, out, ...result })}\n`);
    });
}
