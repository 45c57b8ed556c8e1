// Prompts for a model to answer: messages up to the opening of the assistant's turn, or plain text, as ids of both models.
//
// Ids are those of transformers: apply_chat_template(add_generation_prompt=True, tokenize=True) for messages, tokenizer(text)
// for text; control tokens inside contents are taken back as in documents (neutralise.ts). No masks: those of chats with their
// answers are tokenize-document.ts's business.

import { ConfigError, FormatError } from "../errors.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { createChatLocator, type LocateOutcome } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";
import type { RenderOutcome } from "./guard-protocol.ts";
import { type ContentRange, neutraliseControls } from "./neutralise.ts";
import { replaceTokens } from "./token-replacement.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Exactly one of text and messages. The last message is not the assistant's. */
export interface Prompt {
  id: string;
  text?: string;
  messages?: ChatMessage[];
}

export interface TokenizedPrompt {
  id: string;
  /** As the models see it, BOS included where the template writes it. */
  text: string;
  /** At least one id. */
  tokens: Record<ModelSide, Uint32Array>;
}

export interface PromptTokenizer {
  /** In order. Throws ConfigError or FormatError naming the prompt: none may be left out. */
  tokenize(prompts: readonly Prompt[]): Promise<TokenizedPrompt[]>;
}

interface Rendered {
  text: string;
  contents: ContentRange[];
}

export function createPromptTokenizer(options: {
  tokenizer: Tokenizer;
  /** Undefined: prompts must be plain text. */
  template: ChatTemplate | undefined;
  /** Ids that the base reads in place of others; default none. */
  baseReplacements?: ReadonlyMap<number, number>;
}): PromptTokenizer {
  const { tokenizer, template, baseReplacements } = options;
  const { bosId } = tokenizer;
  const bosText = tokenizer.namedTokens.bos_token;
  const locate = template && createChatLocator(template);

  const renderChats = async (prompts: readonly Prompt[]): Promise<Rendered[]> => {
    if (prompts.length === 0) return [];
    if (template === undefined || locate === undefined) {
      throw new FormatError(`prompt ${prompts[0].id}: expected a chat template for its messages, got none`, {
        hint: `put a chat_template.jinja into ${tokenizer.folder}, or give plain text`,
      });
    }
    for (const { id, messages } of prompts) requireQuestion(id, messages!);
    const chats = prompts.map(({ messages }) => messages!);
    const located = await locate(chats);
    const opened = await template.renderGroups([chats], { addGenerationPrompt: true });
    return prompts.map(({ id }, i) => joinRenders(id, located[i], opened[0][i]));
  };

  const renderText = (text: string): Rendered => {
    const hasBos = bosText !== undefined && text.startsWith(bosText);
    const content = hasBos ? text.slice(bosText.length) : text;
    return { text: content, contents: [{ start: 0, end: content.length }] };
  };

  const tokenizeOne = async ({ id, messages }: Prompt, { text, contents }: Rendered) => {
    const plain = await tokenizer.encode(text);
    const { encoding } = await neutraliseControls({ tokenizer, text, encoding: plain, contents });
    let ids = Array.from(encoding.ids);
    if (bosId !== undefined) {
      if (messages === undefined) ids = [bosId, ...ids];
      while (ids[0] === bosId && ids[1] === bosId) ids.shift();
    }
    if (ids.length === 0) {
      throw new ConfigError(`prompt ${id}: expected at least one token, got none`, {
        hint: "the tokenizer has no BOS, so a prompt needs a text",
      });
    }
    const base = Uint32Array.from(ids);
    replaceTokens(base, baseReplacements);
    return { id, text, tokens: { base, finetuned: Uint32Array.from(ids) } };
  };

  return {
    async tokenize(prompts) {
      const chats = await renderChats(prompts.filter(({ messages }) => messages !== undefined));
      const tokenized: TokenizedPrompt[] = [];
      let nChats = 0;
      for (const prompt of prompts) {
        const rendered = prompt.messages === undefined ? renderText(prompt.text ?? "") : chats[nChats];
        if (prompt.messages !== undefined) nChats += 1;
        tokenized.push(await tokenizeOne(prompt, rendered));
      }
      return tokenized;
    },
  };
}

function requireQuestion(id: string, messages: readonly ChatMessage[]): void {
  const last = messages.at(-1)?.role;
  if (last !== undefined && last !== "assistant") return;
  throw new ConfigError(
    `prompt ${id}: expected a last message for the model to answer, got ${last === undefined ? "no message" : "the assistant's own"}`,
    { hint: "end the chat with a user's message" },
  );
}

/** The render with the opened turn, and the places of contents, which are those of the render without it. */
function joinRenders(id: string, located: LocateOutcome, opened: RenderOutcome): Rendered {
  const reason = "refused" in located ? located.refused : "refused" in opened ? opened.refused : undefined;
  if ("text" in opened && !("refused" in located)) {
    const end = located.segments.at(-1)?.end ?? 0;
    if (opened.text.startsWith(located.text.slice(0, end))) {
      return { text: opened.text, contents: located.segments };
    }
  }
  throw new FormatError(
    `prompt ${id}: expected a chat that the template renders alike with and without the assistant's turn opened, got: ${reason ?? "another text"}`,
    { hint: "give the prompt as plain text, in the words of the template" },
  );
}
