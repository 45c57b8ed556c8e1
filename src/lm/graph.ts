// The piece of a model between two cuts of the residual stream, as a plan of an ONNX graph.
//
//   tokens ─ embed ─ block 0 ─┬─ block 1 ─ … ─ block n−1 ─┬─ final norm ─ head ─► logits
//                           tap 0                     tap n−1
//
// A prefix runs from tokens to its last tap, a suffix from the residual after a layer to the logits, the full model does
// both. Nothing outside the cut is planned, so nothing outside it is read. Residual edits and cached keys are in the graph
// only where the cut asks for them: the plain graph stays the plain graph.

import type { Architecture } from "./architecture.ts";
import { needsByHand } from "./attention.ts";
import { decoderBlock, embed } from "./block-graph.ts";
import type { ExecutionDevice } from "./device.ts";
import { createGraphBuilder, type GraphBuilder, type GraphPlan } from "./graph-builder.ts";
import { normalise, softCap, unembed } from "./ops.ts";
import type { TensorSpec } from "./tensor-spec.ts";

export interface Cut {
  /** "tokens", or the layer whose output residual is fed. */
  start: "tokens" | { afterLayer: number };
  /** Layers whose output residual is wanted. */
  taps: readonly number[];
  /** The tensor that makes logits; undefined: no logits. */
  head: TensorSpec | undefined;
  /** Layers whose output residual is edited, by fed values, before anything reads it. */
  editLayers?: readonly number[];
  /** Earlier keys and values come in and go out (attention.ts); logits [batch, vocab] of the rows `lastRows` only. */
  cached?: boolean;
  /** Default: cpu. Some need other nodes. */
  device?: ExecutionDevice | undefined;
}

/** Names of the fed values by which the residual after a layer becomes residual · keep + add. */
export function editFeedNames(layer: number): { keep: string; add: string } {
  return { keep: `editKeep${layer}`, add: `editAdd${layer}` };
}

/** Name of the output that carries the residual after a layer. */
export function tapName(layer: number): string {
  return `residual${layer}`;
}

/** Layers of the cut must lie in the model; see requireLayer. */
export function planGraph(architecture: Architecture, cut: Cut): GraphPlan {
  const { start, taps, head, editLayers = [], cached = false, device = "cpu" } = cut;
  const { vocabSize, dModel, nLayers } = architecture.config;
  const mode = { cached, byHand: needsByHand(architecture, { cached, device }) };
  const graph = createGraphBuilder();
  const residualShape = ["batch", "length", dModel];
  let residual: string;
  let layer = 0;
  if (start === "tokens") {
    const tokenIds = graph.input({ name: "tokenIds", dtype: "int32", shape: ["batch", "length"] });
    residual = embed(graph, architecture, { tokenIds, mode });
  } else {
    residual = graph.input({ name: "residual", dtype: "float32", shape: residualShape });
    if (editLayers.includes(start.afterLayer)) residual = edit(graph, residual, start.afterLayer);
    layer = start.afterLayer + 1;
  }
  const end = head ? nLayers : Math.max(...taps) + 1;
  for (; layer < end; layer += 1) {
    residual = decoderBlock(graph, architecture, { layer, residual, mode });
    if (editLayers.includes(layer)) residual = edit(graph, residual, layer);
    if (taps.includes(layer)) {
      const name = graph.node("Identity", [residual], { outputs: [tapName(layer)] });
      graph.output({ name, dtype: "float32", shape: residualShape });
    }
  }
  if (head) {
    const { finalNorm, finalLogitSoftCap } = architecture;
    if (cached) residual = chosenRows(graph, residual, dModel);
    let logits = unembed(graph, normalise(graph, residual, finalNorm), head);
    if (finalLogitSoftCap !== undefined) logits = softCap(graph, logits, finalLogitSoftCap);
    graph.node("Identity", [logits], { outputs: ["logits"] });
    const rows = cached ? ["batch"] : ["batch", "length"];
    graph.output({ name: "logits", dtype: "float32", shape: [...rows, vocabSize] });
  }
  return graph.plan();
}

/** residual · keep + add; both feeds broadcast over batch, length and coordinates. */
function edit(graph: GraphBuilder, residual: string, layer: number): string {
  const { keep, add } = editFeedNames(layer);
  const feed = (name: string): string =>
    graph.input({ name, dtype: "float32", shape: [`${name}.batch`, `${name}.length`, `${name}.width`] });
  return graph.node("Add", [graph.node("Mul", [residual, feed(keep)]), feed(add)]);
}

/** [batch, length, dModel] → the rows that the feed `lastRows` counts over batch · length, [batch, dModel]. */
function chosenRows(graph: GraphBuilder, residual: string, dModel: number): string {
  const flat = graph.node("Reshape", [residual, graph.int64([-1, dModel])]);
  const lastRows = graph.input({ name: "lastRows", dtype: "int32", shape: ["batch"] });
  return graph.node("Gather", [flat, lastRows]);
}
