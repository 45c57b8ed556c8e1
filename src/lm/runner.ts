// Models that run: prefix (tokens → residuals), suffix (residual → logits), and both in one.
//
// Everything is f32 on the CPU whatever the file's dtype. A runner owns its weights until dispose; the checkpoint it came
// from may be closed as soon as it is made. Batches of 1,000 to 2,000 rows run fastest (they stay in cache).

import { Tensor } from "onnxruntime-node";
import { ConfigError, ShapeError } from "../errors.ts";
import type { ModelConfig } from "./architecture.ts";
import {
  type BatchShape,
  checkBatch,
  createShapeFeeds,
  type ResidualBatch,
  type TokenBatch,
  tokenTensor,
} from "./batch.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type Cut, planGraph, tapName } from "./graph.ts";
import type { GraphPlan } from "./graph-builder.ts";
import { openSession } from "./session.ts";
import type { TensorSpec } from "./tensor-spec.ts";

export type { BatchShape, ResidualBatch, TokenBatch } from "./batch.ts";

export interface Prefix {
  dModel: number;
  /** In the order in which run returns them. */
  layers: number[];
  /**
   * One [batch, length, dModel] f32 array a layer, raw activation units; rows beyond lengths[i] hold finite numbers
   * without meaning. Throws ShapeError, ConfigError (too long), MismatchError (id outside the vocabulary).
   */
  run(batch: TokenBatch): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

export interface Suffix {
  /** The residual fed is the one after this layer. */
  layer: number;
  vocabSize: number;
  /** Logits [batch, length, vocab] f32; rows beyond lengths[i] hold finite numbers without meaning. */
  run(batch: ResidualBatch): Promise<Float32Array>;
  dispose(): Promise<void>;
}

export interface FullModel {
  dModel: number;
  vocabSize: number;
  layers: number[];
  /** residuals as Prefix.run, logits as Suffix.run. */
  run(batch: TokenBatch): Promise<{ residuals: Float32Array[]; logits: Float32Array }>;
  dispose(): Promise<void>;
}

/** Throws ConfigError unless `layer` is a 0-based layer of the model. */
export function requireLayer(layer: number, { config, folder }: Pick<Checkpoint, "config" | "folder">): void {
  if (Number.isInteger(layer) && layer >= 0 && layer < config.nLayers) return;
  throw new ConfigError(
    `layer: expected a whole number from 0 to ${config.nLayers - 1} (${folder} has ${config.nLayers} layers), got ${layer}`,
    { hint: "layers count from 0; a layer just past the middle is a good first choice" },
  );
}

/** Tokens → residual after each of `layers` (any order, at least one). threads: default all cores. */
export async function createPrefix(
  checkpoint: Checkpoint,
  { layers, threads }: { layers: readonly number[]; threads?: number },
): Promise<Prefix> {
  if (layers.length === 0) throw new ConfigError("layers: expected at least one layer, got none");
  const piece = await openPiece(checkpoint, { start: "tokens", taps: layers, head: undefined }, threads);
  const { config } = checkpoint;
  return {
    dModel: config.dModel,
    layers: [...layers],
    async run(batch) {
      checkBatch(batch, config);
      const outputs = await piece.run({ tokenIds: tokenTensor(batch, config) }, batch);
      return layers.map((layer) => outputs[tapName(layer)]);
    },
    dispose: piece.dispose,
  };
}

/** Residual after `layer` → logits. The last layer leaves only the final norm and the head. */
export async function createSuffix(
  checkpoint: Checkpoint,
  { layer, threads }: { layer: number; threads?: number },
): Promise<Suffix> {
  const cut: Cut = { start: { afterLayer: layer }, taps: [], head: checkpoint.head };
  requireLayer(layer, checkpoint);
  const piece = await openPiece(checkpoint, cut, threads);
  const { config } = checkpoint;
  return {
    layer,
    vocabSize: config.vocabSize,
    async run(batch) {
      checkBatch(batch, config);
      const outputs = await piece.run({ residual: residualTensor(batch, config) }, batch);
      return outputs.logits;
    },
    dispose: piece.dispose,
  };
}

/** Tokens → logits, and the residuals after `layers` (default: none) from the same forward. */
export async function createFullModel(
  checkpoint: Checkpoint,
  { layers = [], threads }: { layers?: readonly number[]; threads?: number } = {},
): Promise<FullModel> {
  const piece = await openPiece(
    checkpoint,
    { start: "tokens", taps: layers, head: checkpoint.head },
    threads,
  );
  const { config } = checkpoint;
  return {
    dModel: config.dModel,
    vocabSize: config.vocabSize,
    layers: [...layers],
    async run(batch) {
      checkBatch(batch, config);
      const outputs = await piece.run({ tokenIds: tokenTensor(batch, config) }, batch);
      return { residuals: layers.map((layer) => outputs[tapName(layer)]), logits: outputs.logits };
    },
    dispose: piece.dispose,
  };
}

/** What a lens needs of a model: unembed(x) = head · (finalNorm ⊙ x / rms(x)). */
export interface Unembedding {
  /** [dModel] f32: the weight that multiplies a normalised residual. */
  finalNorm: Float32Array;
  /** [vocab, dModel] f32. */
  head: Float32Array;
  vocab: number;
  dModel: number;
}

export async function loadUnembedding(checkpoint: Checkpoint): Promise<Unembedding> {
  const { architecture, config } = checkpoint;
  const read = (spec: TensorSpec): Promise<Float32Array> => checkpoint.readTensor(spec.name, spec.shape);
  return {
    finalNorm: await read(architecture.finalNorm),
    head: await read(checkpoint.head),
    vocab: config.vocabSize,
    dModel: config.dModel,
  };
}

export interface Piece {
  /** Adds the feeds of the batch's shape; every output as f32. */
  run(feeds: Record<string, Tensor>, shape: BatchShape): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

async function openPiece(checkpoint: Checkpoint, cut: Cut, threads: number | undefined): Promise<Piece> {
  for (const layer of cut.taps) requireLayer(layer, checkpoint);
  return openPlan(checkpoint, planGraph(checkpoint.architecture, cut), threads);
}

/** Loads a plan of this checkpoint's architecture. For the runners above and for tests that alter a plan. */
export async function openPlan(checkpoint: Checkpoint, plan: GraphPlan, threads?: number): Promise<Piece> {
  const session = await openSession(plan, {
    read: (spec) => checkpoint.readTensor(spec.name, spec.shape),
    threads,
    place: checkpoint.folder,
  });
  const shapeFeeds = createShapeFeeds(checkpoint.architecture, session.inputs);
  return {
    async run(feeds, shape) {
      const outputs = await session.run({ ...feeds, ...shapeFeeds(shape) });
      return Object.fromEntries(
        Object.entries(outputs).map(([name, tensor]) => [name, tensor.data as Float32Array]),
      );
    },
    dispose: session.dispose,
  };
}

function residualTensor({ residual, batch, length }: ResidualBatch, { dModel }: ModelConfig): Tensor {
  if (residual.length !== batch * length * dModel) {
    throw new ShapeError(
      `residual: expected ${batch} × ${length} × ${dModel} numbers, got ${residual.length}`,
    );
  }
  return new Tensor("float32", residual, [batch, length, dModel]);
}
