// What every model family tells the rest of lm/ about itself: sizes, tensors, and how a block computes.
//
// A family is one small file in families/ that turns config.json into an Architecture; graph.ts, checkpoint.ts and
// runner.ts know nothing of its tensor names or formulas. Formulas: the Hugging Face modelling code of each family.

import type { GraphBuilder } from "./graph-builder.ts";
import type { RopeConfig } from "./rope.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** The facts of config.json that other folders ask for. */
export interface ModelConfig {
  modelType: string;
  vocabSize: number;
  dModel: number;
  nLayers: number;
  /** Longest sequence the model was made for, tokens. */
  maxPositions: number;
}

export interface Architecture {
  config: ModelConfig;
  /** [vocab, dModel]. */
  embedding: TensorSpec;
  /** [dModel], the norm before the unembedding. */
  finalNorm: TensorSpec;
  /** [vocab, dModel]; the file may lack it when headIsTied. */
  head: TensorSpec;
  headIsTied: boolean;
  /** Angles of the rotary tables the runner feeds. */
  rope: RopeConfig;
  blockTensors(layer: number): TensorSpec[];
  /** Every tensor that takes part in a block; one that is stored but not declared would be silently left out. */
  blockTensorPattern: RegExp;
  /** Stored by some writers, computed here: never read. */
  ignoredTensorPattern: RegExp;
  /** Value names in, value names out: tokens [batch, length] i32 → residual [batch, length, dModel] f32. */
  embed(graph: GraphBuilder, tokenIds: string): string;
  /** residual → residual, one block. */
  block(graph: GraphBuilder, step: { layer: number; residual: string }): string;
  /** residual → what the head multiplies. */
  normalise(graph: GraphBuilder, residual: string): string;
}

export interface Family {
  /** `model_type` in config.json. */
  modelType: string;
  /** raw: the parsed config.json. place: its path, for messages. Throws FormatError naming the key. */
  describe(raw: object, place: string): Architecture;
}
