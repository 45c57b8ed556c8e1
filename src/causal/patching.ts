// The paper's experiment: how much of the gap between base and fine-tune a set of latents closes when it is put into the base.
//
// Minder et al. 2025 (arXiv:2504.02922), §3.2 and App. G; the hybrids are hybrids.ts, the forward patch-evaluator.ts. Conversations
// stream through the evaluator batch by batch, every intervention on each, and only sums of a conversation stay. A finished batch is a
// part on disk, so a stopped experiment goes on. Slow twin: patching-reference.ts.

import { createHash } from "node:crypto";
import { ConfigError, NumericsError, throwIfInterrupted } from "../errors.ts";
import { canonicalJson } from "../formats/canonical-json.ts";
import type { LatentMeasure } from "../measure/measure-contract.ts";
import { type PartArrays, partArray } from "../measure/part-arrays.ts";
import { openPassParts, type PassParts } from "../measure/pass-parts.ts";
import type { ReportProgress } from "../progress.ts";
import { BOOTSTRAP_SETTINGS, createConversationBootstrap } from "./bootstrap.ts";
import {
  type Conversation,
  type Intervention,
  type PatchingResult,
  type PositionMetrics,
  TOKEN_SETS,
} from "./causal-contract.ts";
import { type FiringStats, firingStats } from "./firing-stats.ts";
import { hybridResidual } from "./hybrids.ts";
import { type Patch, type PatchEvaluator, planConversationBatches } from "./patch-evaluator.ts";
import { type PatchingSums, tabulatePatching } from "./patching-outcomes.ts";
import { type PatchingPlan, planPatching } from "./patching-plan.ts";
import { countTokens, SUMS_A_RUN, sumMetrics, withPatched } from "./patching-sums.ts";
import { type CandidatePool, selectLatents } from "./selection.ts";

export const PATCHING_SETTINGS = {
  /** Tokens prepared at once, and what a stop costs at most. */
  batchTokens: 4096,
  /** Most bytes of residuals that wait for one call of the evaluator. */
  pendingBytes: 64e6,
} as const;

/** Changes with what the sums mean or how they are laid out: parts of another version are not used. */
const PARTS_VERSION = 1;

export interface PatchingOptions {
  /** Its choices and unedited positions hold; its conversations must be those of its models. */
  evaluator: PatchEvaluator;
  conversations: readonly Conversation[];
  /** Where they come from, for the result. */
  origin: Pick<PatchingResult["conversations"], "source" | "answers" | "split" | "excluded">;
  /** Of every latent of the dictionary. */
  latents: readonly LatentMeasure[];
  /** Default "leaning". */
  pool?: CandidatePool | undefined;
  /** Of these conversations, when they are known already; otherwise a pass of both prefixes makes them. */
  stats?: FiringStats | undefined;
  /** Random controls of each controlled subset; default CONTROL_SETTINGS.draws. */
  controlDraws?: number | undefined;
  /** Of controls and bootstrap; default 0. */
  seed?: number | undefined;
  /** Of the bootstrap; default BOOTSTRAP_SETTINGS.draws. */
  draws?: number | undefined;
  /** Default PATCHING_SETTINGS of the same names. */
  batchTokens?: number | undefined;
  pendingBytes?: number | undefined;
  /** Finished batches are committed here; undefined: nothing is kept, a stopped experiment begins anew. */
  partsFolder?: string | undefined;
  /** What the evaluator was made of (hashes of models and dictionary, layers): parts of another identity are not used. */
  identity?: object | undefined;
  /** Leaves partsFolder, which the caller removes when it has stored the result. Default false. */
  keepParts?: boolean | undefined;
  reportProgress?: ReportProgress | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Runs or goes on with the experiment. Equal options give equal bits, stopped in between or not.
 *
 * Throws ConfigError for no conversations, a pool that the dictionary does not have or latents of another one; NumericsError naming
 * conversation and intervention; InterruptedError; StorageError; what the evaluator throws.
 */
export async function runPatching(options: PatchingOptions): Promise<PatchingResult> {
  const { evaluator, conversations, origin, latents, pool, controlDraws, signal, reportProgress } = options;
  const { seed = 0, draws = BOOTSTRAP_SETTINGS.draws, batchTokens = PATCHING_SETTINGS.batchTokens } = options;
  const { pendingBytes = PATCHING_SETTINGS.pendingBytes } = options;
  const { choices, unedited, dictionary } = evaluator;
  requireInput(options);
  const selection = selectLatents(latents, {
    ...(pool === undefined ? {} : { pool }),
    nuRank: choices.nuRank,
  });
  const stats =
    options.stats ??
    (await firingStats(evaluator, conversations, { batchTokens, unedited, reportProgress, signal }));
  const plan = planPatching({ selection, stats, draws: controlDraws, seed });

  const sums: PatchingSums = {
    nConversations: conversations.length,
    nRuns: plan.runs.length,
    tokens: new Uint32Array(conversations.length * TOKEN_SETS.length),
    sums: new Float64Array(conversations.length * plan.runs.length * SUMS_A_RUN),
  };
  const parts = await openParts(options, { plan, batchTokens });
  const finished = new Set<number>();
  let done = 0;
  const take = (batch: number, part: PartArrays): void => {
    done += addPart(sums, part);
    finished.add(batch);
    reportProgress?.({ stage: "causal patching", done, total: conversations.length, unit: "conversations" });
  };
  if (parts !== undefined) for await (const { group, part } of parts.read()) take(group, part);
  const indexOf = new Map(conversations.map((conversation, index) => [conversation, index]));
  for (const [at, batch] of planConversationBatches(conversations, { batchTokens }).entries()) {
    if (finished.has(at)) continue;
    throwIfInterrupted(signal);
    const part = await patchBatch(batch, { evaluator, runs: plan.runs, indexOf, pendingBytes, signal });
    await parts?.write(new Map([[at, part]]));
    take(at, part);
  }

  const bootstrap = createConversationBootstrap({ nConversations: conversations.length, draws, seed });
  const table = await tabulatePatching(plan, sums, bootstrap);
  if (options.keepParts !== true) await parts?.remove();
  return {
    choices,
    conversations: {
      ...origin,
      count: conversations.length,
      tokens: conversations.reduce((sum, { tokenBase }) => sum + tokenBase.length, 0),
      unedited,
    },
    poolCounts: selection.poolCounts,
    ...table,
    bootstrap: { draws, level: bootstrap.level, seed },
  };

  function requireInput({ latents: measured }: PatchingOptions): void {
    if (conversations.length === 0) {
      throw new ConfigError("conversations: expected at least one, got none", {
        hint: "give chats with assistant turns",
      });
    }
    if (measured.length !== dictionary.nLatents) {
      throw new ConfigError(
        `latents: expected measurements of the dictionary's ${dictionary.nLatents}, got ${measured.length}`,
        { hint: "measure this dictionary: `tunediff measure`" },
      );
    }
  }
}

interface BatchOptions {
  evaluator: PatchEvaluator;
  runs: readonly Intervention[];
  /** Place of a conversation among all. */
  indexOf: ReadonlyMap<Conversation, number>;
  pendingBytes: number;
  signal: AbortSignal | undefined;
}

/** Every run on every conversation of a batch: conversation [n], tokens [n, TOKEN_SETS], sums [n, runs, TOKEN_SETS, SUMS]. */
async function patchBatch(
  batch: readonly Conversation[],
  { evaluator, runs, indexOf, pendingBytes, signal }: BatchOptions,
): Promise<PartArrays> {
  const { dictionary, choices, unedited, dModel } = evaluator;
  const stop = signal === undefined ? {} : { signal };
  const prepared = await evaluator.prepare(batch, stop);
  const { conversations } = prepared;
  const sums = new Float64Array(batch.length * runs.length * SUMS_A_RUN);
  const keep = (
    metrics: PositionMetrics,
    { conversation, run }: { conversation: number; run: number },
  ): void => {
    const {
      predicted,
      conversation: { id },
    } = conversations[conversation];
    const added = sumMetrics(metrics, predicted);
    if (!added.every(Number.isFinite)) {
      throw new NumericsError(
        `conversation "${id}", intervention "${runs[run].name}": expected finite sums, got one that is not`,
      );
    }
    sums.set(added, (conversation * runs.length + run) * SUMS_A_RUN);
  };

  // None first: an intervention says the same before the first position that it changes, for attention is causal.
  const bases = conversations.map(({ base }, conversation) => ({ conversation, residual: base }));
  const none = (await evaluator.evaluate(prepared, bases, stop)).map(({ metrics }) => metrics);
  let pending: (Patch & { run: number })[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    throwIfInterrupted(signal);
    const patches = pending;
    pending = [];
    bytes = 0;
    const patched = await evaluator.evaluate(prepared, patches, stop);
    for (const [i, { conversation, run }] of patches.entries()) {
      keep(withPatched(none[conversation], patched[i]), { conversation, run });
    }
  };
  for (const [conversation, one] of conversations.entries()) {
    for (const [run, intervention] of runs.entries()) {
      const residual = hybridResidual(one, intervention, { dictionary, choices, unedited });
      const changedFrom = firstChange(residual, one.base, dModel);
      if (changedFrom === undefined) {
        keep(none[conversation], { conversation, run });
        continue;
      }
      pending.push({ conversation, residual, changedFrom, run });
      bytes += residual.byteLength;
      if (bytes >= pendingBytes) await flush();
    }
  }
  await flush();
  return {
    conversation: Uint32Array.from(batch, (conversation) => indexOf.get(conversation) as number),
    tokens: Uint32Array.from(conversations.flatMap(({ predicted }) => [...countTokens(predicted)])),
    sums,
  };
}

/** First row in which the two differ. */
function firstChange(a: Float32Array, b: Float32Array, dModel: number): number | undefined {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return Math.floor(i / dModel);
  return undefined;
}

/** Puts the sums of a part where its conversations are; returns how many. Throws FormatError for a part of another shape. */
function addPart(target: PatchingSums, part: PartArrays): number {
  const [nSets, size] = [TOKEN_SETS.length, target.nRuns * SUMS_A_RUN];
  const conversation = partArray(part, "conversation", Uint32Array);
  const tokens = partArray(part, "tokens", Uint32Array, conversation.length * nSets);
  const sums = partArray(part, "sums", Float64Array, conversation.length * size);
  for (const [i, at] of conversation.entries()) {
    target.tokens.set(tokens.subarray(i * nSets, (i + 1) * nSets), at * nSets);
    target.sums.set(sums.subarray(i * size, (i + 1) * size), at * size);
  }
  return conversation.length;
}

/** Parts are keyed by all that they depend on. */
async function openParts(
  { partsFolder, identity = {}, evaluator, conversations }: PatchingOptions,
  { plan, batchTokens }: { plan: PatchingPlan; batchTokens: number },
): Promise<PassParts | undefined> {
  if (partsFolder === undefined) return undefined;
  const { choices, unedited } = evaluator;
  const runs = plan.runs.map((run) => (run.kind === "subset" ? { ...run, latents: [...run.latents] } : run));
  return openPassParts(partsFolder, {
    version: PARTS_VERSION,
    ...{ identity, choices, unedited, batchTokens },
    runs: createHash("sha256").update(canonicalJson(runs)).digest("hex"),
    conversations: hashConversations(conversations),
  });
}

function hashConversations(conversations: readonly Conversation[]): string {
  const hash = createHash("sha256");
  for (const { id, tokenBase, tokenFinetuned, isTemplate, isAssistant } of conversations) {
    hash.update(`${JSON.stringify(id)} ${tokenBase.length}\n`);
    for (const array of [tokenBase, tokenFinetuned, isTemplate, isAssistant]) hash.update(array);
  }
  return hash.digest("hex");
}
