// What goes into the patched forward and what comes out of it: the types that patch-evaluator.ts and its parts share.

import type { PositionMetrics } from "./causal-contract.ts";
import type { PreparedConversation } from "./hybrids.ts";

export const PATCH_SETTINGS = {
  /** Padded rows of one forward; fastest on the CPU, where they stay in cache. */
  batchTokens: 1536,
  /** Most rows of one product with the head, and most bytes of their logits: large vocabularies go in smaller slices. */
  headRows: 256,
  headBytes: 32e6,
  /** Most bytes of both models' own logits that a prepared batch holds on to; of the rest they are made again when needed. */
  keptBytes: 256e6,
  /** Rows encoded at a time. */
  encoderRows: 1024,
} as const;

/** A residual to go on from, and where it begins to differ from the one that it was made from. */
export interface Patch {
  /** Index into the prepared batch. */
  conversation: number;
  /** [length, dModel] f32, raw activation units, for every token of the conversation. */
  residual: Float32Array;
  /** Predictions before this position are not computed. Default 0. */
  changedFrom?: number;
}

export interface PatchedMetrics {
  /** Index into predicted.positions of the first entry. */
  from: number;
  /** Entries of predicted.positions[from …]. */
  metrics: PositionMetrics;
}

/** Made by prepare; the models' own predictions stay with the evaluator that made it, as long as this is referred to. */
export interface PreparedBatch {
  conversations: PreparedConversation[];
}
