// The turns of a tokenised chat, and its planted spans moved to where the template put the contents.
//
// A turn is one range of the rendered text, so a message that the template repeats or moves apart is known by its first
// place; spans in such a message would label one place and not the other, and are refused.

import type { ConceptSpan, DocumentTurn } from "../store/rows.ts";
import type { LocatedChat, LocatedSegment } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";

interface MessagePlace {
  start: number;
  end: number;
  /** Verbatim segments within start … end, ascending in content and in text. */
  segments: LocatedSegment[];
  /** Whether all of the message's text lies here, in its own characters. */
  isWhole: boolean;
}

/** First place of each message; a dropped one is empty and lies where the message before it ends. */
function placeMessages(messages: ChatMessage[], located: LocatedChat): MessagePlace[] {
  const places: MessagePlace[] = [];
  for (let i = 0; i < messages.length; i += 1) {
    const first = located.segments.findIndex(({ message }) => message === i);
    if (first < 0) {
      const at = places.at(-1)?.end ?? 0;
      places.push({ start: at, end: at, segments: [], isWhole: true });
      continue;
    }
    const own = [located.segments[first]];
    for (let s = first + 1; s < located.segments.length; s += 1) {
      const segment = located.segments[s];
      const before = own[own.length - 1];
      const isNext =
        segment.message === i && segment.contentStart >= before.contentStart + (before.end - before.start);
      if (!isNext) break;
      own.push(segment);
    }
    const nAll = located.segments.filter(({ message }) => message === i).length;
    const isWhole = nAll === own.length && own.every(({ isVerbatim }) => isVerbatim);
    places.push({ start: own[0].start, end: own[own.length - 1].end, segments: own, isWhole });
  }
  return places;
}

function carrySpan(span: ConceptSpan, place: MessagePlace, turn: DocumentTurn): ConceptSpan[] {
  if (span.start === undefined || span.end === undefined) return [span];
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const segment of place.segments) {
    const from = Math.max(span.start, segment.contentStart);
    const to = Math.min(span.end, segment.contentStart + (segment.end - segment.start));
    if (from >= to) continue;
    start = Math.min(start, segment.start + from - segment.contentStart - place.start);
    end = Math.max(end, segment.start + to - segment.contentStart - place.start);
  }
  end = Math.min(end, turn.end - turn.start);
  return start < end ? [{ ...span, start, end }] : [];
}

/**
 * Turns in the text cut at textEnd, and spans relative to them.
 *
 * Messages wholly behind the cut are left out from the end; spans in what is cut, trimmed or dropped vanish.
 */
export function placeTurns(options: {
  messages: ChatMessage[];
  located: LocatedChat;
  spans: ConceptSpan[] | undefined;
  /** UTF-16 length of what is kept of the rendered text. */
  textEnd: number;
}): { turns: DocumentTurn[]; spans: ConceptSpan[] | undefined } {
  const { messages, located, textEnd } = options;
  const places = placeMessages(messages, located);
  const turns = places.map(({ start, end }, i): DocumentTurn => {
    return { role: messages[i].role, start: Math.min(start, textEnd), end: Math.min(end, textEnd) };
  });
  if (textEnd < located.text.length) {
    while (turns.length > 0 && places[turns.length - 1].start >= textEnd) turns.pop();
  }
  const spans = options.spans?.flatMap((span) => {
    const turn = turns[span.turn];
    return turn === undefined ? [] : carrySpan(span, places[span.turn], turn);
  });
  return { turns, spans };
}

/** Why spans cannot be carried into this chat, or undefined when they can. */
export function spanRefusal(
  spans: ConceptSpan[] | undefined,
  messages: ChatMessage[],
  located: LocatedChat,
): string | undefined {
  if (spans === undefined || spans.length === 0) return undefined;
  const places = placeMessages(messages, located);
  const bad = spans.find(({ turn, start }) => start !== undefined && places[turn] && !places[turn].isWhole);
  return bad && `spans in messages[${bad.turn}], which the template repeats, moves apart or rewrites`;
}
