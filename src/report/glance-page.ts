// glance.html: what differs between two models, without a dictionary, in one file that opens from disk.
//
// A pure function of glance.json (glance/glance-contract.ts), with the style sheet and content policy of report.html and no script.
// What the numbers mean is said here in a sentence each; how they are made stands in glance/.

import type { Glance } from "../glance/glance-contract.ts";
import { displayName } from "./display-name.ts";
import { formatNumber, formatSeconds } from "./format.ts";
import { type Html, html } from "./html.ts";
import { pageNavigation, pageShell } from "./page-shell.ts";
import { componentsSection, lensSection } from "./sections/glance-directions.ts";
import { groupsSection, peaksSection } from "./sections/glance-kl.ts";
import { miningSection } from "./sections/glance-mining.ts";
import { pageGlossary } from "./sections/glossary.ts";
import { sideMark } from "./sections/side-mark.ts";

/** Name of the file, beside report.html and glance.json. */
export const GLANCE_PAGE = "glance.html";

/** The page as UTF-8 text. The same glance gives the same bytes. */
export function renderGlancePage(glance: Glance): string {
  const names = { base: displayName(glance.base), finetuned: displayName(glance.finetuned) };
  const body = html`${header(glance, names)}${pageNavigation([
    ["findings", "Findings"],
    ["peaks", "Where they part", glance.kl.peaks.length],
    ["groups", "By kind"],
    ["lens", "Mean difference", glance.lens.positions.length],
    ["components", "Components", glance.pca.components.length],
    ["mining", "Mined tokens"],
    ["about", "How it was made"],
    ["glossary", "Words"],
  ])}<main>
${findingsSection(glance)}
${peaksSection(glance.kl)}
${groupsSection(glance.kl)}
${lensSection(glance.lens)}
${componentsSection(glance.pca)}
${miningSection(glance.mining)}
${aboutSection(glance)}
${pageGlossary(["base", "residual", "kl", "differenceLens", "consistency", "component", "mined"])}
</main>`;
  return pageShell({
    title: `${names.finetuned} against ${names.base}, at a glance`,
    toolVersion: glance.tunediff,
    first: "findings",
    body,
  });
}

function header({ layer, tunediff }: Glance, { base, finetuned }: { base: string; finetuned: string }): Html {
  const where =
    layer.base === layer.finetuned ? layer.base : `${layer.base} (base) and ${layer.finetuned} (finetuned)`;
  return html`<header class="masthead"><p class="kicker">What fine-tuning changed, at a glance</p><h1>${finetuned} against ${base}</h1><p class="pair">${sideMark(
    "base",
  )} <span class="model">${base}</span> <span class="against">against</span> ${sideMark("finetuned")} <span class="model">${finetuned}</span></p><p class="imprint">residual after block ${where}, counted from 0 · tunediff ${tunediff}</p></header>`;
}

function findingsSection({ findings, warnings, text }: Glance): Html {
  return html`<section id="findings"><h2>What was found</h2>${
    findings.length === 0
      ? html`<p class="prose lead">Nothing differs: on ${formatNumber(text.tokens, "token")} both models predict the same.</p>`
      : html`<ol class="prose lead findings">${findings.map((finding) => html`<li>${finding}</li>`)}</ol>`
  }${
    warnings.length > 0 &&
    html`<div class="warnings" role="note"><h3>Warnings</h3><ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`
  }</section>`;
}

function aboutSection({ text, seconds, base, finetuned }: Glance): Html {
  const facts: [string, string][] = [
    ["base model", base],
    ["finetuned model", finetuned],
    ["text", text.description],
    ["read", `${formatNumber(text.tokens, "token")} of ${formatNumber(text.documents, "document")}`],
    ["time", formatSeconds(seconds)],
  ];
  return html`<section id="about"><h2>How this was made, and what it cannot tell</h2><table class="facts"><caption>What went in</caption><tbody>${facts.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</tbody></table><ul class="prose"><li>A glance says where to look. It names no concept, counts none, and proves nothing about causes.</li><li>What differs only on text that is not read here is not seen.</li><li>The difference of the residuals is read at one layer.</li></ul></section>`;
}
