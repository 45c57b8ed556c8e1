// Which ids the logits of two models are compared in.
//
// KL goes over all ids that mean the same to both models, as in a harvest. Mining also leaves out what can only be noise there: ids
// behind which the tokenizer has no token, and added tokens that nobody uses (reserved ones: not in the text, not in the chat
// template, not among BOS, EOS, pad and unknown). An unused control token that the template writes stays: a rise of it is news.

import type { CommonIds } from "../harvest/next-token.ts";
import type { Pair } from "../harvest/open-pair.ts";
import { compareTokenizers } from "../text/compare-tokenizers.ts";
import { readTokenizerJson, vocabularyEntries } from "../text/tokenizer-file.ts";
import type { GlanceText } from "./glance-texts.ts";

export interface SharedIds {
  /** For KL. */
  common: CommonIds;
  /** [min(vocabulary)] 1 for an id that is not mined. */
  notMined: Uint8Array;
  /** One sentence each, for a reader; none where nothing is left out. */
  notes: string[];
}

export async function findSharedIds(
  pair: Pick<Pair, "checkpoints" | "tokenizer" | "template">,
  texts: readonly GlanceText[],
): Promise<SharedIds> {
  const { checkpoints, tokenizer, template } = pair;
  const vocabulary = {
    base: checkpoints.base.config.vocabSize,
    finetuned: checkpoints.finetuned.config.vocabSize,
  };
  const nShared = Math.min(vocabulary.base, vocabulary.finetuned);
  const json = await readTokenizerJson(tokenizer.folder);
  const excluded = new Uint8Array(nShared);
  if (checkpoints.base.folder !== tokenizer.folder) {
    const { conflicts } = compareTokenizers(await readTokenizerJson(checkpoints.base.folder), json);
    for (const { id } of conflicts) if (id < nShared) excluded[id] = 1;
  }
  const nConflicts = sumOf(excluded);
  const named = new Uint8Array(nShared);
  for (const [, id] of vocabularyEntries(json)) if (id < nShared) named[id] = 1;
  const seen = new Set(texts.flatMap(({ tokens }) => [...tokens.finetuned]));
  const names = Object.values(tokenizer.namedTokens);
  let nReserved = 0;
  for (const { id, content } of json.added_tokens) {
    if (id >= nShared) continue;
    const isUsed = seen.has(id) || names.includes(content) || template?.source.includes(content) === true;
    named[id] = isUsed ? 1 : 0;
    if (!isUsed) nReserved += 1;
  }
  const notMined = excluded.map((isExcluded, id) => (isExcluded === 1 || named[id] === 0 ? 1 : 0));
  const nUnnamed = sumOf(notMined) - nConflicts - nReserved;
  const notes = [
    nConflicts > 0 &&
      `${nConflicts} token ids mean another token in the other model: neither KL nor mining looks at them`,
    nReserved > 0 && `${nReserved} added tokens that neither text nor chat template uses are not mined`,
    nUnnamed > 0 && `${nUnnamed} ids without a token in the tokenizer are not mined`,
    vocabulary.base !== vocabulary.finetuned &&
      `KL goes over the ${nShared} ids that both models have, of ${vocabulary.base} in the base and ${vocabulary.finetuned} in the fine-tune`,
  ].filter((note) => note !== false);
  return { common: nConflicts === 0 ? { vocabulary } : { vocabulary, excluded }, notMined, notes };
}

function sumOf(marks: Uint8Array): number {
  return marks.reduce((sum, mark) => sum + mark, 0);
}
