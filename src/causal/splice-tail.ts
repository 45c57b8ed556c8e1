// One model's later layers under spliced residuals: what it predicts with its own residual, with its reconstruction and with two ablations.
//
// Documents run as batches of their own length; only measured rows go through the head, a slice at a time, so that memory does not
// grow with the vocabulary. The arithmetic of a row is divergence.ts.

import { setImmediate as nextTurn } from "node:timers/promises";
import { throwIfInterrupted } from "../errors.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import {
  type Blocks,
  createBlocks,
  createSuffix,
  type ExecutionDevice,
  type ResidualBatch,
  type Suffix,
} from "../lm/runner.ts";
import { METRICS, type PositionMetrics } from "./causal-contract.ts";
import { createDivergence } from "./divergence.ts";

const TAIL_SETTINGS = {
  /** Most rows of one product with the head, and most bytes of all logits held at a time. */
  headRows: 256,
  headBytes: 64e6,
} as const;

/** What stands in place of the residual. */
export const SPLICES = ["spliced", "mean", "zero"] as const;
export type Splice = (typeof SPLICES)[number];

/** Over measured rows, nats. */
export interface SpliceSums {
  tokens: number;
  nll: Record<Splice | "model", number>;
  /** Σ KL(p_model ‖ p_spliced). */
  kl: number;
}

export interface TailBatch {
  /** [batch, length, dModel], padded, as the model made it; and with its rows replaced. */
  own: ResidualBatch;
  replaced: Record<Splice, Float32Array>;
  /** Measured rows: index into batch × length, the id that came next, and where it is, for messages. */
  rows: { row: number; next: number; place: () => string }[];
  signal: AbortSignal | undefined;
}

export interface SpliceTail {
  sums: SpliceSums;
  /** Adds a batch's measured rows to the sums. Throws NumericsError (place) for logits that are not finite, InterruptedError. */
  add(batch: TailBatch): Promise<void>;
  dispose(): Promise<void>;
}

export async function openSpliceTail(
  checkpoint: Checkpoint,
  { layer, ...options }: { layer: number; threads?: number; device?: ExecutionDevice },
): Promise<SpliceTail> {
  const { config } = checkpoint;
  const last = config.nLayers - 1;
  const blocks = layer === last ? undefined : await createBlocks(checkpoint, { layer, ...options });
  let head: Suffix;
  try {
    head = await createSuffix(checkpoint, { layer: last, ...options });
  } catch (error) {
    await blocks?.dispose();
    throw error;
  }
  const sums: SpliceSums = { tokens: 0, nll: { model: 0, spliced: 0, mean: 0, zero: 0 }, kl: 0 };
  const measure = createMeasure(head, config.dModel, sums);
  return {
    sums,
    async add({ own, replaced, rows, signal }) {
      const lasts = { model: await lastResidual(blocks, own) } as Record<Splice | "model", Float32Array>;
      for (const name of SPLICES) {
        throwIfInterrupted(signal);
        lasts[name] = await lastResidual(blocks, { ...own, residual: replaced[name] });
        await nextTurn();
      }
      const { headRows, headBytes } = TAIL_SETTINGS;
      const bytesOfRow = 4 * config.vocabSize * (SPLICES.length + 1);
      const sliceRows = Math.max(1, Math.min(headRows, Math.floor(headBytes / bytesOfRow)));
      for (let first = 0; first < rows.length; first += sliceRows) {
        throwIfInterrupted(signal);
        await measure(lasts, rows.slice(first, first + sliceRows));
        await nextTurn();
      }
    },
    async dispose() {
      await blocks?.dispose();
      await head.dispose();
    },
  };
}

/** The residual after the last layer; the same array where the compared layer is the last. */
async function lastResidual(blocks: Blocks | undefined, batch: ResidualBatch): Promise<Float32Array> {
  return blocks === undefined ? batch.residual : blocks.run(batch);
}

/** Head and arithmetic of a few rows. */
function createMeasure(head: Suffix, dModel: number, sums: SpliceSums) {
  const { vocabSize } = head;
  const divergence = createDivergence({
    vocabulary: { base: vocabSize, finetuned: vocabSize },
    klDirection: "finetuned-from-hybrid",
  });
  const into = Object.fromEntries(METRICS.map((name) => [name, new Float64Array(1)])) as PositionMetrics;
  const logitsOf = (last: Float32Array, rows: TailBatch["rows"]): Promise<Float32Array> => {
    const residual = new Float32Array(rows.length * dModel);
    for (const [i, { row }] of rows.entries()) {
      residual.set(last.subarray(row * dModel, (row + 1) * dModel), i * dModel);
    }
    // Rows are independent from here on: each is a sequence of its own.
    return head.run({
      ...{ residual, batch: rows.length, length: 1 },
      lengths: new Int32Array(rows.length).fill(1),
    });
  };
  return async (lasts: Record<Splice | "model", Float32Array>, rows: TailBatch["rows"]): Promise<void> => {
    const logits = {
      model: await logitsOf(lasts.model, rows),
      spliced: await logitsOf(lasts.spliced, rows),
      mean: await logitsOf(lasts.mean, rows),
      zero: await logitsOf(lasts.zero, rows),
    };
    for (const [i, { next, place }] of rows.entries()) {
      const rowOf = (name: Splice | "model"): Float32Array =>
        logits[name].subarray(i * vocabSize, (i + 1) * vocabSize);
      const own = rowOf("model");
      // One model held against itself: its own prediction is both references.
      divergence.setReference({ base: own, finetuned: own }, place);
      for (const name of ["model", ...SPLICES] as const) {
        divergence.measure(rowOf(name), { next, into, at: 0, place });
        sums.nll[name] += into.nll[0];
        if (name === "spliced") sums.kl += into.kl[0];
      }
    }
    sums.tokens += rows.length;
  };
}
