// Do these two models belong together? Asked before a single weight is read.
//
// Every difference is looked up in the matrix of pair-rules.ts (docs/pairs.md shows it): allowed, allowed with a warning,
// or refused. Knows what config.json and the tokenizer files say, not weights: whether a checkpoint is whole is checked
// where it is opened. Which ids a text really uses is known once it is tokenised: checkUsedIds.

import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import { compareTokenizers, type IdConflict, type TokenizerComparison } from "./compare-tokenizers.ts";
import { PAIR_LEVELS, PAIR_RULES, type PairLevel, type PairRuleName } from "./pair-rules.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { readTokenizerJson, type TokenizerJson } from "./tokenizer-file.ts";

export interface PairMember {
  /** For messages. */
  folder: string;
  /** From config.json. */
  modelType: string;
  nLayers: number;
  dModel: number;
  /** Rows of the embedding. */
  vocabSize: number;
  /** 0-based; residual after this block. */
  layer: number;
  tokenizer: Pick<Tokenizer, "folder" | "hash" | "vocabSize" | "specialTokens" | "namedTokens">;
  /** Hash of the chat template; undefined when the folder has none. */
  templateHash?: string | undefined;
  /** Rotary settings in any canonical form; undefined: not known. */
  rope?: string | undefined;
  /** As config.json names it; undefined: not known. */
  dtype?: string | undefined;
  maxPositions?: number | undefined;
  isTied?: boolean | undefined;
  /** Present when the folder is an adapter over another model. */
  adapter?: { kind: string; baseName?: string | undefined } | undefined;
}

export interface PairFinding {
  rule: PairRuleName;
  level: PairLevel;
  /** Place, both values, what follows. */
  message: string;
  /** Next step. */
  hint: string;
}

export interface PairVerdict {
  /** The gravest of the findings; "allowed" without any. */
  level: PairLevel;
  /** In the order of the checks. */
  findings: PairFinding[];
}

export interface Pairing {
  base: PairMember;
  finetuned: PairMember;
  /** Ids of the finetuned tokenizer that are replaced before the base reads them. */
  replacedIds?: ReadonlySet<number>;
}

type Find = (rule: PairRuleName, message: string, hint: string) => void;

const USE_ONE_TOKENIZER = "give both folders the same tokenizer.json";
const REPLACE = "replace these tokens for the base, or leave the texts that use them out";

/** All findings of a pair. Throws FormatError when a tokenizer file cannot be read or changes meanwhile. */
export async function judgePair(pairing: Pairing): Promise<PairVerdict> {
  const { base, finetuned } = pairing;
  const findings: PairFinding[] = [];
  const find: Find = (rule, message, hint) => {
    findings.push({ rule, level: PAIR_RULES[rule].level, message, hint });
  };
  judgeLayers(pairing, find);
  judgeAdapter(pairing, find);
  await judgeTokenizers(pairing, find);
  judgeVocabularySizes(pairing, find);
  judgeTemplates(pairing, find);
  judgeConfigs(pairing, find);
  if (await isSameFolder(base.folder, finetuned.folder)) {
    find(
      "same-model",
      `both models are ${finetuned.folder}: a null pair, in which every claim is false`,
      "name the fine-tune's folder, unless a control is wanted",
    );
  }
  const gravest = Math.max(0, ...findings.map(({ level }) => PAIR_LEVELS.indexOf(level)));
  return { level: PAIR_LEVELS[gravest], findings };
}

/**
 * Checks two models against each other and their layers.
 *
 * Returns warnings for what is allowed but worth knowing. Throws for the first refused finding: ConfigError for a layer out
 * of range, MismatchError (naming both values) for what does not fit.
 */
export async function checkPair(pairing: Pairing): Promise<string[]> {
  const { findings } = await judgePair(pairing);
  const refused = findings.find(({ level }) => level === "refused");
  if (refused !== undefined) {
    const { rule, message, hint } = refused;
    throw rule === "layer-out-of-range"
      ? new ConfigError(message, { hint })
      : new MismatchError(message, { hint });
  }
  return [...new Set(findings.filter(({ level }) => level === "warning").map(({ message }) => message))];
}

/**
 * Checks that a model has an embedding row for every id it is going to read; called after tokenising, before weights.
 * place: names the document of a position. Throws MismatchError.
 */
export function checkUsedIds(
  ids: Uint32Array,
  {
    side,
    member,
    place,
  }: { side: string; member: Pick<PairMember, "folder" | "vocabSize">; place: (position: number) => string },
): void {
  const at = ids.findIndex((id) => id >= member.vocabSize);
  if (at < 0) return;
  const nUsed = ids.filter((id) => id >= member.vocabSize).length;
  throw new MismatchError(
    `${place(at)}: expected token ids below ${member.vocabSize}, the embedding rows of ${side} (${member.folder}), got ${ids[at]}` +
      (nUsed === 1 ? "" : ` and ${nUsed - 1} more beyond them`),
    { hint: REPLACE },
  );
}

function judgeLayers({ base, finetuned }: Pairing, find: Find): void {
  for (const [side, { folder, layer, nLayers }] of Object.entries({ base, finetuned })) {
    if (!Number.isInteger(layer) || layer < 0 || layer >= nLayers) {
      find(
        "layer-out-of-range",
        `layer of ${side}: expected 0 to ${nLayers - 1} (${folder} has ${nLayers} blocks), got ${layer}`,
        "choose a layer in that range, as 13 or base:finetuned (13:16); blocks count from 0 and the output of that block is compared",
      );
    } else if (layer === nLayers - 1) {
      find(
        "layer-last",
        `layer of ${side}: ${layer} is the last block of ${folder}; its residual before the final norm is compared`,
        "a block in the middle says more, as a rule",
      );
    }
  }
  const shapes =
    `shapes differ: base ${base.nLayers} blocks of width ${base.dModel}, finetuned ${finetuned.nLayers} blocks of width ${finetuned.dModel}; ` +
    `layers ${base.layer} and ${finetuned.layer} are compared`;
  if (base.dModel !== finetuned.dModel) {
    find("width", shapes, "expect no decoder cosines, and weaker claims: the models have no space in common");
  }
  if (base.nLayers !== finetuned.nLayers) {
    find("depth", shapes, "say which blocks belong together with --layer base:finetuned");
  } else if (base.dModel === finetuned.dModel && base.layer !== finetuned.layer) {
    find(
      "layer-different",
      `layers differ: base ${base.layer}, finetuned ${finetuned.layer}, of ${base.nLayers} each`,
      "give one number to compare the same block of both",
    );
  }
}

function judgeAdapter({ base, finetuned }: Pairing, find: Find): void {
  if (base.adapter !== undefined) {
    find(
      "adapter-as-base",
      `${base.folder}: expected a whole model as base, got a ${base.adapter.kind} adapter`,
      "name the model that the adapter was made for; two adapters are compared after merging both",
    );
  }
  if (finetuned.adapter === undefined) return;
  const { kind, baseName } = finetuned.adapter;
  if (kind.toUpperCase() !== "LORA") {
    find(
      "adapter-kind",
      `${finetuned.folder}/adapter_config.json: peft_type: expected LORA, got ${kind}`,
      "merge it with PEFT's merge_and_unload and save the whole model",
    );
  } else if (baseName !== undefined && basename(baseName) !== basename(base.folder)) {
    find(
      "adapter-other-base",
      `${finetuned.folder}/adapter_config.json: made for ${baseName}, merged over ${base.folder}`,
      "make sure that this is the same model under another name",
    );
  } else find("adapter", `${finetuned.folder}: a LoRA adapter, merged over ${base.folder}`, "nothing to do");
}

async function judgeTokenizers(pairing: Pairing, find: Find): Promise<void> {
  const { base, finetuned } = pairing;
  const [nameBase, nameFinetuned] = [base.tokenizer.namedTokens, finetuned.tokenizer.namedTokens];
  if (nameBase.bos_token !== nameFinetuned.bos_token) {
    find(
      "bos",
      `BOS differs: base ${nameBase.bos_token ?? "none"} (${base.folder}), finetuned ${nameFinetuned.bos_token ?? "none"} (${finetuned.folder}); the fine-tune's rule is used for both`,
      "look at the base's fit (FVE) with care, or mend tokenizer_config.json",
    );
  }
  if (nameBase.eos_token !== nameFinetuned.eos_token || nameBase.pad_token !== nameFinetuned.pad_token) {
    const both = ({ eos_token, pad_token }: typeof nameBase): string =>
      `${eos_token ?? "none"}, ${pad_token ?? "none"}`;
    find(
      "eos-pad",
      `EOS and pad differ: base ${both(nameBase)}, finetuned ${both(nameFinetuned)}; no row holds them`,
      "nothing to do",
    );
  }
  if (base.tokenizer.folder === finetuned.tokenizer.folder) return;
  const [jsonBase, jsonFinetuned] = await Promise.all(
    [base, finetuned].map(({ tokenizer }) => readTokenizerJson(tokenizer.folder)),
  );
  if (base.tokenizer.hash === finetuned.tokenizer.hash) {
    if (decorationOf(jsonBase) !== decorationOf(jsonFinetuned)) {
      find(
        "post-processor",
        `post-processor, decoder, truncation or padding differ between ${base.folder} and ${finetuned.folder}; none is used`,
        "nothing to do",
      );
    }
    return;
  }
  const counted = countFindings(find);
  reportComparison(compareTokenizers(jsonBase, jsonFinetuned), pairing, counted.find);
  if (counted.count() > 0) return;
  throw new FormatError(
    `${finetuned.folder}/tokenizer.json: expected the file that was read before, got another`,
    {
      hint: "do not change model folders while they are compared",
    },
  );
}

/** Counts what is found through it. */
function countFindings(find: Find): { find: Find; count: () => number } {
  let n = 0;
  return {
    find: (...finding) => {
      n += 1;
      find(...finding);
    },
    count: () => n,
  };
}

function decorationOf({ post_processor, decoder, truncation, padding }: TokenizerJson): string {
  return JSON.stringify([post_processor, decoder, truncation, padding].map((value) => value ?? null));
}

function reportComparison(comparison: TokenizerComparison, pairing: Pairing, find: Find): void {
  const { base, finetuned, replacedIds } = pairing;
  const { algorithm, conflicts, renamed, onlyBase, onlyFinetuned, merges, parts } = comparison;
  const differ = `tokenizers differ: base ${base.tokenizer.hash.slice(0, 12)} (${base.folder}), finetuned ${finetuned.tokenizer.hash.slice(0, 12)} (${finetuned.folder});`;
  if (algorithm !== undefined) {
    find(
      "tokenizer-algorithm",
      `${differ} algorithm: base ${algorithm.base}, finetuned ${algorithm.finetuned}`,
      USE_ONE_TOKENIZER,
    );
  }
  if (conflicts.length > 0) {
    const isReplaced = conflicts.every(({ id }) => replacedIds?.has(id));
    find(
      isReplaced ? "vocabulary-conflict-replaced" : "vocabulary-conflict",
      `${differ} vocabulary, ${conflictWords(conflicts)}`,
      isReplaced
        ? "look at the replacements"
        : `both models must read the same token ids: ${USE_ONE_TOKENIZER}`,
    );
  }
  if (renamed.length > 0)
    find("added-token-renamed", `${differ} added tokens, ${conflictWords(renamed)}`, REPLACE);
  if (onlyBase.length > 0) {
    find(
      "ids-only-base",
      `${differ} ${idWords(onlyBase)} only in the base, and no text gives them`,
      "nothing to do",
    );
  }
  if (onlyFinetuned.length > 0) reportNewIds(onlyFinetuned, differ, { pairing, find });
  if (merges !== undefined) {
    find(
      merges.kind === "extended" ? "merges-extended" : "merges-different",
      `${differ} merges, ${merges.words}`,
      merges.kind === "extended" ? REPLACE : `both models must read texts cut alike: ${USE_ONE_TOKENIZER}`,
    );
  }
  for (const { part, words } of parts) {
    if (part === "added token flags") {
      find(
        "added-token-flags",
        `${differ} ${part}: ${words}; the fine-tune's are used for both`,
        "check that the base was trained on texts cut this way",
      );
    } else {
      find(
        part === "model options" ? "model-options" : part,
        `${differ} ${part}: ${words}`,
        `both models must read texts cut alike: ${USE_ONE_TOKENIZER}`,
      );
    }
  }
}

function reportNewIds(
  ids: number[],
  differ: string,
  { pairing, find }: { pairing: Pairing; find: Find },
): void {
  const { base, replacedIds } = pairing;
  const replaced = ids.filter((id) => replacedIds?.has(id));
  const read = ids.filter((id) => !replacedIds?.has(id));
  const withRows = read.filter((id) => id < base.vocabSize);
  const withoutRows = read.filter((id) => id >= base.vocabSize);
  if (replaced.length > 0) {
    find(
      "ids-only-finetuned-replaced",
      `${differ} ${idWords(replaced)} only in the fine-tune and replaced for the base`,
      "nothing to do",
    );
  }
  if (withRows.length > 0) {
    find(
      "ids-only-finetuned-with-rows",
      `${differ} ${idWords(withRows)} only in the fine-tune; the base has rows for them (${base.vocabSize}), untrained as a rule`,
      REPLACE,
    );
  }
  if (withoutRows.length > 0) {
    find(
      "ids-only-finetuned-without-rows",
      `${differ} ${idWords(withoutRows)} only in the fine-tune, beyond the ${base.vocabSize} embedding rows of the base; a text that uses one is refused`,
      REPLACE,
    );
  }
}

function conflictWords(conflicts: IdConflict[]): string {
  const [{ id, base, finetuned }] = conflicts;
  const more = conflicts.length === 1 ? "" : `, and ${conflicts.length - 1} more`;
  return `entry ${id}: base ${JSON.stringify(base)}, finetuned ${JSON.stringify(finetuned)}${more}`;
}

function idWords(ids: number[]): string {
  return ids.length === 1 ? `id ${ids[0]} is` : `${ids.length} ids (${ids[0]} to ${ids[ids.length - 1]}) are`;
}

function judgeVocabularySizes({ base, finetuned }: Pairing, find: Find): void {
  for (const [side, { folder, vocabSize, tokenizer }] of Object.entries({ base, finetuned })) {
    if (tokenizer.vocabSize <= vocabSize) continue;
    find(
      "tokenizer-beyond-embedding",
      `${folder}: expected an embedding row for each of the ${tokenizer.vocabSize} ids of the tokenizer, got ${vocabSize} rows (${side})`,
      "use the tokenizer that this model was trained with",
    );
  }
  if (base.vocabSize !== finetuned.vocabSize) {
    find(
      "embedding-rows",
      `embedding rows differ: base ${base.vocabSize}, finetuned ${finetuned.vocabSize}; shared ids are used`,
      "nothing to do where the tokenizers agree: spare rows are padding",
    );
  }
}

function judgeTemplates({ base, finetuned }: Pairing, find: Find): void {
  const [ofBase, ofFinetuned] = [base.templateHash, finetuned.templateHash];
  if (ofBase === undefined && ofFinetuned === undefined) {
    find(
      "template-missing-both",
      `chat template: neither ${base.folder} nor ${finetuned.folder} has one`,
      "put a chat_template.jinja into the fine-tune's folder before giving documents with messages",
    );
  } else if (ofBase === undefined) {
    find("template-missing-base", "chat template: the fine-tune's is used for both", "nothing to do");
  } else if (ofFinetuned === undefined) {
    find(
      "template-missing-finetuned",
      "chat templates differ: base has one, finetuned has none, so the base's is used",
      "put the template that the fine-tune was trained with into its folder",
    );
  } else if (ofBase !== ofFinetuned) {
    find(
      "template-different",
      "chat templates differ: base has one, finetuned has another, which is used for both",
      "look at a rendered chat: the base may never have seen this layout",
    );
  }
}

function judgeConfigs({ base, finetuned }: Pairing, find: Find): void {
  const differs = <K extends keyof PairMember>(key: K): boolean =>
    base[key] !== undefined && finetuned[key] !== undefined && base[key] !== finetuned[key];
  if (differs("modelType")) {
    find(
      "family",
      `architectures differ: base ${base.modelType}, finetuned ${finetuned.modelType}`,
      "make sure that one was made from the other",
    );
  }
  if (differs("rope")) {
    find(
      "rope",
      `rope settings differ: base ${base.rope?.slice(0, 200)}, finetuned ${finetuned.rope?.slice(0, 200)}; part of what differs is how positions are encoded`,
      "keep documents short, or mend config.json where one is wrong",
    );
  }
  if (differs("dtype")) {
    find(
      "dtype",
      `dtypes of the weights differ: base ${base.dtype}, finetuned ${finetuned.dtype}; both are computed in f32, but the rounding of the weights is part of the difference`,
      "use checkpoints saved in one dtype",
    );
  }
  if (differs("maxPositions")) {
    const least = Math.min(base.maxPositions ?? 0, finetuned.maxPositions ?? 0);
    find(
      "max-positions",
      `max positions differ: base ${base.maxPositions}, finetuned ${finetuned.maxPositions}; documents are cut at ${least} at the latest`,
      "nothing to do",
    );
  }
  if (differs("isTied")) {
    const words = (tied: boolean | undefined): string => (tied ? "tied to the embedding" : "stored apart");
    find(
      "tied",
      `heads differ: base ${words(base.isTied)}, finetuned ${words(finetuned.isTied)}; each model is read through its own`,
      "nothing to do",
    );
  }
}

async function isSameFolder(a: string, b: string): Promise<boolean> {
  const real = (folder: string): Promise<string | undefined> => realpath(folder).catch(() => undefined);
  const [x, y] = [await real(a), await real(b)];
  return x !== undefined && x === y;
}
