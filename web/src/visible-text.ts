// Characters that cannot be seen, written out: newlines, controls, bidirectional marks, zero widths; lone surrogates as U+FFFD.
//
// The same words as the report's (src/report/html.ts, its twin; visible-text.test.ts holds them together). The browser shows the
// result as a text node, so no token is ever markup.

const INVISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is the purpose
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: single code points are meant
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;

/** Newline ⏎, tab ⇥, other C0 controls as pictures, the rest as ⟨U+202E⟩. */
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

/** A token standing alone: spaces at either end as ␣, unusual spaces by name, the empty string as ∅. */
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
