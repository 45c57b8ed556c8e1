// Two dictionaries over one store side by side: what each finds, and what its norms alone would have claimed.

import { formatCount, formatFixed, formatPercent } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { SparsityComparison, SparsityFigures } from "../sparsity-comparison.ts";
import { type TermName, termLink } from "../terms.ts";

interface Row {
  term?: TermName;
  name: string;
  value: (figures: SparsityFigures) => string;
}

const NO_TRUTH = "no truth";
const ratio = (value: number | null | undefined): string =>
  value === undefined ? NO_TRUTH : value === null ? "no claims" : formatFixed(value, 2);

const ROWS: readonly Row[] = [
  { term: "fve", name: "FVE base", value: ({ fve }) => formatFixed(fve.base, 3) },
  { term: "fve", name: "FVE finetuned", value: ({ fve }) => formatFixed(fve.finetuned, 3) },
  { term: "l0", name: "L0", value: ({ l0 }) => formatFixed(l0, 1) },
  { term: "dead", name: "dead", value: ({ deadFraction }) => formatPercent(deadFraction) },
  { term: "class", name: "shared", value: ({ counts }) => formatCount(counts.shared) },
  { term: "class", name: "base-only", value: ({ counts }) => formatCount(counts.baseOnly) },
  { term: "class", name: "finetuned-only by norm", value: ({ byNorm }) => formatCount(byNorm.latents) },
  {
    term: "flagged",
    name: "of these flagged by Latent Scaling",
    value: ({ byNorm }) => shareWords(byNorm.flagged, byNorm.judged),
  },
  {
    term: "flagged",
    name: "flagged surely",
    value: ({ byNorm }) => shareWords(byNorm.flaggedSurely, byNorm.judged),
  },
  {
    term: "claim",
    name: "finetuned-specific claims",
    value: ({ counts }) => formatCount(counts.finetunedSpecific),
  },
  { term: "claim", name: "base-specific claims", value: ({ counts }) => formatCount(counts.baseSpecific) },
  { term: "twin", name: "twins", value: ({ twins }) => formatCount(twins) },
  {
    term: "recall",
    name: "recall",
    value: ({ truth }) =>
      truth === null
        ? NO_TRUTH
        : `${formatFixed(truth.recall, 2)} (${formatCount(truth.conceptsFound)} of ${formatCount(truth.conceptsPlanted)})`,
  },
  { term: "permutedRecall", name: "permuted recall", value: ({ truth }) => ratio(truth?.permutedRecall) },
  {
    term: "precision",
    name: "precision with template",
    value: ({ truth }) => ratio(truth === null ? undefined : truth.precisionWithTemplate),
  },
];

export function sparsityTable({ dictionaries }: SparsityComparison): Html {
  const label = "The same text, size and seed with another sparsity";
  return html`<p class="prose">Each dictionary was trained on the same rows. A dictionary that is finetuned-only by norm in many latents that are then ${termLink(
    "flagged",
  )} shows differences that are not there.</p><div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="numbers"><caption>${label}</caption><thead><tr><th scope="col">figure</th>${dictionaries.map(
    ({ sparsity }) => html`<th scope="col">${sparsity}</th>`,
  )}</tr></thead><tbody>${ROWS.map(
    ({ term, name, value }) =>
      html`<tr><th scope="row">${term === undefined ? name : termLink(term, name)}</th>${dictionaries.map(
        (figures) => html`<td>${value(figures)}</td>`,
      )}</tr>`,
  )}</tbody></table></div>`;
}

/** "12 of 30 judged (40 %)"; none where nothing could be judged. */
export function shareWords(count: number, judged: number): string {
  return judged === 0
    ? "none could be judged"
    : `${formatCount(count)} of ${formatCount(judged)} judged (${formatPercent(count / judged, 0)})`;
}
