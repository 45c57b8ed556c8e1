// A twin of a tokenizer whose control tokens have another spelling, so that user text cannot write them.
//
// Content that says "<end_of_turn>" must stay twelve ordinary characters while the template's own "<end_of_turn>"
// stays one token, and everything else must tokenise exactly as Hugging Face does it, in one pass over the rendered
// text. So the special tokens are renamed here to private-use characters, and whoever encodes rewrites the template's
// own ones alike (tokenizer.ts). Cutting the text into pieces instead would differ from one pass wherever a normaliser
// or pre-tokeniser looks at the start of its input.

import type { TokenizerJson } from "./tokenizer-file.ts";

/** Every renamed token starts with this; a text that contains it cannot be encoded with the twin. */
export const GUARD_MARK = "\uF5A1\uF5A7";

export function guardedSpelling(id: number): string {
  return `${GUARD_MARK}${String.fromCharCode(...Array.from(String(id), (digit) => 0xf5b0 + Number(digit)))}\uF5AF`;
}

/** Renames the given special tokens (content → id) in added tokens and model. Returns a new object; ids stay. */
export function createGuardedJson(json: TokenizerJson, specials: Map<string, number>): TokenizerJson {
  const rename = (token: string): string => {
    const id = specials.get(token);
    return id === undefined ? token : guardedSpelling(id);
  };
  const { vocab, merges, unk_token: unknown, ...rest } = json.model;
  const isSpecialMerge = (merge: string | string[]): boolean =>
    specials.has(typeof merge === "string" ? merge.replace(" ", "") : merge.join(""));
  return {
    ...json,
    model: {
      ...rest,
      ...(unknown === undefined
        ? {}
        : { unk_token: typeof unknown === "string" ? rename(unknown) : unknown }),
      vocab: Array.isArray(vocab)
        ? vocab.map(([token, score]: [string, number]) => [rename(token), score])
        : Object.fromEntries(
            Object.entries(vocab as Record<string, number>).map(([t, id]) => [rename(t), id]),
          ),
      ...(Array.isArray(merges) ? { merges: merges.filter((merge) => !isSpecialMerge(merge)) } : {}),
    },
    added_tokens: json.added_tokens.map((entry) => ({ ...entry, content: rename(entry.content) })),
  };
}
