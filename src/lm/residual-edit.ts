// Edits of the residual stream: a vector added to, or put in place of, the residual of chosen positions after a layer.
//
// The residual becomes residual · keep + add before the next block (or a tap of the same layer) reads it. What an edit says
// per sequence and position is worked out here into those two arrays; graph.ts holds the two nodes. Each sequence of a
// batch may be edited in its own way: list no positions for those that stay as they are.

import { Tensor } from "onnxruntime-node";
import { ConfigError, ShapeError } from "../errors.ts";
import type { ModelConfig } from "./architecture.ts";
import { editFeedNames } from "./graph.ts";

export interface ResidualEdit {
  /** The residual after this layer. Edits of one layer act in the order in which they are given. */
  layer: number;
  /** add: residual + value. replace: value. */
  kind: "add" | "replace";
  /**
   * Which tokens. prompt: those fed at first (in a plain forward all, unless the batch says where prompts end). generated:
   * those fed back afterwards. Lists: positions of each sequence, the first token is 0, generated ones included.
   */
  positions: "all" | "prompt" | "generated" | readonly ArrayLike<number>[];
  /** [dModel], [sequence, dModel] or [row, dModel] f32, raw activation units; see per. */
  values: Float32Array;
  /**
   * batch: one vector for all. sequence: one for each. row: one for each position of the lists, in their order, sequence
   * after sequence; with "prompt", one for each prompt token.
   */
  per: "batch" | "sequence" | "row";
}

/** What stands in a forward's rows. */
export interface EditedRows {
  /** The request's sequence in each row of the batch; default 0, 1, …. */
  sequences?: readonly number[];
  /** Position of the first token of each row; default 0. */
  firstPositions?: readonly number[];
  /** Rows of the batch, padding included. */
  length: number;
  /** Real tokens of each row; the rest stays unedited. */
  lengths: ArrayLike<number>;
}

export interface EditFeeds {
  /** The feeds of every edited layer of the graph, for one forward. */
  feeds(rows: EditedRows): Record<string, Tensor>;
}

export interface EditOptions {
  /** Layers that the graph can edit. */
  editLayers: readonly number[];
  /** [sequence] tokens that count as prompt. */
  promptLengths: ArrayLike<number>;
  config: ModelConfig;
}

type Lookup = (sequence: number, position: number) => number | undefined;

/** Throws ConfigError for a layer the graph cannot edit, ShapeError for values of another size than positions ask for. */
export function planEdits(edits: readonly ResidualEdit[], options: EditOptions): EditFeeds {
  const { editLayers, config } = options;
  const { dModel } = config;
  for (const { layer } of edits) {
    if (!editLayers.includes(layer)) {
      throw new ConfigError(
        `edit: expected a layer named in editLayers (${editLayers.join(", ") || "none"}), got ${layer}`,
        { hint: "name every layer to edit when the model is made" },
      );
    }
  }
  const planned = edits.map((edit) => ({ ...edit, offsetOf: valueLookup(edit, options) }));
  return {
    feeds({ sequences, firstPositions, length, lengths }) {
      const feeds: Record<string, Tensor> = {};
      const batch = lengths.length;
      for (const layer of new Set(editLayers)) {
        const own = planned.filter((edit) => edit.layer === layer);
        const names = editFeedNames(layer);
        if (own.length === 0) {
          feeds[names.keep] = new Tensor("float32", Float32Array.of(1), [1, 1, 1]);
          feeds[names.add] = new Tensor("float32", Float32Array.of(0), [1, 1, 1]);
          continue;
        }
        const keep = new Float32Array(batch * length).fill(1);
        const add = new Float32Array(batch * length * dModel);
        for (let row = 0; row < batch; row += 1) {
          for (let t = 0; t < lengths[row]; t += 1) {
            const at = row * length + t;
            const target = add.subarray(at * dModel, (at + 1) * dModel);
            for (const { kind, values, offsetOf } of own) {
              const from = offsetOf(sequences?.[row] ?? row, (firstPositions?.[row] ?? 0) + t);
              if (from === undefined) continue;
              if (kind === "replace") {
                keep[at] = 0;
                target.set(values.subarray(from, from + dModel));
              } else {
                for (let i = 0; i < dModel; i += 1) target[i] += values[from + i];
              }
            }
          }
        }
        feeds[names.keep] = new Tensor("float32", keep, [batch, length, 1]);
        feeds[names.add] = new Tensor("float32", add, [batch, length, dModel]);
      }
      return feeds;
    },
  };
}

/** (sequence, position) → where its vector begins in values; undefined: not edited. */
function valueLookup(
  { layer, positions, per, values }: ResidualEdit,
  { promptLengths, config: { dModel } }: EditOptions,
): Lookup {
  const nSequences = promptLengths.length;
  const place = `edit after layer ${layer}`;
  const requireVectors = (count: number): void => {
    if (values.length === count * dModel) return;
    throw new ShapeError(`${place}: expected values of ${count} × ${dModel} numbers, got ${values.length}`);
  };
  const ordinal = ordinals(positions, promptLengths, place);
  if (per === "row") {
    if (ordinal.count === undefined) {
      throw new ConfigError(
        `${place}: expected listed positions or "prompt" for values per row, got ${positions}`,
      );
    }
    requireVectors(ordinal.count);
  } else {
    requireVectors(per === "batch" ? 1 : nSequences);
  }
  return (sequence, position) => {
    const row = ordinal.of(sequence, position);
    if (row === undefined) return undefined;
    if (per === "batch") return 0;
    return (per === "sequence" ? sequence : row) * dModel;
  };
}

/** Counts the positions that an edit names; count is undefined where they are not known beforehand. */
function ordinals(
  positions: ResidualEdit["positions"],
  promptLengths: ArrayLike<number>,
  place: string,
): { count: number | undefined; of: Lookup } {
  if (positions === "all") return { count: undefined, of: () => 0 };
  if (positions === "generated") {
    return {
      count: undefined,
      of: (sequence, position) => (position >= promptLengths[sequence] ? 0 : undefined),
    };
  }
  if (positions === "prompt") {
    const starts: number[] = [];
    let count = 0;
    for (let sequence = 0; sequence < promptLengths.length; sequence += 1) {
      starts.push(count);
      count += promptLengths[sequence];
    }
    const of: Lookup = (sequence, position) =>
      position < promptLengths[sequence] ? starts[sequence] + position : undefined;
    return { count, of };
  }
  if (positions.length !== promptLengths.length) {
    throw new ShapeError(
      `${place}: expected positions of ${promptLengths.length} sequences, got ${positions.length} lists`,
    );
  }
  let count = 0;
  const rows = positions.map((list, sequence) => {
    const known = new Map<number, number>();
    for (let i = 0; i < list.length; i += 1) {
      if (!Number.isInteger(list[i]) || list[i] < 0 || known.has(list[i])) {
        throw new ShapeError(
          `${place}: sequence ${sequence}: expected different whole positions from 0, got ${list[i]}`,
        );
      }
      known.set(list[i], count);
      count += 1;
    }
    return known;
  });
  return { count, of: (sequence, position) => rows[sequence].get(position) };
}
