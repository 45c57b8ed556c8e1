// Contents written between invisible marks, and renders read back with the marks taken out again.
//
// A mark is a run of private-use characters that says which message and which piece of it begins or ends. Where a
// template must not see a mark (it trims white space, it looks for "</think>"), the mark goes a little further in:
// that is what the placements are. Whether a placement disturbed the template is seen in the render: without its marks
// it must be the render of the unmarked chat, character for character. Deciding between placements is content-spans.ts.

import type { ChatMessage } from "./document.ts";

const MARK_START = "\uF5B8";
const OPEN_END = "\uF5B9";
const CLOSE_END = "\uF5BA";
const SEPARATOR = "\uF5BB";
const FIRST_DIGIT = 0xf5c0;
const MARK = /\uF5B8([\uF5C0-\uF5C9]+)\uF5BB([\uF5C0-\uF5C9]+)\uF5BB([\uF5C0-\uF5C9]+)([\uF5B9\uF5BA])/g;
const MAX_PIECES = 200;
/** Literals that templates compare roles and keys with, not contents. */
const COMMON_WORDS = new Set(["system", "user", "assistant", "model", "tool", "role", "content", "default"]);

/** Pieces of a content that are put between marks: ascending, disjoint UTF-16 ranges, end exclusive. */
export type Pieces = [number, number][];

/** A piece of a render that stems from messages[message].content; offsets are UTF-16, end exclusive. */
export interface ContentSegment {
  message: number;
  /** In the rendered text without marks. */
  start: number;
  end: number;
  /** Where in the content it begins. */
  contentStart: number;
  /** Whether the rendered characters are the content's own; false where the template rewrote them (upper case, escapes). */
  isVerbatim: boolean;
}

export interface MarkedRender {
  /** Without marks. */
  text: string;
  /** Ascending, disjoint. null: a piece lost one of its marks, so that its other end is unknown. */
  segments: ContentSegment[] | null;
}

const encodeNumber = (value: number): string =>
  String.fromCharCode(...Array.from(String(value), (digit) => FIRST_DIGIT + Number(digit)));
const decodeNumber = (digits: string): number =>
  Number(Array.from(digits, (digit) => digit.charCodeAt(0) - FIRST_DIGIT).join(""));

/** A number that no mark-like text of the contents carries. */
export function chooseNonce(messages: ChatMessage[]): number {
  let nonce = 0;
  while (messages.some(({ content }) => content.includes(MARK_START + encodeNumber(nonce) + SEPARATOR)))
    nonce += 1;
  return nonce;
}

/** The chat with each message's pieces between marks. */
export function markMessages(messages: ChatMessage[], pieces: Pieces[], nonce: number): ChatMessage[] {
  return messages.map(({ role, content }, i) => {
    let marked = "";
    let from = 0;
    for (const [k, [start, end]] of pieces[i].entries()) {
      const mark = `${MARK_START}${encodeNumber(nonce)}${SEPARATOR}${encodeNumber(i)}${SEPARATOR}${encodeNumber(k)}`;
      marked += `${content.slice(from, start)}${mark}${OPEN_END}${content.slice(start, end)}${mark}${CLOSE_END}`;
      from = end;
    }
    return { role, content: marked + content.slice(from) };
  });
}

/** Takes the marks out of a render of markMessages(messages, pieces, nonce) and says what was between them. */
export function readMarkedRender(
  render: string,
  { messages, pieces, nonce }: { messages: ChatMessage[]; pieces: Pieces[]; nonce: number },
): MarkedRender {
  let text = "";
  let from = 0;
  let open: { message: number; piece: number; start: number } | null = null;
  let isWhole = true;
  const segments: ContentSegment[] = [];
  for (const match of render.matchAll(MARK)) {
    if (decodeNumber(match[1]) !== nonce) continue;
    text += render.slice(from, match.index);
    from = match.index + match[0].length;
    const message = decodeNumber(match[2]);
    const piece = decodeNumber(match[3]);
    if (match[4] === OPEN_END) {
      if (open !== null) isWhole = false;
      open = { message, piece, start: text.length };
      continue;
    }
    if (open === null || open.message !== message || open.piece !== piece) {
      isWhole = false;
      open = null;
      continue;
    }
    const [contentStart, contentEnd] = pieces[message][piece];
    segments.push({
      message,
      start: open.start,
      end: text.length,
      contentStart,
      isVerbatim: text.slice(open.start) === messages[message].content.slice(contentStart, contentEnd),
    });
    open = null;
  }
  text += render.slice(from);
  if (!isWhole || open !== null) return { text, segments: null };
  return { text, segments: extendSegments(text, messages, joinSegments(text, messages, segments)) };
}

/**
 * What stands before a message's first piece and behind its last one, where it is word for word the content's own (a
 * "<think>" that the template read and wrote again); white space alone proves nothing and stays the template's.
 */
function extendSegments(text: string, messages: ChatMessage[], segments: ContentSegment[]): ContentSegment[] {
  for (const [at, segment] of segments.entries()) {
    if (!segment.isVerbatim) continue;
    const { content } = messages[segment.message];
    const before = content.slice(0, segment.contentStart);
    const floor = segments[at - 1]?.end ?? 0;
    if (
      before.trim() !== "" &&
      segment.start - before.length >= floor &&
      text.startsWith(before, segment.start - before.length)
    ) {
      segment.start -= before.length;
      segment.contentStart = 0;
    }
    const after = content.slice(segment.contentStart + (segment.end - segment.start));
    const ceiling = segments[at + 1]?.start ?? text.length;
    if (after.trim() !== "" && segment.end + after.length <= ceiling && text.startsWith(after, segment.end)) {
      segment.end += after.length;
    }
  }
  return segments;
}

/** Verbatim neighbours of one message become one segment where what lies between them is the content's own text too. */
function joinSegments(text: string, messages: ChatMessage[], segments: ContentSegment[]): ContentSegment[] {
  const joined: ContentSegment[] = [];
  for (const segment of segments) {
    const before = joined.at(-1);
    if (
      before !== undefined &&
      before.message === segment.message &&
      before.isVerbatim &&
      segment.isVerbatim
    ) {
      const { content } = messages[segment.message];
      const beforeEnd = before.contentStart + (before.end - before.start);
      const between = text.slice(before.end, segment.start);
      if (beforeEnd <= segment.contentStart && content.slice(beforeEnd, segment.contentStart) === between) {
        before.end = segment.end;
        continue;
      }
    }
    joined.push({ ...segment });
  }
  return joined;
}

/** String literals of a template's source that are more than white space: what it may look for in a content. */
export function templateLiterals(source: string): string[] {
  const literals = new Set<string>();
  for (const [, single, double] of source.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/gs)) {
    const literal = (single ?? double).replace(/\\(.)/gs, (_, c: string) =>
      c === "n" ? "\n" : c === "t" ? "\t" : c,
    );
    if (literal.trim().length >= 2 && !COMMON_WORDS.has(literal.trim())) literals.add(literal.trim());
  }
  return [...literals].sort((a, b) => b.length - a.length);
}

const leadOf = (content: string): number => content.length - content.trimStart().length;

/** The parts of a content around the literals in it, with or without the white space at their ends. */
function piecesAround(content: string, literals: string[], ends: "spaced" | "trimmed"): Pieces {
  const pieces: Pieces = [];
  const add = (start: number, end: number): void => {
    const part = content.slice(start, end);
    if (ends === "spaced") {
      if (end > start) pieces.push([start, end]);
      return;
    }
    const core = part.trim();
    if (core !== "") pieces.push([start + leadOf(part), start + leadOf(part) + core.length]);
  };
  let from = 0;
  let at = 0;
  const present = literals.filter((literal) => content.includes(literal));
  while (at < content.length && pieces.length <= MAX_PIECES) {
    let next = -1;
    let found = "";
    for (const literal of present) {
      const place = content.indexOf(literal, at);
      if (place >= 0 && (next < 0 || place < next)) {
        next = place;
        found = literal;
      }
    }
    if (next < 0) break;
    add(from, next);
    at = next + found.length;
    from = at;
  }
  add(from, content.length);
  return pieces;
}

/** Marks around the whole content, white space included. */
export const wholePieces = (content: string): Pieces => [[0, content.length]];

/** Marks inside the white space at both ends; before it where there is nothing else. */
export function corePieces(content: string): Pieces {
  const core = content.trim();
  return core === "" ? [[0, 0]] : [[leadOf(content), leadOf(content) + core.length]];
}

/** Every placement worth trying for one content, most telling first, without repeats. */
export function carefulPlacements(content: string, literals: string[]): Pieces[] {
  const core = content.trim();
  const lead = leadOf(content);
  const end = lead + core.length;
  const placements: Pieces[] = [wholePieces(content)];
  if (core === "") placements.push([[0, 0]]);
  else {
    placements.push([[0, end]], [[lead, content.length]], [[lead, end]]);
    const around = piecesAround(content, literals, "trimmed");
    const wide: Pieces = around.map(([from, to]) => [
      from === lead ? 0 : from,
      to === end ? content.length : to,
    ]);
    placements.push(piecesAround(content, literals, "spaced"), wide, around);
  }
  const seen = new Set<string>();
  return placements.filter((pieces) => {
    const isNew = !seen.has(String(pieces)) && pieces.length > 0 && pieces.length <= MAX_PIECES;
    seen.add(String(pieces));
    return isNew;
  });
}
