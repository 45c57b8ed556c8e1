// Documents to token rows: template, ids, and for every token its role, turn, slot and characters.
//
// Ids are those of transformers: apply_chat_template(tokenize=True) for chats, tokenizer(text) for plain text, but for
// control tokens inside content (neutralise.ts). A BOS comes first wherever the tokenizer names one: chats get it from
// their template (never a second one), plain text gets it here, and a BOS written at the start of plain text is taken
// to be that one. Both models see the same ids; replacing ids for one of them belongs where tokenBase is filled.

import { ConfigError, FormatError } from "../errors.ts";
import type { ConceptSpan } from "../store/rows.ts";
import { groupOf, splitOf } from "../store/split-of.ts";
import type { ChatTemplate } from "./chat-template.ts";
import { contentHash } from "./content-hash.ts";
import { createChatLocator, type LocatedMessage } from "./content-spans.ts";
import type { ChatMessage, InputDocument, TokenizedDocument } from "./document.ts";
import { type ContentRange, neutraliseControls } from "./neutralise.ts";
import { maskChatTokens, maskTextTokens, type TokenMasks } from "./token-masks.ts";
import type { Encoding, Tokenizer } from "./tokenizer.ts";

export const DEFAULT_MAX_TOKENS = 512;
/** Positions are u16 columns. */
const LARGEST_MAX_TOKENS = 65_535;
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
}

export interface DocumentTokenizer {
  /** Many at once, because the tokenizer works on batches in parallel. Order is kept; empty documents are left out. */
  tokenize(documents: InputDocument[]): Promise<TokenizedDocument[]>;
  /** Sums over all calls. */
  counts: TokenizeCounts;
}

interface Prepared {
  document: InputDocument;
  /** What is encoded, and what the row offsets refer to. */
  text: string;
  /** Present for chats. */
  messages?: ChatMessage[];
  located: LocatedMessage[];
}

/** A BOS row in front of an encoding; its characters are none. */
function prependBos(encoding: Encoding, bosId: number): Encoding {
  const shift = (array: Uint32Array, first: number): Uint32Array => Uint32Array.from([first, ...array]);
  return { ids: shift(encoding.ids, bosId), start: shift(encoding.start, 0), end: shift(encoding.end, 0) };
}

/** Spans relative to the content as rendered: moved by what the template trimmed, clipped to what is left of it. */
function carrySpans(
  spans: ConceptSpan[] | undefined,
  turns: TokenizedDocument["turns"],
  located: LocatedMessage[],
) {
  return spans?.flatMap((span): ConceptSpan[] => {
    const turn = turns[span.turn];
    if (turn === undefined) return [];
    if (span.start === undefined || span.end === undefined) return [span];
    const length = turn.end - turn.start;
    const start = Math.max(0, span.start - located[span.turn].trimmedStart);
    const end = Math.min(length, span.end - located[span.turn].trimmedStart);
    return start < end ? [{ ...span, start, end }] : [];
  });
}

/** Cuts to maxTokens; text and turns end where the last kept token ends. */
function assemble(
  prepared: Prepared,
  encoding: Encoding,
  masks: TokenMasks,
  maxTokens: number,
): TokenizedDocument {
  const { document, text, messages, located } = prepared;
  const nTokens = Math.min(encoding.ids.length, maxTokens);
  const isTruncated = nTokens < encoding.ids.length;
  const textEnd = isTruncated
    ? encoding.end.subarray(0, nTokens).reduce((a, b) => Math.max(a, b), 0)
    : text.length;
  const turns = located
    .map(({ start, end }, i) => ({ role: messages![i].role, start, end: Math.min(end, textEnd) }))
    .filter(({ start }) => !isTruncated || start < textEnd);
  const hash = contentHash(document);
  const spans = carrySpans(document.spans, turns, located);
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
    tokenBase: ids,
    tokenFinetuned: ids.slice(),
    charStart: encoding.start.slice(0, nTokens),
    charEnd: encoding.end.slice(0, nTokens),
    role: masks.role.slice(0, nTokens),
    turn: masks.turn.slice(0, nTokens),
    slot: masks.slot.slice(0, nTokens),
  };
}

/**
 * Turns documents into token rows for one tokenizer and chat template.
 *
 * maxTokens (BOS included, default 512): longer documents are cut and counted.
 * Throws ConfigError for a bad maxTokens; tokenize throws FormatError, naming the document, when it holds messages and
 * there is no template, or the template refuses or rewrites them.
 */
export function createDocumentTokenizer(options: {
  tokenizer: Tokenizer;
  template?: ChatTemplate | undefined;
  maxTokens?: number;
}): DocumentTokenizer {
  const { tokenizer, template, maxTokens = DEFAULT_MAX_TOKENS } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > LARGEST_MAX_TOKENS) {
    throw new ConfigError(
      `maxTokens: expected a whole number from 1 to ${LARGEST_MAX_TOKENS}, got ${maxTokens}`,
    );
  }
  const { bosId } = tokenizer;
  const bosText = tokenizer.namedTokens.bos_token;
  const locate = template === undefined ? undefined : createChatLocator(template);
  const counts: TokenizeCounts = {
    documents: 0,
    truncated: 0,
    empty: 0,
    neutralisedControlTokens: 0,
    chatsWithoutBos: 0,
  };

  const prepare = (document: InputDocument): Prepared => {
    if (document.text !== undefined) {
      const hasBos = bosId !== undefined && bosText !== undefined && document.text.startsWith(bosText);
      return { document, text: hasBos ? document.text.slice(bosText.length) : document.text, located: [] };
    }
    if (locate === undefined) {
      throw new FormatError(`document ${document.id}: expected a chat template for its messages, got none`, {
        hint: `put a chat_template.jinja into ${tokenizer.folder}, or give plain text`,
      });
    }
    try {
      const { text, messages: located } = locate(document.messages!);
      return { document, text, messages: document.messages!, located };
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      const hint = cause.hint ?? "change the document or leave it out";
      throw new FormatError(`document ${document.id}: ${cause.message}`, { hint, cause });
    }
  };

  const finish = async (prepared: Prepared, plain: Encoding): Promise<TokenizedDocument> => {
    const { text, messages, located } = prepared;
    const contents: ContentRange[] = messages === undefined ? [{ start: 0, end: text.length }] : located;
    const { encoding, nNeutralised } = await neutraliseControls({
      tokenizer,
      text,
      encoding: plain,
      contents,
    });
    counts.neutralisedControlTokens += nNeutralised;
    if (messages !== undefined) {
      if (bosId !== undefined && encoding.ids[0] !== bosId) counts.chatsWithoutBos += 1;
      return assemble(prepared, encoding, maskChatTokens({ encoding, messages, located, bosId }), maxTokens);
    }
    const withBos = bosId === undefined ? encoding : prependBos(encoding, bosId);
    return assemble(prepared, withBos, maskTextTokens(withBos.ids, bosId), maxTokens);
  };

  return {
    counts,
    tokenize: async (documents) => {
      const prepared = documents.map(prepare);
      const encodings = await tokenizer.encodeBatch(prepared.map(({ text }) => text));
      const tokenized: TokenizedDocument[] = [];
      for (let i = 0; i < prepared.length; i += 1) {
        const document = await finish(prepared[i], encodings[i]);
        if (document.tokenBase.length === 0) {
          counts.empty += 1;
          continue;
        }
        counts.documents += 1;
        const nWhole =
          encodings[i].ids.length + (prepared[i].messages === undefined && bosId !== undefined ? 1 : 0);
        if (nWhole > maxTokens) counts.truncated += 1;
        tokenized.push(document);
      }
      return tokenized;
    },
  };
}
