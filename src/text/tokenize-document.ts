// Documents to token rows: template, ids, and for every token its role, turn, slot and characters.
//
// Ids are those of transformers: apply_chat_template(tokenize=True) for chats, tokenizer(text) for plain text, but for
// control tokens inside content (neutralise.ts). A BOS comes first wherever the tokenizer names one: chats get it from
// their template (never a second one), plain text gets it here, and a BOS written at the start of plain text is taken
// to be that one. Both models see the same ids but for those that are replaced for the base (token-replacement.ts).

import { ConfigError, FormatError } from "../errors.ts";
import { groupOf, splitOf } from "../store/split-of.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { contentHash } from "./content-hash.ts";
import { createChatLocator, type LocatedChat, type LocateOutcome } from "./content-spans.ts";
import type { ChatMessage, InputDocument, TokenizedDocument } from "./document.ts";
import { placeTurns, spanRefusal } from "./message-turns.ts";
import { type ContentRange, neutraliseControls } from "./neutralise.ts";
import { maskChatTokens, maskTextTokens, type TokenMasks } from "./token-masks.ts";
import { replaceTokens } from "./token-replacement.ts";
import type { Encoding, Tokenizer } from "./tokenizer.ts";

export const DEFAULT_MAX_TOKENS = 512;
/** Positions are u16 columns. */
const LARGEST_MAX_TOKENS = 65_535;
/** Refusals that are kept by name; all are counted. */
const MAX_NAMED_REFUSALS = 20;

export interface TokenizeCounts {
  /** Documents that gave rows. */
  documents: number;
  /** Documents cut to maxTokens. */
  truncated: number;
  /** Documents without a single token, left out. */
  empty: number;
  neutralisedControlTokens: number;
  /** Chats whose template writes no BOS although the tokenizer names one. */
  chatsWithoutBos: number;
  /** Chats left out: the template refuses them, or their masks cannot be told exactly. */
  refused: number;
  /** Chats whose template writes BOS twice; the second one is taken out. */
  chatsWithTwoBos: number;
  /** Messages with content of which the template writes nothing. */
  droppedMessages: number;
  /** Chats whose template asks for today's date and is told a fixed one. */
  datedChats: number;
  /** Ids replaced for the base model. */
  replacedTokens: number;
}

/** A chat that was left out, and why. */
export interface Refusal {
  id: string;
  reason: string;
}

export interface DocumentTokenizer {
  /**
   * Many at once, because template and tokenizer work on batches. Order is kept; empty and refused documents are left
   * out.
   */
  tokenize(documents: InputDocument[]): Promise<TokenizedDocument[]>;
  /** Sums over all calls. */
  counts: TokenizeCounts;
  /** The first refusals, by name. */
  refusals: Refusal[];
}

/** What is encoded, and what the row offsets refer to. */
type Prepared =
  | { document: InputDocument; text: string; messages?: undefined }
  | { document: InputDocument; text: string; messages: ChatMessage[]; located: LocatedChat };

/** A BOS row in front of an encoding; its characters are none. */
function prependBos(encoding: Encoding, bosId: number): Encoding {
  const shift = (array: Uint32Array, first: number): Uint32Array => Uint32Array.from([first, ...array]);
  return { ids: shift(encoding.ids, bosId), start: shift(encoding.start, 0), end: shift(encoding.end, 0) };
}

/** Without its second token, whose characters go to the first. */
function dropSecond({ ids, start, end }: Encoding): Encoding {
  const without = (array: Uint32Array): Uint32Array => Uint32Array.from(array).filter((_, k) => k !== 1);
  const joined = { ids: without(ids), start: without(start), end: without(end) };
  joined.end[0] = end[1];
  return joined;
}

/** Cuts to maxTokens; text and turns end where the last kept token ends. */
function assemble(options: {
  prepared: Prepared;
  encoding: Encoding;
  masks: TokenMasks;
  maxTokens: number;
  skipFirst: number;
}): TokenizedDocument {
  const { prepared, encoding, masks, maxTokens, skipFirst } = options;
  const { document, text } = prepared;
  const nTokens = Math.min(encoding.ids.length, maxTokens);
  const isTruncated = nTokens < encoding.ids.length;
  const textEnd = isTruncated
    ? encoding.end.subarray(0, nTokens).reduce((a, b) => Math.max(a, b), 0)
    : text.length;
  const { turns, spans } =
    prepared.messages === undefined
      ? { turns: [], spans: document.spans }
      : placeTurns({ ...prepared, spans: document.spans, textEnd });
  const hash = contentHash(document);
  const ids = encoding.ids.slice(0, nTokens);
  return {
    id: document.id,
    dataset: document.dataset,
    split: document.split ?? splitOf(hash),
    hash,
    group: groupOf(hash),
    text: text.slice(0, textEnd),
    turns,
    ...(spans === undefined ? {} : { spans }),
    ...(skipFirst === 0 ? {} : { nSkipped: Math.min(skipFirst, nTokens) }),
    tokenBase: ids,
    tokenFinetuned: ids.slice(),
    charStart: encoding.start.slice(0, nTokens),
    charEnd: encoding.end.slice(0, nTokens),
    role: masks.role.slice(0, nTokens),
    turn: masks.turn.slice(0, nTokens),
    slot: masks.slot.slice(0, nTokens),
  };
}

export interface DocumentTokenizerOptions {
  tokenizer: Tokenizer;
  template?: ChatTemplate | undefined;
  /** Tokens a document may have, BOS included, default 512; longer ones are cut and counted. */
  maxTokens?: number;
  /** Ids that the base reads in place of others (resolveReplacements); the fine-tune and all masks keep the originals. */
  baseReplacements?: ReadonlyMap<number, number>;
  /** Tokens at the start of each document that both models read but that give no rows, default 0; see nSkipped. */
  skipFirst?: number;
}

function checkWhole(name: string, value: number, [least, most]: [number, number]): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ConfigError(`${name}: expected a whole number from ${least} to ${most}, got ${value}`);
}

/**
 * Turns documents into token rows for one tokenizer and chat template.
 *
 * Throws ConfigError for a bad maxTokens or skipFirst; tokenize throws FormatError when a document holds messages and
 * there is no template, or the template is at fault (does not parse, too slow). A chat that the template refuses, or
 * whose masks cannot be told exactly, is left out, counted and named.
 */
export function createDocumentTokenizer(options: DocumentTokenizerOptions): DocumentTokenizer {
  const { tokenizer, template, maxTokens = DEFAULT_MAX_TOKENS, baseReplacements, skipFirst = 0 } = options;
  checkWhole("maxTokens", maxTokens, [1, LARGEST_MAX_TOKENS]);
  checkWhole("skipFirst", skipFirst, [0, LARGEST_MAX_TOKENS]);
  const { bosId } = tokenizer;
  const bosText = tokenizer.namedTokens.bos_token;
  const locate = template === undefined ? undefined : createChatLocator(template);
  const counts: TokenizeCounts = {
    documents: 0,
    truncated: 0,
    empty: 0,
    neutralisedControlTokens: 0,
    chatsWithoutBos: 0,
    refused: 0,
    chatsWithTwoBos: 0,
    droppedMessages: 0,
    datedChats: 0,
    replacedTokens: 0,
  };
  const refusals: Refusal[] = [];

  const prepareText = (document: InputDocument, text: string): Prepared => {
    const hasBos = bosId !== undefined && bosText !== undefined && text.startsWith(bosText);
    return { document, text: hasBos ? text.slice(bosText.length) : text };
  };

  const locateAll = async (chats: InputDocument[]): Promise<LocateOutcome[]> => {
    if (chats.length === 0) return [];
    if (locate === undefined) {
      throw new FormatError(`document ${chats[0].id}: expected a chat template for its messages, got none`, {
        hint: `put a chat_template.jinja into ${tokenizer.folder}, or give plain text`,
      });
    }
    return locate(chats.map(({ messages }) => messages!));
  };

  const refuse = (id: string, reason: string): void => {
    counts.refused += 1;
    if (refusals.length < MAX_NAMED_REFUSALS) refusals.push({ id, reason });
  };

  const prepareChat = (document: InputDocument, outcome: LocateOutcome): Prepared | undefined => {
    const messages = document.messages!;
    const reason = "refused" in outcome ? outcome.refused : spanRefusal(document.spans, messages, outcome);
    if ("refused" in outcome || reason !== undefined) {
      refuse(document.id, reason!);
      return undefined;
    }
    const written = new Set(outcome.segments.map(({ message }) => message));
    counts.droppedMessages += messages.filter(
      ({ content }, i) => content.trim() !== "" && !written.has(i),
    ).length;
    if (template?.asksForDate) counts.datedChats += 1;
    return { document, text: outcome.text, messages, located: outcome };
  };

  const prepareAll = async (documents: InputDocument[]): Promise<Prepared[]> => {
    const outcomes = await locateAll(documents.filter(({ text }) => text === undefined));
    let nChats = 0;
    return documents.flatMap((document) => {
      if (document.text !== undefined) return [prepareText(document, document.text)];
      const prepared = prepareChat(document, outcomes[nChats]);
      nChats += 1;
      return prepared === undefined ? [] : [prepared];
    });
  };

  /** Ids and masks before the cut. */
  const maskTokens = async (prepared: Prepared, plain: Encoding): Promise<[Encoding, TokenMasks]> => {
    const { text } = prepared;
    const contents: ContentRange[] =
      prepared.messages === undefined ? [{ start: 0, end: text.length }] : prepared.located.segments;
    const { encoding, nNeutralised } = await neutraliseControls({
      tokenizer,
      text,
      encoding: plain,
      contents,
    });
    counts.neutralisedControlTokens += nNeutralised;
    if (prepared.messages === undefined) {
      const withBos = bosId === undefined ? encoding : prependBos(encoding, bosId);
      return [withBos, maskTextTokens(withBos.ids, bosId)];
    }
    let chat = encoding;
    if (bosId !== undefined && chat.ids[0] !== bosId) counts.chatsWithoutBos += 1;
    if (bosId !== undefined && chat.ids[0] === bosId && chat.ids[1] === bosId) {
      counts.chatsWithTwoBos += 1;
      while (chat.ids[1] === bosId) chat = dropSecond(chat);
    }
    return [chat, maskChatTokens({ ...prepared, encoding: chat, bosId })];
  };

  return {
    counts,
    refusals,
    tokenize: async (documents) => {
      const prepared = await prepareAll(documents);
      const encodings = await tokenizer.encodeBatch(prepared.map(({ text }) => text));
      const tokenized: TokenizedDocument[] = [];
      for (let i = 0; i < prepared.length; i += 1) {
        const [encoding, masks] = await maskTokens(prepared[i], encodings[i]);
        if (encoding.ids.length === 0) {
          counts.empty += 1;
          continue;
        }
        const document = assemble({ prepared: prepared[i], encoding, masks, maxTokens, skipFirst });
        counts.replacedTokens += replaceTokens(document.tokenBase, baseReplacements);
        counts.documents += 1;
        if (encoding.ids.length > maxTokens) counts.truncated += 1;
        tokenized.push(document);
      }
      return tokenized;
    },
  };
}
