// An Architecture as graph nodes: embedding, block, and what the head multiplies. Knows no family by name.
//
// The slow twin that reads the same data in plain loops is reference-forward.ts.

import type { Architecture, Mlp } from "./architecture.ts";
import { attend, type ForwardMode } from "./attention.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { activate, linear, normalise, storedWeight } from "./ops.ts";

/** tokens [batch, length] i32 → residual [batch, length, dModel] f32. */
export function embed(
  graph: GraphBuilder,
  architecture: Architecture,
  { tokenIds, mode }: { tokenIds: string; mode: ForwardMode },
): string {
  const { embedding, positionEmbedding, embeddingScale } = architecture;
  let residual = graph.node("Gather", [storedWeight(graph, embedding), tokenIds]);
  if (embeddingScale !== 1) residual = graph.node("Mul", [residual, graph.float32(embeddingScale)]);
  if (!positionEmbedding) return residual;
  const positions = graph.input({
    name: "positions",
    dtype: "int32",
    shape: mode.cached ? ["batch", "length"] : ["length"],
  });
  const added = graph.node("Gather", [storedWeight(graph, positionEmbedding), positions]);
  return graph.node("Add", [residual, added]);
}

/** residual → residual. */
export function decoderBlock(
  graph: GraphBuilder,
  architecture: Architecture,
  { layer, residual, mode }: { layer: number; residual: string; mode: ForwardMode },
): string {
  const { config, ropes } = architecture;
  const block = architecture.block(layer);
  const { attention } = block;
  const attentionInput = block.attentionNorm ? normalise(graph, residual, block.attentionNorm) : residual;
  const rope = attention.rope === undefined ? undefined : ropes[attention.rope];
  const { nHeads, nKvHeads, headDim } = config;
  const heads = attend(graph, linear(graph, attentionInput, attention.qkv), {
    nHeads,
    nKvHeads,
    headDim,
    layer,
    attention,
    rope,
    mode,
  });
  let attended = linear(graph, heads, [attention.out]);
  if (block.attentionPostNorm) attended = normalise(graph, attended, block.attentionPostNorm);
  const middle = graph.node("Add", [residual, attended]);
  const mlpSource = block.parallel ? residual : middle;
  const mlpInput = block.mlpNorm ? normalise(graph, mlpSource, block.mlpNorm) : mlpSource;
  let moved = multilayer(graph, mlpInput, block.mlp);
  if (block.mlpPostNorm) moved = normalise(graph, moved, block.mlpPostNorm);
  return graph.node("Add", [middle, moved]);
}

function multilayer(graph: GraphBuilder, x: string, { gate, up, down, activation }: Mlp): string {
  if (!gate) return linear(graph, activate(graph, linear(graph, x, [up]), activation), [down]);
  const gates = activate(graph, linear(graph, x, [gate]), activation);
  return linear(graph, graph.node("Mul", [gates, linear(graph, x, [up])]), [down]);
}
