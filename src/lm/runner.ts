// Models that run: prefix (tokens → residuals), suffix (residual → logits), and both in one.
//
// Everything is f32 whatever the file's dtype. A runner owns its weights until dispose; the checkpoint it came from may be
// closed as soon as it is made. On the CPU batches of 1,000 to 2,000 rows run fastest (they stay in cache). A runner made
// with editLayers applies the edits of each batch there; taps of an edited layer give the edited residual.

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
import type { ExecutionDevice } from "./device.ts";
import { type Cut, planGraph, tapName } from "./graph.ts";
import type { GraphPlan } from "./graph-builder.ts";
import { planEdits, type ResidualEdit } from "./residual-edit.ts";
import { openSession, type SessionOptions } from "./session.ts";

export type { BatchShape, ResidualBatch, TokenBatch } from "./batch.ts";
export type { ExecutionDevice } from "./device.ts";
export type { ResidualEdit } from "./residual-edit.ts";
export { loadUnembedding, type Unembedding } from "./unembedding.ts";

export interface RunnerOptions {
  /** Default: all cores. */
  threads?: number;
  /** Default: cpu. */
  device?: ExecutionDevice;
  /** Layers after which batches may edit the residual; default none. */
  editLayers?: readonly number[];
}

/** What a batch asks for besides its rows. */
export interface BatchEdits {
  /** Of the runner's editLayers; default none. */
  edits?: readonly ResidualEdit[];
  /** [batch] leading tokens that edits of "prompt" and "generated" go by; default all real tokens. */
  promptLengths?: Int32Array;
}

export interface Prefix {
  dModel: number;
  /** In the order in which run returns them. */
  layers: number[];
  /**
   * One [batch, length, dModel] f32 array a layer, raw activation units; rows beyond lengths[i] hold finite numbers
   * without meaning. Throws ShapeError, ConfigError (too long, layer not in editLayers), MismatchError (id outside the
   * vocabulary).
   */
  run(batch: TokenBatch & BatchEdits): Promise<Float32Array[]>;
  dispose(): Promise<void>;
}

export interface Suffix {
  /** The residual fed is the one after this layer. */
  layer: number;
  vocabSize: number;
  /** Logits [batch, length, vocab] f32; rows beyond lengths[i] hold finite numbers without meaning. */
  run(batch: ResidualBatch & BatchEdits): Promise<Float32Array>;
  dispose(): Promise<void>;
}

export interface Blocks {
  /** The residual fed is the one after this layer. */
  layer: number;
  dModel: number;
  /** Residual after the last layer, before the final norm: [batch, length, dModel] f32; see Prefix.run. */
  run(batch: ResidualBatch & BatchEdits): Promise<Float32Array>;
  dispose(): Promise<void>;
}

export interface FullModel {
  dModel: number;
  vocabSize: number;
  layers: number[];
  /** residuals as Prefix.run, logits as Suffix.run. */
  run(batch: TokenBatch & BatchEdits): Promise<{ residuals: Float32Array[]; logits: Float32Array }>;
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

/** Tokens → residual after each of `layers` (any order, at least one). */
export async function createPrefix(
  checkpoint: Checkpoint,
  { layers, ...options }: RunnerOptions & { layers: readonly number[] },
): Promise<Prefix> {
  if (layers.length === 0) throw new ConfigError("layers: expected at least one layer, got none");
  const piece = await openPiece(checkpoint, { start: "tokens", taps: layers, head: undefined }, options);
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

/**
 * Residual after `layer` → logits. The last layer leaves only the final norm and the head. With `layer` among editLayers the
 * residual fed is edited first.
 */
export async function createSuffix(
  checkpoint: Checkpoint,
  { layer, ...options }: RunnerOptions & { layer: number },
): Promise<Suffix> {
  const cut: Cut = { start: { afterLayer: layer }, taps: [], head: checkpoint.head };
  requireLayer(layer, checkpoint);
  const piece = await openPiece(checkpoint, cut, options);
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

/**
 * Residual after `layer` → residual after the last: a suffix without final norm and head, which a suffix of the last layer is then
 * for the rows that are wanted. Throws ConfigError for the last layer: nothing is left to run.
 */
export async function createBlocks(
  checkpoint: Checkpoint,
  { layer, ...options }: RunnerOptions & { layer: number },
): Promise<Blocks> {
  requireLayer(layer, checkpoint);
  const { config } = checkpoint;
  const last = config.nLayers - 1;
  if (layer === last) throw new ConfigError(`layer: expected one below the last, got the last, ${last}`);
  const cut: Cut = { start: { afterLayer: layer }, taps: [last], head: undefined };
  const piece = await openPiece(checkpoint, cut, options);
  return {
    layer,
    dModel: config.dModel,
    async run(batch) {
      checkBatch(batch, config);
      const outputs = await piece.run({ residual: residualTensor(batch, config) }, batch);
      return outputs[tapName(last)];
    },
    dispose: piece.dispose,
  };
}

/** Tokens → logits, and the residuals after `layers` (default: none) from the same forward. */
export async function createFullModel(
  checkpoint: Checkpoint,
  { layers = [], ...options }: RunnerOptions & { layers?: readonly number[] } = {},
): Promise<FullModel> {
  const piece = await openPiece(
    checkpoint,
    { start: "tokens", taps: layers, head: checkpoint.head },
    options,
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

export interface Piece {
  /** Adds the feeds of the batch's shape; every output as f32. */
  run(feeds: Record<string, Tensor>, shape: BatchShape & BatchEdits): Promise<Record<string, Float32Array>>;
  dispose(): Promise<void>;
}

async function openPiece(
  checkpoint: Checkpoint,
  cut: Cut,
  { editLayers = [], device, threads }: RunnerOptions,
): Promise<Piece> {
  for (const layer of [...cut.taps, ...editLayers]) requireLayer(layer, checkpoint);
  checkEditLayers(editLayers, cut);
  const plan = planGraph(checkpoint.architecture, { ...cut, editLayers, device });
  const piece = await openPlan(checkpoint, plan, { threads, device });
  return {
    ...piece,
    async run(feeds, shape) {
      const { edits = [], promptLengths = shape.lengths } = shape;
      if (editLayers.length === 0 && edits.length === 0) return piece.run(feeds, shape);
      if (promptLengths.length !== shape.batch) {
        throw new ShapeError(`promptLengths: expected ${shape.batch} numbers, got ${promptLengths.length}`);
      }
      const planned = planEdits(edits, { editLayers, promptLengths, config: checkpoint.config });
      return piece.run({ ...feeds, ...planned.feeds(shape) }, shape);
    },
  };
}

/** Throws ConfigError for a layer that the cut never computes. */
function checkEditLayers(editLayers: readonly number[], { start, taps, head }: Cut): void {
  const first = start === "tokens" ? 0 : start.afterLayer;
  const last = head ? Number.POSITIVE_INFINITY : Math.max(...taps);
  for (const layer of editLayers) {
    if (layer >= first && layer <= last) continue;
    throw new ConfigError(
      `editLayers: expected layers from ${first}${head ? "" : ` to ${last}`} (the part of the model that runs), got ${layer}`,
    );
  }
}

/** Loads a plan of this checkpoint's architecture. For the runners above and for tests that alter a plan. */
export async function openPlan(
  checkpoint: Checkpoint,
  plan: GraphPlan,
  options: Pick<SessionOptions, "threads" | "device"> = {},
): Promise<Piece> {
  const session = await openSession(plan, {
    ...options,
    read: (spec) => checkpoint.readTensor(spec.name, spec.shape),
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
