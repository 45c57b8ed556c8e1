// One batch of conversations: both edits of every wanted latent that fires in it, through the evaluator, into the sums.
//
// The batch is prepared once for all latents; its edits run a bounded number of bytes at a time. What is kept of a prediction is its
// share of two sums and of a token's tally. Not here: which batches there are, and what is made of the sums (latent-effects.ts).

import type { SparseCodes } from "../dictionary/dictionary.ts";
import { throwIfInterrupted } from "../errors.ts";
import type { Conversation, EffectEdit, PositionMetrics } from "./causal-contract.ts";
import type { EffectSums } from "./effects-parts.ts";
import { baseResidual, latentPatch } from "./hybrids.ts";
import type { TrackedTokens } from "./moved.ts";
import type { Patch, PatchEvaluator, PreparedBatch, PreparedConversation } from "./patch-evaluator.ts";

export interface EffectsBatchOptions {
  evaluator: PatchEvaluator;
  batch: readonly Conversation[];
  /** [batch] place of each among all conversations. */
  indices: readonly number[];
  /** Latents that are added and removed. */
  isWanted: ReadonlySet<number>;
  tracked: TrackedTokens;
  /** Patched residuals that wait for one call of the evaluator. */
  patchBytes: number;
  signal: AbortSignal | undefined;
  /** Told how many conversations of the batch are behind it. */
  report(conversations: number): void;
}

/** Both edits of one latent in one conversation of the batch. */
interface EditedPair {
  latent: number;
  conversation: number;
  patches: Record<EffectEdit, Patch>;
}

/** Adds every conversation of the batch and every effect in it. Throws InterruptedError, and what the evaluator throws. */
export async function addBatch(sums: EffectSums, options: EffectsBatchOptions): Promise<void> {
  const { evaluator, batch, indices, isWanted, tracked, patchBytes, signal, report } = options;
  const prepared = await evaluator.prepare(batch, { signal });
  const unedited = await evaluateUnedited(evaluator, { prepared, signal });
  for (const [at, { none }] of unedited.entries())
    sums.addConversation(indices[at], { tokens: none.kl.length, klNone: sumOf(none.kl) });

  let waiting: EditedPair[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (waiting.length === 0) return;
    throwIfInterrupted(signal);
    const results = await evaluator.evaluate(
      prepared,
      waiting.flatMap(({ patches }) => [patches.add, patches.remove]),
      { signal },
    );
    for (const [pair, { latent, conversation }] of waiting.entries()) {
      const [{ from, metrics: add }, { metrics: remove }] = [results[2 * pair], results[2 * pair + 1]];
      addPair(
        sums,
        { add, remove, from, latent, index: indices[conversation] },
        {
          ...unedited[conversation],
          prepared: prepared.conversations[conversation],
          tracked,
        },
      );
    }
    waiting = [];
    bytes = 0;
  };
  for (const [conversation, of] of prepared.conversations.entries()) {
    for (const latent of firedLatents(of.codes, isWanted)) {
      const pair = pairOf(of, { latent, conversation, evaluator });
      if (pair === undefined) continue;
      waiting.push(pair);
      bytes += pair.patches.add.residual.byteLength + pair.patches.remove.residual.byteLength;
      if (bytes >= patchBytes) await flush();
    }
    report(conversation);
  }
  await flush();
}

interface Unedited {
  /** The base's residual, and the fine-tune's own, under the finetuned layers. */
  none: PositionMetrics;
  finetuned: PositionMetrics;
}

async function evaluateUnedited(
  evaluator: PatchEvaluator,
  { prepared, signal }: { prepared: PreparedBatch; signal: AbortSignal | undefined },
): Promise<Unedited[]> {
  const results = await evaluator.evaluate(
    prepared,
    prepared.conversations.flatMap((one, conversation) => [
      { conversation, residual: baseResidual(one, evaluator) },
      { conversation, residual: one.finetuned },
    ]),
    { signal },
  );
  return prepared.conversations.map((_, at) => ({
    none: results[2 * at].metrics,
    finetuned: results[2 * at + 1].metrics,
  }));
}

/** Latents of `isWanted` with a code anywhere, ascending. */
function firedLatents({ latent }: SparseCodes, isWanted: ReadonlySet<number>): number[] {
  return [...new Set(latent)].filter((fired) => isWanted.has(fired)).sort((a, b) => a - b);
}

/** Undefined where it fires at no edited position. */
function pairOf(
  prepared: PreparedConversation,
  {
    latent,
    conversation,
    evaluator,
  }: {
    latent: number;
    conversation: number;
    evaluator: Pick<PatchEvaluator, "dictionary" | "unedited" | "choices">;
  },
): EditedPair | undefined {
  const { dictionary, unedited, choices } = evaluator;
  const patch = (kind: EffectEdit): Patch | undefined => {
    const edited = latentPatch(prepared, latent, { kind, dictionary, unedited, choices });
    return edited && { conversation, ...edited };
  };
  const add = patch("add");
  const remove = patch("remove");
  return add && remove && { latent, conversation, patches: { add, remove } };
}

interface PairResult {
  latent: number;
  /** Of the conversation, among all. */
  index: number;
  /** Index into the predicted positions of the first entry of both metrics. */
  from: number;
  add: PositionMetrics;
  remove: PositionMetrics;
}

function addPair(
  sums: EffectSums,
  { latent, index, from, add, remove }: PairResult,
  {
    none,
    finetuned,
    prepared,
    tracked,
  }: Unedited & { prepared: PreparedConversation; tracked: TrackedTokens },
): void {
  const { predicted, conversation } = prepared;
  const change = { add: 0, remove: 0 };
  const reached = add.kl.length;
  for (let k = 0; k < reached; k += 1) {
    const at = from + k;
    change.add += none.kl[at] - add.kl[k];
    change.remove += remove.kl[k];
    const token = tracked.indexOf(conversation.tokenFinetuned[predicted.positions[at] + 1]);
    if (token === -1) continue;
    sums.addToken(latent, token, {
      add: none.nll[at] - add.nll[k],
      remove: finetuned.nll[at] - remove.nll[k],
    });
  }
  sums.addEffect(latent, { conversation: index, reached, change });
}

function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i];
  return sum;
}
