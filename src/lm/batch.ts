// A right-padded batch of token sequences: the checks at lm/'s border and the tensors that every graph is fed.
//
// Padding goes right and needs no mask: attention is causal, so no real row ever sees a padded one.

import { Tensor } from "onnxruntime-node";
import { ConfigError, MismatchError, ShapeError } from "../errors.ts";
import type { Architecture, ModelConfig } from "./architecture.ts";
import { rotaryFeedNames } from "./attention.ts";
import { HIDDEN_SCORE, maskFeedName } from "./attention-by-hand.ts";
import { type RotaryTables, rotaryTables } from "./rope.ts";

export interface BatchShape {
  /** Sequences. */
  batch: number;
  /** Rows of each sequence, padding included; positions 0 … length − 1. */
  length: number;
  /** [batch] real tokens of each sequence, 1 … length. */
  lengths: Int32Array;
}

export interface TokenBatch extends BatchShape {
  /** [batch, length], right padded; what stands beyond lengths[i] is never read. */
  tokenIds: Uint32Array | Int32Array;
}

/** Sequences of token ids as one batch, 0 in place of padding. At least one sequence; none may be empty (see checkBatch). */
export function rightPad(sequences: readonly ArrayLike<number>[]): TokenBatch & { tokenIds: Uint32Array } {
  const lengths = Int32Array.from(sequences, (sequence) => sequence.length);
  const length = Math.max(...lengths);
  const tokenIds = new Uint32Array(sequences.length * length);
  for (const [i, sequence] of sequences.entries()) tokenIds.set(sequence, i * length);
  return { tokenIds, batch: sequences.length, length, lengths };
}

export interface ResidualBatch extends BatchShape {
  /** [batch, length, dModel] f32, raw activation units; rows beyond lengths[i] must be finite. */
  residual: Float32Array;
}

/** Throws ShapeError for a batch that contradicts itself, ConfigError for one longer than the model's positions. */
export function checkBatch({ batch, length, lengths }: BatchShape, config: ModelConfig): void {
  if (!(batch >= 1 && length >= 1)) {
    throw new ShapeError(`batch: expected at least one sequence of one token, got [${batch}, ${length}]`);
  }
  if (lengths.length !== batch || !lengths.every((real) => real >= 1 && real <= length)) {
    throw new ShapeError(`lengths: expected ${batch} numbers from 1 to ${length}, got [${lengths}]`);
  }
  if (length > config.maxPositions) {
    throw new ConfigError(
      `sequence length: expected at most ${config.maxPositions} tokens (max_position_embeddings), got ${length}`,
      { hint: "cut the documents into shorter sequences" },
    );
  }
}

/** [batch, length] i32 with 0 in place of padding. Throws MismatchError for an id outside the vocabulary. */
export function tokenTensor(
  { tokenIds, batch, length, lengths }: TokenBatch,
  { vocabSize }: ModelConfig,
): Tensor {
  if (tokenIds.length !== batch * length) {
    throw new ShapeError(`tokenIds: expected ${batch} × ${length} ids, got ${tokenIds.length}`);
  }
  const ids = new Int32Array(batch * length);
  for (let sequence = 0; sequence < batch; sequence += 1) {
    for (let position = 0; position < lengths[sequence]; position += 1) {
      const at = sequence * length + position;
      const id = tokenIds[at];
      if (!(id >= 0 && id < vocabSize)) {
        throw new MismatchError(
          `sequence ${sequence}, position ${position}: expected a token id from 0 to ${vocabSize - 1}, got ${id}`,
          {
            hint: "the tokenizer is larger than the model's vocabulary: use the tokenizer of this checkpoint",
          },
        );
      }
      ids[at] = id;
    }
  }
  return new Tensor("int32", ids, [batch, length]);
}

/**
 * Feeds that depend only on the batch's shape, those of them that `wanted` names. Keeps the last rotary tables.
 * longrope looks at the padded length, as transformers does: batches of one sequence, or of sequences on one side of its
 * original length (see batchClass), are free of that.
 */
export function createShapeFeeds(
  architecture: Architecture,
  wanted: Set<string>,
): (shape: BatchShape) => Record<string, Tensor> {
  const { ropes } = architecture;
  const kept = new Map<string, RotaryTables>();
  const tables = (name: string, length: number): RotaryTables => {
    const last = kept.get(name);
    if (last?.length === length) return last;
    const fresh = rotaryTables(ropes[name], length);
    kept.set(name, fresh);
    return fresh;
  };
  return ({ batch, length }) => {
    const all: Record<string, () => Tensor> = {
      positions: () =>
        new Tensor(
          "int32",
          Int32Array.from({ length }, (_, position) => position),
          [length],
        ),
      // Padded rows take part as ordinary tokens: they come after every real row and stay finite.
      lastKey: () => new Tensor("int32", new Int32Array(batch).fill(length - 1), [batch]),
      totalLength: () => new Tensor("int32", Int32Array.of(length), []),
    };
    for (const window of windowsOf(architecture)) {
      all[maskFeedName(window)] = () => causalMask(length, window);
    }
    for (const [name, { dim }] of Object.entries(ropes)) {
      const { cos, sin } = rotaryFeedNames(name);
      all[cos] = () => new Tensor("float32", tables(name, length).cos, [length, dim / 2]);
      all[sin] = () => new Tensor("float32", tables(name, length).sin, [length, dim / 2]);
    }
    return Object.fromEntries(
      Object.entries(all)
        .filter(([name]) => wanted.has(name))
        .map(([name, make]) => [name, make()]),
    );
  };
}

/** Every window of the architecture's blocks, undefined for blocks without one; each once. */
export function windowsOf({ config, block }: Architecture): (number | undefined)[] {
  const windows = Array.from({ length: config.nLayers }, (_, layer) => block(layer).attention.window);
  return [...new Set(windows)];
}

/** [1, 1, length, length]. */
function causalMask(length: number, window = length): Tensor {
  const mask = new Float32Array(length * length).fill(HIDDEN_SCORE);
  for (let query = 0; query < length; query += 1) {
    mask.fill(0, query * length + Math.max(0, query - window + 1), query * length + query + 1);
  }
  return new Tensor("float32", mask, [1, 1, length, length]);
}

/**
 * Sequences of different classes must not share a batch: longrope has other frequencies beyond its original length, and
 * takes them from the batch's padded one. 0 for every length of every other model.
 */
export function batchClass({ ropes }: Architecture, length: number): number {
  const isLong = Object.values(ropes).some(
    (rope) => rope.kind === "longrope" && length > rope.originalMaxPositions,
  );
  return isLong ? 1 : 0;
}
