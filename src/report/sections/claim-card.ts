// One claim as a card: its numbers, what its directions say in either model, and the texts it fires on.

import type { LatentLens, TokenScore } from "../../lens/lens-contract.ts";
import type { ClaimThresholds, LatentExample, MeasureSummary } from "../../measure/measure-contract.ts";
import type { ClaimScore } from "../../truth/truth-contract.ts";
import { meter } from "../charts/meters.ts";
import { shadeLevel } from "../charts/palette.ts";
import { formatCount, formatFixed, formatPercent, formatShare, formatSignificant } from "../format.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";
import { cardId, type RankedClaim, type Side } from "../rank-claims.ts";
import { type TermName, term } from "../terms.ts";
import { sideMark } from "./side-mark.ts";

export interface CardOptions {
  claim: RankedClaim;
  thresholds: ClaimThresholds;
  lens: LatentLens | undefined;
  examples: LatentExample[];
  /** Undefined when there is no planted truth. */
  truth: ClaimScore | undefined;
  /** Of the summary. "own": the models differ in width, and no cosine between them exists. */
  scalingDirections: MeasureSummary["scalingDirections"];
  /** Examples in the open; the rest are folded away. */
  nOpen: number;
  nExamples: number;
}

export function claimCard(options: CardOptions): Html {
  const { claim, lens, truth } = options;
  const { measure, side, rank } = claim;
  const id = cardId(claim);
  return html`<article class="card ${side}" id="${id}" aria-labelledby="${id}-h"><header><span class="rank">${rank}</span><h3 id="${id}-h">${sideMark(
    side,
  )} latent ${measure.latent}</h3>${truth !== undefined && truthLabel(truth)}<a class="permalink" href="#${id}" aria-label="link to latent ${
    measure.latent
  }">#</a></header><div class="card-body">${numbers(options)}<div class="evidence">${examplesBlock(options)}</div>${lens === undefined ? html`<p class="note">No promoted tokens were computed for this latent.</p>` : lensTable(lens, claim)}</div></article>`;
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

function numbers({ claim, thresholds: t, scalingDirections }: CardOptions): Html {
  const { measure, scaling, side } = claim;
  const rows: [TermName, string, string, Html | false][] = [
    [
      "deltaNorm",
      "deltaNorm",
      formatFixed(measure.deltaNorm, 3),
      meter({ value: measure.deltaNorm, threshold: 0.5, side }),
    ],
    [
      "nuReconstruction",
      "nuReconstruction",
      formatFixed(scaling.nuReconstruction, 3),
      meter({ value: scaling.nuReconstruction, threshold: t.nuReconstructionBelow, pass: "below", side }),
    ],
    [
      "nuError",
      "nuError",
      formatFixed(scaling.nuError, 3),
      meter({ value: scaling.nuError, threshold: t.nuErrorBelow, pass: "below", side }),
    ],
    [
      "nuActivation",
      "nuActivation",
      formatFixed(scaling.nuActivation, 3),
      meter({ value: scaling.nuActivation, side }),
    ],
    [
      "decoderCosine",
      "decoder cosine",
      scalingDirections === "own" ? "none: widths differ" : formatFixed(measure.decoderCosine, 3),
      scalingDirections === "shared" && meter({ value: measure.decoderCosine, from: -1, threshold: 0, side }),
    ],
    ["frequency", "frequency", formatShare(measure.frequency), false],
    ["documents", "documents", formatCount(measure.documents), false],
    ["maxActivation", "max activation", formatSignificant(measure.maxActivation), false],
    ["templateShare", "template share", formatPercent(measure.templateShare, 0), false],
  ];
  return html`<dl class="measures">${rows.map(
    ([name, label, value, glyph]) =>
      html`<div><dt>${term(name, label)}</dt><dd>${value}</dd>${glyph && html`<dd class="glyph">${glyph}</dd>`}</div>`,
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

function exampleItem(example: LatentExample, maxActivation: number): Html {
  return html`<li><span class="at">${formatSignificant(example.maxActivation)}</span>${exampleText(
    example,
    maxActivation,
  )}<span class="source">${example.dataset} · ${example.documentId}</span></li>`;
}

/** The window of tokens, shaded relative to the latent's maximum. Needs an ancestor of class base or finetuned. */
export function exampleText({ tokens, activations, peak }: LatentExample, maxActivation: number): Html {
  return html`<p class="text">${tokens.map((token, i) =>
    shadedToken({ token, activation: activations[i] ?? 0, isPeak: i === peak, maxActivation }),
  )}</p>`;
}

/** A token shaded by its activation; silent ordinary tokens are bare text, which keeps the page small. */
function shadedToken(options: {
  token: string;
  activation: number;
  isPeak: boolean;
  maxActivation: number;
}): Html {
  const { token, activation, isPeak, maxActivation } = options;
  const level = shadeLevel(activation, maxActivation);
  const isControl = /^<[^<>\s]+>$/.test(token);
  const shown = token === "" ? "∅" : token;
  if (level === 0) return isControl ? html`<i>${shown}</i>` : html`${shown}`;
  const classes = [`a${level}`, isPeak && "pk", isControl && "ct"].filter(Boolean).join(" ");
  return html`<span class="${classes}" title="${formatSignificant(activation)}">${shown}</span>`;
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
  const chips = shown.map(
    ({ token, score }) => html`<bdi class="tk" title="${signed(score)} logits">${showToken(token)}</bdi>`,
  );
  return html`${joinHtml(chips, " ")} <span class="span">${signed(shown[0].score)} … ${signed(shown[shown.length - 1].score)} logits</span>`;
}

function signed(value: number): string {
  return value > 0 ? `+${formatFixed(value, 2)}` : formatFixed(value, 2);
}
