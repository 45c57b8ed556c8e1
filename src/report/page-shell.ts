// What report.html and glance.html share: the document around the body, its one style sheet and its content policy.
//
// The policy admits the style sheet and, where there is one, the script by their hashes and nothing else, so that nothing read
// from a model or a dataset can ever run. No web fonts, no pictures, no requests.

import { createHash } from "node:crypto";
import { type Html, html, rawHtml } from "./html.ts";
import { STYLE } from "./style.ts";

export interface PageShell {
  title: string;
  toolVersion: string;
  /** Id of the first section, for the skip link. */
  first: string;
  /** Header, navigation and main. */
  body: Html;
  /** Text of the page's only script; default: the page has none. */
  script?: string;
}

/** The whole page as UTF-8 text. The same input gives the same bytes. */
export function pageShell({ title, toolVersion, first, body, script }: PageShell): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${contentPolicy(script)}"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><meta name="generator" content="tunediff ${
    toolVersion
  }"><link rel="icon" href="data:,"><title>${title}</title><style>${rawHtml(STYLE)}</style></head>
<body><a class="skip" href="#${first}">Skip to the result</a>${body}${script !== undefined && html`<script>${rawHtml(script)}</script>`}</body></html>
`.markup;
}

/** An entry of the navigation: id of the section, words, and a count where it has one. */
export type PageEntry = readonly [id: string, words: string, count?: number];

export function pageNavigation(entries: readonly PageEntry[]): Html {
  return html`<nav aria-label="Contents"><ol>${entries.map(
    ([id, words, count]) =>
      html`<li><a href="#${id}">${words}</a>${count !== undefined && html` <span>${count}</span>`}</li>`,
  )}</ol></nav>`;
}

function contentPolicy(script: string | undefined): string {
  const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  return [
    "default-src 'none'",
    `style-src ${hash(STYLE)}`,
    ...(script === undefined ? [] : [`script-src ${hash(script)}`]),
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}
