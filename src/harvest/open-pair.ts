// The two models of a harvest, opened and checked against each other. Weights stay on disk.

import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ModelSide, Site } from "../store/store-contract.ts";
import { type ChatTemplate, loadChatTemplate } from "../text/chat-template.ts";
import { checkPair } from "../text/check-pair.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";

export const SIDES: readonly ModelSide[] = ["base", "finetuned"];

export interface Pair {
  checkpoints: Record<ModelSide, Checkpoint>;
  sites: Site[];
  /** The finetuned side's; equal to the base's in everything that decides ids. */
  tokenizer: Tokenizer;
  template: ChatTemplate | undefined;
  warnings: string[];
}

/** Loads tokenizers and templates beside the opened checkpoints. Throws what checkPair and the loaders throw. */
export async function openPair(
  options: { base: string; finetuned: string; layer: number | Record<ModelSide, number> },
  checkpoints: Record<ModelSide, Checkpoint>,
): Promise<Pair> {
  const layer =
    typeof options.layer === "number" ? { base: options.layer, finetuned: options.layer } : options.layer;
  const tokenizers = {
    base: await loadTokenizer(options.base),
    finetuned: await loadTokenizer(options.finetuned),
  };
  const templates = {
    base: await loadChatTemplate(options.base, tokenizers.finetuned.namedTokens),
    finetuned: await loadChatTemplate(options.finetuned, tokenizers.finetuned.namedTokens),
  };
  const member = (side: ModelSide) => {
    const { modelType, nLayers, dModel, vocabSize } = checkpoints[side].config;
    return {
      folder: options[side],
      modelType,
      nLayers,
      dModel,
      vocabSize,
      layer: layer[side],
      tokenizer: tokenizers[side],
      templateHash: templates[side]?.hash,
    };
  };
  const pairWarnings = await checkPair({ base: member("base"), finetuned: member("finetuned") });
  return {
    checkpoints,
    sites: SIDES.map((model) => ({
      name: `${model}-L${layer[model]}`,
      model,
      layer: layer[model],
      width: checkpoints[model].config.dModel,
    })),
    tokenizer: tokenizers.finetuned,
    template: templates.finetuned ?? templates.base,
    warnings: [...checkpoints.base.warnings, ...checkpoints.finetuned.warnings, ...pairWarnings],
  };
}
