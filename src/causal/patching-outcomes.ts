// From sums of conversations to the table: means, gaps closed, intervals, comparisons, all over one resampling of conversations.
//
// gap closed = (KL_None − KL) / KL_None, taken inside each draw, neither clamped nor hidden when negative; null where the models do not
// differ. The slow twin of the whole is patching-reference.ts.

import {
  type ConversationBootstrap,
  combine,
  type Drawn,
  differenceOf,
  estimateOf,
  publishedLimits,
  ratioOf,
} from "./bootstrap.ts";
import {
  type Comparison,
  type ControlMatch,
  type Estimate,
  type InterventionOutcome,
  type PatchForm,
  type SetOutcome,
  TOKEN_SETS,
  type TokenSet,
} from "./causal-contract.ts";
import type { PatchingPlan } from "./patching-plan.ts";
import { SUMS, type SumName } from "./patching-sums.ts";

export const OUTCOME_SETTINGS = {
  /** A mean KL_None up to this is no gap, nats: the f32 rounding of two forwards of one model. */
  noGapKl: 1e-9,
} as const;

/** Of all conversations, in their order. */
export interface PatchingSums {
  nConversations: number;
  nRuns: number;
  /** [nConversations, TOKEN_SETS] */
  tokens: Uint32Array;
  /** [nConversations, nRuns, TOKEN_SETS, SUMS] */
  sums: Float64Array;
}

export interface PatchingTable {
  outcomes: InterventionOutcome[];
  comparisons: Comparison[];
  controls: ControlMatch[];
}

/** The table of a plan. Gives the event loop a turn an outcome. */
export async function tabulatePatching(
  plan: PatchingPlan,
  sums: PatchingSums,
  bootstrap: ConversationBootstrap,
): Promise<PatchingTable> {
  const tokens = bySet((set) => bootstrap.sum(tokensOf(sums, set)));
  const mean = (runs: readonly number[], set: TokenSet, name: SumName): Drawn =>
    ratioOf(bootstrap.sum(sumsOf(sums, { runs, set, name })), tokens[set]);
  const estimate = (drawn: Drawn): Estimate => estimateOf(drawn, bootstrap.level);

  const klOf = new Map<string, Record<TokenSet, Drawn>>();
  const outcomes: InterventionOutcome[] = [];
  for (const { runs, ...described } of plan.outcomes) {
    const klBySet = bySet((set) => mean(runs, set, "kl"));
    klOf.set(described.name, klBySet);
    const none = klOf.get(plan.outcomes[0].name) as Record<TokenSet, Drawn>;
    const sets = bySet((set): SetOutcome => {
      const [kl, gap, count] = [klBySet[set], none[set], tokens[set].value];
      const total = (name: SumName): number => addUp(sumsOf(sums, { runs, set, name }));
      const hasGap = gap.value > OUTCOME_SETTINGS.noGapKl;
      return {
        tokens: count,
        kl: estimate(kl),
        klPublished: publishedLimits({ sum: total("kl"), sumOfSquares: total("klSquares"), tokens: count }),
        nll: estimate(mean(runs, set, "nll")),
        nllArgmax: estimate(mean(runs, set, "nllArgmax")),
        klBase: estimate(mean(runs, set, "klBase")),
        gapClosed: hasGap ? estimate(combine([gap, kl], (before, after) => (before - after) / before)) : null,
        klAgainstNone: estimate(differenceOf(kl, gap)),
      };
    });
    outcomes.push({ ...described, sets });
    await new Promise((resolve) => setImmediate(resolve));
  }

  const comparisons = plan.comparisons.map(({ first, second }): Comparison => {
    const [a, b] = [first, second].map((name) => klOf.get(name) as Record<TokenSet, Drawn>);
    return { first, second, sets: bySet((set) => estimate(differenceOf(a[set], b[set]))) };
  });
  const controls = plan.controls.map(({ runs, ...match }): ControlMatch => {
    const klOfDraw = (run: number, set: TokenSet): number =>
      addUp(sumsOf(sums, { runs: [run], set, name: "kl" })) / tokens[set].value;
    const klOfForm = (form: PatchForm) => bySet((set) => runs[form].map((run) => klOfDraw(run, set)));
    return { ...match, kl: { additive: klOfForm("additive"), replacing: klOfForm("replacing") } };
  });
  return { outcomes, comparisons, controls };
}

function bySet<T>(of: (set: TokenSet) => T): Record<TokenSet, T> {
  return { all: of("all"), firstNine: of("firstNine"), rest: of("rest") };
}

/** [nConversations] predicted tokens of a set. */
function tokensOf({ nConversations, tokens }: PatchingSums, set: TokenSet): Float64Array {
  const at = TOKEN_SETS.indexOf(set);
  return Float64Array.from({ length: nConversations }, (_, i) => tokens[i * TOKEN_SETS.length + at]);
}

/** [nConversations] a sum, the mean over runs. */
function sumsOf(
  { nConversations, nRuns, sums }: PatchingSums,
  { runs, set, name }: { runs: readonly number[]; set: TokenSet; name: SumName },
): Float64Array {
  const [nSets, nSums] = [TOKEN_SETS.length, SUMS.length];
  const within = TOKEN_SETS.indexOf(set) * nSums + SUMS.indexOf(name);
  return Float64Array.from({ length: nConversations }, (_, i) => {
    let sum = 0;
    for (const run of runs) sum += sums[(i * nRuns + run) * nSets * nSums + within];
    return sum / runs.length;
  });
}

function addUp(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
