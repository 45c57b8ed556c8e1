// What each latent does: the gap that adding it to the base closes, and the damage that removing it does to the fine-tune.
//
// Minder et al. 2025 (arXiv:2504.02922, section 3.2) patch sets of latents; here it is one latent at a time, h_base + f·d_finetuned and
// h_finetuned − f·d_finetuned through the finetuned layers, over all predicted tokens of all conversations. Where a latent does not
// fire, and before its first firing, nothing changes (attention is causal), so only the rest is run. Both models' prefixes run once a
// batch of conversations for all latents. Intervals and p-values: one paired bootstrap over conversations, candidates and controls in
// the same draws (effects-rows.ts). Slow twin: latent-effects-reference.ts. Which latents: effects-plan.ts.

import { createHash } from "node:crypto";
import { ConfigError, throwIfInterrupted } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import type { Conversation, LatentEffect } from "./causal-contract.ts";
import { addBatch } from "./effects-batch.ts";
import { createEffectSums, type EffectSums, openEffectParts } from "./effects-parts.ts";
import { controlLatents, type EffectsPlan } from "./effects-plan.ts";
import { effectRows } from "./effects-rows.ts";
import type { FiringStats } from "./firing-stats.ts";
import { requireLatent } from "./hybrids.ts";
import { trackTokens } from "./moved.ts";
import { type PatchEvaluator, planConversationBatches } from "./patch-evaluator.ts";

export const EFFECT_SETTINGS = {
  /** Padded tokens of the conversations that are prepared together, and committed as one part. */
  batchTokens: 4096,
  /** Patched residuals that wait for one call of the evaluator. */
  patchBytes: 2 ** 25,
} as const;

/** Parts of another format are not resumed. */
const PARTS_FORMAT = 1;
const STAGE = "latent effects";

export interface MeasureEffectsOptions {
  evaluator: PatchEvaluator;
  conversations: readonly Conversation[];
  /** From planEffects. */
  plan: EffectsPlan;
  /** Over the same conversations. */
  stats: FiringStats;
  /** String of a finetuned token id, control tokens by name. */
  tokenString: (id: number) => string;
  /** What the evaluator stands for: hashes of models and dictionary, layers, choices. Parts of another identity are not resumed. */
  identity: object;
  /** Parts are committed here, a batch each; undefined: kept in memory. */
  partsFolder?: string;
  batchTokens?: number;
  patchBytes?: number;
  /** Of the bootstrap; default BOOTSTRAP_SETTINGS.draws. */
  draws?: number;
  /** Of the bootstrap; default 0. */
  seed?: number;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface MeasuredEffects {
  /** Candidates in the order of the plan, then controls, ascending. */
  rows: LatentEffect[];
  /** Removes what a stopped run would go on from: call it when the rows are stored. */
  removeParts(): Promise<void>;
}

/**
 * Adds and removes every latent of the plan in every conversation in which it fires.
 *
 * The rows are a function of the inputs: a run that was stopped and started again gives the same bits. Throws ConfigError for no
 * conversations or latents that do not exist, InterruptedError when the signal is aborted (finished batches stay), and what the evaluator throws.
 */
export async function measureEffects(options: MeasureEffectsOptions): Promise<MeasuredEffects> {
  const { evaluator, conversations, plan, partsFolder, signal, reportProgress } = options;
  const {
    batchTokens = EFFECT_SETTINGS.batchTokens,
    patchBytes = EFFECT_SETTINGS.patchBytes,
    identity,
  } = options;
  if (conversations.length === 0) {
    throw new ConfigError("conversations: expected at least one, got none", {
      hint: "give chats with assistant turns",
    });
  }
  const latents = latentsOf(plan);
  for (const latent of latents) requireLatent(latent, evaluator.dictionary.nLatents);
  const tracked = trackTokens(conversations);
  const batches = planConversationBatches(conversations, { batchTokens });
  const parts = await openEffectParts(partsFolder, {
    format: PARTS_FORMAT,
    identity,
    inputs: hashInputs(conversations, latents),
    batchTokens,
  });
  const empty = (): EffectSums =>
    createEffectSums({ latents, nConversations: conversations.length, nTracked: tracked.ids.length });
  const indexOf = new Map(conversations.map((conversation, index) => [conversation, index]));
  const isWanted = new Set(latents);
  const sums = empty();
  let done = 0;
  const report = (conversationsOfBatch: number): void =>
    reportProgress?.({
      stage: STAGE,
      done: done + conversationsOfBatch,
      total: conversations.length,
      unit: "conversations",
    });
  for (const [index, batch] of batches.entries()) {
    throwIfInterrupted(signal);
    if (!parts.finished.has(index)) {
      const indices = batch.map((conversation) => indexOf.get(conversation) as number);
      await addBatch(sums, { evaluator, batch, indices, isWanted, tracked, patchBytes, signal, report });
      await parts.write(index, sums.takeArrays());
    }
    done += batch.length;
    report(0);
  }
  const merged = empty();
  for await (const part of parts.read(batches.length)) merged.merge(part);
  return { rows: await effectRows({ ...options, sums: merged, tracked }), removeParts: parts.remove };
}

function latentsOf(plan: EffectsPlan): number[] {
  return [...new Set([...plan.candidates, ...controlLatents(plan)])];
}

function hashInputs(conversations: readonly Conversation[], latents: readonly number[]): string {
  const hash = createHash("sha256");
  for (const { id, tokenBase, tokenFinetuned, isTemplate, isAssistant } of conversations) {
    hash.update(`${JSON.stringify(id)} ${tokenBase.length}\n`);
    for (const array of [tokenBase, tokenFinetuned, isTemplate, isAssistant]) hash.update(array);
  }
  return hash.update(JSON.stringify(latents)).digest("hex");
}
