// What the files of two model folders say about them, checked against each other before a single weight is read.
//
// config.json, tokenizer and template files only. The rules are text/check-pair.ts and docs/pairs.md.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import { readArchitecture } from "../lm/config.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { type ChatTemplate, loadChatTemplate } from "../text/chat-template.ts";
import { checkPair, type PairMember } from "../text/check-pair.ts";
import { resolveReplacements } from "../text/token-replacement.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { readFolderJson } from "../text/tokenizer-file.ts";

export interface PairQuestion {
  /** Folders of the two checkpoints; finetuned may be a LoRA adapter over base. */
  base: string;
  finetuned: string;
  /** 0-based; one number for both, or one each. Default: the middle block of each. */
  layer?: number | Record<ModelSide, number> | undefined;
  /** Tokens of the finetuned tokenizer, by their strings, that the base reads as others: from → to. */
  baseReplacements?: Readonly<Record<string, string>> | undefined;
}

export interface InspectedPair {
  members: Record<ModelSide, PairMember>;
  layer: Record<ModelSide, number>;
  /** The one that cuts the text for both: the finetuned side's, or the base's for an adapter without one. */
  tokenizer: Tokenizer;
  /** Used for both; undefined when neither folder has one. */
  template: ChatTemplate | undefined;
  /** Ids of that tokenizer that are replaced before the base reads them: from → to. */
  baseReplacements: Map<number, number>;
  /** One sentence each. */
  warnings: string[];
}

/**
 * Reads both folders' small files and checks the pair: seconds, no weights, no graph.
 *
 * Throws ConfigError (layer, replacements), MismatchError (the models do not fit), FormatError (a file is bad).
 */
export async function inspectPair(question: PairQuestion): Promise<InspectedPair> {
  const folders: Record<ModelSide, string> = { base: question.base, finetuned: question.finetuned };
  const base = await readFacts(folders.base);
  const finetuned = await readFacts(folders.finetuned, base);
  const facts = { base, finetuned };
  const layer = resolveLayer(question.layer, { base: base.nLayers, finetuned: finetuned.nLayers });

  const tokenizerBase = await loadTokenizer(folders.base);
  const isBorrowed =
    finetuned.adapter !== undefined && !(await exists(join(folders.finetuned, "tokenizer.json")));
  const tokenizers = {
    base: tokenizerBase,
    finetuned: isBorrowed ? tokenizerBase : await loadTokenizer(folders.finetuned),
  };
  const tokenizer = tokenizers.finetuned;
  const templates = {
    base: await loadChatTemplate(folders.base, tokenizer.namedTokens),
    finetuned: await loadChatTemplate(folders.finetuned, tokenizer.namedTokens),
  };
  const baseReplacements = await resolveReplacements(tokenizer, question.baseReplacements ?? {});
  const member = (side: ModelSide): PairMember => ({
    ...facts[side],
    folder: folders[side],
    layer: layer[side],
    tokenizer: tokenizers[side],
    templateHash: templates[side]?.hash,
  });
  const members = { base: member("base"), finetuned: member("finetuned") };
  const warnings = await checkPair({ ...members, replacedIds: new Set(baseReplacements.keys()) });
  return {
    members,
    layer,
    tokenizer,
    template: templates.finetuned ?? templates.base,
    baseReplacements,
    warnings,
  };
}

/** One number stands for both sides; nothing for the middle block of each, so that depths may differ. */
export function resolveLayer(
  layer: PairQuestion["layer"],
  nLayers: Record<ModelSide, number>,
): Record<ModelSide, number> {
  if (layer === undefined) {
    return { base: Math.floor(nLayers.base / 2), finetuned: Math.floor(nLayers.finetuned / 2) };
  }
  return typeof layer === "number" ? { base: layer, finetuned: layer } : layer;
}

type Facts = Omit<PairMember, "folder" | "layer" | "tokenizer" | "templateHash">;

/** base: whose config an adapter folder without one of its own takes. */
async function readFacts(folder: string, base?: Facts): Promise<Facts> {
  const adapterConfig = await readFolderJson(folder, "adapter_config.json");
  const adapter = adapterConfig && {
    kind: typeof adapterConfig.peft_type === "string" ? adapterConfig.peft_type : "unnamed",
    baseName:
      typeof adapterConfig.base_model_name_or_path === "string"
        ? adapterConfig.base_model_name_or_path
        : undefined,
  };
  if (adapter && !(await exists(join(folder, "config.json")))) {
    if (base !== undefined) return { ...base, adapter };
    throw new FormatError(`${folder}: expected a whole model as base, got a ${adapter.kind} adapter`, {
      hint: "name the model that the adapter was made for; two adapters are compared after merging both",
    });
  }
  const { config, ropes, headIsTied } = await readArchitecture(folder);
  const raw = (await readFolderJson(folder, "config.json")) ?? {};
  const dtype = raw.dtype ?? raw.torch_dtype;
  return {
    modelType: config.modelType,
    nLayers: config.nLayers,
    dModel: config.dModel,
    vocabSize: config.vocabSize,
    maxPositions: config.maxPositions,
    isTied: headIsTied,
    rope: canonicalJson(ropes),
    dtype: typeof dtype === "string" ? dtype.replace(/^torch\./, "") : undefined,
    adapter,
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
