// Slow twin of patching.ts: one intervention and one conversation at a time, nothing shared, every token kept.
//
// Each hybrid runs whole, without what None said before it; means are over pooled tokens; every draw of the bootstrap lists its
// conversations. The plan (which latents, which controls) is given. For tests and for readers; never called by the product.

import { publishedLimits } from "./bootstrap.ts";
import { bootstrapReference } from "./bootstrap-reference.ts";
import {
  type Conversation,
  METRICS,
  type Metric,
  type PositionMetrics,
  type PredictedPositions,
  type SetOutcome,
  TOKEN_SETS,
  type TokenSet,
} from "./causal-contract.ts";
import { hybridResidual } from "./hybrids.ts";
import type { PatchEvaluator } from "./patch-evaluator.ts";
import type { PatchingPlan } from "./patching-plan.ts";

export interface ReferenceTable {
  outcomes: { name: string; sets: Record<TokenSet, SetOutcome> }[];
  comparisons: { first: string; second: string; sets: Record<TokenSet, SetOutcome["kl"]> }[];
}

export async function patchingReference(
  plan: PatchingPlan,
  {
    evaluator,
    conversations,
    draws,
    seed,
  }: { evaluator: PatchEvaluator; conversations: readonly Conversation[]; draws: number; seed: number },
): Promise<ReferenceTable> {
  const { dictionary, choices, unedited } = evaluator;
  /** Values of the tokens: by run, by conversation. */
  const kept: TokenValues[][] = plan.runs.map(() => []);
  for (const conversation of conversations) {
    const batch = await evaluator.prepare([conversation]);
    const [prepared] = batch.conversations;
    for (const [run, intervention] of plan.runs.entries()) {
      const residual = hybridResidual(prepared, intervention, { dictionary, choices, unedited });
      const [{ metrics }] = await evaluator.evaluate(batch, [{ conversation: 0, residual }]);
      kept[run].push(valuesOf(metrics, prepared.predicted));
    }
  }

  /** Of the listed conversations one after another. */
  const tokens = (
    run: number,
    metric: Metric,
    { set, at }: { set: TokenSet; at: readonly number[] },
  ): number[] => at.flatMap((i) => kept[run][i][metric][set]);
  const meanOf = (
    runs: readonly number[],
    metric: Metric,
    where: { set: TokenSet; at: readonly number[] },
  ): number => mean(runs.map((run) => mean(tokens(run, metric, where))));
  const options = { nConversations: conversations.length, draws, seed };
  const everyOne = [...conversations.keys()];
  const runsOf = (name: string): number[] => plan.outcomes.find((one) => one.name === name)?.runs ?? [];
  const noneRuns = plan.outcomes[0].runs;

  const outcomes = plan.outcomes.map(({ name, runs }) => {
    const sets = TOKEN_SETS.map((set): [TokenSet, SetOutcome] => {
      const estimate = (metric: Metric) =>
        bootstrapReference((at) => meanOf(runs, metric, { set, at }), options);
      const kls = runs.map((run) => tokens(run, "kl", { set, at: everyOne }));
      const n = kls[0].length;
      const outcome = {
        tokens: n,
        kl: estimate("kl"),
        klPublished: publishedLimits({
          sum: n * mean(kls.map(mean)),
          sumOfSquares: n * mean(kls.map((values) => mean(values.map((kl) => kl * kl)))),
          tokens: n,
        }),
        nll: estimate("nll"),
        nllArgmax: estimate("nllArgmax"),
        klBase: estimate("klBase"),
        gapClosed: bootstrapReference((at) => {
          const none = meanOf(noneRuns, "kl", { set, at });
          return (none - meanOf(runs, "kl", { set, at })) / none;
        }, options),
        klAgainstNone: bootstrapReference(
          (at) => meanOf(runs, "kl", { set, at }) - meanOf(noneRuns, "kl", { set, at }),
          options,
        ),
      };
      return [set, outcome];
    });
    return { name, sets: Object.fromEntries(sets) as Record<TokenSet, SetOutcome> };
  });
  const comparisons = plan.comparisons.map(({ first, second }) => {
    const sets = TOKEN_SETS.map((set): [TokenSet, SetOutcome["kl"]] => {
      const difference = (at: readonly number[]): number =>
        meanOf(runsOf(first), "kl", { set, at }) - meanOf(runsOf(second), "kl", { set, at });
      return [set, bootstrapReference(difference, options)];
    });
    return { first, second, sets: Object.fromEntries(sets) as ReferenceTable["comparisons"][number]["sets"] };
  });
  return { outcomes, comparisons };
}

type TokenValues = Record<Metric, Record<TokenSet, number[]>>;

function valuesOf(metrics: PositionMetrics, { isFirstNine, isRest }: PredictedPositions): TokenValues {
  return Object.fromEntries(
    METRICS.map((metric) => {
      const all = [...metrics[metric]];
      const firstNine = all.filter((_, k) => isFirstNine[k] === 1);
      return [metric, { all, firstNine, rest: all.filter((_, k) => isRest[k] === 1) }];
    }),
  ) as TokenValues;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
