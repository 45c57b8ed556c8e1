// Both models up to the compared layer and from there to the last, and the dictionary's codes of what they give.
//
// Part of patch-evaluator.ts: what is done once a conversation. Prefix and later layers are two pieces, so that a patched residual goes
// through the very weights and nodes that the model's own went through.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Dictionary, SparseCodes } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import { normaliseInPlace } from "../dictionary/normaliser.ts";
import { throwIfInterrupted } from "../errors.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import {
  type Blocks,
  createBlocks,
  createPrefix,
  createSuffix,
  type ExecutionDevice,
  type Prefix,
  type Suffix,
} from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { Conversation } from "./causal-contract.ts";
import { PATCH_SETTINGS } from "./patch-contract.ts";

/** Something with weights or buffers to free. */
export interface Disposable {
  dispose(): Promise<void>;
}

/** One model in the pieces that patching needs; each weight is held once. */
export interface Side {
  checkpoint: Checkpoint;
  layer: number;
  prefix: Prefix;
  /** Undefined where the compared layer is the last. */
  blocks: Blocks | undefined;
  head: Suffix;
}

/** Opened pieces are appended to `opened` one after another; the caller frees them, also when this throws. */
export async function openSide(
  name: ModelSide,
  {
    checkpoints,
    layers,
    threads,
    device,
  }: {
    checkpoints: Record<ModelSide, Checkpoint>;
    layers: Record<ModelSide, number>;
    threads?: number | undefined;
    device?: ExecutionDevice | undefined;
  },
  opened: Disposable[],
): Promise<Side> {
  const [checkpoint, layer] = [checkpoints[name], layers[name]];
  const options = {
    ...(threads === undefined ? {} : { threads }),
    ...(device === undefined ? {} : { device }),
  };
  const keep = async <T extends Disposable>(making: Promise<T>): Promise<T> => {
    const piece = await making;
    opened.push(piece);
    return piece;
  };
  const last = checkpoint.config.nLayers - 1;
  const prefix = await keep(createPrefix(checkpoint, { layers: [layer], ...options }));
  const blocks = layer === last ? undefined : await keep(createBlocks(checkpoint, { layer, ...options }));
  const head = await keep(createSuffix(checkpoint, { layer: last, ...options }));
  return { checkpoint, layer, prefix, blocks, head };
}

export type EncodePair = (residuals: Record<ModelSide, Float32Array>, length: number) => Promise<SparseCodes>;

/** Codes of a conversation's rows, in the dictionary's own space. */
export async function openEncoder(
  dictionary: Dictionary,
  { threads, opened }: { threads: number | undefined; opened: Disposable[] },
): Promise<EncodePair> {
  const { sites, width } = dictionary;
  const maxRows = PATCH_SETTINGS.encoderRows;
  const encoder = await createEncoder(dictionary, { maxRows, ...(threads === undefined ? {} : { threads }) });
  opened.push(encoder);
  const offsets = siteOffsets(sites);
  return async (residuals, length) => {
    const rowStart = new Uint32Array(length + 1);
    const parts: SparseCodes[] = [];
    let nonZero = 0;
    for (let first = 0; first < length; first += maxRows) {
      const rows = Math.min(maxRows, length - first);
      const x = new Float32Array(rows * width);
      for (const [site, { model, width: dModel }] of sites.entries()) {
        for (let row = 0; row < rows; row += 1) {
          const from = (first + row) * dModel;
          x.set(residuals[model].subarray(from, from + dModel), row * width + offsets[site]);
        }
      }
      const part = await encoder.encode(normaliseInPlace(x, rows, dictionary), rows);
      for (let row = 0; row < rows; row += 1) rowStart[first + row + 1] = nonZero + part.rowStart[row + 1];
      nonZero += part.latent.length;
      parts.push(part);
    }
    if (parts.length === 1) return parts[0];
    const latent = new Uint32Array(nonZero);
    const code = new Float32Array(nonZero);
    let at = 0;
    for (const part of parts) {
      latent.set(part.latent, at);
      code.set(part.code, at);
      at += part.latent.length;
    }
    return { nRows: length, rowStart, latent, code };
  };
}

export interface SideRun {
  side: ModelSide;
  conversations: readonly Conversation[];
  /** Predicted positions of each. */
  at: Uint32Array[];
  signal: AbortSignal | undefined;
}

/** Of each conversation: the residual after the compared layer [length, dModel], and after the last at predicted positions. */
export async function runSide(
  { checkpoint, prefix, blocks }: Side,
  { side, conversations, at, signal }: SideRun,
): Promise<{ residual: Float32Array; last: Float32Array }[]> {
  const tokensOf = ({ tokenBase, tokenFinetuned }: Conversation): Uint32Array =>
    side === "base" ? tokenBase : tokenFinetuned;
  const items = conversations.map((conversation, rowStart) => ({
    tokens: tokensOf(conversation),
    rowStart,
    rowEnd: rowStart + conversation.tokenBase.length,
  }));
  const { dModel } = prefix;
  const results: { residual: Float32Array; last: Float32Array }[] = new Array(conversations.length);
  const batches = planBatches(items, {
    batchTokens: PATCH_SETTINGS.batchTokens,
    classOf: (length) => batchClass(checkpoint.architecture, length),
  });
  for (const batch of batches) {
    throwIfInterrupted(signal);
    const padded = rightPad(batch.map(({ tokens }) => tokens));
    const [residual] = await prefix.run(padded);
    const last = blocks === undefined ? residual : await blocks.run({ ...padded, residual });
    for (const [i, { rowStart: conversation, tokens }] of batch.entries()) {
      const start = i * padded.length * dModel;
      const own = last.subarray(start, start + tokens.length * dModel);
      results[conversation] = {
        residual: residual.slice(start, start + tokens.length * dModel),
        last: gatherRows(own, at[conversation], dModel),
      };
    }
    await nextTurn();
  }
  return results;
}

/** Rows of source [·, width] one behind the other. */
function gatherRows(source: Float32Array, rows: Uint32Array, width: number): Float32Array {
  const gathered = new Float32Array(rows.length * width);
  for (let i = 0; i < rows.length; i += 1) {
    gathered.set(source.subarray(rows[i] * width, (rows[i] + 1) * width), i * width);
  }
  return gathered;
}
