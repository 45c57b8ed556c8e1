// Chats as both models read them, from a finished store or from freshly tokenised documents; what is left out is counted by reason.
//
// The answers are those written in the text; generated-answers.ts makes the fine-tune's own. Which positions are averaged over is
// token-sets.ts.

import { ConfigError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { type DocumentRecord, ROLES, type Role, SPLITS, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import type { ChatMessage, TokenizedDocument } from "../text/document.ts";
import type { Conversation } from "./causal-contract.ts";

/** Why a document gives no conversation; the keys of `excluded`. */
export const EXCLUDED = {
  noAnswer: "no assistant tokens",
  tooLong: "too many tokens",
  skipped: "leading tokens were skipped at harvest",
  unequal: "the models' tokens differ in number",
  notDrawn: "not drawn",
  noQuestion: "no user turn to answer",
  notRebuilt: "messages cannot be rebuilt from the stored text",
  refused: "refused by the chat template",
} as const;
export type ExcludedReason = (typeof EXCLUDED)[keyof typeof EXCLUDED];

export interface ConversationSet {
  conversations: Conversation[];
  /** Documents left out, by reason; reasons without any are absent. */
  excluded: Record<string, number>;
}

/** A chat whose last answer the fine-tune is to give anew. */
export interface Chat {
  id: string;
  messages: ChatMessage[];
  /** 0 … 63. Default: from the hash of the messages, as at a harvest. */
  group?: number;
  /** The rendered text up to the end of the last question, as stored: the prompt must begin with it. */
  writtenText?: string;
}

export interface ChatSet {
  chats: Chat[];
  excluded: Record<string, number>;
}

export interface DrawOptions {
  split: Split;
  /** Most conversations; of more, evenly spaced ones are drawn in the order of the documents. */
  most: number;
  /** Where the draw begins. */
  seed: number;
  /** Longer chats are left out. Default: no limit; the models' positions were one at the harvest. */
  mostTokens?: number;
}

/** The first template token that closes an assistant's message (text/token-masks.ts): it is predicted like an answer's own. */
const END_MARK_SLOT = "assistant-close-0";
const FILE_HINT =
  'give chats with answers: `--data FILE`, one {"messages": [{"role": "user", …}, {"role": "assistant", …}]} a line';

const roleIndex = (role: Role): number => ROLES.indexOf(role);

/** Counts by reason; `excluded` holds only reasons that were met. */
export function createExclusions(): {
  excluded: Record<string, number>;
  add(reason: ExcludedReason, count?: number): void;
} {
  const excluded: Record<string, number> = {};
  return {
    excluded,
    add(reason, count = 1) {
      if (count > 0) excluded[reason] = (excluded[reason] ?? 0) + count;
    },
  };
}

/** Throws ConfigError when nothing is left, saying why and what to give instead. */
export function requireSome(
  count: number,
  { place, excluded, hint = FILE_HINT }: { place: string; excluded: Record<string, number>; hint?: string },
): void {
  if (count > 0) return;
  const reasons = Object.entries(excluded).map(([reason, n]) => `${n} ${reason}`);
  throw new ConfigError(
    `${place}: expected at least one chat with an answer, got none${reasons.length > 0 ? ` (${reasons.join(", ")})` : ""}`,
    { hint },
  );
}

/**
 * Chats of one split of a finished store, as they were harvested, in document order; the same arguments give the same ones.
 *
 * Left out and counted: documents without a predicted assistant token, chats of more than mostTokens, chats whose leading tokens gave no
 * rows (skipFirst), and those beyond `most`. Throws ConfigError for a bad option and when no chat is left.
 */
export function conversationsOfStore(store: Store, options: DrawOptions): ConversationSet {
  const { excluded, add } = createExclusions();
  const found = documentsOfSplit(store, options.split).filter((document) => {
    const reason = storedRefusal(store, document, options.mostTokens);
    if (reason !== undefined) add(reason);
    return reason === undefined;
  });
  requireSome(found.length, { place: `${store.folder}, split ${options.split}`, excluded });
  const drawn = drawEvenly(found, options);
  add(EXCLUDED.notDrawn, found.length - drawn.length);
  return { conversations: drawn.map((document) => readConversation(store, document)), excluded };
}

/**
 * Conversations of freshly tokenised documents, in their order. Left out and counted as in conversationsOfStore, but for leading tokens,
 * which are here; also documents of which the models have a different number of tokens. Throws ConfigError when none is left.
 */
export function conversationsOfDocuments(
  documents: readonly TokenizedDocument[],
  { mostTokens = Number.POSITIVE_INFINITY }: { mostTokens?: number } = {},
): ConversationSet {
  const { excluded, add } = createExclusions();
  const conversations: Conversation[] = [];
  for (const { id, group, tokenBase, tokenFinetuned, role, slot } of documents) {
    const conversation = {
      id,
      group,
      tokenBase,
      tokenFinetuned,
      ...masksOf(role, (t) => slot[t] === END_MARK_SLOT),
    };
    if (tokenBase.length !== tokenFinetuned.length) add(EXCLUDED.unequal);
    else if (!predictsAny(conversation.isAssistant)) add(EXCLUDED.noAnswer);
    else if (role.length > mostTokens) add(EXCLUDED.tooLong);
    else conversations.push(conversation);
  }
  requireSome(conversations.length, { place: "documents", excluded });
  return { conversations, excluded };
}

/**
 * Chats of a store with everything before their last assistant turn, for answerWithFinetuned, drawn as conversationsOfStore draws. Messages
 * are rebuilt from the stored text, so leading tokens that gave no rows are no obstacle. Throws as conversationsOfStore.
 */
export function chatsOfStore(store: Store, options: Omit<DrawOptions, "mostTokens">): ChatSet {
  const { excluded, add } = createExclusions();
  const found = documentsOfSplit(store, options.split).flatMap((document) => {
    const chat = rebuildChat(document);
    if (typeof chat !== "string") return [chat];
    add(chat);
    return [];
  });
  requireSome(found.length, { place: `${store.folder}, split ${options.split}`, excluded });
  const chats = drawEvenly(found, options);
  add(EXCLUDED.notDrawn, found.length - chats.length);
  return { chats, excluded };
}

function documentsOfSplit({ documents, folder }: Store, split: Split): DocumentRecord[] {
  if (!SPLITS.includes(split)) {
    throw new ConfigError(`${folder}: split: expected ${SPLITS.join(", ")}, got ${split}`);
  }
  return documents.filter((document) => document.split === split && document.rowStart < document.rowEnd);
}

function storedRefusal(
  store: Store,
  document: DocumentRecord,
  mostTokens = Number.POSITIVE_INFINITY,
): ExcludedReason | undefined {
  const { rowStart, rowEnd } = document;
  if (!predictsAny(readMasks(store, document).isAssistant)) return EXCLUDED.noAnswer;
  if (store.rows.position[rowStart] > 0) return EXCLUDED.skipped;
  return rowEnd - rowStart > mostTokens ? EXCLUDED.tooLong : undefined;
}

function readConversation(store: Store, document: DocumentRecord): Conversation {
  const { id, group, rowStart, rowEnd } = document;
  const { tokenBase, tokenFinetuned } = store.rows;
  return {
    id,
    group,
    tokenBase: tokenBase.slice(rowStart, rowEnd),
    tokenFinetuned: tokenFinetuned.slice(rowStart, rowEnd),
    ...readMasks(store, document),
  };
}

function readMasks({ rows, manifest }: Store, { rowStart, rowEnd }: DocumentRecord): Masks {
  const endMark = manifest.slots.indexOf(END_MARK_SLOT);
  return masksOf(rows.role.subarray(rowStart, rowEnd), (t) => rows.slot[rowStart + t] === endMark);
}

type Masks = Pick<Conversation, "isTemplate" | "isAssistant">;

/** role: [tokens], indices into ROLES. */
export function masksOf(role: Uint8Array, isEndMark: (token: number) => boolean): Masks {
  const [template, assistant] = [roleIndex("template"), roleIndex("assistant")];
  return {
    isTemplate: role.map((of) => Number(of === template)),
    isAssistant: role.map((of, t) => Number(of === assistant || isEndMark(t))),
  };
}

/** Whether any token but the first is the assistant's: nothing predicts the first. */
function predictsAny(isAssistant: Uint8Array): boolean {
  return isAssistant.indexOf(1, 1) >= 0;
}

/** Of n items `most`, evenly spaced, the first at a place that the seed says; all of them, where there are no more. */
export function drawEvenly<T>(items: readonly T[], { most, seed }: Pick<DrawOptions, "most" | "seed">): T[] {
  if (!(Number.isInteger(most) && most >= 1)) {
    throw new ConfigError(`most conversations: expected a whole number from 1, got ${most}`);
  }
  if (items.length <= most) return [...items];
  const offset = createRng(seed, "causal.conversations").uniform(0, 0);
  return Array.from({ length: most }, (_, i) => items[Math.floor(((i + offset) * items.length) / most)]);
}

function rebuildChat({ id, group, text, turns }: DocumentRecord): Chat | ExcludedReason {
  const answer = turns.findLastIndex(({ role }) => role === "assistant");
  if (answer < 0) return EXCLUDED.noAnswer;
  const before = turns.slice(0, answer);
  const question = before.at(-1);
  if (question?.role !== "user") return EXCLUDED.noQuestion;
  return {
    id,
    group,
    messages: before.map(({ role, start, end }) => ({ role, content: text.slice(start, end) })),
    writtenText: text.slice(0, question.end),
  };
}
