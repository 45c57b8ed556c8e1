// Pieces that sections share: a table of numbers, and the words for a table that was not made.

import { type Html, type HtmlValue, html } from "../html.ts";

/** Never a silent absence: what is missing, and the command that makes it. */
export function missing(words: string, command: string): Html {
  return html`<p class="missing">${words} To make it: <code>${command}</code></p>`;
}

/** The first cell of a row is its heading. `wide`: columns, counted from 0, that hold words and not numbers. */
export function numbersTable(
  label: string,
  head: HtmlValue[],
  rows: HtmlValue[][],
  wide: readonly number[] = [],
): Html {
  const words = (column: number): Html | false => wide.includes(column) && html` class="words"`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="numbers"><caption>${label}</caption><thead><tr>${head.map(
    (cell, column) => html`<th scope="col"${words(column)}>${cell}</th>`,
  )}</tr></thead><tbody>${rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row">${first}</th>${rest.map((cell, i) => html`<td${words(i + 1)}>${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}
