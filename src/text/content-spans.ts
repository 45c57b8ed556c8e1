// Where each message's content lies in the rendered chat, and to which message the template around it belongs.
//
// Every chat is rendered twice, as it is and with its contents between marks (mark-contents.ts). The marked render
// without its marks must be the plain one; then the marks say exactly which characters are whose, also where a template
// trims, drops, repeats, moves or rewrites a content. Where the marks disturb the template (it trims, it looks for
// "</think>") they are placed further in, message by message. What still cannot be told is refused: a wrong mask would
// be worse than none. Knows no particular template.

import type { ChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";
import type { RenderOutcome } from "./guard-protocol.ts";
import {
  type ContentSegment,
  carefulPlacements,
  chooseNonce,
  corePieces,
  markMessages,
  type Pieces,
  readMarkedRender,
  templateLiterals,
  wholePieces,
} from "./mark-contents.ts";

export interface LocatedSegment extends ContentSegment {
  /** Template text from `end` to here closes this message; from here to the next segment it opens the next one. */
  closeEnd: number;
}

export interface LocatedChat {
  text: string;
  /** Ascending, disjoint. A message may have none (dropped) or several (repeated, cut, moved). */
  segments: LocatedSegment[];
  /** Template text from 0 to here belongs to no message: BOS, a default system prompt. */
  preambleEnd: number;
}

export type LocateOutcome = LocatedChat | { refused: string };

/** A chat whose contents are found but whose borders between messages are not. */
interface Attributed {
  messages: ChatMessage[];
  pieces: Pieces[];
  nonce: number;
  text: string;
  segments: ContentSegment[];
}

type Attribution = Attributed | { refused: string };

const MAX_CAREFUL_MESSAGES = 200;
const CANNOT_TELL =
  "expected contents that can be followed into the rendered chat (whole, trimmed, cut, dropped or repeated), got";

const hasText = (outcome: RenderOutcome | undefined): outcome is { text: string } =>
  outcome !== undefined && "text" in outcome;

/** The attribution that a marked render proves, or undefined. */
function accept(
  plain: string,
  marked: RenderOutcome | undefined,
  chat: { messages: ChatMessage[]; pieces: Pieces[]; nonce: number },
): Attributed | undefined {
  if (!hasText(marked)) return undefined;
  const { text, segments } = readMarkedRender(marked.text, chat);
  return text === plain && segments !== null ? { ...chat, text, segments } : undefined;
}

/**
 * With marks inside the white space only: whether none of it can still be there. Where the template's own white space
 * reads like the content's, each side must be tried on its own.
 */
function isSurelyTrimmed({ messages, text, segments }: Attributed): boolean {
  return segments.every(({ message, start, end }) => {
    const { content } = messages[message];
    const lead = content.slice(0, content.length - content.trimStart().length);
    const trail = content.slice(content.trimEnd().length);
    const isThere = (space: string, at: number): boolean =>
      space !== "" && at >= 0 && text.startsWith(space, at);
    return !isThere(lead, start - lead.length) && !isThere(trail, end);
  });
}

function commonPrefixLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

const FIRST_TURNS: ChatMessage[] = ["x", "y", "z", "w"].map((content, i) => ({
  role: i % 2 === 0 ? "user" : "assistant",
  content,
}));

/**
 * Finds contents in the renders of one template; remembers between calls what closes a message.
 *
 * The function gives one outcome a chat, in order: a refusal says why this chat has no exact masks. Throws FormatError
 * when the template itself is at fault.
 */
export function createChatLocator(
  template: ChatTemplate,
): (chats: ChatMessage[][]) => Promise<LocateOutcome[]> {
  const literals = templateLiterals(template.source);
  /** Length of the closing part by roles and text of a gap. */
  const closeLengths = new Map<string, number>();
  let userOpening: Promise<string | undefined> | undefined;

  const attributeQuickly = async (chats: ChatMessage[][]): Promise<Attribution[]> => {
    const variants = chats.map((messages) => {
      const nonce = chooseNonce(messages);
      const placements = [messages.map(({ content }) => wholePieces(content))];
      if (messages.some(({ content }) => content.trim() !== content)) {
        placements.push(messages.map(({ content }) => corePieces(content)));
      }
      return placements.map((pieces) => ({ messages, pieces, nonce }));
    });
    const outcomes = await template.renderGroups(
      variants.map((chosen) => [
        chosen[0].messages,
        ...chosen.map(({ messages, pieces, nonce }) => markMessages(messages, pieces, nonce)),
      ]),
    );
    const found: Attribution[] = [];
    for (const [i, [plain, ...marked]] of outcomes.entries()) {
      if (!hasText(plain)) {
        found.push({ refused: `expected a chat that the template accepts, got: ${plain.refused}` });
        continue;
      }
      let accepted: Attribution | undefined;
      for (const [v, chat] of variants[i].entries()) {
        const candidate = accept(plain.text, marked[v], chat);
        if (candidate !== undefined && (v === 0 || isSurelyTrimmed(candidate))) accepted ??= candidate;
      }
      found.push(accepted ?? (await attributeCarefully(variants[i][0].messages, plain.text)));
    }
    return found;
  };

  /** One message after another: the first placement of its marks that leaves the render as it is. */
  const attributeCarefully = async (messages: ChatMessage[], plain: string): Promise<Attribution> => {
    const nonce = chooseNonce(messages);
    const placements = messages.map(({ content }) => carefulPlacements(content, literals));
    if (messages.length > MAX_CAREFUL_MESSAGES) {
      return { refused: `${CANNOT_TELL} marks that disturb it, and ${messages.length} messages` };
    }
    const none = messages.map((): Pieces => []);
    const only = (i: number, pieces: Pieces): Pieces[] => none.with(i, pieces);
    const outcomes = await template.renderGroups(
      messages.map((message, i) => [
        messages.with(i, { ...message, content: "" }),
        ...placements[i].map((pieces) => markMessages(messages, only(i, pieces), nonce)),
      ]),
    );
    const chosen: Pieces[] = [];
    for (const [i, [emptied, ...marked]] of outcomes.entries()) {
      const fit = placements[i].find((pieces, p) =>
        accept(plain, marked[p], { messages, pieces: only(i, pieces), nonce }),
      );
      // Without any mark that fits, a content may still be one that leaves no trace: the render does without it.
      const isTraceless = hasText(emptied) && emptied.text === plain;
      if (fit === undefined && !isTraceless) {
        return { refused: `${CANNOT_TELL} messages[${i}] (${messages[i].role}) treated in another way` };
      }
      chosen.push(fit ?? []);
    }
    const chat = { messages, pieces: chosen, nonce };
    const [[together]] = await template.renderGroups([[markMessages(messages, chosen, nonce)]]);
    return accept(plain, together, chat) ?? { refused: `${CANNOT_TELL} contents that depend on each other` };
  };

  const gapKey = ({ messages, text, segments }: Attributed, s: number): string =>
    JSON.stringify([
      messages[segments[s].message].role,
      messages[segments[s + 1].message].role,
      text.slice(segments[s].end, segments[s + 1].start),
    ]);
  const isBorder = ({ segments }: Attributed, s: number): boolean =>
    segments[s].message !== segments[s + 1].message;

  /** What closes a message is there, too, when the chat ends with that message. */
  const learnClosings = async (chats: Attributed[]): Promise<void> => {
    const probes = new Map<string, { chat: Attributed; s: number }>();
    for (const chat of chats) {
      for (let s = 0; s + 1 < chat.segments.length; s += 1) {
        const key = gapKey(chat, s);
        if (isBorder(chat, s) && !closeLengths.has(key) && !probes.has(key)) probes.set(key, { chat, s });
      }
    }
    const cuts = Array.from(probes.values(), ({ chat, s }) => {
      const length = chat.segments[s].message + 1;
      return { messages: chat.messages.slice(0, length), pieces: chat.pieces, nonce: chat.nonce };
    });
    const outcomes = await template.renderGroups(
      cuts.map(({ messages, pieces, nonce }) => [markMessages(messages, pieces, nonce)]),
    );
    for (const [i, [key, { chat, s }]] of [...probes].entries()) {
      const segment = chat.segments[s];
      const gap = chat.text.slice(segment.end, chat.segments[s + 1].start);
      const [outcome] = outcomes[i];
      const ended = hasText(outcome) ? readMarkedRender(outcome.text, cuts[i]) : undefined;
      const last = ended?.segments?.findLast(({ message }) => message === segment.message);
      // A template that refuses chats ending here says nothing about the border: the gap opens the next message.
      closeLengths.set(key, last === undefined ? 0 : commonPrefixLength(ended!.text.slice(last.end), gap));
    }
  };

  const findUserOpening = async (): Promise<string | undefined> => {
    const [chat] = await attributeQuickly([FIRST_TURNS]);
    if (!("segments" in chat) || chat.segments.length !== FIRST_TURNS.length) return undefined;
    await learnClosings([chat]);
    const gap = chat.text.slice(chat.segments[1].end, chat.segments[2].start);
    return gap.slice(closeLengths.get(gapKey(chat, 1)) ?? 0) || undefined;
  };

  const finish = async (chat: Attributed): Promise<LocatedChat> => {
    const { messages, text, segments } = chat;
    const located = segments.map((segment, s): LocatedSegment => {
      if (s + 1 === segments.length) return { ...segment, closeEnd: text.length };
      const closeLength = isBorder(chat, s) ? (closeLengths.get(gapKey(chat, s)) ?? 0) : 0;
      return { ...segment, closeEnd: segment.end + closeLength };
    });
    if (segments.length === 0) return { text, segments: located, preambleEnd: text.length };
    if (messages[segments[0].message].role !== "user") return { text, segments: located, preambleEnd: 0 };
    userOpening ??= findUserOpening();
    const opening = await userOpening;
    const isKnown = opening !== undefined && text.slice(0, segments[0].start).endsWith(opening);
    return { text, segments: located, preambleEnd: isKnown ? segments[0].start - opening.length : 0 };
  };

  return async (chats) => {
    const attributions = await attributeQuickly(chats);
    await learnClosings(attributions.filter((chat): chat is Attributed => "segments" in chat));
    const outcomes: LocateOutcome[] = [];
    for (const chat of attributions) outcomes.push("segments" in chat ? await finish(chat) : chat);
    return outcomes;
  };
}
