// Do these two models belong together? Asked before anything is computed.
//
// One row a rule: refused with MismatchError or ConfigError, or allowed with a warning. Widths, depths and layers may
// differ as long as both models read the same tokens. Tokenizers must be identical here; sharing a range of ids, with
// some replaced for one side, is a later rule. Knows numbers, not weights: whether a checkpoint is whole is checked
// where it is opened.

import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { firstTokenizerDifference, readTokenizerJson } from "./tokenizer-file.ts";

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
  tokenizer: Pick<Tokenizer, "folder" | "hash" | "vocabSize" | "specialTokens">;
  /** Hash of the chat template; undefined when the folder has none. */
  templateHash?: string | undefined;
}

function checkLayer(side: string, { folder, layer, nLayers }: PairMember): void {
  if (!Number.isInteger(layer) || layer < 0 || layer >= nLayers) {
    throw new ConfigError(
      `layer of ${side}: expected 0 to ${nLayers - 1} (${folder} has ${nLayers} blocks), got ${layer}`,
      { hint: "choose a layer in that range; blocks count from 0 and the output of that block is compared" },
    );
  }
}

/** Ids without an embedding row would read beyond the weights. Spare rows (padded vocabularies) are common and fine. */
function checkVocabulary(side: string, { folder, vocabSize, tokenizer }: PairMember): void {
  if (tokenizer.vocabSize > vocabSize) {
    throw new MismatchError(
      `${folder}: expected an embedding row for each of the ${tokenizer.vocabSize} ids of the tokenizer, got ${vocabSize} rows (${side})`,
      { hint: "use the tokenizer that this model was trained with" },
    );
  }
}

async function checkTokenizers(base: PairMember, finetuned: PairMember): Promise<void> {
  if (base.tokenizer.hash === finetuned.tokenizer.hash) return;
  const [jsonBase, jsonFinetuned] = await Promise.all(
    [base, finetuned].map(({ tokenizer }) => readTokenizerJson(tokenizer.folder)),
  );
  const difference = firstTokenizerDifference(jsonBase, jsonFinetuned);
  if (difference === null) {
    throw new FormatError(
      `${finetuned.folder}/tokenizer.json: expected the file that was read before, got another`,
      {
        hint: "do not change model folders while they are compared",
      },
    );
  }
  throw new MismatchError(
    `tokenizers differ: base ${base.tokenizer.hash.slice(0, 12)} (${base.folder}), finetuned ${finetuned.tokenizer.hash.slice(0, 12)} (${finetuned.folder}); ${difference}`,
    { hint: "both models must read the same token ids: give both folders the same tokenizer.json" },
  );
}

/**
 * Checks two models against each other and their layers.
 *
 * Returns warnings for what is allowed but worth knowing. Throws ConfigError for a layer out of range, MismatchError
 * (naming both values) for tokenizers or vocabularies that do not fit.
 */
export async function checkPair({
  base,
  finetuned,
}: {
  base: PairMember;
  finetuned: PairMember;
}): Promise<string[]> {
  checkLayer("base", base);
  checkLayer("finetuned", finetuned);
  await checkTokenizers(base, finetuned);
  checkVocabulary("base", base);
  checkVocabulary("finetuned", finetuned);

  const warnings: string[] = [];
  if (base.vocabSize !== finetuned.vocabSize) {
    warnings.push(
      `embedding rows differ: base ${base.vocabSize}, finetuned ${finetuned.vocabSize}; shared ids are used`,
    );
  }
  if (base.modelType !== finetuned.modelType) {
    warnings.push(`architectures differ: base ${base.modelType}, finetuned ${finetuned.modelType}`);
  }
  if (base.dModel !== finetuned.dModel || base.nLayers !== finetuned.nLayers) {
    warnings.push(
      `shapes differ: base ${base.nLayers} blocks of width ${base.dModel}, finetuned ${finetuned.nLayers} blocks of width ${finetuned.dModel}; ` +
        `layers ${base.layer} and ${finetuned.layer} are compared`,
    );
  } else if (base.layer !== finetuned.layer) {
    warnings.push(`layers differ: base ${base.layer}, finetuned ${finetuned.layer}`);
  }
  if (base.templateHash !== undefined && base.templateHash !== finetuned.templateHash) {
    const got =
      finetuned.templateHash === undefined
        ? "none, so the base's is used"
        : "another, which is used for both";
    warnings.push(`chat templates differ: base has one, finetuned has ${got}`);
  }
  return warnings;
}
