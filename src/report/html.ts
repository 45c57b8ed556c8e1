// HTML and SVG as text that is safe by construction: every value put into html`…` is escaped unless it is Html already.
//
// Token strings, dataset rows and run names come from outside and end up in the page. Besides escaping, characters that
// a reader cannot see or that turn text around (controls, bidirectional marks, zero-width) are written out visibly.
// Not a template engine: no directives, no components, no browser API.

const HTML_BRAND = Symbol("html");

/** Markup that may go into the page as it is. Made only by html`…`, rawHtml and joinHtml. */
export interface Html {
  readonly [HTML_BRAND]: true;
  readonly markup: string;
}

export type HtmlValue = Html | string | number | false | null | undefined | readonly HtmlValue[];

/** Marks text written in this repository (style sheet, script) as markup. Never for anything read from a file. */
export function rawHtml(markup: string): Html {
  return { [HTML_BRAND]: true, markup };
}

/** Template tag: the literal parts stay, every value is escaped for text and for quoted attributes. */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  let markup = parts[0];
  for (let i = 0; i < values.length; i += 1) markup += toMarkup(values[i]) + parts[i + 1];
  return rawHtml(markup);
}

/** Puts pieces one after another, with an optional escaped separator. */
export function joinHtml(pieces: readonly HtmlValue[], separator: HtmlValue = ""): Html {
  return rawHtml(pieces.map(toMarkup).join(toMarkup(separator)));
}

function toMarkup(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return escapeHtml(String(value));
  if (Array.isArray(value)) return value.map(toMarkup).join("");
  const { markup, [HTML_BRAND]: isHtml } = value as Html;
  if (!isHtml)
    throw new TypeError("html: expected text, a number, Html or a list of them, got another object");
  return markup;
}

const ESCAPES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text made inert for element content and for quoted attribute values, invisible characters written out. */
export function escapeHtml(text: string): string {
  return showInvisible(text).replace(/[&<>"']/g, (character) => ESCAPES[character]);
}

// Controls; soft hyphen; Arabic letter mark; Hangul and Khmer fillers; Mongolian separator; zero-width and bidi marks;
// line and paragraph separators; byte order mark; annotation marks; tag characters. Variation selectors stay: emoji need them.
const INVISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: single code points are meant
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** Writes out characters that cannot be seen: newline ⏎, tab ⇥, other C0 controls as pictures, the rest as ⟨U+202E⟩. */
export function showInvisible(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd").replace(INVISIBLE, (character) => {
    const code = character.codePointAt(0) as number;
    if (code === 0x0a) return "⏎";
    if (code === 0x09) return "⇥";
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "␡";
    return codePointName(code);
  });
}

/**
 * A token standing alone, as in a list: as showInvisible, and spaces at either end as ␣, unusual spaces by name, a
 * combining mark in front on a dotted circle; the empty string as ∅.
 */
export function showToken(token: string): string {
  if (token === "") return "∅";
  return showInvisible(token)
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length))
    .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, (space) => codePointName(space.charCodeAt(0)))
    .replace(/^(?=\p{M})/u, "◌");
}

function codePointName(code: number): string {
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
