// The difference of the residuals: its mean as tokens and as steered answers, and the components along which it varies.

import type {
  ComponentFinding,
  DifferenceSteering,
  LensFindings,
  OverallDifference,
  PcaFindings,
  ReadDirection,
  ReadToken,
} from "../../glance/glance-contract.ts";
import { formatFixed, formatNumber, formatPercent, formatSignificant } from "../format.ts";
import { type Html, html, joinHtml } from "../html.ts";
import type { Side } from "../rank-claims.ts";
import { termLink } from "../terms.ts";
import { sideMark } from "./side-mark.ts";
import { shadedText, tokenChip } from "./tokens.ts";

/** Tokens a list. */
const SHOWN_TOKENS = 10;
const MODELS = ["base", "finetuned"] as const satisfies readonly Side[];

export function lensSection({
  texts,
  layer,
  positions,
  overall,
  mainPosition,
  steering,
  leftOut,
}: LensFindings): Html {
  const heading = html`<h2>The mean difference</h2>`;
  const said = leftOut.map((sentence) => html`<p class="note">${sentence}</p>`);
  if (positions.length === 0)
    return html`<section id="lens">${heading}<p class="prose">There was no difference of residuals to look at.</p>${said}</section>`;
  const main = positions.find(({ position }) => position === mainPosition);
  const others = positions.filter((one) => one !== main);
  return html`<section id="lens">${heading}<p class="prose">The ${termLink("differenceLens")}: the mean of fine-tune less base after block ${layer}, over the first tokens of ${formatNumber(
    texts,
    "text",
  )} unrelated to the fine-tuning. What fine-tuning adds to any text, whatever it says, shows here. + is the direction from base to fine-tune.</p>${
    main !== undefined && block(html`Position ${main.position}, the strongest that is not BOS`, "text", main)
  }${block(html`All first positions together`, "token", overall)}${
    others.length > 0 &&
    html`<details><summary>${formatNumber(others.length, "other position")}</summary>${others.map((one) =>
      block(html`Position ${one.position}`, "text", one),
    )}</details>`
  }<h3>Answers with the mean difference added</h3>${steeringBlock(steering)}${said}</section>`;
}

function block(
  heading: Html,
  unit: "text" | "token",
  { texts, relativeNorm, consistency, read }: OverallDifference,
): Html {
  return html`<h3>${heading}</h3><p class="note">Over ${formatNumber(texts, unit)}: ${
    relativeNorm === null ? "size not defined" : `${formatPercent(relativeNorm, 0)} of the base’s norm`
  }, ${termLink("consistency")} ${formatFixed(consistency, 2)} of 1.</p>${readTable(read)}`;
}

/** Both signs by both models, a pair of rows for each way of reading. */
function readTable(read: readonly ReadDirection[]): Html {
  if (read.length === 0) return html`<p class="note">It has no direction to read.</p>`;
  const ways = [...new Set(read.map(({ by }) => by))];
  const cell = (by: string, model: Side, sign: "promoted" | "suppressed"): Html => {
    const found = read.find((one) => one.by === by && one.model === model);
    return html`<td>${found === undefined ? html`<span class="none">not read</span>` : chips(found[sign])}</td>`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="The direction as tokens"><table class="lens"><thead><tr><th scope="col">tokens</th>${MODELS.map(
    (model) => html`<th scope="col">${sideMark(model)} ${model}</th>`,
  )}</tr></thead><tbody>${ways.flatMap((by) =>
    (["promoted", "suppressed"] as const).map(
      (sign) =>
        html`<tr><th scope="row">${sign === "promoted" ? "+" : "−"} ${by}</th>${MODELS.map((model) => cell(by, model, sign))}</tr>`,
    ),
  )}</tbody></table></div>`;
}

function chips(tokens: readonly ReadToken[]): Html {
  if (tokens.length === 0) return html`<span class="none">none</span>`;
  return joinHtml(
    tokens.slice(0, SHOWN_TOKENS).map(({ token, score }) => tokenChip(token, formatSignificant(score))),
    " ",
  );
}

function steeringBlock(steering: readonly DifferenceSteering[]): Html {
  if (steering.length === 0) return html`<p class="note">None were written.</p>`;
  const label = "Each model with the mean difference added at every token, beside itself without";
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="answers-table"><caption>${label}</caption><thead><tr><th scope="col">prompt</th><th scope="col">model</th><th scope="col">added</th><th scope="col">as it is</th><th scope="col">with it</th></tr></thead><tbody>${steering.map(
    ({ model, sign, strength, position, prompt, unsteered, steered, degenerate }) =>
      html`<tr><th scope="row">${prompt}</th><td>${sideMark(model)} ${model}</td><td>${sign > 0 ? "+" : "−"}${formatSignificant(
        strength,
      )} × position ${position}</td><td>${unsteered}</td><td>${steered}${degenerate !== "" && html`<span class="under">${degenerate}</span>`}</td></tr>`,
  )}</tbody></table></div>`;
}

export function componentsSection({ rows, changeRatio, meanShare, components }: PcaFindings): Html {
  const heading = html`<h2>Components of the difference</h2>`;
  if (components.length === 0)
    return html`<section id="components">${heading}<p class="prose">None: the residuals do not differ, or cannot be subtracted.</p></section>`;
  const [first, ...others] = components.map((component, i) => componentBlock(component, i + 1));
  return html`<section id="components">${heading}<p class="prose">Over ${formatNumber(rows, "token")} the residuals differ by ${formatPercent(
    changeRatio,
    0,
  )} of their square; the mean holds ${formatPercent(meanShare, 0)} of that. Of the rest, each ${termLink(
    "component",
  )} holds the share that stands beside it; its sign means nothing by itself.</p>${first}${
    others.length > 0 &&
    html`<details><summary>${formatNumber(others.length, "more component")}</summary>${others}</details>`
  }</section>`;
}

function componentBlock({ share, read, highest, lowest }: ComponentFinding, number: number): Html {
  return html`<h3>Component ${number}: ${formatPercent(share, 0)}</h3>${readTable(read)}<div class="pairwise">${ends(
    "Where it is highest",
    { rows: highest, sign: 1 },
  )}${ends("Where it is lowest", { rows: lowest, sign: -1 })}</div>`;
}

/** Texts around the greatest projections of one sign, shaded by them. */
function ends(words: string, { rows, sign }: { rows: ComponentFinding["highest"]; sign: 1 | -1 }): Html {
  const most = Math.max(0, ...rows.map(({ values, peak }) => sign * (values[peak] ?? 0)));
  return html`<div class="${sign > 0 ? "finetuned" : "base"}"><h4 class="end">${words}</h4>${
    rows.length === 0
      ? html`<p class="note">nowhere</p>`
      : html`<ol class="examples ends">${rows.map(
          ({ document, tokens, values, peak }) =>
            html`<li><span class="at">${formatSignificant(values[peak] ?? Number.NaN)}</span><div>${shadedText(
              {
                ...{ tokens, peak, most },
                values: values.map((value) => sign * value),
                title: (i) => `projection ${formatSignificant(values[i] ?? Number.NaN)}`,
              },
            )}<span class="source">${document}</span></div></li>`,
        )}</ol>`
  }</div>`;
}
