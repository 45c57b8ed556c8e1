// A lab's prompt as both models read it: ids and roles, cut as the study cuts its documents, or opened for an answer.
//
// As it is, a prompt is a document of the study (tokenize-document.ts): same template, same control tokens taken back. For an answer
// it is a question (chat-prompt.ts); its roles are those of the document that it begins with, and "template" for what opens the turn.

import { ConfigError } from "../../errors.ts";
import type { Pair } from "../../harvest/open-pair.ts";
import { ROLES } from "../../store/rows.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import { createPromptTokenizer } from "../../text/chat-prompt.ts";
import { replaceTokens } from "../../text/token-replacement.ts";
import { createDocumentTokenizer } from "../../text/tokenize-document.ts";
import type { LabPrompt } from "../api-contract.ts";

export interface LabText {
  /** Of equal length. */
  tokens: Record<ModelSide, Uint32Array>;
  /** A role a token, of ROLES. */
  roles: string[];
  warnings: string[];
}

type PairText = Pick<Pair, "tokenizer" | "template" | "baseReplacements">;

/**
 * The prompt as it is, at most mostTokens of it; the rest is cut with a warning.
 *
 * Throws ConfigError for a prompt without a token or one that the template refuses, FormatError for a chat without a template.
 */
export async function documentTokens(
  pair: PairText,
  { prompt, mostTokens }: { prompt: LabPrompt; mostTokens: number },
): Promise<LabText> {
  const { tokenizer, template, baseReplacements } = pair;
  const tokenize = createDocumentTokenizer({ tokenizer, template, baseReplacements, maxTokens: mostTokens });
  const [document] = await tokenize.tokenize([{ id: "of the lab", dataset: "lab", ...prompt }]);
  const { counts, refusals } = tokenize;
  if (document === undefined) {
    const reason = refusals.at(0)?.reason;
    throw new ConfigError(
      reason === undefined
        ? "the prompt: expected at least one token, got none"
        : `the prompt: expected a chat that the template takes, got: ${reason}`,
      { hint: reason === undefined ? "write something" : "give it as plain text" },
    );
  }
  const warnings: string[] = [];
  if (counts.truncated > 0) warnings.push(`The prompt was cut to its first ${mostTokens} tokens.`);
  if (counts.droppedMessages > 0) {
    warnings.push(`The chat template leaves out ${counts.droppedMessages} of the messages.`);
  }
  if (counts.neutralisedControlTokens > 0) {
    warnings.push(
      `${counts.neutralisedControlTokens} control tokens inside the contents are read as ordinary characters.`,
    );
  }
  return {
    tokens: { base: document.tokenBase, finetuned: document.tokenFinetuned },
    roles: Array.from(document.role, (role) => ROLES[role]),
    warnings: [...warnings, ...replacedWarning(document.tokenBase, document.tokenFinetuned)],
  };
}

/**
 * The prompt up to where an answer begins. Nothing is cut: a question without its end is another one.
 *
 * Throws as documentTokens and createPromptTokenizer do, and ConfigError for one of more than mostTokens − 1 tokens.
 */
export async function questionTokens(
  pair: PairText,
  { prompt, mostTokens }: { prompt: LabPrompt; mostTokens: number },
): Promise<LabText> {
  const [{ tokens }] = await createPromptTokenizer(pair).tokenize([{ id: "of the lab", ...prompt }]);
  const { length } = tokens.finetuned;
  if (length >= mostTokens) {
    throw new ConfigError(
      `the prompt: expected at most ${mostTokens - 1} tokens, so that there is room for an answer, got ${length}`,
      { hint: "shorten it" },
    );
  }
  const document = await documentTokens(pair, { prompt, mostTokens });
  const isText = "text" in prompt;
  const written = document.tokens.finetuned;
  let isSame = true;
  const roles = Array.from(tokens.finetuned, (id, i) => {
    isSame &&= written[i] === id;
    return isSame ? document.roles[i] : isText ? "text" : "template";
  });
  return { tokens, roles, warnings: document.warnings };
}

/** The question and what a model answered. The answer's end mark is the template's. */
export function withAnswer(
  question: LabText,
  {
    answer,
    isText,
    stopIds,
    baseReplacements,
  }: { answer: Uint32Array; isText: boolean; stopIds: readonly number[] } & Pick<Pair, "baseReplacements">,
): LabText {
  const join = (ids: Uint32Array, more: Uint32Array): Uint32Array => Uint32Array.from([...ids, ...more]);
  const answerBase = answer.slice();
  replaceTokens(answerBase, baseReplacements);
  const role = (id: number): string => (isText ? "text" : stopIds.includes(id) ? "template" : "assistant");
  return {
    tokens: {
      base: join(question.tokens.base, answerBase),
      finetuned: join(question.tokens.finetuned, answer),
    },
    roles: [...question.roles, ...Array.from(answer, role)],
    warnings: question.warnings,
  };
}

function replacedWarning(base: Uint32Array, finetuned: Uint32Array): string[] {
  const nReplaced = base.reduce((sum, id, i) => sum + (id === finetuned[i] ? 0 : 1), 0);
  return nReplaced === 0
    ? []
    : [`The base reads ${nReplaced} of the tokens as others (baseReplacements); shown are the fine-tune's.`];
}
