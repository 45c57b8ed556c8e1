// The sign of a model side, the same everywhere: a circle for base, a diamond for finetuned, in their colours.

import { colour } from "../charts/palette.ts";
import { type Html, html } from "../html.ts";
import type { Side } from "../rank-claims.ts";

export function sideMark(side: Side): Html {
  const shape =
    side === "base" ? html`<circle cx="6" cy="6" r="4.5"` : html`<path d="M6 .5 11.5 6 6 11.5.5 6z"`;
  return html`<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">${shape} fill="${colour(side)}"/></svg>`;
}
