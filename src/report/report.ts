// report.html: the whole comparison in one file that opens from disk, without a server and without the network.
//
// A pure function of its input; collect.ts gathers that from a study folder. The content policy admits one style sheet
// and one script by their hashes and nothing else, so that nothing read from a model or a dataset can ever run.

import { createHash } from "node:crypto";
import { type Html, html, rawHtml } from "./html.ts";
import { rankClaims } from "./rank-claims.ts";
import type { ReportInput } from "./report-input.ts";
import { SCRIPT } from "./script.ts";
import { certaintySection } from "./sections/certainty.ts";
import { claimsSection } from "./sections/claims.ts";
import { differencesSection } from "./sections/differences.ts";
import { fitSection } from "./sections/fit.ts";
import { glossarySection, limitsSection } from "./sections/glossary.ts";
import { headerSection, verdictSection } from "./sections/overview.ts";
import { dataSection, reproduceSection } from "./sections/provenance.ts";
import { truthSection } from "./sections/truth.ts";
import { STYLE } from "./style.ts";

export type { ReportInput } from "./report-input.ts";

/** The page as UTF-8 text. The same input gives the same bytes. */
export function renderReport(input: ReportInput): string {
  const claims = {
    finetuned: rankClaims(input.latents, "finetuned"),
    base: rankClaims(input.latents, "base"),
  };
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${contentPolicy()}"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><meta name="generator" content="tunediff ${
    input.toolVersion
  }"><link rel="icon" href="data:,"><title>${input.title}</title><style>${rawHtml(STYLE)}</style></head>
<body><a class="skip" href="#verdict">Skip to the result</a>${headerSection(input)}${navigation(input, claims)}<main>
${verdictSection(input, claims)}
${fitSection(input)}
${differencesSection(input)}
${certaintySection(input, claims)}
${input.truth !== undefined && truthSection(input.truth, [...claims.finetuned, ...claims.base], input.examples)}
${claimsSection(input, "finetuned", claims)}
${claimsSection(input, "base", claims)}
${dataSection(input)}
${reproduceSection(input)}
${limitsSection(input)}
${glossarySection()}
</main><script>${rawHtml(SCRIPT)}</script></body></html>
`;
  return page.markup;
}

function navigation(input: ReportInput, claims: { finetuned: unknown[]; base: unknown[] }): Html {
  const entries: [string, string, number?][] = [
    ["verdict", "In short"],
    ["fit", "Fit"],
    ["differences", "Leaning"],
    ["certainty", "How sure"],
    ...(input.truth === undefined ? [] : ([["truth", "Truth"]] as [string, string][])),
    ["finetuned-claims", "Finetuned-specific", claims.finetuned.length],
    ["base-claims", "Base-specific", claims.base.length],
    ["data", "Text"],
    ["reproduce", "Make it again"],
    ["limits", "Limits"],
    ["glossary", "Words"],
  ];
  return html`<nav aria-label="Contents"><ol>${entries.map(
    ([id, words, count]) =>
      html`<li><a href="#${id}">${words}</a>${count !== undefined && html` <span>${count}</span>`}</li>`,
  )}</ol></nav>`;
}

function contentPolicy(): string {
  const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  return [
    "default-src 'none'",
    `style-src ${hash(STYLE)}`,
    `script-src ${hash(SCRIPT)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}
