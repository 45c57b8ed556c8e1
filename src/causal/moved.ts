// What a latent moves: the conversations whose predictions change most, and the next tokens that become more or less probable.
//
// Tokens are tallied for the most frequent next tokens of the conversations only, which bounds the memory at 20 bytes a latent and
// token; a token that comes fewer than minimumPositions times over all answers could not be listed anyway. Not here: who is edited.

import {
  type Conversation,
  EFFECT_EDITS,
  type EffectEdit,
  type MovedText,
  type MovedToken,
} from "./causal-contract.ts";

export const MOVED_LIMITS = {
  /** Listed for each edit. */
  texts: 5,
  tokens: 10,
  /** Predicted positions that a listed token stands at, at least. */
  minimumPositions: 3,
  /** Most next tokens that are tallied, the most frequent first. */
  trackedTokens: 4096,
} as const;

/** Next tokens that are tallied. */
export interface TrackedTokens {
  /** Token ids of the finetuned model, ascending. */
  ids: Uint32Array;
  /** Index into ids; −1 for a token that is not tallied. */
  indexOf(id: number): number;
}

/** The most frequent ids among the assistant's tokens that come at least minimumPositions times; of equal ones the lowest. */
export function trackTokens(
  conversations: readonly Conversation[],
  { trackedTokens, minimumPositions }: { trackedTokens: number; minimumPositions: number } = MOVED_LIMITS,
): TrackedTokens {
  const counts = new Map<number, number>();
  for (const { tokenFinetuned, isAssistant } of conversations) {
    for (let position = 1; position < tokenFinetuned.length; position += 1) {
      if (isAssistant[position] !== 1) continue;
      counts.set(tokenFinetuned[position], (counts.get(tokenFinetuned[position]) ?? 0) + 1);
    }
  }
  const ids = Uint32Array.from(
    [...counts]
      .filter(([, count]) => count >= minimumPositions)
      .sort(([idA, a], [idB, b]) => b - a || idA - idB)
      .slice(0, trackedTokens)
      .map(([id]) => id),
  ).sort();
  const places = new Map(Array.from(ids, (id, index) => [id, index]));
  return { ids, indexOf: (id) => places.get(id) ?? -1 };
}

/** Changes of one latent, an entry a conversation in which it fired; change f64, nats. */
export interface ConversationChanges {
  conversation: Uint32Array;
  change: Record<EffectEdit, Float64Array>;
}

/** The conversations of greatest |change| under each edit, greatest first, equal ones in their order; those unchanged are left out. */
export function movedTexts(
  { conversation, change }: ConversationChanges,
  conversations: readonly Pick<Conversation, "id">[],
): MovedText[] {
  return EFFECT_EDITS.flatMap((edit) =>
    Array.from(conversation, (index, entry) => ({ index, change: change[edit][entry] }))
      .filter(({ change: size }) => size !== 0)
      .sort((a, b) => Math.abs(b.change) - Math.abs(a.change) || a.index - b.index)
      .slice(0, MOVED_LIMITS.texts)
      .map(({ index, change: size }) => ({ edit, conversation: conversations[index].id, change: size })),
  );
}

/** Tallies of one latent, an entry a tracked token: [tracked] u32 positions, [tracked] f64 Σ change of log p, nats. */
export interface TokenTallies {
  count: Uint32Array;
  change: Record<EffectEdit, Float64Array>;
}

/** The next tokens of greatest |mean change of log p| under each edit, greatest first, equal ones by id; those unchanged are left out. */
export function movedTokens(
  { count, change }: TokenTallies,
  { tracked, tokenString }: { tracked: TrackedTokens; tokenString: (id: number) => string },
): MovedToken[] {
  return EFFECT_EDITS.flatMap((edit) =>
    Array.from(count, (n, index) => ({ index, n, mean: change[edit][index] / n }))
      .filter(({ n, mean }) => n >= MOVED_LIMITS.minimumPositions && mean !== 0)
      .sort((a, b) => Math.abs(b.mean) - Math.abs(a.mean) || a.index - b.index)
      .slice(0, MOVED_LIMITS.tokens)
      .map(({ index, n, mean }) => ({
        edit,
        token: tokenString(tracked.ids[index]),
        tokenId: tracked.ids[index],
        count: n,
        change: mean,
      })),
  );
}
