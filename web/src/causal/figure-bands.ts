// Which edits the paper's figure shows, in which order, and their controls beside them. Pure; drawn by charts/band-bars.tsx.
//
// Minder et al. 2025 (arXiv:2504.02922), figure 4: None, Template, All, Error, then the halves and sets of latents.

import type { CausalOutcome, CausalTokenSet, FigureEstimate } from "../../../src/dashboard/api-contract.ts";
import type { Band, BandSpan } from "../charts/band-bars.tsx";
import { formatNumber, formatPercent, NO_VALUE } from "../format.ts";
import type { CausalState, Metric } from "./causal-state.ts";

export const TOKEN_SETS = ["all", "firstNine", "rest"] as const satisfies readonly CausalTokenSet[];

export const SET_WORDS: Record<CausalTokenSet, string> = {
  all: "all tokens",
  firstNine: "first nine tokens",
  rest: "the rest",
};

/** unit: of the axis. better: which way is closer to the fine-tune; "" where neither is. */
export const METRIC_WORDS: Record<Metric, { name: string; axis: string; better: string }> = {
  kl: {
    name: "KL to the fine-tune",
    axis: "KL, nats a token",
    better: "Shorter is closer to the fine-tune.",
  },
  gapClosed: {
    name: "gap closed",
    axis: "gap closed",
    better: "Longer is closer to the fine-tune; below 0 it harms.",
  },
  nll: { name: "NLL of the token that came", axis: "NLL, nats a token", better: "" },
  nllArgmax: {
    name: "NLL of the fine-tune’s choice",
    axis: "NLL, nats a token",
    better: "Shorter is closer to the fine-tune.",
  },
  klBase: { name: "KL to the base", axis: "KL, nats a token", better: "Shorter is closer to the base." },
  klAgainstNone: {
    name: "KL less that of None",
    axis: "KL − KL of None, nats",
    better: "Further below 0 is closer to the fine-tune.",
  },
};

const WHOLE = ["none", "template", "all", "error"] as const;
/** The figure's sets of latents, in this order, where they were run. */
const FIGURE_SELECTIONS: readonly string[] = [
  "latent-scaling best half",
  "latent-scaling worst half",
  "deltaNorm best half",
  "deltaNorm worst half",
  "claims",
];

export type FigureChoice = Pick<CausalState, "metric" | "form" | "limits" | "edits">;

/** Gap closed is a share; small ones keep two digits. */
export function formatMetric(metric: Metric, value: number | null): string {
  if (value === null) return NO_VALUE;
  if (metric !== "gapClosed") return formatNumber(value);
  return formatPercent(value, value === 0 ? 0 : Math.abs(value) < 0.01 ? 2 : 1);
}

/** Published limits are known of KL alone. */
export function limitsOf(choice: FigureChoice): CausalState["limits"] {
  return choice.metric === "kl" ? choice.limits : "bootstrap";
}

/** The outcomes that are drawn, whole ones first. */
export function figureOutcomes(
  outcomes: readonly CausalOutcome[],
  { form, edits }: Pick<FigureChoice, "form" | "edits">,
): CausalOutcome[] {
  const whole = WHOLE.flatMap((kind) => outcomes.filter((outcome) => outcome.kind === kind));
  const subsets = outcomes.filter(
    (outcome) =>
      outcome.kind === "subset" && outcome.controlOf === "" && (form === "both" || outcome.form === form),
  );
  const shown =
    edits === "all"
      ? subsets
      : FIGURE_SELECTIONS.flatMap((selection) =>
          subsets.filter((outcome) => outcome.selection === selection),
        );
  return [...whole, ...shown];
}

export function figureBands(
  outcomes: readonly CausalOutcome[],
  choice: FigureChoice & { tokenSet: CausalTokenSet },
): Band[] {
  const { metric, tokenSet, form } = choice;
  const span = ({ sets }: CausalOutcome): BandSpan => {
    const figures = sets[tokenSet];
    const { mean, low, high } = figures[metric];
    const limits = limitsOf(choice) === "published" ? figures.klPublished : { low, high };
    return { value: mean, low: limits.low, high: limits.high };
  };
  return figureOutcomes(outcomes, choice).map((outcome) => {
    const control = outcomes.find(({ controlOf }) => controlOf === outcome.name);
    const isSubset = outcome.kind === "subset";
    return {
      key: outcome.name,
      label: isSubset && form !== "both" ? outcome.selection : outcome.name,
      words: [
        formatMetric(metric, span(outcome).value),
        ...(control === undefined ? [] : [`controls ${formatMetric(metric, span(control).value)}`]),
      ].join(" · "),
      main: span(outcome),
      thin: control === undefined ? null : span(control),
      fill: isSubset ? "finetuned" : outcome.kind === "none" ? "base" : "neutral",
      isPale: outcome.form === "replacing",
    };
  });
}

/** "2.00 to 2.53"; without both ends "not known". */
export function limitWords(metric: Metric, { low, high }: Pick<FigureEstimate, "low" | "high">): string {
  if (low === null || high === null) return "not known";
  return `${formatMetric(metric, low)} to ${formatMetric(metric, high)}`;
}
