// What a harvest wants its reader to know, as sentences.

import { SPLITS } from "../store/rows.ts";
import type { StoreManifest } from "../store/store-contract.ts";
import type { Refusal } from "../text/tokenize-document.ts";
import type { HarvestCounts } from "./harvest-record.ts";

/** limit: tokens a document may have, and whether the models rather than the user set it. */
export function describeCounts(
  counts: HarvestCounts,
  limit: { maxTokens: number; isOfModels: boolean },
  refusals: Refusal[] = [],
): string[] {
  const warnings: string[] = [];
  const say = (n: number, sentence: string) => n > 0 && warnings.push(`${n} ${sentence}`);
  say(counts.duplicates, "documents left out: an earlier one has the same content");
  say(counts.empty, "documents left out: not a single token");
  say(
    counts.truncated,
    `documents cut to ${limit.maxTokens} tokens${limit.isOfModels ? ": the models have no more positions" : ""}`,
  );
  say(counts.neutralisedControlTokens, "control tokens written inside content were kept as ordinary text");
  say(
    counts.chatsWithoutBos,
    "chats without BOS: the chat template writes none although the tokenizer has one",
  );
  say(counts.chatsWithTwoBos, "chats whose template writes BOS twice: the second one was taken out");
  say(counts.droppedMessages, "messages of which the chat template writes nothing");
  say(counts.datedChats, "chats whose template asks for today's date: it is told 26 July 2024");
  say(counts.replacedTokens, "tokens replaced for the base model");
  if (counts.refused > 0) {
    const named = refusals.slice(0, 3).map(({ id, reason }) => `${id}: ${reason}`);
    warnings.push(`${counts.refused} chats left out, refused by template or masks (${named.join("; ")})`);
  }
  return warnings;
}

/** Later stages read every split; an empty one is better known now. */
export function describeSplits({ rowsBySplit, datasets }: StoreManifest): string[] {
  return SPLITS.filter((split) => rowsBySplit[split] === 0).map(
    (split) => `no document falls into the ${split} split (datasets: ${datasets.join(", ")})`,
  );
}
