// The end of a path or id that tells two models apart, for headings.

import { basename, dirname } from "node:path";

/** "minichat/base", "Llama-3.1-8B". */
export function displayName(path: string): string {
  const name = basename(path);
  return /^(base|finetuned|tuned|model|checkpoint.*|merged|snapshot)$/i.test(name)
    ? `${basename(dirname(path))}/${name}`
    : name;
}
