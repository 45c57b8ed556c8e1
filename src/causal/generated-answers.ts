// The fine-tune's own answers to the prompts of chats: the paper's main data (arXiv:2504.02922, section 3.2), there UltraChat prompts.
//
// The prompt is the chat before its last answer, as the template writes it with add_generation_prompt; the answer is greedy. Generated ids
// are kept as they come and never decoded and cut anew, so the masks are exact. Only the new answer is the assistant's here: earlier
// turns are somebody else's words. (The paper's code keeps the first message of each prompt alone.)

import { ConfigError, throwIfInterrupted } from "../errors.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { type Continuation, createGenerator, type GeneratorOptions } from "../lm/generate.ts";
import type { ReportProgress } from "../progress.ts";
import { groupOf } from "../store/split-of.ts";
import type { ChatTemplate } from "../text/chat-template.ts";
import { contentHash } from "../text/content-hash.ts";
import type { InputDocument, TokenizedDocument } from "../text/document.ts";
import { replaceTokens } from "../text/token-replacement.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Conversation } from "./causal-contract.ts";
import {
  type Chat,
  type ChatSet,
  type ConversationSet,
  createExclusions,
  drawEvenly,
  EXCLUDED,
  masksOf,
  requireSome,
} from "./conversations.ts";

export const ANSWER_LIMITS = {
  /** Default length of an answer. */
  maxNewTokens: 256,
  /** A prompt that leaves room for fewer is left out. */
  leastAnswerTokens: 16,
  /** Chats that are tokenised, and answered, between two reports of progress. */
  chatsAtOnce: 64,
  /** Prompts are left out when too long, never cut: a cut one would lose its question. */
  promptTokens: 65_535,
} as const;

export interface AnswerOptions extends Pick<GeneratorOptions, "threads" | "device" | "weights"> {
  /** Of the fine-tune; stays open. */
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
  template: ChatTemplate;
  /** Ids that the base reads in place of others. */
  baseReplacements?: ReadonlyMap<number, number> | undefined;
  chats: readonly Chat[];
  /** An answer ends behind any of these; see findStopIds. */
  stopIds: readonly number[];
  /** Default ANSWER_LIMITS.maxNewTokens. */
  maxNewTokens?: number;
  /** Most tokens of prompt and answer; default and upper limit: the fine-tune's positions. The base has to read them, too. */
  mostTokens?: number;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface AnsweredSet extends ConversationSet {
  /** How the answers ended; positions: at mostTokens. */
  endings: Record<Continuation["end"], number>;
}

interface Prompt {
  chat: Chat;
  document: TokenizedDocument;
}

/**
 * Conversations of the given chats with the fine-tune's greedy answers, in the order of the chats.
 *
 * isAssistant marks the new answer and nothing else; the stop id at its end is a template token, as a written end mark is. Left out and
 * counted: chats that the template refuses, whose stored text is not what the template writes, or whose prompt leaves too little room.
 * Loads the fine-tune whole and frees it. Throws ConfigError (options, nothing left), InterruptedError, and what the tokenizer and
 * the generator throw.
 */
export async function answerWithFinetuned(options: AnswerOptions): Promise<AnsweredSet> {
  const { checkpoint, chats, threads, device, weights, maxNewTokens = ANSWER_LIMITS.maxNewTokens } = options;
  const { reportProgress, signal } = options;
  const mostTokens = Math.min(options.mostTokens ?? Number.POSITIVE_INFINITY, checkpoint.config.maxPositions);
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1)) {
    throw new ConfigError(`maxNewTokens: expected a whole number from 1, got ${maxNewTokens}`);
  }
  const { excluded, add } = createExclusions();
  const prompts: Prompt[] = [];
  for (const prompt of await tokenizePrompts(options, add)) {
    if (prompt.document.tokenFinetuned.length + ANSWER_LIMITS.leastAnswerTokens <= mostTokens) {
      prompts.push(prompt);
    } else add(EXCLUDED.tooLong);
  }
  requireSome(prompts.length, { place: `${chats.length} chats to answer`, excluded, hint: PROMPT_HINT });
  const answered = new Map<Prompt, Conversation>();
  const endings: AnsweredSet["endings"] = { stopId: 0, maxNewTokens: 0, positions: 0 };
  const generator = await createGenerator(checkpoint, {
    threads,
    device,
    ...(weights === undefined ? {} : { weights }),
  });
  try {
    // Like lengths together: a batch is padded to its longest prompt.
    const byLength = prompts.toSorted((a, b) => b.document.role.length - a.document.role.length);
    for (let start = 0; start < byLength.length; start += ANSWER_LIMITS.chatsAtOnce) {
      const part = byLength.slice(start, start + ANSWER_LIMITS.chatsAtOnce);
      const answers = await generator.generate({
        prompts: part.map(({ document }) => document.tokenFinetuned),
        maxNewTokens: Math.min(maxNewTokens, mostTokens - part[part.length - 1].document.role.length),
        stopIds: options.stopIds,
        signal,
      });
      for (const [i, prompt] of part.entries()) {
        const room = mostTokens - prompt.document.role.length;
        const answer = endAtRoom(answers[i], { room, maxNewTokens });
        endings[answer.end] += 1;
        answered.set(prompt, joinAnswer(prompt, answer, options.baseReplacements));
      }
      reportProgress?.({ stage: "answers", done: answered.size, total: prompts.length, unit: "chats" });
    }
  } finally {
    await generator.dispose();
  }
  return { conversations: prompts.map((prompt) => answered.get(prompt)!), excluded, endings };
}

const PROMPT_HINT =
  'give chats that fit the models: `--data FILE`, one {"messages": [{"role": "user", …}]} a line, shorter than their positions';

/** Tokens and masks of the prompts, with the opening of the answer to come. */
async function tokenizePrompts(
  { tokenizer, template, baseReplacements, chats, signal }: AnswerOptions,
  add: ReturnType<typeof createExclusions>["add"],
): Promise<Prompt[]> {
  const documents = createDocumentTokenizer({
    tokenizer,
    template: withGenerationPrompt(template),
    maxTokens: ANSWER_LIMITS.promptTokens,
    ...(baseReplacements === undefined ? {} : { baseReplacements }),
  });
  const prompts: Prompt[] = [];
  for (let start = 0; start < chats.length; start += ANSWER_LIMITS.chatsAtOnce) {
    throwIfInterrupted(signal);
    const part = chats.slice(start, start + ANSWER_LIMITS.chatsAtOnce);
    // By place, because ids need not be unique and refused documents are left out.
    const inputs = part.map(({ messages }, i): InputDocument => ({ id: `${i}`, dataset: "chats", messages }));
    const tokenized = await documents.tokenize(inputs);
    add(EXCLUDED.refused, part.length - tokenized.length);
    for (const document of tokenized) {
      const chat = part[Number(document.id)];
      if (document.text.startsWith(chat.writtenText ?? "")) prompts.push({ chat, document });
      else add(EXCLUDED.notRebuilt);
    }
  }
  return prompts;
}

/**
 * Documents, and not createPromptTokenizer's prompts, because roles are wanted and refusals are counted. Roles come out right; slots may call the opening of an answer the closing of the question before it, and are not
 * used here.
 */
function withGenerationPrompt(template: ChatTemplate): ChatTemplate {
  return {
    ...template,
    renderGroups: (groups) => template.renderGroups(groups, { addGenerationPrompt: true }),
  };
}

/** A batch goes as far as its shortest prompt may: a longer one's answer is cut to its own room, and both ended at mostTokens. */
function endAtRoom(
  { tokenIds, end }: Continuation,
  { room, maxNewTokens }: { room: number; maxNewTokens: number },
): Continuation {
  const endedThere = tokenIds.length === room && end === "maxNewTokens" && maxNewTokens > room;
  return tokenIds.length > room || endedThere
    ? { tokenIds: tokenIds.slice(0, room), end: "positions" }
    : { tokenIds, end };
}

function joinAnswer(
  { chat, document }: Prompt,
  { tokenIds, end }: Continuation,
  baseReplacements: ReadonlyMap<number, number> | undefined,
): Conversation {
  const forBase = tokenIds.slice();
  replaceTokens(forBase, baseReplacements);
  const answerTemplate = new Uint8Array(tokenIds.length);
  if (end === "stopId") answerTemplate[tokenIds.length - 1] = 1;
  const { isTemplate } = masksOf(document.role, () => false);
  return {
    id: chat.id,
    group: chat.group ?? groupOf(contentHash(chat)),
    tokenBase: Uint32Array.from([...document.tokenBase, ...forBase]),
    tokenFinetuned: Uint32Array.from([...document.tokenFinetuned, ...tokenIds]),
    isTemplate: Uint8Array.from([...isTemplate, ...answerTemplate]),
    isAssistant: Uint8Array.from([
      ...new Uint8Array(isTemplate.length),
      ...new Uint8Array(tokenIds.length).fill(1),
    ]),
  };
}

/**
 * Chats of a data file without their last answer, where they end in one; the group is that of the whole chat. Left out and counted: plain
 * text, and chats that then do not end with a user turn. Throws ConfigError when none is left.
 */
export function chatsOfDocuments(
  documents: readonly InputDocument[],
  draw: { most: number; seed: number },
): ChatSet {
  const { excluded, add } = createExclusions();
  const found = documents.flatMap((document): Chat[] => {
    const { id, messages = [] } = document;
    const questions = messages.slice(0, messages.findLastIndex(({ role }) => role !== "assistant") + 1);
    if (questions.at(-1)?.role === "user") {
      return [{ id, messages: questions, group: groupOf(contentHash(document)) }];
    }
    add(EXCLUDED.noQuestion);
    return [];
  });
  requireSome(found.length, { place: `${documents.length} documents`, excluded, hint: PROMPT_HINT });
  const chats = drawEvenly(found, draw);
  add(EXCLUDED.notDrawn, found.length - chats.length);
  return { chats, excluded };
}
