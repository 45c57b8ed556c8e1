// Ids that the base model reads in place of others.
//
// A base model has the chat's control tokens in its vocabulary but was never trained on them. Minder et al. 2025
// (arXiv:2504.02922, App. I.1) therefore give Llama-3.1's base "\n\n\n" for <|start_header_id|> and "####" for
// <|end_header_id|> and <|eot_id|>. Named by their strings, since ids mean nothing across tokenizers.
// One id stands for one id: positions must stay the same for both models.

import { ConfigError } from "../errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The paper's choice for Llama 3. */
export const LLAMA_3_BASE_REPLACEMENTS: Readonly<Record<string, string>> = {
  "<|start_header_id|>": "\n\n\n",
  "<|end_header_id|>": "####",
  "<|eot_id|>": "####",
};

async function idOf(tokenizer: Tokenizer, text: string): Promise<number> {
  const { ids } = await tokenizer.encode(text);
  if (ids.length === 1) return ids[0];
  throw new ConfigError(
    `baseReplacements: expected ${JSON.stringify(text)} to be one token of ${tokenizer.folder}, got ${ids.length}`,
    { hint: "name tokens by the text they stand for; a replacement must be a single token too" },
  );
}

/**
 * Ids by the strings of tokens: from → to.
 *
 * Throws ConfigError where a string is not exactly one token.
 */
export async function resolveReplacements(
  tokenizer: Tokenizer,
  replacements: Readonly<Record<string, string>>,
): Promise<Map<number, number>> {
  const ids = new Map<number, number>();
  for (const [from, to] of Object.entries(replacements)) {
    ids.set(await idOf(tokenizer, from), await idOf(tokenizer, to));
  }
  return ids;
}

/** Replaces in place; each id is looked up once, so that chains and swaps do what they say. Returns how many changed. */
export function replaceTokens(
  ids: Uint32Array,
  replacements: ReadonlyMap<number, number> | undefined,
): number {
  if (replacements === undefined || replacements.size === 0) return 0;
  let nReplaced = 0;
  for (let k = 0; k < ids.length; k += 1) {
    const to = replacements.get(ids[k]);
    if (to === undefined || to === ids[k]) continue;
    ids[k] = to;
    nReplaced += 1;
  }
  return nReplaced;
}
