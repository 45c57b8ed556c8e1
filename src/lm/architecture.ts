// What a model family tells the rest of lm/ about a checkpoint: sizes, tensors, and what a block computes. Data only.
//
// A family is one small file in families/ that turns config.json into an Architecture. Two readers interpret it: the graph
// that runs (block-graph.ts) and its slow twin (reference-forward.ts); neither knows a family by name. Formulas: the
// Hugging Face modelling code of each family.

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

export interface HeadLayout {
  nHeads: number;
  /** Key/value heads; query head h reads head floor(h·nKvHeads/nHeads). */
  nKvHeads: number;
  headDim: number;
}

/** Sizes of a decoder as its family's config.json gives them. */
export interface DecoderConfig extends ModelConfig, HeadLayout {
  /** Width of the MLP's hidden layer. */
  dFeedForward: number;
  normEpsilon: number;
}

/**
 * rms: w ⊙ x/√(mean x² + ε). rmsPlusOne: (1 + w) ⊙ the same (Gemma). layerNorm: w ⊙ (x − mean x)/√(var x + ε) + b.
 * weight and bias: [width].
 */
export interface Norm {
  kind: "rms" | "rmsPlusOne" | "layerNorm";
  epsilon: number;
  weight: TensorSpec;
  bias?: TensorSpec;
}

/** y = W·x + b as the checkpoint stores it. */
export interface LinearSpec {
  /** [out, in], or [in, out] where inOut says so (GPT-2's Conv1D). */
  weight: TensorSpec;
  /** [out]. */
  bias?: TensorSpec;
  inOut?: true;
  /** Only these of the stored outputs, in this order: output `row` is stored at `stored(row)`. Default: all as stored. */
  rows?: { label: string; count: number; stored(row: number): number };
}

/** silu: x·σ(x). gelu: exact, by erf. geluTanh: its tanh approximation (gelu_new, gelu_pytorch_tanh). */
export type Activation = "silu" | "gelu" | "geluTanh";

export interface Attention {
  /** Side by side they make [q | k | v], heads in order within each. */
  qkv: LinearSpec[];
  /** On q and k before rotation: each head by itself (weight [headDim]) or the projection whole. */
  qkNorm?: { over: "head" | "projection"; q: Norm; k: Norm };
  /** Key into Architecture.ropes; undefined: no rotation. */
  rope?: string;
  /** Factor on q·k. */
  scale: number;
  /** Scores become cap·tanh(score/cap), before the mask. */
  softCap?: number;
  /** Keys a query sees, itself included; undefined: every earlier one. */
  window?: number;
  out: LinearSpec;
}

/** gate present: down(act(gate x) ⊙ up x); absent: down(act(up x)). */
export interface Mlp {
  gate?: LinearSpec;
  up: LinearSpec;
  down: LinearSpec;
  activation: Activation;
}

/**
 * sequential: m = x + attentionPost(attention(attentionNorm x)); x′ = m + mlpPost(mlp(mlpNorm m)).
 * parallel: x′ = x + attention(attentionNorm x) + mlp(mlpNorm x). An absent norm is the identity.
 */
export interface Block {
  attentionNorm?: Norm;
  attention: Attention;
  attentionPostNorm?: Norm;
  mlpNorm?: Norm;
  mlp: Mlp;
  mlpPostNorm?: Norm;
  parallel: boolean;
}

export interface Architecture {
  config: DecoderConfig;
  /** A stored tensor may carry one of these before the name given here ("" among them). */
  namePrefixes: readonly string[];
  /** [vocab, dModel]. */
  embedding: TensorSpec;
  /** [maxPositions, dModel], added to the embedding (GPT-2). */
  positionEmbedding?: TensorSpec;
  /** Multiplies the embedding. f32: transformers rounds it to the weights' dtype when it runs in bf16. */
  embeddingScale: number;
  /** Rotary tables by name; the runner feeds them. */
  ropes: Readonly<Record<string, RopeConfig>>;
  block(layer: number): Block;
  finalNorm: Norm;
  /** [vocab, dModel]; the file may lack it when headIsTied. */
  head: TensorSpec;
  headIsTied: boolean;
  /** Logits become cap·tanh(logit/cap). */
  finalLogitSoftCap?: number;
  /** Every tensor that takes part in a block; one that is stored but not declared would be silently left out. */
  blockTensorPattern: RegExp;
  /** Stored by some writers, computed here or for another modality: never read. */
  ignoredTensorPattern: RegExp;
  /** Odd things in config.json that do not stop a run, one sentence each. */
  warnings: readonly string[];
}

export interface Family {
  /** `model_type` in config.json. */
  modelType: string;
  /** raw: the parsed config.json. place: its path, for messages. Throws FormatError naming the key. */
  describe(raw: object, place: string): Architecture;
}

/** Every tensor outside the blocks but the head, which may be tied. */
export function outerTensors({ embedding, positionEmbedding, finalNorm }: Architecture): TensorSpec[] {
  return [embedding, ...(positionEmbedding ? [positionEmbedding] : []), ...withBias(finalNorm)];
}

/** Every tensor that a block reads, each once. */
export function blockTensors(architecture: Architecture, layer: number): TensorSpec[] {
  const { attentionNorm, attention, attentionPostNorm, mlpNorm, mlp, mlpPostNorm } =
    architecture.block(layer);
  const norms = [
    attentionNorm,
    attention.qkNorm?.q,
    attention.qkNorm?.k,
    attentionPostNorm,
    mlpNorm,
    mlpPostNorm,
  ];
  const linears = [...attention.qkv, attention.out, mlp.gate, mlp.up, mlp.down];
  const tensors = [
    ...norms.flatMap((norm) => (norm ? withBias(norm) : [])),
    ...linears.flatMap((linear) => (linear ? withBias(linear) : [])),
  ];
  return [...new Map(tensors.map((spec) => [spec.name, spec])).values()];
}

function withBias({ weight, bias }: { weight: TensorSpec; bias?: TensorSpec }): TensorSpec[] {
  return bias ? [weight, bias] : [weight];
}
