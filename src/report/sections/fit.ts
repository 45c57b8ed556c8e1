// How well the dictionary fits both models, and how training went.

import { figure } from "../charts/chart.ts";
import { trainingCurve } from "../charts/training-curve.ts";
import { formatCount, formatFixed, formatPercent, formatSeconds, formatSignificant } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { ReportInput, TrainingMetric } from "../report-input.ts";
import { termLink } from "../terms.ts";
import { sideMark } from "./side-mark.ts";

export function fitSection({ summary, training }: ReportInput): Html {
  const { fve, fveAllRows } = summary;
  const outliers = summary.nOutlierRows === 1 ? "1 row" : `${formatCount(summary.nOutlierRows)} rows`;
  return html`<section id="fit"><h2>How well it fits</h2><div class="columns"><div class="prose"><p>A dictionary that explains little can claim little. ${termLink(
    "fve",
  )} is pooled over held-out text: ${formatCount(summary.nRows)} rows. The first column leaves out ${formatCount(
    summary.nBosRows,
  )} BOS tokens and ${outliers} of outlying norm, the second has them too. Trained for ${formatCount(training.steps)} steps of ${formatCount(
    training.batchRows,
  )} rows in ${formatSeconds(training.seconds)}; ${training.sparsity}, learning rate ${String(training.learningRate)}, seed ${String(training.seed)}. Latents fire above ${formatSignificant(summary.inferenceThreshold)} activation units.</p></div>
<table class="numbers"><caption>Fraction of variance explained, held-out</caption><thead><tr><th scope="col">model</th><th scope="col">without BOS and outliers</th><th scope="col">all rows</th></tr></thead><tbody>
<tr><th scope="row">${sideMark("base")} base</th><td>${formatFixed(fve.base, 4)}</td><td>${formatFixed(fveAllRows.base, 4)}</td></tr>
<tr><th scope="row">${sideMark("finetuned")} finetuned</th><td>${formatFixed(fve.finetuned, 4)}</td><td>${formatFixed(fveAllRows.finetuned, 4)}</td></tr>
<tr><th scope="row">both together</th><td>${formatFixed(fve.total, 4)}</td><td>${formatFixed(fveAllRows.total, 4)}</td></tr></tbody></table></div>
${curves(training.metrics)}</section>`;
}

function curves(metrics: TrainingMetric[]): Html {
  if (metrics.length === 0)
    return html`<p class="note">No training log was found, so there are no curves.</p>`;
  const shown = thin(metrics, 200);
  const points = (name: Exclude<keyof TrainingMetric, "step">): { step: number; value: number }[] =>
    shown.map((metric) => ({ step: metric.step, value: metric[name] }));
  const charts = [
    trainingCurve({
      id: "curve-fve",
      points: points("fve"),
      label: "batch FVE (share of variance)",
      format: (v) => formatFixed(v, 2),
      atLeast: 1,
    }),
    trainingCurve({
      id: "curve-l0",
      points: points("l0"),
      label: "L0 (latents a token)",
      format: (v) => formatFixed(v, 1),
    }),
    trainingCurve({
      id: "curve-loss",
      points: points("loss"),
      label: "loss (mean L2 error, normalised)",
      format: formatSignificant,
    }),
    trainingCurve({
      id: "curve-dead",
      points: points("dead"),
      label: "dead (share of latents)",
      format: (v) => formatPercent(v, 1),
      atLeast: 0.05,
    }),
  ];
  return html`<div class="multiples">${charts.map((chart) => figure({ chart, caption: "" }))}</div><p class="note">Training batches, not held-out rows.${
    shown.length < metrics.length &&
    html` ${formatCount(shown.length)} of ${formatCount(metrics.length)} logged steps are drawn.`
  }</p>`;
}

/** At most `limit` entries, evenly spaced, the first and the last always among them. */
export function thin<T>(entries: readonly T[], limit: number): T[] {
  if (entries.length <= limit) return [...entries];
  return Array.from(
    { length: limit },
    (_, i) => entries[Math.round((i * (entries.length - 1)) / (limit - 1))],
  );
}
