// Where the predictions of the two models part: texts around the greatest KL, and its means by role, dataset and position.

import type { KlFindings, PeakText, TokenChance } from "../../glance/glance-contract.ts";
import { intervalBars } from "../charts/bars.ts";
import { figure } from "../charts/chart.ts";
import { columns } from "../charts/columns.ts";
import { formatCount, formatNumber, formatPercent, formatSignificant } from "../format.ts";
import { type Html, html, joinHtml, showToken } from "../html.ts";
import { termLink } from "../terms.ts";
import { sideMark } from "./side-mark.ts";
import { shadedText, tokenChip } from "./tokens.ts";

/** Peaks in the open; the rest are folded away. Tokens shown of what each model expects: the first, and others from a share on. */
const PEAK_LIMITS = { open: 8, chances: 4, leastChance: 0.005 } as const;

export function peaksSection({ peaks, quantiles }: KlFindings): Html {
  const heading = html`<h2>Where the predictions part</h2>`;
  if (peaks.length === 0)
    return html`<section id="peaks">${heading}<p class="prose">Nowhere: no prediction differs.</p></section>`;
  const most = Math.max(...peaks.map(({ kl, peak }) => kl[peak] ?? 0));
  const items = peaks.map((peak) => peakItem(peak, most));
  const folded = items.slice(PEAK_LIMITS.open);
  return html`<section id="peaks">${heading}<p class="prose">The texts with the greatest ${termLink(
    "kl",
  )} of the fine-tune to the base, one a document. Each token is shaded by the KL of the prediction made <em>after</em> it; the underlined one is the peak, its KL in nats stands before the text, and what each model expected next stands below it. Half of all tokens are below ${formatSignificant(
    quantiles.p50,
  )} nats.</p><div class="finetuned"><ol class="examples peaks">${items.slice(0, PEAK_LIMITS.open)}</ol>${
    folded.length > 0 &&
    html`<details><summary>${formatNumber(folded.length, "more text")}</summary><ol class="examples peaks" start="${PEAK_LIMITS.open + 1}">${folded}</ol></details>`
  }</div></section>`;
}

function peakItem(
  { document, dataset, tokens, kl, peak, nextBase, nextFinetuned }: PeakText,
  most: number,
): Html {
  const ofPeak = `; the base expects ${chanceWords(nextBase)}, the fine-tune ${chanceWords(nextFinetuned)}`;
  return html`<li><span class="at">${formatSignificant(kl[peak] ?? Number.NaN)}</span><div>${shadedText({
    ...{ tokens, values: kl, peak, most },
    title: (i) => `KL ${formatSignificant(kl[i] ?? Number.NaN)} nats${i === peak ? ofPeak : ""}`,
  })}<p class="next">${sideMark("base")} base: ${chances(nextBase)}</p><p class="next">${sideMark("finetuned")} finetuned: ${chances(
    nextFinetuned,
  )}</p></div><span class="source">${dataset} · ${document}</span></li>`;
}

function chances(next: readonly TokenChance[]): Html {
  if (next.length === 0) return html`nothing`;
  return joinHtml(
    next
      .filter(({ probability }, i) => i === 0 || probability >= PEAK_LIMITS.leastChance)
      .slice(0, PEAK_LIMITS.chances)
      .map(
        ({ token, probability }) =>
          html`${tokenChip(token)} <span class="n">${formatPercent(probability, 0)}</span>`,
      ),
    " ",
  );
}

function chanceWords([first]: readonly TokenChance[]): string {
  return first === undefined
    ? "nothing"
    : `${showToken(first.token)} (${formatPercent(first.probability, 0)})`;
}

export function groupsSection({
  tokens,
  mean,
  quantiles,
  shareOfTopPercent,
  byRole,
  byDataset,
  byPosition,
}: KlFindings): Html {
  const figures: [string, string, string][] = [
    ["mean", formatSignificant(mean), "nats a token"],
    ["median", formatSignificant(quantiles.p50), "nats"],
    ["1 % are above", formatSignificant(quantiles.p99), "nats"],
    ["held by that 1 %", formatPercent(shareOfTopPercent, 0), "of all KL"],
  ];
  const bars = (kind: "role" | "dataset", rows: { name: string; tokens: number; mean: number }[]): Html =>
    figure({
      chart: intervalBars({
        id: `kl-by-${kind}`,
        title: `Mean KL by ${kind}`,
        label: "mean KL (nats a token)",
        bars: rows.map((row) => ({ label: row.name, value: row.mean, cells: [formatCount(row.tokens)] })),
        format: formatSignificant,
        reference: { value: mean, words: "all tokens" },
        columns: { label: kind, cells: ["tokens"] },
      }),
      caption: html`By ${kind}.`,
    });
  return html`<section id="groups"><h2>How far, and in which kind of text</h2><p class="prose">Mean ${termLink("kl")} over ${formatNumber(
    tokens,
    "token",
  )}.</p><dl class="figures">${figures.map(
    ([name, value, unit]) => html`<div><dt>${name}</dt><dd><b>${value}</b> <span>${unit}</span></dd></div>`,
  )}</dl><div class="pairwise">${bars(
    "role",
    byRole.map(({ role, ...rest }) => ({ name: role, ...rest })),
  )}${bars(
    "dataset",
    byDataset.map(({ dataset, ...rest }) => ({ name: dataset, ...rest })),
  )}${figure({
    chart: columns({
      id: "kl-by-position",
      title: "Mean KL by position",
      values: byPosition,
      labels: { x: "position in the text (tokens read, from 0)", y: "mean KL (nats)" },
      format: formatSignificant,
    }),
    caption: html`By position, the first ${formatCount(byPosition.length)}.`,
  })}</div></section>`;
}
