// Where the latents lean and which leaning is real: histogram, scatters, classes and exclusions, all of all latents.

import {
  EXCLUSIONS,
  type Exclusion,
  type LatentMeasure,
  type MeasureSummary,
} from "../../measure/measure-contract.ts";
import { figure } from "../charts/chart.ts";
import { deltaNormHistogram } from "../charts/histogram.ts";
import { nuScatter, type ScatterPoint } from "../charts/scatter.ts";
import { formatCount, formatPercent } from "../format.ts";
import { type Html, html } from "../html.ts";
import { type Side, scalingOf } from "../rank-claims.ts";
import type { ReportInput } from "../report-input.ts";
import { termLink } from "../terms.ts";

const REASONS: Record<Exclusion, string> = {
  "not-candidate": "does not lean to this side by norm",
  dead: "never fired on held-out rows",
  "too-rare": "fired in too few documents to be judged",
  "negative-beta": "a beta of the side that should have it is not positive",
  "nu-out-of-range": "a nu lies outside the range where it can be read",
};

export function differencesSection(input: ReportInput): Html {
  const { latents, summary } = input;
  const { thresholds: t } = summary;
  const chart = deltaNormHistogram({
    id: "histogram",
    deltaNorms: latents.map((latent) => latent.deltaNorm),
    thresholds: t,
    counts: summary.counts,
  });
  return html`<section id="differences"><h2>Where the latents lean</h2><div class="columns wide-left">${figure(
    {
      chart,
      caption: html`All ${formatCount(summary.nLatents)} latents by ${termLink("deltaNorm")}. Bands: base-only up to ${
        t.baseOnlyAtMost
      }, shared ${t.sharedFrom} to ${t.sharedTo}, finetuned-only from ${t.finetunedOnlyAtLeast}. The square-root axis keeps single latents visible.`,
    },
  )}${classTable(summary)}</div>
<h3>Which leaning is real</h3><p class="prose">A long decoder in one model and a short one in the other can be an artefact of training. ${termLink(
    "scaling",
  )} asks the activations themselves. Latents that lean to the fine-tune (deltaNorm above ${t.candidateDeltaNorm}) are judged along their finetuned direction, those that lean to the base model (below ${mirror(
    t.candidateDeltaNorm,
  )}) along their base direction. A ${termLink("claim")} needs ${termLink("nuReconstruction")} below ${t.nuReconstructionBelow} and ${termLink(
    "nuError",
  )} below ${t.nuErrorBelow}: the shaded corner.</p>${summary.scalingDirections === "own" && widthsNote(input)}
<div class="pairwise">${scatter(latents, "finetuned", summary)}${scatter(latents, "base", summary)}</div>${exclusionTable(summary)}</section>`;
}

/** Said wherever the two models have no space in common: what is missing, and what the numbers mean instead. */
function widthsNote({ pair: { dModel } }: ReportInput): Html {
  const widths =
    typeof dModel === "number"
      ? ""
      : ` (base ${formatCount(dModel.base)}, finetuned ${formatCount(dModel.finetuned)})`;
  return html`<p class="note" id="widths-note">The models differ in width${widths}, so a direction of one does not exist in the other. There is no decoder cosine. deltaNorm compares lengths after each model's activations were brought to the same size. Latent Scaling reads each model along the latent's own decoder row in that model, not along one row in both: a concept that the other model holds in another direction is not seen, so a claim is weaker evidence here than between models of one width.</p>`;
}

function scatter(latents: readonly LatentMeasure[], side: Side, { thresholds }: MeasureSummary): Html {
  const limits = [-0.25, 1.5] as const;
  const points = leaningPoints(latents, side, thresholds.candidateDeltaNorm);
  const chart = nuScatter({ id: `scatter-${side}`, side, points, thresholds, limits });
  return figure({
    chart,
    caption: html`${formatCount(points.length)} latents that lean to the ${
      side === "finetuned" ? "fine-tune" : "base model"
    }. Both axes are cut at −0.25 and 1.5; what lies beyond is counted in the corner.`,
  });
}

/** The latents a scatter of one side shows: those whose norm leans there. */
export function leaningPoints(
  latents: readonly LatentMeasure[],
  side: Side,
  candidateDeltaNorm: number,
): ScatterPoint[] {
  return latents
    .filter(({ deltaNorm }) =>
      side === "finetuned" ? deltaNorm > candidateDeltaNorm : deltaNorm < 1 - candidateDeltaNorm,
    )
    .map((measure) => {
      const { nuReconstruction, nuError } = scalingOf(measure, side);
      const kind =
        measure.claim === `${side}-specific` ? "claim" : measure.exclusion === "" ? "judged" : "excluded";
      const remark =
        kind === "claim"
          ? "claim"
          : kind === "judged"
            ? "judged, not specific"
            : `excluded: ${measure.exclusion}`;
      return { latent: measure.latent, nuReconstruction, nuError, kind, remark };
    });
}

function classTable({ counts, nLatents, thresholds: t }: MeasureSummary): Html {
  const rows: [string, string, number][] = [
    ["base-only", `≤ ${t.baseOnlyAtMost}`, counts.baseOnly],
    ["shared", `${t.sharedFrom} to ${t.sharedTo}`, counts.shared],
    ["finetuned-only", `≥ ${t.finetunedOnlyAtLeast}`, counts.finetunedOnly],
    ["other", "between", counts.other],
  ];
  return html`<table class="numbers"><caption>Latents by class of norm</caption><thead><tr><th scope="col">${termLink(
    "class",
  )}</th><th scope="col">deltaNorm</th><th scope="col">latents</th><th scope="col">share</th></tr></thead><tbody>${rows.map(
    ([name, range, count]) =>
      html`<tr><th scope="row">${name}</th><td>${range}</td><td>${formatCount(count)}</td><td>${formatPercent(count / nLatents)}</td></tr>`,
  )}</tbody></table>`;
}

/** Every latent is in exactly one row of a side's column: excluded, failed or claimed. */
function exclusionTable({
  exclusionsFinetuned,
  exclusionsBase,
  counts,
  nLatents,
  thresholds: t,
}: MeasureSummary): Html {
  const sum = (exclusions: Record<Exclusion, number>): number =>
    EXCLUSIONS.reduce((total, name) => total + exclusions[name], 0);
  const failed = {
    finetuned: nLatents - sum(exclusionsFinetuned) - counts.finetunedSpecific,
    base: nLatents - sum(exclusionsBase) - counts.baseSpecific,
  };
  const notes: Partial<Record<Exclusion, string>> = {
    "too-rare": `fewer than ${t.minimumDocuments}`,
    "nu-out-of-range": `${t.nuMinimum} to ${t.nuMaximum}`.replace("-", "−"),
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="What became of every latent"><table class="numbers" id="standing"><caption>What became of every latent</caption><thead><tr><th scope="col">${termLink(
    "exclusion",
    "standing",
  )}</th><th scope="col" class="words">meaning</th><th scope="col">for the fine-tune</th><th scope="col">for the base</th></tr></thead><tbody>${EXCLUSIONS.map(
    (name) =>
      html`<tr><th scope="row">${name}</th><td class="words">${REASONS[name]}${notes[name] !== undefined && html` (${notes[name]})`}</td><td>${formatCount(
        exclusionsFinetuned[name],
      )}</td><td>${formatCount(exclusionsBase[name])}</td></tr>`,
  )}${
    failed.finetuned >= 0 &&
    failed.base >= 0 &&
    html`<tr><th scope="row">judged, not specific</th><td class="words">a nu is at or above its threshold</td><td>${formatCount(failed.finetuned)}</td><td>${formatCount(
      failed.base,
    )}</td></tr>`
  }<tr class="total"><th scope="row">claim</th><td class="words">both nu below their thresholds</td><td>${formatCount(
    counts.finetunedSpecific,
  )}</td><td>${formatCount(counts.baseSpecific)}</td></tr></tbody></table></div>`;
}

/** 1 − x without the noise of binary fractions. */
function mirror(threshold: number): number {
  return Number((1 - threshold).toPrecision(12));
}
