// The top of the page: what was compared, and the result in plain words before any chart.

import { formatCount, formatFixed, formatNumber, formatPercent } from "../format.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";
import { cardId, type RankedClaim } from "../rank-claims.ts";
import type { PerModel, ReportInput } from "../report-input.ts";
import { type TermName, term } from "../terms.ts";
import { sideMark } from "./side-mark.ts";

/** The rate that the first sentences speak of; the table has others, too. */
const SHOWN_Q = 0.05;
/** All finetuned-specific claims, as causal/selection.ts names them. */
const CLAIMS_SELECTION = "claims";

export function headerSection({ title, generatedAt, toolVersion, pair }: ReportInput): Html {
  return html`<header class="masthead"><p class="kicker">What fine-tuning changed</p><h1>${title}</h1><p class="pair">${sideMark("base")} <span class="model">${pair.base}</span> <span class="against">against</span> ${sideMark(
    "finetuned",
  )} <span class="model">${pair.finetuned}</span></p><p class="imprint">${layerWords(pair.layer)} · tunediff ${toolVersion} · ${generatedAt}</p></header>`;
}

export function verdictSection(
  input: ReportInput,
  claims: { finetuned: RankedClaim[]; base: RankedClaim[] },
): Html {
  const { summary, truth, warnings } = input;
  const { fve, counts } = summary;
  return html`<section id="verdict"><h2>In short</h2><div class="prose lead"><p>On ${formatNumber(
    summary.nRows,
    "held-out token",
  )} from ${formatNumber(summary.nDocuments, "document")}, one dictionary of ${formatNumber(
    summary.nLatents,
    "latent",
  )} explains ${formatPercent(fve.base)} of the variance in the base model and ${formatPercent(
    fve.finetuned,
  )} in the fine-tune, with ${formatFixed(summary.l0, 1)} latents on an average token. ${deadWords(summary.deadFraction)}</p><p>${claimWords(
    counts.finetunedSpecific,
    "finetuned",
  )} ${claimWords(counts.baseSpecific, "base")}</p>${claims.finetuned.length + claims.base.length > 0 && html`<p>${certaintyWords(input, claims)}</p>`}${causeWords(input)}${truth !== undefined && html`<p>${truthWords(truth)}</p>`}</div>
${figures(input)}
${warnings.length > 0 && html`<div class="warnings" role="note"><h3>Warnings</h3><ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`}
${shortlist(input, claims.finetuned)}</section>`;
}

function deadWords(deadFraction: number): string {
  return deadFraction === 0
    ? "No latent is dead."
    : `${formatPercent(deadFraction)} of the latents never fire.`;
}

function claimWords(count: number, side: "finetuned" | "base"): Html {
  const [owner, other] =
    side === "finetuned"
      ? ["the fine-tune has", "the base model lacks"]
      : ["the base model had", "the fine-tune lost"];
  if (count === 0) return html`No latent qualifies as something ${owner} and ${other}.`;
  const subject = count === 1 ? "latent qualifies" : "latents qualify";
  return html`<strong>${formatCount(count)} ${subject}</strong> as something ${owner} and ${other} (${html`<a href="#${side}-claims">${side}-specific</a>`}).`;
}

/** What is left of the claims when chance is asked, in one or two sentences. */
function certaintyWords(
  { nulls, stability }: ReportInput,
  claims: { finetuned: RankedClaim[]; base: RankedClaim[] },
): Html {
  const all = [...claims.finetuned, ...claims.base];
  const genuine = all.filter(({ measure }) => measure.verdict === "genuine").length;
  const nullRecord = nulls.state === "made" ? nulls.value.record : undefined;
  const q = nullRecord?.claimsUpTo.find((row) => row.q === SHOWN_Q);
  const expected = nullRecord?.expectedFalseClaims;
  const seeds = stability.state === "made" ? stability.value.record.counts : undefined;
  return html`<a href="#certainty">How sure</a>: by the ${term("interval")} ${formatCount(genuine)} of ${formatNumber(all.length, "claim")} ${
    genuine === 1 ? "is" : "are"
  } genuine.${
    expected !== undefined &&
    html` Where nothing was learned, the same pipeline makes ${formatFixed(expected.finetuned + expected.base, 1)} claims on average.`
  }${
    q !== undefined &&
    html` ${formatCount(q.finetuned + q.base)} of ours ${q.finetuned + q.base === 1 ? "has" : "have"} a ${term("qValue")} of at most ${SHOWN_Q}.`
  }${
    seeds !== undefined &&
    html` ${formatCount(
      seeds.finetunedSpecific.directionFoundInAll + seeds.baseSpecific.directionFoundInAll,
    )} are found again in every other dictionary.`
  }`;
}

/** What all claims together do, where that was measured; beside their random controls. */
function causeWords({ causal }: ReportInput): Html | false {
  const outcomes = causal.state === "made" ? (causal.value.record.patching?.outcomes ?? []) : [];
  const together = outcomes.find(
    ({ selection, form, controlOf }) =>
      selection === CLAIMS_SELECTION && form === "additive" && controlOf === "",
  );
  const gap = together?.sets.all.gapClosed?.mean;
  if (together === undefined || gap === undefined || !Number.isFinite(gap)) return false;
  const control = outcomes.find(({ controlOf }) => controlOf === together.name)?.sets.all.gapClosed?.mean;
  return html`<p><a href="#causal">What they do</a>: added to the base model together, the ${formatCount(
    together.nLatents,
  )} finetuned-specific latents close <strong>${formatPercent(gap)}</strong> of the ${term("gapClosed", "gap")} between the answers of the two models${
    control !== undefined &&
    html`; as many ${term("matchedControl", "random latents")} close ${formatPercent(control)}`
  }.</p>`;
}

function truthWords(truth: NonNullable<ReportInput["truth"]>): Html {
  return html`The pair was made with ${formatNumber(truth.conceptsPlanted, "planted behaviour")}; the claims find <strong>${formatCount(
    truth.conceptsFound,
  )} of ${formatCount(truth.conceptsPlanted)}</strong>. ${formatPercent(
    truth.precisionWithTemplate,
    0,
  )} of the claims answer to a planted behaviour or to the chat template. With labels shuffled, recall is ${formatFixed(truth.permutedRecall, 2)}.`;
}

function figures({ summary, truth }: ReportInput): Html {
  const cells: [TermName, string, string, string][] = [
    ["fve", "FVE base", formatFixed(summary.fve.base, 3), "share of variance"],
    ["fve", "FVE finetuned", formatFixed(summary.fve.finetuned, 3), "share of variance"],
    ["l0", "L0", formatFixed(summary.l0, 1), "latents a token"],
    ["dead", "dead", formatPercent(summary.deadFraction), `of ${formatCount(summary.nLatents)} latents`],
    ["claim", "finetuned-specific", formatCount(summary.counts.finetunedSpecific), "claims"],
    ["claim", "base-specific", formatCount(summary.counts.baseSpecific), "claims"],
  ];
  if (truth !== undefined) {
    cells.push(
      [
        "recall",
        "recall",
        formatFixed(truth.recall, 2),
        `${formatCount(truth.conceptsFound)} of ${formatCount(truth.conceptsPlanted)} found`,
      ],
      ["precision", "precision", formatFixed(truth.precisionWithTemplate, 2), "with template latents"],
    );
  }
  return html`<dl class="figures n${cells.length}">${cells.map(
    ([name, label, value, unit]) =>
      html`<div><dt>${term(name, label)}</dt><dd><b>${value}</b> <span>${unit}</span></dd></div>`,
  )}</dl>`;
}

/** The first claims in one line each, so that the top of the page already shows content. */
function shortlist({ lens, truth }: ReportInput, claims: RankedClaim[]): Html | false {
  if (claims.length === 0) return false;
  const conceptOf = new Map(
    truth?.claims.map((claim) => [claim.latent, claim.answersToConcept ? claim.concept : ""]),
  );
  return html`<h3>The most specific of them</h3><ol class="shortlist">${claims.slice(0, 6).map((claim) => {
    const { latent } = claim.measure;
    const promoted = lens.get(latent)?.promotedFinetuned.slice(0, 5) ?? [];
    const concept = conceptOf.get(latent);
    return html`<li><a href="#${cardId(claim)}">latent ${latent}</a>${
      promoted.length > 0 &&
      html` pushes ${joinHtml(
        promoted.map(({ token }) => html`<bdi class="tk">${showToken(token)}</bdi>`),
        " ",
      )}`
    }${concept !== undefined && concept !== "" && html` <span class="answers">answers to <b>${concept}</b></span>`}</li>`;
  })}</ol>`;
}

function layerWords(layer: PerModel): string {
  return typeof layer === "number"
    ? `residual after block ${layer} (counted from 0)`
    : `residual after block ${layer.base} (base) and ${layer.finetuned} (finetuned), counted from 0`;
}
