// What the result was made from and how to make it again: data, hashes, seeds, commands, time.

import { formatCount, formatNumber, formatSeconds, formatShare } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { ReportInput } from "../report-input.ts";
import { sideMark } from "./side-mark.ts";

export function dataSection({ data }: ReportInput): Html {
  const { rowsBySplit: splits } = data;
  return html`<section id="data"><h2>The text</h2><p class="prose">${data.description}</p><div class="columns"><table class="numbers"><caption>${formatNumber(
    data.nDocuments,
    "document",
  )}, ${formatNumber(data.nRows, "row")} (one row a token)</caption><thead><tr><th scope="col">split</th><th scope="col">rows</th><th scope="col" class="words">used for</th></tr></thead><tbody><tr><th scope="row">train</th><td>${formatCount(
    splits.train,
  )}</td><td class="words">the dictionary</td></tr><tr><th scope="row">heldout</th><td>${formatCount(
    splits.heldout,
  )}</td><td class="words">every measurement, claims, examples</td></tr><tr><th scope="row">test</th><td>${formatCount(
    splits.test,
  )}</td><td class="words">the score against planted truth</td></tr></tbody></table><table class="numbers"><caption>Datasets and storage</caption><thead><tr><th scope="col">dataset</th><th scope="col">rows</th></tr></thead><tbody>${data.datasets.map(
    ({ name, rows }) => html`<tr><th scope="row">${name}</th><td>${formatCount(rows)}</td></tr>`,
  )}</tbody></table></div><p class="note">Activations are stored as ${data.dtype}. ${data.roundingErrorRelative.map(
    ({ site, value }) =>
      value === null
        ? html`${site}: rounding error not recorded. `
        : html`${site}: rounding error ${formatShare(value)} of the difference between the models. `,
  )}</p></section>`;
}

export function reproduceSection(input: ReportInput): Html {
  const { pair, training, toolVersion, commands, seconds, generatedAt } = input;
  const facts: [string, Html | string][] = [
    ["base model", html`${sideMark("base")} ${pair.base}<br><code>${pair.baseHash}</code>`],
    [
      "finetuned model",
      html`${sideMark("finetuned")} ${pair.finetuned}<br><code>${pair.finetunedHash}</code>`,
    ],
    ["tokenizer", html`<code>${pair.tokenizerHash}</code>`],
    ["layer", perModel(pair.layer)],
    ["dModel", perModel(pair.dModel)],
    ["dictionary", `${formatCount(training.nLatents)} latents, ${training.sparsity}`],
    [
      "training",
      `${formatCount(training.steps)} steps of ${formatCount(training.batchRows)} rows, learning rate ${training.learningRate}`,
    ],
    ["seed", String(training.seed)],
    ["tunediff", `${toolVersion}, report made ${generatedAt}`],
  ];
  return html`<section id="reproduce"><h2>How to make this again</h2>${
    commands.length > 0 &&
    html`<ol class="commands">${commands.map((command) => html`<li><code>${command}</code></li>`)}</ol>`
  }<table class="facts"><caption>What went in</caption><tbody>${facts.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</tbody></table>${seconds !== undefined && secondsTable(seconds)}</section>`;
}

function secondsTable(seconds: Record<string, number>): Html | false {
  const stages = Object.entries(seconds);
  if (stages.length === 0) return false;
  return html`<table class="numbers"><caption>Working time</caption><thead><tr><th scope="col">stage</th><th scope="col">time</th></tr></thead><tbody>${stages.map(
    ([stage, value]) => html`<tr><th scope="row">${stage}</th><td>${formatSeconds(value)}</td></tr>`,
  )}</tbody></table>`;
}

function perModel(value: ReportInput["pair"]["layer"]): string {
  return typeof value === "number"
    ? formatCount(value)
    : `${formatCount(value.base)} (base), ${formatCount(value.finetuned)} (finetuned)`;
}
