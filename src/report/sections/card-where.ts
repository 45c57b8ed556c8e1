// Where and with what one claim fires, for its card: kinds of rows, strength, tokens, neighbours, a twin.
//
// Bars are decoration (aria-hidden): the number stands beside each. Their scale is the largest of the same kind.

import type {
  CategoryKind,
  CategoryNames,
  LatentMeasure,
  LatentTwin,
  MeasureSummary,
  Neighbour,
  TokenCount,
} from "../../measure/measure-contract.ts";
import { colour } from "../charts/palette.ts";
import { formatCount, formatFixed, formatNumber, formatShare, formatSignificant } from "../format.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";
import type { Side } from "../rank-claims.ts";
import { term } from "../terms.ts";

/** How much of each list is shown. */
export const WHERE_LIMITS = { bars: 6, tokens: 8, neighbours: 4, silent: 3 } as const;

const HEADINGS: Record<CategoryKind, string> = {
  role: "By role",
  dataset: "By dataset",
  slot: "By template slot",
  positionDecile: "By tenth of the document",
};

export interface WhereOptions {
  measure: LatentMeasure;
  side: Side;
  summary: Pick<MeasureSummary, "categories" | "twins" | "scalingDirections">;
  /** A latent's number, linked where it has a card. */
  link: (latent: number) => Html;
}

export function whereBlock(options: WhereOptions): Html {
  const { measure, side, summary } = options;
  const bars = (["role", "dataset", "slot"] as const).map((kind) =>
    frequencyBars({ kind, names: summary.categories, frequencies: measure.frequencyBy[kind] }),
  );
  return html`<div class="where">${bars}${tenths(measure.frequencyBy.positionDecile, side)}${factsList(options)}</div>`;
}

/** The most frequent categories as bars, the others in one line; those without rows are left out. */
export function frequencyBars(options: {
  kind: Exclude<CategoryKind, "positionDecile">;
  names: CategoryNames;
  frequencies: readonly number[];
}): Html {
  const { kind, names, frequencies } = options;
  const found = names[kind]
    .map((name, i) => ({ name, frequency: frequencies[i] ?? Number.NaN }))
    .filter(({ frequency }) => !Number.isNaN(frequency))
    .sort((a, b) => b.frequency - a.frequency);
  if (found.length === 0) return html`<div><h4>${HEADINGS[kind]}</h4><p class="note">no rows</p></div>`;
  const positive = found.filter(({ frequency }) => frequency > 0);
  const shown = positive.slice(0, WHERE_LIMITS.bars);
  const rest = positive.slice(WHERE_LIMITS.bars);
  const notes = [
    rest.length > 0 && `${rest.length} more, at most ${formatShare(rest[0].frequency)}`,
    silentWords(
      found.slice(positive.length).map(({ name }) => name),
      positive.length === 0,
    ),
  ].filter((note) => note !== false);
  return html`<div><h4>${HEADINGS[kind]}</h4>${
    shown.length > 0 &&
    html`<table class="bars"><tbody>${shown.map(
      ({ name, frequency }) =>
        html`<tr><th scope="row" title="${name}">${name}</th><td>${formatShare(frequency)}</td><td>${bar(
          frequency / shown[0].frequency,
        )}</td></tr>`,
    )}</tbody></table>`
  }${notes.length > 0 && html`<p class="note">${notes.join("; ")}</p>`}</div>`;
}

/** Categories with rows in which it never fired: a few by name, many by their number. */
function silentWords(names: readonly string[], isAll: boolean): string | false {
  if (names.length === 0) return false;
  if (isAll) return "silent in all";
  return names.length <= WHERE_LIMITS.silent
    ? `silent: ${names.join(", ")}`
    : `silent in ${names.length} others`;
}

const BAR = { width: 46, height: 8 } as const;

function bar(share: number): Html {
  const { width, height } = BAR;
  const length = Math.max(1, Math.round(share * width));
  return html`<svg class="bar" viewBox="0 0 ${width} ${height}" aria-hidden="true"><path d="M0 ${height / 2}h${length}"/></svg>`;
}

/** Ten columns from the start of a document to its end. */
function tenths(frequencies: readonly number[], side: Side): Html {
  const heading = html`<h4>${HEADINGS.positionDecile}</h4>`;
  const largest = Math.max(0, ...frequencies.filter((frequency) => !Number.isNaN(frequency)));
  if (largest === 0) return html`<div>${heading}<p class="note">silent</p></div>`;
  const at = frequencies.indexOf(largest);
  const [width, height] = [120, 32];
  const step = width / frequencies.length;
  const columns = frequencies.map((frequency, i) => {
    const top = Math.round((1 - (frequency || 0) / largest) * height);
    return `M${i * step} ${height}V${top}h${step - 2}V${height}z`;
  });
  const silent = frequencies.filter((frequency) => frequency === 0).length;
  return html`<div>${heading}<svg class="tenths" viewBox="0 0 ${width} ${height + 1}" preserveAspectRatio="none" aria-hidden="true"><path d="${columns.join(
    "",
  )}" fill="${colour(side)}"/><path d="M0 ${height + 0.5}H${width - 2}" stroke="${colour("rule")}"/></svg><p class="note">most in tenth ${at + 1}, ${formatShare(
    largest,
  )} of its rows${silent > 0 && `; silent in ${silent}`}</p></div>`;
}

function factsList({ measure, summary, link }: WhereOptions): Html {
  const { activationQuantiles: q, documentEntropy, documents, latent } = measure;
  const facts: (readonly [Html, Html] | false)[] = [
    [
      term("quantiles", "strength"),
      Number.isNaN(q.q50)
        ? html`never fired`
        : html`half of its firings are below ${formatSignificant(q.q50)}, a tenth below ${formatSignificant(
            q.q10,
          )}, a tenth above ${formatSignificant(q.q90)}, one in a hundred above ${formatSignificant(q.q99)}`,
    ],
    [term("spread", "spread"), html`${spreadWords(documentEntropy, documents)}`],
    [term("peakTokens", "at its peak"), tokenCounts(measure.tokensAtPeak)],
    [term("peakTokens", "before its peak"), tokenCounts(measure.tokensBeforePeak)],
    [term("nearest", "nearest, finetuned"), neighbours(measure.nearestFinetuned, link)],
    [term("nearest", "nearest, base"), neighbours(measure.nearestBase, link)],
    [
      term("nearest", "nearest, across"),
      summary.scalingDirections === "own"
        ? html`none: the models differ in width`
        : neighbours(measure.nearestAcross, link),
    ],
    [term("twin"), twinWords(summary.twins, latent, link)],
  ];
  return html`<dl class="facts-list">${facts.map(
    (fact) => fact && html`<dt>${fact[0]}</dt><dd>${fact[1]}</dd>`,
  )}</dl>`;
}

/** "as if spread evenly over 40 of the 120 documents it fires in". */
export function spreadWords(entropy: number, documents: number): string {
  if (!Number.isFinite(entropy)) return "never fired";
  const even = Math.max(1, Math.round(Math.exp(entropy)));
  return `its activation is spread as if evenly over ${formatCount(even)} of the ${formatNumber(documents, "document")} it fires in`;
}

function tokenCounts(tokens: readonly TokenCount[]): Html {
  if (tokens.length === 0) return html`none counted`;
  return joinHtml(
    tokens
      .slice(0, WHERE_LIMITS.tokens)
      .map(
        ({ token, count }) =>
          html`<bdi class="tk">${showToken(token)}</bdi> <span class="n">${formatCount(count)}</span>`,
      ),
  );
}

function neighbours(list: readonly Neighbour[], link: WhereOptions["link"]): Html {
  if (list.length === 0) return html`none`;
  return joinHtml(
    list
      .slice(0, WHERE_LIMITS.neighbours)
      .map(({ latent, cosine }) => html`${link(latent)} <span class="n">${formatFixed(cosine, 2)}</span>`),
  );
}

function twinWords(twins: readonly LatentTwin[], latent: number, link: WhereOptions["link"]): Html {
  const mine = twins.filter(({ finetuned, base }) => finetuned === latent || base === latent);
  if (mine.length === 0) return html`none`;
  return joinHtml(
    mine.map((twin) => {
      const other = twin.finetuned === latent ? twin.base : twin.finetuned;
      return html`latent ${link(other)}, which leans to the ${
        twin.finetuned === latent ? "base model" : "fine-tune"
      }: cosine ${formatFixed(twin.cosine, 2)}, ${divergenceWords(twin)}`;
    }),
    "; ",
  );
}

/** Both sets of thresholds, or why there is no divergence; and how often the two fire on one row. */
export function divergenceWords(twin: LatentTwin): Html {
  const { divergencePaper, divergenceCode, firedBoth, firedFinetuned, firedBase } = twin;
  const either = firedFinetuned + firedBase - firedBoth;
  const together = html`they fire together on ${formatCount(firedBoth)} of the ${formatCount(either)} rows on which either does`;
  if (divergencePaper === null && divergenceCode === null)
    return html`no ${term("divergence")}, as neither was ever strong; ${together}`;
  const value = (divergence: number | null): string =>
    divergence === null ? "none" : formatFixed(divergence, 2);
  return html`${term("divergence")} ${value(divergencePaper)} (by the code’s thresholds ${value(divergenceCode)}); ${together}`;
}
