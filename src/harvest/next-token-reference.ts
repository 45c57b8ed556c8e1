// The slow twin of next-token.ts: the same numbers of one row in the order of the formulas, every array written out in f64.

import type { ModelSide } from "../store/store-contract.ts";

export interface NextTokenReference {
  klFinetunedBase: number;
  /** −ln p by id, [vocabulary]. */
  nll: Record<ModelSide, number[]>;
  /** Ids by falling probability, of equal ones the lower first. */
  ranking: Record<ModelSide, number[]>;
  probability: Record<ModelSide, number[]>;
  /** Probability of ids outside `common`. */
  outside: Record<ModelSide, number>;
}

/** ln softmax(x)_i = x_i − ln Σ_j exp(x_j), shifted by the greatest so that nothing overflows. */
export function logSoftmax(logits: number[]): number[] {
  const max = Math.max(...logits);
  const logSum = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  return logits.map((logit) => logit - logSum);
}

/** logits: one row of each model. common: ids that mean the same to both. */
export function compareRowReference(
  logits: Record<ModelSide, number[]>,
  common: number[],
): NextTokenReference {
  const of = <T>(make: (side: ModelSide) => T): Record<ModelSide, T> => ({
    base: make("base"),
    finetuned: make("finetuned"),
  });
  const logP = of((side) => logSoftmax(logits[side]));
  const probability = of((side) => logP[side].map(Math.exp));
  const logPCommon = of((side) => logSoftmax(common.map((id) => logits[side][id])));
  const klFinetunedBase = common.reduce(
    (sum, _, i) => sum + Math.exp(logPCommon.finetuned[i]) * (logPCommon.finetuned[i] - logPCommon.base[i]),
    0,
  );
  return {
    klFinetunedBase,
    nll: of((side) => logP[side].map((value) => -value)),
    ranking: of((side) =>
      logits[side].map((_, id) => id).sort((a, b) => logits[side][b] - logits[side][a] || a - b),
    ),
    probability,
    outside: of((side) => 1 - common.reduce((sum, id) => sum + probability[side][id], 0)),
  };
}
