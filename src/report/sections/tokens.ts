// Tokens in a page: chips of single tokens, and stretches of text in which every token is shaded by a number.

import { shadeLevel } from "../charts/palette.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";

/** A token by itself, spaces and line breaks visible. title: said on hover. */
export function tokenChip(token: string, title?: string): Html {
  return title === undefined
    ? html`<bdi class="tk">${showToken(token)}</bdi>`
    : html`<bdi class="tk" title="${title}">${showToken(token)}</bdi>`;
}

export function tokenChips(tokens: readonly string[]): Html {
  return joinHtml(
    tokens.map((token) => tokenChip(token)),
    " ",
  );
}

export interface ShadedText {
  tokens: readonly string[];
  /** One a token; what is not above 0 is not shaded. */
  values: readonly number[];
  /** Index of the token that is underlined. */
  peak: number;
  /** Value of the darkest shade. */
  most: number;
  /** Said on hover of a shaded token. */
  title: (index: number) => string;
}

/** Needs an ancestor of class base or finetuned, whose colour it takes, and one of class examples. */
export function shadedText(text: ShadedText): Html {
  return html`<p class="text">${text.tokens.map((token, i) => shadedToken(text, token, i))}</p>`;
}

/** Tokens below the first shade are bare text, which keeps the page small. */
function shadedToken({ values, peak, most, title }: ShadedText, token: string, i: number): Html {
  const level = shadeLevel(values[i] ?? 0, most);
  const isControl = /^<[^<>\s]+>$/.test(token);
  const shown = token === "" ? "∅" : token;
  if (level === 0 && i !== peak) return isControl ? html`<i>${shown}</i>` : html`${shown}`;
  const classes = [level > 0 && `a${level}`, i === peak && "pk", isControl && "ct"].filter(Boolean).join(" ");
  return html`<span class="${classes}" title="${title(i)}">${shown}</span>`;
}
