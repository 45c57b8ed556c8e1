// The patched forward: any residuals put in place of the fine-tune's after the compared layer, and what its later layers predict then.
//
//   tokens ─ prefix ─┬─ h_base, h_finetuned ─ encoder ─ codes            both models, once a conversation (prepare)
//                    └─ later layers ─ head ─ own logits
//   patches ─ the fine-tune's later layers ─ rows at predicted positions ─ its head ─ KL, NLL          (evaluate)
//
// Minder et al. 2025 (arXiv:2504.02922), section 3.2. Many patches run in one batch, up to a patch's last predicted position and only from
// the first position that it changes on; the head sees predicted rows alone. Which residuals are put in is hybrids.ts, the arithmetic
// of a row divergence.ts.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { foldNormaliser } from "../dictionary/fold-normaliser.ts";
import { ConfigError, MismatchError, ShapeError } from "../errors.ts";
import { SIDES } from "../harvest/open-pair.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { CODE_CHOICES, type Conversation, type PaperChoices } from "./causal-contract.ts";
import { pairWidth, type RawDecoder } from "./hybrids.ts";
import { type Disposable, openEncoder, openSide, runSide } from "./pair-forward.ts";
import { evaluateRows, evaluateThrough, targetOf, type Work } from "./patch-batches.ts";
import { PATCH_SETTINGS, type Patch, type PatchedMetrics, type PreparedBatch } from "./patch-contract.ts";
import { createPredictions, type Reference } from "./predictions.ts";
import { predictedPositions } from "./token-sets.ts";

export type { PreparedConversation, RawDecoder } from "./hybrids.ts";
export { PATCH_SETTINGS, type Patch, type PatchedMetrics, type PreparedBatch } from "./patch-contract.ts";

export interface PatchEvaluator {
  dModel: number;
  /** Of the fine-tune. */
  vocabSize: number;
  /** Its decoder in raw units; rows are encoded with the dictionary as it was trained. */
  dictionary: RawDecoder;
  choices: PaperChoices;
  unedited: number;
  /**
   * Residuals, codes and own predictions of conversations; memory grows with their tokens, see planConversationBatches.
   * Throws ConfigError for a conversation longer than the context, MismatchError for token ids outside a vocabulary, ShapeError,
   * NumericsError, InterruptedError.
   */
  prepare(conversations: readonly Conversation[], options?: { signal?: AbortSignal }): Promise<PreparedBatch>;
  /** In the order of the patches, any number of them. Throws ShapeError, NumericsError (conversation, position), InterruptedError. */
  evaluate(
    batch: PreparedBatch,
    patches: readonly Patch[],
    options?: { signal?: AbortSignal },
  ): Promise<PatchedMetrics[]>;
  dispose(): Promise<void>;
}

export interface PatchEvaluatorOptions {
  checkpoints: Record<ModelSide, Checkpoint>;
  /** The compared layer of each model. */
  layers: Record<ModelSide, number>;
  /** As trained, normaliser included. */
  dictionary: Dictionary;
  /** Default CODE_CHOICES. */
  choices?: PaperChoices;
  /** See predictedPositions. */
  nFirst?: number;
  /** Leading positions at which nothing is edited; passed on to hybridResidual. Default 0. */
  unedited?: number;
  /** Ids that stand for another token in the base; see CommonIds. */
  excluded?: Uint8Array | undefined;
  /** Default PATCH_SETTINGS.keptBytes. */
  keptBytes?: number;
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
}

/**
 * Opens both models and the dictionary. Throws MismatchError when they do not belong together (layer, width) or differ in width,
 * and what createPrefix throws.
 */
export async function createPatchEvaluator(options: PatchEvaluatorOptions): Promise<PatchEvaluator> {
  const {
    checkpoints,
    dictionary,
    choices = CODE_CHOICES,
    nFirst,
    unedited = 0,
    excluded,
    threads,
  } = options;
  requireBelonging(options);
  const dModel = pairWidth(dictionary);
  const opened: Disposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const piece of opened.splice(0)) await piece.dispose();
  };
  try {
    const sides = {
      base: await openSide("base", options, opened),
      finetuned: await openSide("finetuned", options, opened),
    };
    const encodePair = await openEncoder(dictionary, { threads, opened });
    const vocabulary = {
      base: checkpoints.base.config.vocabSize,
      finetuned: checkpoints.finetuned.config.vocabSize,
    };
    const predictions = createPredictions(sides, {
      ...{ vocabulary, excluded, choices, dModel },
      keptBytes: options.keptBytes ?? PATCH_SETTINGS.keptBytes,
    });
    const references = new WeakMap<PreparedBatch, Reference[]>();
    return {
      dModel,
      vocabSize: vocabulary.finetuned,
      dictionary: rawDecoder(dictionary),
      choices,
      unedited,
      async prepare(conversations, { signal } = {}) {
        for (const conversation of conversations) requireFitting(conversation, checkpoints);
        const predicted = conversations.map((conversation) =>
          predictedPositions(conversation, {
            restOf: choices.restOf,
            ...(nFirst === undefined ? {} : { nFirst }),
          }),
        );
        const at = predicted.map(({ positions }) => positions);
        const base = await runSide(sides.base, { side: "base", conversations, at, signal });
        const finetuned = await runSide(sides.finetuned, { side: "finetuned", conversations, at, signal });
        const batch: PreparedBatch = { conversations: [] };
        for (const [i, conversation] of conversations.entries()) {
          const residuals = { base: base[i].residual, finetuned: finetuned[i].residual };
          const length = conversation.tokenBase.length;
          const codes = await encodePair(residuals, length);
          batch.conversations.push({ conversation, predicted: predicted[i], length, ...residuals, codes });
        }
        const lasts = base.map(({ last }, i) => ({ base: last, finetuned: finetuned[i].last }));
        references.set(batch, await predictions.own(batch.conversations, lasts, signal));
        return batch;
      },
      async evaluate(batch, patches, { signal } = {}) {
        const own = references.get(batch);
        if (own === undefined) throw new ShapeError("batch: expected one that this evaluator prepared");
        for (const [i, patch] of patches.entries()) requirePatch(patch, { i, batch, dModel });
        const targets = patches.map((patch) => targetOf(batch, patch));
        const { blocks } = sides.finetuned;
        const work: Work = { batch, own, patches, targets, predictions, dModel, signal };
        await (blocks === undefined ? evaluateRows(work) : evaluateThrough(sides.finetuned, blocks, work));
        return targets;
      },
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Conversations of like length together, padded size within batchTokens each: what prepare takes at a time. */
export function planConversationBatches(
  conversations: readonly Conversation[],
  { batchTokens }: { batchTokens: number },
): Conversation[][] {
  const items = conversations.map((conversation, rowStart) => ({
    conversation,
    rowStart,
    rowEnd: rowStart + conversation.tokenBase.length,
  }));
  return planBatches(items, { batchTokens }).map((batch) => batch.map(({ conversation }) => conversation));
}

/** The decoder in raw activation units, whatever selects its codes. */
function rawDecoder(dictionary: Dictionary): RawDecoder {
  // Only thresholds depend on how codes are weighed, and codes are never made with what comes out here.
  const { sites, nLatents, width, decoderWeight, decoderBias } = foldNormaliser({
    ...dictionary,
    codeNormalisation: "none",
  });
  return { sites, nLatents, width, decoderWeight, decoderBias };
}

function requireBelonging({ checkpoints, layers, dictionary }: PatchEvaluatorOptions): void {
  pairWidth(dictionary);
  for (const { model, layer, width, name } of dictionary.sites) {
    const { dModel } = checkpoints[model].config;
    if (width === dModel && layer === layers[model]) continue;
    throw new MismatchError(
      `${checkpoints[model].folder}: expected the ${model} model of the dictionary's site ${name} (layer ${layer}, width ${width}), got layer ${layers[model]}, width ${dModel}`,
      { hint: "give the models and the layer that the dictionary was trained on" },
    );
  }
}

function requireFitting(conversation: Conversation, checkpoints: Record<ModelSide, Checkpoint>): void {
  const { id, tokenBase, tokenFinetuned, isTemplate, isAssistant } = conversation;
  const length = tokenBase.length;
  if ([tokenFinetuned, isTemplate, isAssistant].some((array) => array.length !== length) || length === 0) {
    throw new ShapeError(`conversation "${id}": expected arrays of one length from 1, got ${length}`);
  }
  for (const side of SIDES) {
    const { folder, config } = checkpoints[side];
    if (length <= config.maxPositions) continue;
    throw new ConfigError(
      `conversation "${id}": expected at most ${config.maxPositions} tokens (max_position_embeddings of ${folder}), got ${length}`,
      { hint: "leave it out, or cut it at a turn" },
    );
  }
}

function requirePatch(
  { conversation, residual, changedFrom = 0 }: Patch,
  { i, batch, dModel }: { i: number; batch: PreparedBatch; dModel: number },
): void {
  const prepared = batch.conversations[conversation];
  if (prepared === undefined) {
    throw new ShapeError(
      `patch ${i}: expected one of ${batch.conversations.length} conversations, got ${conversation}`,
    );
  }
  if (residual.length !== prepared.length * dModel || !(changedFrom >= 0)) {
    throw new ShapeError(
      `patch ${i}: expected a residual of ${prepared.length} × ${dModel} numbers and a position from 0, got ${residual.length} and ${changedFrom}`,
    );
  }
}
