// How many patches run together: through the fine-tune's later layers in batches of like length, then row by row.
//
// Part of patch-evaluator.ts. Everything is ordered by conversation and position, because the models' own predictions of a position are set
// up once for all patches that reach it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfInterrupted } from "../errors.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass } from "../lm/batch.ts";
import type { Blocks } from "../lm/runner.ts";
import { METRICS } from "./causal-contract.ts";
import type { Side } from "./pair-forward.ts";
import { PATCH_SETTINGS, type Patch, type PatchedMetrics, type PreparedBatch } from "./patch-contract.ts";
import { type Entry, emptyMetrics, type Predictions, type Reference } from "./predictions.ts";

/** The fine-tune first: of a residual that is both models', its own prediction is known without rounding. */
const LEFT_ALONE = ["finetuned", "base"] as const;

/** Room for the predictions that a patch reaches. */
export function targetOf(
  { conversations }: PreparedBatch,
  { conversation, changedFrom = 0 }: Patch,
): PatchedMetrics {
  const { positions } = conversations[conversation].predicted;
  let from = 0;
  while (from < positions.length && positions[from] < changedFrom) from += 1;
  return { from, metrics: emptyMetrics(positions.length - from) };
}

export interface Work {
  batch: PreparedBatch;
  own: Reference[];
  patches: readonly Patch[];
  targets: PatchedMetrics[];
  predictions: Predictions;
  dModel: number;
  signal: AbortSignal | undefined;
}

/** Entries of some patches (by index) of one conversation, by position: the references of a position are set up once. */
function entriesOf(
  { batch, patches, targets }: Work,
  indices: readonly number[],
  rowsOf: (index: number) => { rows: Float32Array; firstRow: number },
): Entry[] {
  const entries: Entry[] = [];
  const { conversation } = patches[indices[0]];
  const { positions } = batch.conversations[conversation].predicted;
  const sources = indices.map(rowsOf);
  for (let k = 0; k < positions.length; k += 1) {
    for (const [i, index] of indices.entries()) {
      const { from, metrics } = targets[index];
      if (k < from) continue;
      const { rows, firstRow } = sources[i];
      entries.push({ conversation, k, rows, row: firstRow + positions[k], into: metrics, at: k - from });
    }
  }
  return entries;
}

/** Runs of equal conversations. indices: sorted by conversation. */
function byConversation(patches: readonly Patch[], indices: readonly number[]): number[][] {
  const groups: number[][] = [];
  for (const index of indices) {
    const group = groups.at(-1);
    if (group !== undefined && patches[group[0]].conversation === patches[index].conversation)
      group.push(index);
    else groups.push([index]);
  }
  return groups;
}

/** Through the fine-tune's later layers: patches of like length in one batch, those of a conversation side by side. */
export async function evaluateThrough({ checkpoint }: Side, blocks: Blocks, work: Work): Promise<void> {
  const { batch, own, patches, targets, predictions, dModel, signal } = work;
  const classOf = (length: number): number => batchClass(checkpoint.architecture, length);
  /** Tokens up to the last predicted one; all where fewer would mean other rotary frequencies. */
  const lengths = batch.conversations.map(({ predicted, length }) => {
    const short = (predicted.positions.at(-1) ?? 0) + 1;
    return classOf(short) === classOf(length) ? short : length;
  });
  const items = patches
    .map(({ conversation }, index) => ({
      index,
      rowStart: conversation * patches.length + index,
      rowEnd: conversation * patches.length + index + lengths[conversation],
    }))
    .filter(({ index }) => targets[index].metrics.kl.length > 0);
  for (const together of planBatches(items, { batchTokens: PATCH_SETTINGS.batchTokens, classOf })) {
    throwIfInterrupted(signal);
    const indices = together.map(({ index }) => index);
    const real = Int32Array.from(indices, (index) => lengths[patches[index].conversation]);
    const length = Math.max(...real);
    const residual = new Float32Array(indices.length * length * dModel);
    for (const [i, index] of indices.entries()) {
      residual.set(patches[index].residual.subarray(0, real[i] * dModel), i * length * dModel);
    }
    const rows = await blocks.run({ residual, batch: indices.length, length, lengths: real });
    const placeIn = new Map(indices.map((index, i) => [index, i]));
    const entries = byConversation(patches, indices).flatMap((group) =>
      entriesOf(work, group, (index) => ({ rows, firstRow: (placeIn.get(index) ?? 0) * length })),
    );
    await predictions.measure(batch.conversations, own, entries);
  }
}

/**
 * Without later layers every row stands for itself: one that the patch leaves as it is in either model predicts what it predicts there,
 * and only the others go through the head.
 */
export async function evaluateRows(work: Work): Promise<void> {
  const { batch, own, patches, predictions, dModel, signal } = work;
  const { conversations } = batch;
  const sorted = Array.from(patches.keys()).sort(
    (a, b) => patches[a].conversation - patches[b].conversation || a - b,
  );
  let changed: Entry[] = [];
  for (const indices of byConversation(patches, sorted)) {
    throwIfInterrupted(signal);
    const all = entriesOf(work, indices, (index) => ({ rows: patches[index].residual, firstRow: 0 }));
    for (const entry of all) {
      const prepared = conversations[entry.conversation];
      const side = LEFT_ALONE.find((name) => equalRow(entry.rows, prepared[name], entry.row, dModel));
      if (side === undefined) {
        changed.push(entry);
        continue;
      }
      const known = await predictions.unpatched(side, entry.conversation, { conversations, own });
      for (const name of METRICS) entry.into[name][entry.at] = known[name][entry.k];
    }
    if (changed.length < PATCH_SETTINGS.headRows) continue;
    await predictions.measure(conversations, own, changed);
    await nextTurn();
    changed = [];
  }
  await predictions.measure(conversations, own, changed);
}

function equalRow(a: Float32Array, b: Float32Array, row: number, dModel: number): boolean {
  const end = (row + 1) * dModel;
  for (let i = row * dModel; i < end; i += 1) if (a[i] !== b[i]) return false;
  return true;
}
