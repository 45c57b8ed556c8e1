// The score against planted truth, for pairs that have one: how much was found, and which claims are unfounded.

import type { ConceptScore, TruthScore } from "../../truth/truth-contract.ts";
import { meter } from "../charts/meters.ts";
import { formatCount, formatFixed, formatPercent } from "../format.ts";
import { type Html, html, joinHtml } from "../html.ts";
import type { RankedClaim } from "../rank-claims.ts";
import type { ReportInput } from "../report-input.ts";
import { type TermName, termLink } from "../terms.ts";
import { exampleText } from "./claim-card.ts";
import { linkToCards } from "./claims.ts";

export function truthSection(
  truth: TruthScore,
  claims: RankedClaim[],
  examples: ReportInput["examples"],
): Html {
  const link = linkToCards(claims);
  return html`<section id="truth"><h2>Score against the truth</h2><div class="columns"><p class="prose">The behaviours below were planted in the fine-tune. Latent and threshold are chosen on held-out documents and scored on test documents; the unit is one model turn. A behaviour is found when a claim predicts it with turn F1 of at least 0.7.</p>${figuresTable(
    truth,
  )}</div>${conceptTable(truth, link)}${unfounded({ truth, claims, examples, link })}</section>`;
}

function figuresTable(truth: TruthScore): Html {
  const found = truth.concepts.filter((concept) => concept.found).length;
  const nTemplate = truth.claims.filter((claim) => claim.isTemplate && !claim.answersToConcept).length;
  const rows: [TermName, string, number, string][] = [
    [
      "recall",
      "recall",
      truth.recall,
      `${formatCount(truth.conceptsFound)} of ${formatCount(truth.conceptsPlanted)} found at turn F1 ≥ 0.7`,
    ],
    ["recall", "recall at 0.6", truth.recallAt06, "turn F1 ≥ 0.6"],
    ["recall", "recall at 0.8", truth.recallAt08, "turn F1 ≥ 0.8"],
    ["recall", "recall, any latent", truth.recallAnyLatent, "when specificity is not asked for"],
    [
      "permutedRecall",
      "permuted recall",
      truth.permutedRecall,
      "labels shuffled across documents; should be near 0",
    ],
    ["precision", "precision", truth.precision, "template latents left out"],
    [
      "precision",
      "precision with template",
      truth.precisionWithTemplate,
      `${formatCount(nTemplate)} template latents count as answered`,
    ],
  ];
  return html`<table class="numbers"><caption>${formatCount(found)} of ${formatCount(truth.concepts.length)} behaviours, ${formatCount(
    truth.claims.length,
  )} claims</caption><thead><tr><th scope="col">figure</th><th scope="col">value</th><th scope="col" class="words">meaning</th></tr></thead><tbody>${rows.map(
    ([name, label, value, meaning]) =>
      html`<tr><th scope="row">${termLink(name, label)}</th><td>${formatFixed(value, 2)}</td><td class="words">${meaning}</td></tr>`,
  )}</tbody></table>`;
}

function unfounded(options: {
  truth: TruthScore;
  claims: RankedClaim[];
  examples: ReportInput["examples"];
  link: (latent: number) => Html;
}): Html {
  const { truth, claims, examples, link } = options;
  const found = truth.claims.filter((claim) => !claim.answersToConcept && !claim.isTemplate);
  if (found.length === 0) return html`<h3>Claims that answer to nothing</h3><p class="prose">None.</p>`;
  const ranked = new Map(claims.map((claim) => [claim.measure.latent, claim]));
  return html`<h3>Claims that answer to nothing</h3><p class="prose">${formatCount(found.length)} of ${formatCount(
    truth.claims.length,
  )} claims put less than half of their activation inside any one planted concept or the template. Each with its strongest example:</p><table class="unfounded"><thead><tr><th scope="col">latent</th><th scope="col" class="words">strongest example</th><th scope="col" class="words">nearest concept</th></tr></thead><tbody>${found.map(
    ({ latent, concept, conceptShare }) => {
      const claim = ranked.get(latent);
      const strongest = examples(latent)[0];
      return html`<tr class="${claim?.side ?? "finetuned"}"><th scope="row">${link(latent)}</th><td class="words examples">${
        strongest !== undefined &&
        exampleText(strongest, claim?.measure.maxActivation ?? strongest.maxActivation)
      }</td><td class="words">${concept === "" ? "none" : html`${concept}, ${formatPercent(conceptShare, 0)}`}</td></tr>`;
    },
  )}</tbody></table>`;
}

function conceptTable(truth: TruthScore, link: (latent: number) => Html): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Every planted behaviour"><table class="numbers concepts" data-enhance><caption>Every planted behaviour, with the claim that predicts it best</caption><thead><tr><th scope="col">behaviour</th><th scope="col" class="words">found</th><th scope="col">${termLink(
    "latent",
  )}</th><th scope="col">${termLink("turnF1")}</th><th scope="col">${termLink("turnAuroc", "AUROC")}</th><th scope="col">${termLink(
    "tokenF1",
  )}</th><th scope="col">${termLink("deltaNorm")}</th><th scope="col">${termLink("nuReconstruction", "nu recon.")}</th><th scope="col">${termLink(
    "nuError",
    "nu error",
  )}</th><th scope="col">${termLink("probe", "probe base")}</th><th scope="col">${termLink(
    "probe",
    "probe finetuned",
  )}</th><th scope="col">any latent</th><th scope="col">its turn F1</th></tr></thead><tbody>${joinHtml(
    truth.concepts.map((concept) => conceptRow(concept, link)),
  )}</tbody></table></div>`;
}

function conceptRow(concept: ConceptScore, link: (latent: number) => Html): Html {
  const none = concept.latent < 0;
  const cell = (value: number, decimals = 2): Html =>
    html`<td>${none ? "" : formatFixed(value, decimals)}</td>`;
  return html`<tr${concept.found && html` class="found"`}><th scope="row">${concept.name}</th><td class="words">${
    concept.found ? html`<b>✓ yes</b>` : "no"
  }</td><td>${none ? "no claim" : link(concept.latent)}</td><td>${
    none
      ? ""
      : html`${formatFixed(concept.turnF1, 2)} ${meter({ value: concept.turnF1, threshold: 0.7, pass: "above" })}`
  }</td>${cell(concept.turnAuroc)}${cell(concept.tokenF1)}${cell(concept.deltaNorm, 3)}${cell(concept.nuReconstruction, 3)}${cell(
    concept.nuError,
    3,
  )}<td>${formatFixed(concept.probeBase, 2)}</td><td>${formatFixed(concept.probeFinetuned, 2)}</td><td>${
    concept.anyLatent < 0 ? "" : link(concept.anyLatent)
  }</td><td>${formatFixed(concept.anyLatentTurnF1, 2)}</td></tr>`;
}
