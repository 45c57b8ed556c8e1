// The paper's experiment: how far the answers are from the fine-tune's with each edit, as bars and as a table.
//
// Minder et al. 2025 (arXiv:2504.02922), figure 4 and App. G. The bars show the additive form; the tables both. Which choice was
// taken where the paper's text and its code differ is said below them.

import type {
  ControlMatch,
  InterventionOutcome,
  PaperChoices,
  PatchForm,
  PatchingResult,
  PoolCounts,
  SetOutcome,
  TokenSet,
} from "../../causal/causal-contract.ts";
import { CODE_CHOICES, TOKEN_SETS } from "../../causal/causal-contract.ts";
import { type Bar, intervalBars } from "../charts/bars.ts";
import { figure } from "../charts/chart.ts";
import { formatCount, formatFixed, formatNumber } from "../format.ts";
import { type Html, type HtmlValue, html } from "../html.ts";
import { termLink } from "../terms.ts";
import { estimateCell, intervalWords, nats, share } from "./estimates.ts";
import { numbersTable } from "./tables.ts";

/** Selections shown as bars, in this order, where they were run; all others are in the table. */
const SHOWN_SELECTIONS: readonly string[] = [
  "latent-scaling best half",
  "latent-scaling worst half",
  "deltaNorm best half",
  "deltaNorm worst half",
  "claims",
];
const SHOWN_WHOLE = ["none", "template", "all", "error"] as const;

const SET_WORDS: Record<TokenSet, string> = {
  all: "all tokens",
  firstNine: "first nine tokens",
  rest: "the rest",
};

type ChoiceName = keyof PaperChoices;
/** What each choice decides, and its two values in words, the code's first. */
const CHOICES: { [Name in ChoiceName]: { decides: string; words: Record<PaperChoices[Name], string> } } = {
  klDirection: {
    decides: "direction of KL",
    words: {
      "finetuned-from-hybrid": "KL(fine-tune ‖ edited)",
      "hybrid-from-finetuned": "KL(edited ‖ fine-tune)",
    },
  },
  decoderBias: {
    decides: "difference of the decoder biases in All and Error",
    words: { omit: "left out", swap: "put in, so that both are exact reconstructions" },
  },
  restOf: {
    decides: "tokens of the rest",
    words: {
      "all-but-nine": "all outside the first nine, the first token of an answer included",
      "after-nine": "those after the first nine",
    },
  },
  leading: {
    decides: "residual at unedited leading positions",
    words: { finetuned: "the fine-tune’s own, in None too", base: "the base’s" },
  },
  nuRank: {
    decides: "ranks of nu in the halves by Latent Scaling",
    words: { signed: "of nu as it is", absolute: "of the size of nu" },
  },
};

export function patchingBlock(result: PatchingResult, { poolIsLeaning }: { poolIsLeaning: boolean }): Html {
  const { outcomes, comparisons, controls, choices, bootstrap, poolCounts } = result;
  const charts = (["all", "firstNine"] as const).map((set) => outcomeChart(outcomes, set));
  return html`<div class="pairwise">${charts}</div>${outcomeTable(
    "What each edit leaves of the gap between base and fine-tune",
    inTableOrder(outcomes, { form: "additive", whole: true }),
  )}<p class="note">Bars: KL of the additive form with its ${termLink(
    "causalInterval",
  )}, from ${formatNumber(bootstrap.draws, "draw")} over conversations; the thin bar below is the mean of its ${termLink(
    "matchedControl",
  )}. ${choiceWords(choices)} ${poolWords(poolCounts, poolIsLeaning)}</p>
<details><summary>The same latents put in place of the base’s own (replacing)</summary>${outcomeTable(
    "Replacing: the base’s contribution of each latent out, the fine-tune’s in",
    inTableOrder(outcomes, { form: "replacing", whole: false }),
  )}</details>
<details><summary>Choices where the paper’s text and its code differ</summary>${choiceTable(choices)}</details>
<details><summary>Every edit in every set of tokens: KL, published limits, NLL, KL to the base</summary>${TOKEN_SETS.map(
    (set) => fullTable(outcomes, set),
  )}</details>
<details><summary>Edits held against each other</summary>${comparisonTable(comparisons)}</details>
<details><summary>How well the matched controls match</summary>${controlTable(controls)}</details>`;
}

/** Of the name "selection, form" only what a bar needs. */
function outcomeChart(outcomes: readonly InterventionOutcome[], set: TokenSet): Html {
  const none = outcomes.find(({ kind }) => kind === "none")?.sets[set].kl.mean ?? Number.NaN;
  const span = ({ sets }: InterventionOutcome) => ({
    value: sets[set].kl.mean,
    interval: sets[set].kl.interval,
  });
  const whole = SHOWN_WHOLE.flatMap((kind) => outcomes.filter((outcome) => outcome.kind === kind));
  const subsets = SHOWN_SELECTIONS.flatMap((selection) =>
    outcomes.filter(
      (outcome) => outcome.selection === selection && outcome.form === "additive" && outcome.controlOf === "",
    ),
  );
  const bars = [...whole, ...subsets].map((outcome): Bar => {
    const control = outcomes.find(({ controlOf }) => controlOf === outcome.name);
    const isSubset = outcome.kind === "subset";
    return {
      label: isSubset ? outcome.selection : outcome.name,
      ...span(outcome),
      fill: isSubset ? "finetuned" : outcome.kind === "none" ? "base" : "neutral",
      ...(control !== undefined && { control: span(control) }),
    };
  });
  const chart = intervalBars({
    id: `causal-${set}`,
    title: `KL to the fine-tune by edit, ${SET_WORDS[set]}`,
    label: "KL to the fine-tune (nats a token)",
    bars,
    format: nats,
    reference: { value: none, words: "None" },
    columns: { label: "edit" },
  });
  const tokens = outcomes[0]?.sets[set].tokens ?? 0;
  return figure({
    chart,
    caption: html`${set === "firstNine" ? termLink("firstNine", "First nine tokens") : "All tokens"} of the answers, ${formatNumber(
      tokens,
      "predicted token",
    )}: ${termLink("kl")} to the fine-tune. Shorter is closer.`,
  });
}

/** Each outcome of one form, its control below it; `whole`: also those without latents. */
export function inTableOrder(
  outcomes: readonly InterventionOutcome[],
  { form, whole }: { form: PatchForm; whole: boolean },
): InterventionOutcome[] {
  return outcomes
    .filter(({ controlOf }) => controlOf === "")
    .filter((outcome) => (outcome.form === null ? whole : outcome.form === form))
    .flatMap((outcome) => [outcome, ...outcomes.filter(({ controlOf }) => controlOf === outcome.name)]);
}

function outcomeTable(label: string, outcomes: readonly InterventionOutcome[]): Html {
  return numbersTable(
    label,
    [
      termLink("intervention", "edit"),
      "latents",
      html`${termLink("kl")}, all tokens`,
      termLink("gapClosed"),
      html`${termLink("kl")}, ${termLink("firstNine")}`,
      "gap closed",
    ],
    outcomes.map(({ name, kind, nLatents, controlOf, sets: { all, firstNine } }) => [
      controlOf === "" ? name : html`<span class="below">matched controls</span>`,
      kind === "subset" ? formatCount(nLatents) : "",
      estimateCell(all.kl, nats),
      gapCell(all),
      estimateCell(firstNine.kl, nats),
      gapCell(firstNine),
    ]),
  );
}

function gapCell({ gapClosed }: SetOutcome): HtmlValue {
  return gapClosed === null ? "no gap" : estimateCell(gapClosed, share);
}

function fullTable(outcomes: readonly InterventionOutcome[], set: TokenSet): Html {
  return numbersTable(
    `${SET_WORDS[set]}: ${formatNumber(outcomes[0]?.sets[set].tokens ?? 0, "predicted token")}`,
    ["edit", "KL", "published limits", "less None", "NLL", "NLL, fine-tune’s choice", "KL to the base"],
    outcomes.map(({ name, sets }) => {
      const { kl, klPublished, klAgainstNone, nll, nllArgmax, klBase } = sets[set];
      return [
        name,
        estimateCell(kl, nats),
        intervalWords(klPublished, nats),
        ...[klAgainstNone, nll, nllArgmax, klBase].map((estimate) => estimateCell(estimate, nats)),
      ];
    }),
  );
}

function comparisonTable(comparisons: PatchingResult["comparisons"]): Html {
  return numbersTable(
    "KL of the first less KL of the second, over the same draws; below 0: the first is closer to the fine-tune",
    ["first", "second", ...TOKEN_SETS.map((set) => SET_WORDS[set])],
    comparisons.map(({ first, second, sets }) => [
      first,
      second,
      ...TOKEN_SETS.map((set) => estimateCell(sets[set], nats)),
    ]),
    [1],
  );
}

function controlTable(controls: readonly ControlMatch[]): Html {
  const range = (values: readonly number[]): string => {
    const finite = values.filter(Number.isFinite);
    if (finite.length === 0) return "none";
    return `${formatFixed(Math.min(...finite), 2)} to ${formatFixed(Math.max(...finite), 2)}`;
  };
  return numbersTable(
    "Random controls of each set: their sums over those of the set, least and greatest draw",
    ["set", "latents", "silent here", "draws", "without a control", "firing rate", "energy"],
    controls.map(({ selection, nLatents, silent, missing, rateRatio, energyRatio }) => [
      selection,
      formatCount(nLatents),
      formatCount(silent),
      formatCount(missing.length),
      missing.length === 0 ? "none" : formatCount(Math.max(...missing)),
      range(rateRatio),
      range(energyRatio),
    ]),
  );
}

const choiceNames = Object.keys(CHOICES) as ChoiceName[];
const wordsOf = <Name extends ChoiceName>(name: Name, value: PaperChoices[Name]): string =>
  CHOICES[name].words[value];

/** One sentence: as the code, or which are not. */
export function choiceWords(choices: PaperChoices): string {
  const others = choiceNames.filter((name) => choices[name] !== CODE_CHOICES[name]);
  if (others.length === 0) return "Where the paper’s text and its code differ, the code was followed.";
  return `Where the paper’s text and its code differ, the code was followed but for: ${others
    .map((name) => `${CHOICES[name].decides} (${wordsOf(name, choices[name])})`)
    .join("; ")}.`;
}

/** A row a choice: what it decides, what was done, whether as in the paper's code or text, and what was not done. */
export function choiceRows(
  choices: PaperChoices,
): { decides: string; used: string; asIn: "the code" | "the text"; other: string }[] {
  return choiceNames.map((name) => {
    const { words, decides } = CHOICES[name] as { decides: string; words: Record<string, string> };
    return {
      ...{ decides, used: words[choices[name]] },
      asIn: choices[name] === CODE_CHOICES[name] ? "the code" : "the text",
      other: Object.entries(words).find(([value]) => value !== choices[name])?.[1] ?? "",
    };
  });
}

function choiceTable(choices: PaperChoices): Html {
  return html`<table class="facts"><thead><tr><th scope="col">what it decides</th><th scope="col">used here</th><th scope="col">as in</th><th scope="col">not used</th></tr></thead><tbody>${choiceRows(
    choices,
  ).map(
    ({ decides, used, asIn, other }) =>
      html`<tr><th scope="row">${decides}</th><td>${used}</td><td>${asIn}</td><td>${other}</td></tr>`,
  )}</tbody></table>`;
}

/** From which latents the halves were made. */
export function poolWords(counts: PoolCounts, isLeaning: boolean): string {
  const { pool, kept, dead, nuMissing, nuReconstructionOutOfRange, nuErrorOutOfRange } = counts;
  const why = [
    [dead, "dead"],
    [nuMissing, "without nu"],
    [nuReconstructionOutOfRange, "nuReconstruction out of range"],
    [nuErrorOutOfRange, "nuError out of range"],
  ] as const;
  const left = why
    .filter(([number]) => number > 0)
    .map(([number, words]) => `${formatCount(number)} ${words}`);
  return `The halves are of ${formatNumber(kept, "latent")}: ${formatCount(pool)} ${
    isLeaning ? "that lean to the fine-tune" : "of greatest deltaNorm"
  }${left.length > 0 ? `, less ${left.join(", ")}` : ""}.`;
}
