// The ranked claims of one side: a compact table of all of them, then a card for each of the strongest.

import type { ClaimScore } from "../../truth/truth-contract.ts";
import { N_SHADES } from "../charts/palette.ts";
import { formatCount, formatFixed, formatPercent, formatShare, formatSignificant } from "../format.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";
import { cardId, type RankedClaim, type Side } from "../rank-claims.ts";
import type { ReportInput } from "../report-input.ts";
import { termLink } from "../terms.ts";
import { foundAgainShort, qValueWords } from "./card-standing.ts";
import { claimCard } from "./claim-card.ts";

/** Claims shown with a full card; the next ones are folded away with fewer examples, the rest are in the table only. */
export const CARD_LIMITS = {
  full: 60,
  folded: 180,
  examples: 5,
  open: 3,
  foldedExamples: 2,
  samplePerBin: 2,
} as const;

const WORDS = {
  finetuned: {
    heading: "What the fine-tune has and the base model lacks",
    nothing:
      "No latent passed as finetuned-specific. On this text the dictionary shows nothing that the fine-tune has and the base model lacks; the table above says why candidates were left out.",
  },
  base: {
    heading: "What the base model had and the fine-tune lost",
    nothing:
      "No latent passed as base-specific. On this text the dictionary shows nothing that the fine-tune lost.",
  },
} as const;

/** True when the claim has a card in the page and can be linked to. */
export function hasCard(claim: RankedClaim): boolean {
  return claim.rank <= CARD_LIMITS.folded;
}

/** A latent's number, linked to its card when it has one. */
export function linkToCards(claims: readonly RankedClaim[]): (latent: number) => Html {
  const cards = new Map(claims.filter(hasCard).map((claim) => [claim.measure.latent, cardId(claim)]));
  return (latent) => {
    const id = cards.get(latent);
    return id === undefined ? html`${latent}` : html`<a href="#${id}">${latent}</a>`;
  };
}

/** all: the claims of both sides, which cards may link to. */
export function claimsSection(input: ReportInput, side: Side, all: Record<Side, RankedClaim[]>): Html {
  const claims = all[side];
  const { heading, nothing } = WORDS[side];
  const id = `${side}-claims`;
  if (claims.length === 0)
    return html`<section id="${id}"><h2>${heading}</h2><p class="prose">${nothing}</p></section>`;
  const link = linkToCards([...all.finetuned, ...all.base]);
  const truths = new Map(input.truth?.claims.map((claim) => [claim.latent, claim]));
  const card = (claim: RankedClaim): Html => {
    const isFull = claim.rank <= CARD_LIMITS.full;
    return claimCard({
      claim,
      summary: input.summary,
      late: input,
      link,
      lens: input.lens.get(claim.measure.latent),
      examples: input.examples(claim.measure.latent),
      sample: isFull ? input.samples(claim.measure.latent) : [],
      truth: truths.get(claim.measure.latent),
      nOpen: isFull ? CARD_LIMITS.open : CARD_LIMITS.foldedExamples,
      nExamples: isFull ? CARD_LIMITS.examples : CARD_LIMITS.foldedExamples,
    });
  };
  const folded = claims.slice(CARD_LIMITS.full, CARD_LIMITS.folded);
  const beyond = claims.length - CARD_LIMITS.folded;
  return html`<section id="${id}"><h2>${heading}</h2><p class="prose">${formatCount(claims.length)} ${side}-specific ${
    claims.length === 1 ? "claim" : "claims"
  }, by ${termLink("rank", "rank sum")}: most specific first.</p>${claimTable(input, side, claims, truths)}${legend(side)}${joinHtml(
    claims.slice(0, CARD_LIMITS.full).map(card),
  )}${
    folded.length > 0 &&
    html`<details class="folded"><summary>Cards of the next ${formatCount(folded.length)} claims</summary>${folded.map(card)}</details>`
  }${beyond > 0 && html`<p class="note">${formatCount(beyond)} more claims are in the table only; tables/measure.parquet has every number.</p>`}</section>`;
}

function claimTable(
  input: ReportInput,
  side: Side,
  claims: RankedClaim[],
  truths: Map<number, ClaimScore>,
): Html {
  const hasTruth = truths.size > 0;
  const hasQ = input.nulls.state === "made";
  const hasSeeds = input.stability.state === "made";
  const label = `All ${side}-specific claims`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="numbers claims" data-enhance><caption>${label}</caption><thead><tr><th scope="col">${termLink(
    "rank",
  )}</th><th scope="col">${termLink("latent")}</th><th scope="col" class="words">${termLink("lens", "promotes")}</th><th scope="col">${termLink(
    "deltaNorm",
  )}</th><th scope="col">${termLink("nuReconstruction", "nu recon.")}</th><th scope="col">${termLink("nuError", "nu error")}</th><th scope="col" class="words">${termLink("verdict")}</th>${
    hasQ && html`<th scope="col">${termLink("qValue", "q")}</th>`
  }${hasSeeds && html`<th scope="col">${termLink("foundAgain", "again")}</th>`}<th scope="col">${termLink(
    "documents",
    "docs",
  )}</th><th scope="col">${termLink("frequency", "freq.")}</th><th scope="col">${termLink("maxActivation", "max")}</th><th scope="col">${termLink(
    "templateShare",
    "templ.",
  )}</th>${hasTruth && html`<th scope="col" class="words">answers to</th>`}</tr></thead><tbody>${claims.map(
    (claim) => {
      const { measure, scaling } = claim;
      const lens = input.lens.get(measure.latent);
      const promoted =
        (side === "finetuned" ? lens?.promotedFinetuned : lens?.promotedBase)?.slice(0, 3) ?? [];
      const truth = truths.get(measure.latent);
      return html`<tr><td>${claim.rank}</td><th scope="row">${
        hasCard(claim) ? html`<a href="#${cardId(claim)}">${measure.latent}</a>` : measure.latent
      }</th><td class="words">${joinHtml(
        promoted.map(({ token }) => html`<bdi class="tk">${showToken(token)}</bdi>`),
        " ",
      )}</td><td>${formatFixed(measure.deltaNorm, 3)}</td><td>${formatFixed(scaling.nuReconstruction, 3)}</td><td>${formatFixed(
        scaling.nuError,
        3,
      )}</td><td class="words">${measure.verdict}</td>${hasQ && html`<td>${qValueWords(input.nulls, measure.latent)}</td>`}${
        hasSeeds && html`<td>${foundAgainShort(input, measure.latent)}</td>`
      }<td>${formatCount(measure.documents)}</td><td>${formatShare(measure.frequency)}</td><td>${formatSignificant(
        measure.maxActivation,
      )}</td><td>${formatPercent(measure.templateShare, 0)}</td>${
        hasTruth && html`<td class="words">${truth === undefined ? "" : answerWords(truth)}</td>`
      }</tr>`;
    },
  )}</tbody></table></div>`;
}

function answerWords(truth: ClaimScore): Html {
  if (truth.answersToConcept) return html`${truth.concept} ${formatPercent(truth.conceptShare, 0)}`;
  return truth.isTemplate ? html`(template)` : html`nothing planted`;
}

/** How to read the shading: a strip from silent to the latent's maximum. */
function legend(side: Side): Html {
  const steps = Array.from(
    { length: N_SHADES },
    (_, i) => html`<span class="a${i + 1}">${i === 0 ? "weak" : i === N_SHADES - 1 ? "max" : "  "}</span>`,
  );
  return html`<p class="legend ${side}">Shading: activation relative to the latent’s maximum, <span class="strip">${steps}</span>; the strongest token of an example is <b class="pk">underlined</b>, and its activation stands before the text. ␣ is a space, ⏎ a line break.</p>`;
}
