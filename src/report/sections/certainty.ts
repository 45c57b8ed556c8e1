// How sure the claims are: verdicts, q-values from null pairs, other seeds, twins, another sparsity.
//
// A table that was not made is said, with the command that makes it. Exclusions by reason stand in sections/differences.ts.

import { type LatentMeasure, VERDICTS, type Verdict } from "../../measure/measure-contract.ts";
import type { StabilityCounts } from "../../measure/stability.ts";
import { sideOf } from "../../measure/verdict.ts";
import { formatCount, formatFixed, formatNumber, formatPercent, formatSignificant } from "../format.ts";
import { type Html, type HtmlValue, html } from "../html.ts";
import type { LateTable, Nulls, StabilityTable } from "../late-tables.ts";
import type { RankedClaim, Side } from "../rank-claims.ts";
import type { ReportInput } from "../report-input.ts";
import { termLink } from "../terms.ts";
import { othersWords } from "./card-standing.ts";
import { divergenceWords } from "./card-where.ts";
import { linkToCards } from "./claims.ts";
import { sparsityTable } from "./sparsity.ts";
import { missing, numbersTable } from "./tables.ts";

/** Twins listed one by one; the others are counted. */
const MOST_TWINS = 12;
/** Rates of the table. */
const SHOWN_Q: readonly number[] = [0.05, 0.1, 0.2];

const MEANINGS: Record<Verdict, string> = {
  genuine: "both nu are below their thresholds, limits and all",
  "complete shrinkage": "the other model has it; it sits in that model’s error",
  "latent decoupling": "the other model has it; other latents hold it there",
  "complete shrinkage and latent decoupling": "both of these",
  uncertain: "the limits reach both sides of a threshold",
  "too rare": "too few documents to judge",
  dead: "never fired on held-out rows",
};

export function certaintySection(input: ReportInput, claims: Record<Side, RankedClaim[]>): Html {
  const { latents, nulls, stability, summary, sparsity } = input;
  const link = linkToCards([...claims.finetuned, ...claims.base]);
  return html`<section id="certainty"><h2>How sure</h2><p class="prose">A claim is decided by two numbers. Here chance is asked four times: would other documents move the numbers over a threshold (${termLink(
    "verdict",
    "verdicts",
  )}), how many claims come out where nothing was learned (${termLink("qValue", "q-values")}), does another dictionary have the latent (${termLink(
    "foundAgain",
    "found again",
  )}), and is one concept written down twice (${termLink("twin", "twins")}). Why latents were left out before is counted <a href="#standing">above</a>.</p>${verdictTable(
    { latents, thresholds: summary.thresholds },
  )}
<h3>Against pairs in which nothing was learned</h3>${nullsBlock(nulls)}
<h3>In other dictionaries</h3>${stabilityBlock(stability)}
<h3>Twins</h3>${twinsBlock(input, link)}${
    sparsity.state === "made" &&
    html`
<h3>Beside another sparsity</h3>${sparsityTable(sparsity.value)}`
  }${
    sparsity.state === "outdated" &&
    html`
<h3>Beside another sparsity</h3>${missing("The comparison with another sparsity is of an older dictionary or measurement.", "tunediff demo --full")}`
  }</section>`;
}

function verdictTable({
  latents,
  thresholds,
}: {
  latents: readonly LatentMeasure[];
  thresholds: ReportInput["summary"]["thresholds"];
}): Html {
  const sides = latents.map(({ deltaNorm }) => sideOf(deltaNorm, thresholds));
  const count = (verdict: Verdict, side: Side, claimed: boolean): number =>
    latents.filter(
      (latent, i) =>
        latent.verdict === verdict && sides[i] === side && (latent.claim === `${side}-specific`) === claimed,
    ).length;
  const label = "Verdicts on all latents that lean to one model";
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="numbers"><caption>${label}</caption><thead><tr><th scope="col">${termLink(
    "verdict",
  )}</th><th scope="col" class="words">meaning</th><th scope="col">finetuned-specific claims</th><th scope="col">others that lean there</th><th scope="col">base-specific claims</th><th scope="col">others that lean there</th></tr></thead><tbody>${VERDICTS.map(
    (verdict) =>
      html`<tr><th scope="row">${verdict}</th><td class="words">${MEANINGS[verdict]}</td>${(
        ["finetuned", "base"] as const
      ).map((side) =>
        [true, false].map((claimed) => html`<td>${formatCount(count(verdict, side, claimed))}</td>`),
      )}</tr>`,
  )}</tbody></table></div>`;
}

function nullsBlock(nulls: LateTable<Nulls>): Html {
  if (nulls.state === "absent")
    return missing("No null pairs were run, so no claim has a q-value.", "tunediff null STUDY");
  if (nulls.state === "outdated")
    return missing(
      "The null pairs were run for an older dictionary or older thresholds.",
      "tunediff null STUDY",
    );
  const {
    counts,
    expectedFalseClaims: expected,
    claimsUpTo,
    draws,
    control,
    changeRatio,
  } = nulls.value.record;
  const upTo = (side: Side): HtmlValue[] =>
    SHOWN_Q.map((q) => {
      const row = claimsUpTo.find((entry) => entry.q === q);
      return row === undefined ? "not counted" : formatCount(row[side]);
    });
  const row = (name: string, side: Side): HtmlValue[] => [
    name,
    formatCount(counts[side].candidates),
    formatCount(counts[side].claims),
    meanCount(expected[side]),
    ...upTo(side),
  ];
  const drawRow = (draw: { name: string; changeRatio: number; counts: typeof counts }): HtmlValue[] => [
    draw.name,
    formatSignificant(draw.changeRatio),
    formatCount(draw.counts.finetuned.claims),
    formatCount(draw.counts.base.claims),
  ];
  return html`<p class="prose">${formatNumber(draws.length, "null pair")}: the base model against itself with noise on its weights, which changes the residuals as much as the fine-tune did. The same text, layer and pipeline claimed ${meanCount(
    expected.finetuned,
  )} finetuned-specific and ${meanCount(expected.base)} base-specific latents there on average: differences that the noise made, none of which was learned. A claim of ours that is no more specific than those is no evidence of learning; its ${termLink("qValue")} says so.</p>${numbersTable(
    "Claims, and how many to expect where nothing was learned",
    [
      "claim",
      "candidates",
      "claims",
      "in a null pair",
      ...SHOWN_Q.map((q) => html`${termLink("qValue", "q")} ≤ ${q}`),
    ],
    [row("finetuned-specific", "finetuned"), row("base-specific", "base")],
  )}${numbersTable(
    "The null pairs",
    ["pair", "change of the residuals", "finetuned-specific", "base-specific"],
    [
      [
        "this study",
        formatSignificant(changeRatio),
        formatCount(counts.finetuned.claims),
        formatCount(counts.base.claims),
      ],
      ...draws.map(drawRow),
      ...(control === null
        ? []
        : [
            drawRow({
              ...control,
              name: `${control.name} (${control.included ? "counted" : "not counted"} among them)`,
            }),
          ]),
    ],
  )}`;
}

/** A mean of counts: "3", "3.3". */
function meanCount(value: number): string {
  return Number.isInteger(value) ? formatCount(value) : formatFixed(value, 1);
}

function stabilityBlock(stability: LateTable<StabilityTable>): Html {
  if (stability.state === "absent")
    return missing(
      "No other dictionaries were trained, so it is not known which claims come out again.",
      "tunediff stability STUDY",
    );
  if (stability.state === "outdated")
    return missing(
      "Other dictionaries were compared with an older dictionary or measurement.",
      "tunediff stability STUDY",
    );
  const { record } = stability.value;
  const { counts, others, thresholds, nRows, reference } = record;
  const row = (name: string, group: StabilityCounts): HtmlValue[] => [
    name,
    formatCount(group.latents),
    formatCount(group.compared),
    formatCount(group.directionFoundInAll),
    formatCount(group.directionFoundInAny),
    meanShare(group.meanDirectionFound),
    formatCount(group.claimReplicatedInAll),
    meanShare(group.meanClaimReplicated),
  ];
  return html`<p class="prose">Compared with ${formatCount(others.length)} ${othersWords(stability.value)}: ${others
    .map(({ seed, nLatents }) =>
      nLatents === reference.nLatents ? `seed ${seed}` : `${formatCount(nLatents)} latents`,
    )
    .join(
      ", ",
    )}. A latent is found again where the decoder rows are each other’s nearest with cosine of at least ${
    thresholds.cosineAtLeast
  }, and the activations correlate by at least ${thresholds.correlationAtLeast} over ${formatNumber(nRows, "held-out row")}. Hold the claims’ shares against those of the other groups: a dictionary’s latents come out again for many reasons. Claimed there: the match is specific to the same model in that dictionary.</p>${numbersTable(
    "What other dictionaries find again",
    [
      "latents",
      "number",
      "compared",
      "found in all",
      "found in any",
      "share found",
      "claimed there in all",
      "share claimed there",
    ],
    [
      row("finetuned-specific claims", counts.finetunedSpecific),
      row("base-specific claims", counts.baseSpecific),
      row("lean to one model, no claim", counts.leaningUnclaimed),
      row("lean to neither", counts.shared),
    ],
  )}`;
}

function meanShare(share: number | null): string {
  return share === null ? "none compared" : formatPercent(share, 0);
}

function twinsBlock({ summary }: ReportInput, link: (latent: number) => Html): Html {
  const { twins } = summary;
  if (summary.scalingDirections === "own")
    return html`<p class="prose">Twins are not looked for: the models differ in width, so no direction of one can be held against one of the other.</p>`;
  if (twins.length === 0)
    return html`<p class="prose">None: no latent that leans to the fine-tune has nearly the direction of one that leans to the base model.</p>`;
  const shown = twins.slice(0, MOST_TWINS);
  return html`<p class="prose">${formatNumber(twins.length, "pair")} of a latent that leans to the fine-tune and one that leans to the base model, with nearly one direction. Twins that fire together are one concept written down twice; twins that never do may be one concept that moved to other texts.</p><ul class="prose">${shown.map(
    (twin) =>
      html`<li>latents ${link(twin.finetuned)} (finetuned) and ${link(twin.base)} (base): cosine ${formatFixed(twin.cosine, 2)}, ${divergenceWords(twin)}.</li>`,
  )}</ul>${
    twins.length > shown.length &&
    html`<p class="note">${formatCount(twins.length - shown.length)} more are in tables/measure.json.</p>`
  }`;
}
