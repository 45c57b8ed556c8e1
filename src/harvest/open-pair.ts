// The two models of a harvest, opened after their small files were checked against each other. Weights stay on disk.

import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ModelSide, Site } from "../store/store-contract.ts";
import type { ChatTemplate } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type InspectedPair, inspectPair, type PairQuestion } from "./inspect-pair.ts";

export const SIDES: readonly ModelSide[] = ["base", "finetuned"];

export interface Pair {
  checkpoints: Record<ModelSide, Checkpoint>;
  /** Base first; each has its own layer and width. */
  sites: Site[];
  /** Cuts the text for both. */
  tokenizer: Tokenizer;
  template: ChatTemplate | undefined;
  /** Ids replaced before the base reads them: from → to. */
  baseReplacements: ReadonlyMap<number, number>;
  warnings: string[];
}

/** inspected: what inspectPair said of this question; asked here when it is not given. Throws what inspectPair throws. */
export async function openPair(
  question: PairQuestion,
  checkpoints: Record<ModelSide, Checkpoint>,
  inspected?: InspectedPair,
): Promise<Pair> {
  const { layer, tokenizer, template, baseReplacements, warnings, members } =
    inspected ?? (await inspectPair(question));
  const { base, finetuned } = checkpoints;
  const isNull = base.hash === finetuned.hash && members.finetuned.adapter === undefined;
  const sameWeights = `${question.base} and ${question.finetuned} hold the same weights: a null pair, in which every claim is false`;
  return {
    checkpoints,
    sites: SIDES.map((model) => ({
      name: `${model}-L${layer[model]}`,
      model,
      layer: layer[model],
      width: checkpoints[model].config.dModel,
    })),
    tokenizer,
    template,
    baseReplacements,
    warnings: [
      ...base.warnings,
      ...finetuned.warnings,
      ...warnings,
      ...(isNull && !warnings.some((warning) => warning.includes("null pair")) ? [sameWeights] : []),
    ],
  };
}
