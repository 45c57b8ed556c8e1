// The last step of the patched forward: residuals after the last layer → the fine-tune's head → KL and NLL against what both models predict.
//
// Part of patch-evaluator.ts. Rows are independent from here on; logits are held a slice at a time. The arithmetic is divergence.ts.

import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfInterrupted } from "../errors.ts";
import type { CommonIds } from "../harvest/next-token.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { METRICS, type PaperChoices, type PositionMetrics } from "./causal-contract.ts";
import { createDivergence } from "./divergence.ts";
import type { PreparedConversation } from "./hybrids.ts";
import type { Side } from "./pair-forward.ts";
import { PATCH_SETTINGS } from "./patch-contract.ts";

/** What the models predict by themselves. */
export interface Reference {
  /** [predicted, dModel] f32 residual after the last layer. */
  last: Record<ModelSide, Float32Array>;
  /** [predicted, vocabulary] f32; undefined: made again when needed. */
  logits: Record<ModelSide, Float32Array> | undefined;
  /** Metrics of the unpatched residuals at every predicted position, made when first needed; only with no blocks. */
  unpatched: Partial<Record<ModelSide, PositionMetrics>>;
}

/** Predicted position k of a conversation under a patch. */
export interface Entry {
  conversation: number;
  k: number;
  /** Row of the residual after the last layer, and which array it is in. */
  rows: Float32Array;
  row: number;
  into: PositionMetrics;
  at: number;
}

export interface Predictions {
  /** The models' own predictions; logits are kept as long as there is room. */
  own(
    conversations: readonly PreparedConversation[],
    lasts: Record<ModelSide, Float32Array>[],
    signal: AbortSignal | undefined,
  ): Promise<Reference[]>;
  /** Runs the head over entries' rows, sorted by conversation and k, and fills their metrics. */
  measure(
    conversations: readonly PreparedConversation[],
    own: readonly Reference[],
    entries: readonly Entry[],
  ): Promise<void>;
  /** Metrics of a conversation's own residual of a model in the finetuned head; for a compared layer that is the last. */
  unpatched(
    side: ModelSide,
    conversation: number,
    context: { conversations: readonly PreparedConversation[]; own: readonly Reference[] },
  ): Promise<PositionMetrics>;
}

export function createPredictions(
  sides: Record<ModelSide, Side>,
  {
    vocabulary,
    excluded,
    choices,
    dModel,
    keptBytes,
  }: CommonIds & { choices: PaperChoices; dModel: number; keptBytes: number },
): Predictions {
  const divergence = createDivergence({ vocabulary, excluded, klDirection: choices.klDirection });
  const { headRows, headBytes } = PATCH_SETTINGS;
  const largest = 4 * Math.max(vocabulary.base, vocabulary.finetuned);
  const sliceRows = Math.max(1, Math.min(headRows, Math.floor(headBytes / largest)));

  /** residual [n, dModel] → logits [n, vocabulary]: rows are independent from here on, each a sequence of its own. */
  const runHead = (side: ModelSide, residual: Float32Array, n: number): Promise<Float32Array> =>
    sides[side].head.run({ residual, batch: n, length: 1, lengths: new Int32Array(n).fill(1) });

  const placeOf =
    ({ conversation, predicted }: PreparedConversation, k: number): (() => string) =>
    () =>
      `conversation "${conversation.id}", position ${predicted.positions[k]}`;

  const predictions: Predictions = {
    async own(conversations, lasts, signal) {
      let room: number = keptBytes;
      const references: Reference[] = [];
      for (const [i, last] of lasts.entries()) {
        throwIfInterrupted(signal);
        const n = conversations[i].predicted.positions.length;
        const bytes = 4 * n * (vocabulary.base + vocabulary.finetuned);
        const isKept = bytes <= room && n > 0;
        if (isKept) room -= bytes;
        const logits = isKept
          ? {
              base: await wholeLogits("base", last.base, n),
              finetuned: await wholeLogits("finetuned", last.finetuned, n),
            }
          : undefined;
        references.push({ last, logits, unpatched: {} });
        await nextTurn();
      }
      return references;
    },
    async measure(conversations, own, entries) {
      for (let first = 0; first < entries.length; first += sliceRows) {
        const slice = entries.slice(first, first + sliceRows);
        const rows = new Float32Array(slice.length * dModel);
        for (const [i, { rows: source, row }] of slice.entries()) {
          rows.set(source.subarray(row * dModel, (row + 1) * dModel), i * dModel);
        }
        const logits = await runHead("finetuned", rows, slice.length);
        const referenceOf = await ownLogits(own, slice);
        let [conversation, k] = [-1, -1];
        for (const [i, entry] of slice.entries()) {
          const prepared = conversations[entry.conversation];
          const place = placeOf(prepared, entry.k);
          if (entry.conversation !== conversation || entry.k !== k) {
            ({ conversation, k } = entry);
            divergence.setReference(referenceOf(entry), place);
          }
          divergence.measure(logits.subarray(i * vocabulary.finetuned, (i + 1) * vocabulary.finetuned), {
            ...{ into: entry.into, at: entry.at, place },
            next: nextToken(prepared, entry.k),
          });
        }
        await nextTurn();
      }
    },
    async unpatched(side, conversation, { conversations, own }) {
      const known = own[conversation].unpatched[side];
      if (known !== undefined) return known;
      const prepared = conversations[conversation];
      const { positions } = prepared.predicted;
      const into = emptyMetrics(positions.length);
      const entries = Array.from(
        positions,
        (row, k): Entry => ({
          ...{ conversation, k, row, into, at: k },
          rows: prepared[side],
        }),
      );
      if (side === "base") await predictions.measure(conversations, own, entries);
      // The fine-tune's own residual gives its own logits: nothing to run, and KL is 0 without rounding.
      for (let k = 0; side === "finetuned" && k < positions.length; k += 1) {
        const place = placeOf(prepared, k);
        const logits = (await ownLogits(own, [entries[k]]))(entries[k]);
        divergence.setReference(logits, place);
        divergence.measure(logits.finetuned, { next: nextToken(prepared, k), into, at: k, place });
      }
      own[conversation].unpatched[side] = into;
      return into;
    },
  };

  async function wholeLogits(side: ModelSide, last: Float32Array, n: number): Promise<Float32Array> {
    const whole = new Float32Array(n * vocabulary[side]);
    for (let first = 0; first < n; first += sliceRows) {
      const end = Math.min(n, first + sliceRows);
      const part = await runHead(side, last.slice(first * dModel, end * dModel), end - first);
      whole.set(part, first * vocabulary[side]);
    }
    return whole;
  }

  /** Own logits at the entries' positions: kept ones, or made again. */
  async function ownLogits(
    own: readonly Reference[],
    entries: readonly Entry[],
  ): Promise<(entry: Entry) => Record<ModelSide, Float32Array>> {
    const missing = new Map<string, { index: number; conversation: number; k: number }>();
    for (const { conversation, k } of entries) {
      const key = `${conversation} ${k}`;
      if (own[conversation].logits !== undefined || missing.has(key)) continue;
      missing.set(key, { index: missing.size, conversation, k });
    }
    const fresh = async (side: ModelSide): Promise<Float32Array> => {
      if (missing.size === 0) return new Float32Array();
      const rows = new Float32Array(missing.size * dModel);
      for (const { index, conversation, k } of missing.values()) {
        rows.set(own[conversation].last[side].subarray(k * dModel, (k + 1) * dModel), index * dModel);
      }
      return runHead(side, rows, missing.size);
    };
    const made = { base: await fresh("base"), finetuned: await fresh("finetuned") };
    return ({ conversation, k }) => {
      const kept = own[conversation].logits;
      const index = kept === undefined ? (missing.get(`${conversation} ${k}`)?.index ?? 0) : k;
      const of = (side: ModelSide): Float32Array =>
        (kept ?? made)[side].subarray(index * vocabulary[side], (index + 1) * vocabulary[side]);
      return { base: of("base"), finetuned: of("finetuned") };
    };
  }
  return predictions;
}

function nextToken({ conversation, predicted }: PreparedConversation, k: number): number {
  return conversation.tokenFinetuned[predicted.positions[k] + 1];
}

export function emptyMetrics(n: number): PositionMetrics {
  return Object.fromEntries(METRICS.map((name) => [name, new Float64Array(n)])) as PositionMetrics;
}
