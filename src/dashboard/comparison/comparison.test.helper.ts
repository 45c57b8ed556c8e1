// Dictionaries for tests of the comparison: written to disk, permuted, and matches asked of them.

import { join } from "node:path";
import { randomDictionary } from "../../dictionary/dictionary.test.helper.ts";
import type { Dictionary } from "../../dictionary/dictionary.ts";
import { MODEL_FILE, saveDictionary } from "../../dictionary/dictionary-file.ts";
import { type DecoderFile, openDecoder } from "./decoder-rows.ts";

export { randomDictionary };

/** Written into folder and opened. The caller closes it. */
export async function decoderOf(folder: string, dictionary: Dictionary): Promise<DecoderFile> {
  await saveDictionary(folder, dictionary);
  return openDecoder(join(folder, MODEL_FILE));
}

/** Latent j of the result is latent order[j] of the given one; decoder rows alone. */
export function permuted(dictionary: Dictionary, order: readonly number[]): Dictionary {
  const { width, decoderWeight } = dictionary;
  const moved = new Float32Array(decoderWeight.length);
  order.forEach((from, j) => {
    moved.set(decoderWeight.subarray(from * width, (from + 1) * width), j * width);
  });
  return { ...dictionary, decoderWeight: moved };
}
