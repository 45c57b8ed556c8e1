// Folding from folder to folder: what `tunediff fold` does.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import { ensureFolder } from "../formats/disk.ts";
import { dictionaryFilePath, loadDictionary, MODEL_FILE, saveDictionary } from "./dictionary-file.ts";
import { foldNormaliser } from "./fold-normaliser.ts";

export interface FoldResult {
  nLatents: number;
  /** One number for all latents, or null: one a latent, which only tunediff reads. */
  inferenceThreshold: number | null;
}

/**
 * Writes the folded dictionary of `dictionary` (a folder or a file) into the folder `out`, with the SHA-256 of the original in
 * its metadata. Throws ConfigError when there is nothing to fold or a dictionary is in `out` already, and what loading,
 * foldNormaliser and writing throw; then nothing is written.
 */
export async function foldDictionary({
  dictionary: place,
  out,
}: {
  dictionary: string;
  out: string;
}): Promise<FoldResult> {
  const path = await dictionaryFilePath(place);
  const original = await loadDictionary(place);
  if (original.normaliser === undefined) {
    throw new ConfigError(
      `${path}: expected a dictionary with a normaliser to fold, got one on raw activations`,
      {
        hint: "use it as it is",
      },
    );
  }
  const target = join(out, MODEL_FILE);
  if ((await stat(target).catch(() => undefined)) !== undefined) {
    throw new ConfigError(`${target}: expected a folder without a dictionary, got one that has it`, {
      hint: "name a new folder: a dictionary is never replaced by another",
    });
  }
  const folded = foldNormaliser(original);
  await ensureFolder(out);
  await saveDictionary(out, folded, { foldedFrom: await sha256Of(path) });
  const { nLatents, latentThresholds, inferenceThreshold } = folded;
  return { nLatents, inferenceThreshold: latentThresholds ? null : inferenceThreshold };
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
