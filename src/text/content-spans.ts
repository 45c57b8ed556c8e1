// Where each message's content lies in the rendered chat, and to which message the template around it belongs.
//
// A chat is rendered as it is, and once per shape (sequence of roles) with every content between two private-use
// marks. The marks cut that second render into template parts; the real render must then read
// part 0, content 0, part 1, content 1 … with each content whole or trimmed. Anything else (a content dropped,
// repeated, moved or rewritten) is refused: a wrong mask would be worse than none.
// Knows no particular template.

import { FormatError } from "../errors.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { ChatMessage } from "./document.ts";

export interface LocatedMessage {
  /** UTF-16 offsets of the content in the rendered text, end exclusive. */
  start: number;
  end: number;
  /** UTF-16 units that the template trimmed from the content's start. */
  trimmedStart: number;
  /** Template text from `end` to here closes this message; from here to the next content it opens the next one. */
  closeEnd: number;
}

export interface LocatedChat {
  text: string;
  messages: LocatedMessage[];
}

interface Shape {
  /** Template text before content 0, between contents, and after the last one: nMessages + 1 strings. */
  parts: string[];
  /** Characters of parts[i + 1] that close message i. */
  closeLengths: number[];
}

const MAX_SHAPES_PER_KEY = 8;

function chooseMarks(messages: ChatMessage[]): { open: (i: number) => string; close: (i: number) => string } {
  let nonce = 0;
  while (messages.some(({ content }) => content.includes(`\uF5B8${nonce}.`))) nonce += 1;
  return { open: (i) => `\uF5B8${nonce}.${i}\uF5B9`, close: (i) => `\uF5B8${nonce}.${i}\uF5BA` };
}

function commonPrefixLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

/** Renders with marks and cuts at them. Throws FormatError when a content is missing, repeated or out of order. */
function deriveShape(template: ChatTemplate, messages: ChatMessage[]): Shape {
  const marks = chooseMarks(messages);
  const marked = messages.map(({ role, content }, i) => ({
    role,
    content: marks.open(i) + content + marks.close(i),
  }));
  const render = template.render(marked);
  const parts: string[] = [];
  const contentEnds: number[] = [];
  let from = 0;
  for (let i = 0; i < messages.length; i += 1) {
    const open = render.indexOf(marks.open(i));
    const close = render.indexOf(marks.close(i));
    const isOnce =
      open >= from &&
      close >= open &&
      render.lastIndexOf(marks.open(i)) === open &&
      render.lastIndexOf(marks.close(i)) === close;
    if (!isOnce) {
      throw new FormatError(
        `${template.place}: expected messages[${i}] (${messages[i].role}) once and in order in the rendered chat, got it ${
          open < 0 || close < 0 ? "dropped or cut" : "repeated or moved"
        }`,
        { hint: "leave such messages out of the data, or use a template that writes each message once" },
      );
    }
    parts.push(render.slice(from, open));
    from = close + marks.close(i).length;
    contentEnds.push(from);
  }
  parts.push(render.slice(from));
  const closeLengths = messages.map((_, i) => {
    if (i === messages.length - 1) return parts[i + 1].length;
    return findCloseLength({ template, marked, i, render, contentEnd: contentEnds[i], gap: parts[i + 1] });
  });
  return { parts, closeLengths };
}

/** Characters of the gap after message i that are there when the chat ends with message i: what closes it. */
function findCloseLength(options: {
  template: ChatTemplate;
  marked: ChatMessage[];
  i: number;
  render: string;
  contentEnd: number;
  gap: string;
}): number {
  const { template, marked, i, render, contentEnd, gap } = options;
  let ended: string;
  try {
    ended = template.render(marked.slice(0, i + 1));
  } catch {
    // A template that refuses chats ending here says nothing about the border: the gap opens the next message.
    return 0;
  }
  if (!ended.startsWith(render.slice(0, contentEnd))) return 0;
  return commonPrefixLength(ended.slice(contentEnd), gap);
}

/** Reads text as part, content, part, …; null when it does not fit. */
function fitShape(text: string, messages: ChatMessage[], shape: Shape): LocatedMessage[] | null {
  const { parts, closeLengths } = shape;
  if (!text.startsWith(parts[0])) return null;
  const located: LocatedMessage[] = [];
  const fitFrom = (i: number, start: number): boolean => {
    if (i === messages.length) return start === text.length;
    const { content } = messages[i];
    const forms = new Set([content, content.trim(), content.trimStart(), content.trimEnd()]);
    for (const form of forms) {
      const end = start + form.length;
      if (!text.startsWith(form, start) || !text.startsWith(parts[i + 1], end)) continue;
      const isStartTrimmed = form.length < content.length && !content.startsWith(form);
      const trimmedStart = isStartTrimmed ? content.length - content.trimStart().length : 0;
      located[i] = { start, end, trimmedStart, closeEnd: end + closeLengths[i] };
      if (fitFrom(i + 1, end + parts[i + 1].length)) return true;
    }
    return false;
  };
  return fitFrom(0, parts[0].length) ? located : null;
}

/**
 * Renders chats of one template and locates their contents; remembers shapes between calls.
 *
 * Throws FormatError when the template refuses a chat or treats a content in a way that cannot be located.
 */
export function createChatLocator(template: ChatTemplate): (messages: ChatMessage[]) => LocatedChat {
  const shapes = new Map<string, Shape[]>();
  return (messages) => {
    const text = template.render(messages);
    const key = messages.map(({ role }) => role).join();
    const known = shapes.get(key) ?? [];
    for (const shape of known) {
      const located = fitShape(text, messages, shape);
      if (located) return { text, messages: located };
    }
    const shape = deriveShape(template, messages);
    const located = fitShape(text, messages, shape);
    if (!located) {
      throw new FormatError(
        `${template.place}: expected each message's content unchanged or trimmed in the rendered chat, got it rewritten`,
        {
          hint: "the template changes or omits some contents (an empty one, or text that it treats specially)",
        },
      );
    }
    if (known.length < MAX_SHAPES_PER_KEY) shapes.set(key, [...known, shape]);
    return { text, messages: located };
  };
}
