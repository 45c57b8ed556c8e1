// The first screen: the pair, the fit, the counts, and what every later stage says in a few numbers. Figures of the tables as they are.

import type { PatchingResult } from "../causal/causal-contract.ts";
import type { CausalBar, CausalSummary, Overview } from "./api-contract.ts";
import type { DictionaryView } from "./dictionary-view.ts";
import { findingsOf } from "./findings.ts";

/** Throws nothing for a study that is half finished: each part says for itself what is missing. */
export async function readOverview(view: DictionaryView): Promise<Overview> {
  const { entry } = await view.study.facts();
  const training = await view.part("training", ({ warnings = [] }) => warnings);
  const thresholds = await view.part("measure", ({ summary }) => {
    const { nuReconstructionBelow, nuErrorBelow } = summary.thresholds;
    return { nuReconstructionBelow, nuErrorBelow };
  });
  return {
    ...(thresholds.state === "made" && { thresholds: thresholds.value }),
    pair: entry,
    fit: await view.part("measure", ({ summary }) => {
      const { fve, l0, deadFraction, nLatents, nRows, nDocuments } = summary;
      return { fve, l0, deadFraction, nLatents, nRows, nDocuments };
    }),
    counts: await view.part("measure", ({ summary }): Record<string, number> => ({ ...summary.counts })),
    verdicts: await view.part("measure", ({ summary }): Record<string, number> => ({ ...summary.verdicts })),
    nulls: await view.part("nulls", ({ record: { draws, expectedFalseClaims, claimsUpTo } }) => ({
      ...{ draws: draws.length, expectedFalseClaims, claimsUpTo },
    })),
    stability: await view.part("stability", ({ record: { others, counts } }) => {
      const claims = [counts.finetunedSpecific, counts.baseSpecific];
      const sum = (of: (count: (typeof claims)[number]) => number): number =>
        claims.reduce((total, count) => total + of(count), 0);
      return {
        others: others.length,
        claims: sum(({ compared }) => compared),
        foundInAll: sum(({ directionFoundInAll }) => directionFoundInAll),
        claimedInAll: sum(({ claimReplicatedInAll }) => claimReplicatedInAll),
      };
    }),
    truth: await view.part("truth", (score) => ({
      found: score.conceptsFound,
      planted: score.conceptsPlanted,
      recall: score.recall,
      precisionWithTemplate: score.precisionWithTemplate,
      permutedRecall: score.permutedRecall,
    })),
    causal: await view.part("causal", ({ record: { patching } }) => causalSummary(patching)),
    glance: await view.part("glance", ({ findings }) => ({ findings })),
    findings: await findingsOf(view),
    warnings: training.state === "made" ? training.value : [],
  };
}

/** A bar an intervention and set of tokens; none where the experiment of the paper was not asked for. */
export function causalSummary(patching: PatchingResult | null): CausalSummary {
  if (patching === null) return { bars: [], conversations: 0, tokens: 0 };
  const bars = patching.outcomes.flatMap(({ name, form, controlOf, sets }) =>
    Object.entries(sets).map(
      ([tokenSet, { kl, gapClosed }]): CausalBar => ({
        ...{ name, form, controlOf, tokenSet },
        kl: kl.mean,
        low: kl.interval.low,
        high: kl.interval.high,
        gapClosed: gapClosed?.mean ?? null,
      }),
    ),
  );
  return { bars, conversations: patching.conversations.count, tokens: patching.conversations.tokens };
}
