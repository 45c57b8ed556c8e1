// The slow twin of divergence.ts: one row in the order of the formulas, every array written out in f64.

import { logSoftmax } from "../harvest/next-token-reference.ts";
import type { Metric, PaperChoices } from "./causal-contract.ts";

export interface DivergenceReferenceInput {
  /** One row each: the models' own, and the edited fine-tune's. */
  base: number[];
  finetuned: number[];
  hybrid: number[];
  next: number;
  /** Ids that mean the same to both models. */
  common: number[];
  klDirection: PaperChoices["klDirection"];
}

/** KL(p ‖ q) = Σ p (ln p − ln q), from logarithms. */
function divergence(logP: number[], logQ: number[]): number {
  return logP.reduce((sum, value, i) => sum + Math.exp(value) * (value - logQ[i]), 0);
}

export function divergenceReference(input: DivergenceReferenceInput): Record<Metric, number> {
  const { base, finetuned, hybrid, next, common, klDirection } = input;
  const logHybrid = logSoftmax(hybrid);
  const logFinetuned = logSoftmax(finetuned);
  const onCommon = (row: number[]): number[] => logSoftmax(common.map((id) => row[id]));
  return {
    kl:
      klDirection === "finetuned-from-hybrid"
        ? divergence(logFinetuned, logHybrid)
        : divergence(logHybrid, logFinetuned),
    nll: -logHybrid[next],
    nllArgmax: -logHybrid[finetuned.indexOf(Math.max(...finetuned))],
    klBase: divergence(onCommon(base), onCommon(hybrid)),
  };
}
