// One claim as a card: its numbers, what its directions say in either model, and the texts it fires on.

import type { LatentLens, TokenScore } from "../../lens/lens-contract.ts";
import { SAMPLE_BINS } from "../../measure/example-sample.ts";
import type { Interval, LatentExample, MeasureSummary } from "../../measure/measure-contract.ts";
import type { ClaimScore } from "../../truth/truth-contract.ts";
import { meter } from "../charts/meters.ts";
import {
  formatCount,
  formatFixed,
  formatLimits,
  formatPercent,
  formatShare,
  formatSignificant,
} from "../format.ts";
import { type Html, html, joinHtml } from "../html.ts";
import type { LateTables } from "../late-tables.ts";
import { cardId, type RankedClaim, type Side } from "../rank-claims.ts";
import { type TermName, term } from "../terms.ts";
import { causeLine } from "./card-causal.ts";
import { foundAgainWords, qValueWords, verdictLine } from "./card-standing.ts";
import { whereBlock } from "./card-where.ts";
import { sideMark } from "./side-mark.ts";
import { shadedText, tokenChip } from "./tokens.ts";

export interface CardOptions {
  claim: RankedClaim;
  summary: MeasureSummary;
  /** q-values, other seeds and causal experiments, where they were made. */
  late: Pick<LateTables, "nulls" | "stability" | "causal">;
  lens: LatentLens | undefined;
  examples: LatentExample[];
  /** Undefined when there is no planted truth. */
  truth: ClaimScore | undefined;
  /** Over all strengths, weakest bin first; folded away. Empty: none is shown. */
  sample: LatentExample[];
  /** A latent's number, linked where it has a card. */
  link: (latent: number) => Html;
  /** Examples in the open; the rest are folded away. */
  nOpen: number;
  nExamples: number;
}

export function claimCard(options: CardOptions): Html {
  const { claim, summary, late, lens, truth, link } = options;
  const { measure, side, rank } = claim;
  const id = cardId(claim);
  return html`<article class="card ${side}" id="${id}" aria-labelledby="${id}-h"><header><span class="rank">${rank}</span><h3 id="${id}-h">${sideMark(
    side,
  )} latent ${measure.latent}</h3>${truth !== undefined && truthLabel(truth)}<a class="permalink" href="#${id}" aria-label="link to latent ${
    measure.latent
  }">#</a></header>${verdictLine(measure, summary.thresholds)}${causeLine(late, measure.latent, side)}<div class="card-body">${numbers(options)}<div class="evidence">${examplesBlock(options)}${sampleBlock(options)}</div>${whereBlock({ measure, side, summary, link })}${lens === undefined ? html`<p class="note">No promoted tokens were computed for this latent.</p>` : lensTable(lens, claim)}</div></article>`;
}

/** What planted truth a claim answers to, in words. */
export function truthLabel(truth: ClaimScore): Html {
  if (truth.answersToConcept)
    return html`<span class="badge yes">answers to <b>${truth.concept}</b>, ${formatPercent(truth.conceptShare, 0)} of its mass</span>`;
  if (truth.isTemplate)
    return html`<span class="badge">template latent, ${formatPercent(truth.templateShare, 0)} of its mass</span>`;
  const nearest =
    truth.concept !== "" && html` (nearest: ${truth.concept}, ${formatPercent(truth.conceptShare, 0)})`;
  return html`<span class="badge no">answers to no planted concept${nearest}</span>`;
}

interface Row {
  name: TermName;
  label: string;
  value: string;
  glyph?: Html;
  limits?: Interval;
}

function numbers({ claim, summary, late }: CardOptions): Html {
  const { measure, scaling, side } = claim;
  const { thresholds: t, scalingDirections } = summary;
  const nu = (name: "nuReconstruction" | "nuError" | "nuActivation", threshold?: number): Row => {
    const value = scaling[name];
    const interval = measure.intervals[side][name];
    const judged = threshold === undefined ? {} : { threshold, pass: "below" as const };
    return {
      ...{ name, label: name, value: formatFixed(value, 3), limits: interval },
      glyph: meter({ value, from: t.nuMinimum, side, interval, ...judged }),
    };
  };
  const isOwn = scalingDirections === "own";
  const rows: Row[] = [
    {
      ...{ name: "deltaNorm", label: "deltaNorm", value: formatFixed(measure.deltaNorm, 3) },
      glyph: meter({ value: measure.deltaNorm, threshold: 0.5, side }),
    },
    nu("nuReconstruction", t.nuReconstructionBelow),
    nu("nuError", t.nuErrorBelow),
    nu("nuActivation"),
    {
      ...{ name: "decoderCosine", label: "decoder cosine" },
      value: isOwn ? "none: widths differ" : formatFixed(measure.decoderCosine, 3),
      ...(!isOwn && { glyph: meter({ value: measure.decoderCosine, from: -1, threshold: 0, side }) }),
    },
    { name: "qValue", label: "q-value", value: qValueWords(late.nulls, measure.latent) },
    { name: "foundAgain", label: "found again", value: foundAgainWords(late.stability, measure.latent) },
    { name: "frequency", label: "frequency", value: formatShare(measure.frequency) },
    { name: "documents", label: "documents", value: formatCount(measure.documents) },
    { name: "maxActivation", label: "max activation", value: formatSignificant(measure.maxActivation) },
    { name: "templateShare", label: "template share", value: formatPercent(measure.templateShare, 0) },
  ];
  return html`<dl class="measures">${rows.map(
    ({ name, label, value, glyph, limits }) =>
      html`<div><dt>${term(name, label)}</dt><dd>${value}</dd>${glyph !== undefined && html`<dd class="glyph">${glyph}</dd>`}${
        limits !== undefined && html`<dd class="limits">95 %: ${formatLimits(limits)}</dd>`
      }</div>`,
  )}</dl>`;
}

function examplesBlock({ claim, examples, nOpen, nExamples }: CardOptions): Html {
  if (examples.length === 0) return html`<p class="note">No examples were kept for this latent.</p>`;
  const shown = examples
    .slice(0, nExamples)
    .map((example) => exampleItem(example, claim.measure.maxActivation));
  const folded = shown.slice(nOpen);
  return html`<ol class="examples">${shown.slice(0, nOpen)}</ol>${
    folded.length > 0 &&
    html`<details><summary>${folded.length} more ${folded.length === 1 ? "example" : "examples"}</summary><ol class="examples">${folded}</ol></details>`
  }`;
}

/** The sample over the paper's bins, behind a disclosure: what the latent does when it is not at its strongest. */
function sampleBlock({ claim, sample }: CardOptions): Html | false {
  if (sample.length === 0) return false;
  const { edges } = SAMPLE_BINS;
  const bins = edges.slice(1).map((to, bin) => ({
    words:
      bin === 0
        ? `below ${formatPercent(to, 0)}`
        : `${formatPercent(edges[bin], 0)} to ${formatPercent(to, 0)}`,
    examples: sample.filter((example) => example.bin === bin),
  }));
  return html`<details class="sample"><summary>${sample.length} ${sample.length === 1 ? "example" : "examples"} over all strengths</summary>${bins
    .filter(({ examples }) => examples.length > 0)
    .map(
      ({ words, examples }) =>
        html`<h4>${words} of its maximum</h4><ol class="examples">${examples.map((example) =>
          exampleItem(example, claim.measure.maxActivation),
        )}</ol>`,
    )}</details>`;
}

function exampleItem(example: LatentExample, maxActivation: number): Html {
  return html`<li><span class="at">${formatSignificant(example.maxActivation)}</span>${exampleText(
    example,
    maxActivation,
  )}<span class="source">${example.dataset} · ${example.documentId}</span></li>`;
}

/** The window of tokens, shaded relative to the latent's maximum. Needs an ancestor of class base or finetuned. */
export function exampleText({ tokens, activations, peak }: LatentExample, maxActivation: number): Html {
  return shadedText({
    ...{ tokens, values: activations, peak, most: maxActivation },
    title: (i) => formatSignificant(activations[i]),
  });
}

function lensTable(lens: LatentLens, { measure }: RankedClaim): Html {
  const row = (words: string, base: TokenScore[], finetuned: TokenScore[]): Html =>
    html`<tr><th scope="row">${words}</th><td>${tokenList(base)}</td><td>${tokenList(finetuned)}</td></tr>`;
  const head = (side: Side, norm: number): Html =>
    html`<th scope="col">${sideMark(side)} ${side} <span>direction and unembedding, decoder norm ${formatSignificant(norm)}</span></th>`;
  return html`<table class="lens"><thead><tr><th scope="col">${term("lens", "tokens")}</th>${head("base", measure.decoderNormBase)}${head("finetuned", measure.decoderNormFinetuned)}</tr></thead><tbody>${row(
    "promoted",
    lens.promotedBase,
    lens.promotedFinetuned,
  )}${row("suppressed", lens.suppressedBase, lens.suppressedFinetuned)}</tbody></table>`;
}

function tokenList(scores: TokenScore[]): Html {
  if (scores.length === 0) return html`<span class="none">none</span>`;
  const shown = scores.slice(0, 8);
  const chips = shown.map(({ token, score }) => tokenChip(token, `${signed(score)} logits`));
  return html`${joinHtml(chips, " ")} <span class="span">${signed(shown[0].score)} … ${signed(shown[shown.length - 1].score)} logits</span>`;
}

function signed(value: number): string {
  return value > 0 ? `+${formatFixed(value, 2)}` : formatFixed(value, 2);
}
