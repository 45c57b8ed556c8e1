// The glossary at the end of the page, and what the method cannot tell.

import { formatCount } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { ReportInput } from "../report-input.ts";
import { TERMS, type Term, type TermName } from "../terms.ts";

export function glossarySection(): Html {
  return pageGlossary(Object.keys(TERMS) as TermName[]);
}

/** The words that one page uses. */
export function pageGlossary(names: readonly TermName[]): Html {
  const entries = names
    .map((name): [TermName, Term] => [name, TERMS[name]])
    .sort(([, a], [, b]) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  return html`<section id="glossary"><h2>Words</h2><dl class="glossary">${entries.map(
    ([id, { name, short, more }]) =>
      html`<div><dt id="term-${id}">${name}</dt><dd>${short}${more !== "" && html` ${more}`}</dd></div>`,
  )}</dl></section>`;
}

export function limitsSection({ training, summary, truth, stability, causal }: ReportInput): Html {
  return html`<section id="limits"><h2>What this cannot tell</h2><ul class="prose">
<li><strong>One dictionary, one seed (${training.seed}).</strong> Another seed finds partly other latents. ${
    stability.state === "made"
      ? html`Which come back is <a href="#certainty">counted</a>; it is no proof of the others’ absence.`
      : "Which claims would come back is not measured here."
  }</li>
<li><strong>The 95 % limits know one kind of chance.</strong> They say what other documents of this kind would do to a nu, from ${formatCount(summary.nDocuments)} documents. They hold the dictionary fixed, and each stands for one latent: of many claims that are just genuine, some are not.</li>
<li><strong>Specific to this text.</strong> “The base model lacks it” means: on these rows, after this layer. Other data can show the concept in the base model too.</li>
<li><strong>What the dictionary does not explain is not seen.</strong> A change that lies in the unexplained part of the variance, or in another layer, makes no claim.</li>
${
  causal.state === "made"
    ? html`<li><strong>An effect is not a meaning.</strong> Promoted tokens and examples suggest what a latent means. <a href="#causal">What it does</a> was measured one layer deep, on these conversations, by putting its direction in or taking it out; what makes it fire in a model left alone is not said.</li>`
    : html`<li><strong>Correlation only.</strong> Promoted tokens and examples suggest what a latent means. Nothing here was added to or removed from a running model.</li>`
}
${truth !== undefined && html`<li><strong>The truth knows only what was planted.</strong> Fine-tuning also changes style and format; a claim that answers to no planted concept may still be real.</li>`}
</ul></section>`;
}
