// The piece of a model between two cuts of the residual stream, as a plan of an ONNX graph.
//
//   tokens ─ embed ─ block 0 ─┬─ block 1 ─ … ─ block n−1 ─┬─ final norm ─ head ─► logits
//                           tap 0                     tap n−1
//
// A prefix runs from tokens to its last tap, a suffix from the residual after a layer to the logits, the full model does
// both. Nothing outside the cut is planned, so nothing outside it is read. The loop over blocks is the one place where
// residual edits will go; past keys and values will come in through ops.ts.

import type { Architecture } from "./architecture.ts";
import { createGraphBuilder, type GraphPlan } from "./graph-builder.ts";
import { linear } from "./ops.ts";
import type { TensorSpec } from "./tensor-spec.ts";

export interface Cut {
  /** "tokens", or the layer whose output residual is fed. */
  start: "tokens" | { afterLayer: number };
  /** Layers whose output residual is wanted. */
  taps: readonly number[];
  /** The tensor that makes logits; undefined: no logits. */
  head: TensorSpec | undefined;
}

/** Name of the output that carries the residual after a layer. */
export function tapName(layer: number): string {
  return `residual${layer}`;
}

/** Layers of the cut must lie in the model; see requireLayer. */
export function planGraph(architecture: Architecture, { start, taps, head }: Cut): GraphPlan {
  const { vocabSize, dModel, nLayers } = architecture.config;
  const graph = createGraphBuilder();
  const residualShape = ["batch", "length", dModel];
  let residual: string;
  let layer = 0;
  if (start === "tokens") {
    residual = architecture.embed(
      graph,
      graph.input({ name: "tokenIds", dtype: "int32", shape: ["batch", "length"] }),
    );
  } else {
    residual = graph.input({ name: "residual", dtype: "float32", shape: residualShape });
    layer = start.afterLayer + 1;
  }
  const end = head ? nLayers : Math.max(...taps) + 1;
  for (; layer < end; layer += 1) {
    residual = architecture.block(graph, { layer, residual });
    if (taps.includes(layer)) {
      const name = graph.node("Identity", [residual], { outputs: [tapName(layer)] });
      graph.output({ name, dtype: "float32", shape: residualShape });
    }
  }
  if (head) {
    const logits = linear(graph, architecture.normalise(graph, residual), [{ weight: head }]);
    graph.node("Identity", [logits], { outputs: ["logits"] });
    graph.output({ name: "logits", dtype: "float32", shape: ["batch", "length", vocabSize] });
  }
  return graph.plan();
}
