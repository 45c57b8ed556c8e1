// Causal attention as onnxruntime runs it, with or without the keys and values of earlier rows.
//
// GroupQueryAttention (com.microsoft) does rotation, grouped heads, causal mask, window, scale and soft-cap in one node;
// its CPU kernel wants head widths of a multiple of 8, and for rotation of 16 with tables of a multiple of 8 columns.
// Elsewhere rotation is a node of its own, and below that ONNX Attention-23, which knows no window; what neither does is
// spelled out in attention-by-hand.ts. Every block of real rows is exact under right padding without a pad mask, because
// attention is causal. A cached graph takes past keys and values [batch, nKvHeads, keys, headDim] and gives present ones:
// GroupQueryAttention writes the new row of each sequence behind that sequence's own last, whatever its batch-mates' lengths.

import type { Architecture, Attention, HeadLayout, Norm } from "./architecture.ts";
import { attendByHand, type CacheNames } from "./attention-by-hand.ts";
import type { ExecutionDevice } from "./device.ts";
import type { GraphBuilder } from "./graph-builder.ts";
import { normalise, split } from "./ops.ts";
import type { RopeConfig } from "./rope.ts";

/** How a graph is to be run. */
export interface ForwardMode {
  /** Keys and values of earlier rows come in and go out. */
  cached: boolean;
  /** Attention spelled out; see needsByHand. */
  byHand: boolean;
}

export interface AttentionOptions extends HeadLayout {
  layer: number;
  attention: Attention;
  /** Angles of attention.rope. */
  rope: RopeConfig | undefined;
  mode: ForwardMode;
}

/** Whether the fused nodes cannot do what this architecture asks of the device. All blocks then share one cache layout. */
export function needsByHand(
  { config, block }: Architecture,
  { cached, device }: { cached: boolean; device: ExecutionDevice },
): boolean {
  if (!isFusedWidth(config.headDim)) return cached || device !== "cpu";
  if (device !== "webgpu") return false;
  return Array.from({ length: config.nLayers }, (_, layer) => block(layer)).some(
    ({ attention }) => attention.softCap !== undefined,
  );
}

/** Names of a block's cached keys and values, fed and returned. */
export function cacheNames(layer: number): CacheNames {
  return {
    pastKey: `pastKey${layer}`,
    pastValue: `pastValue${layer}`,
    presentKey: `presentKey${layer}`,
    presentValue: `presentValue${layer}`,
  };
}

/** Widths whose heads GroupQueryAttention takes; windows and soft-caps need one of them. */
export function isFusedWidth(headDim: number): boolean {
  return headDim % 8 === 0;
}

/**
 * softmax(scale·q·kᵀ, capped, masked)·v with positions 0 … length − 1.
 *
 * qkv: [batch, length, (nHeads + 2·nKvHeads)·headDim], q | k | v. Returns [batch, length, nHeads·headDim].
 */
export function attend(graph: GraphBuilder, qkv: string, options: AttentionOptions): string {
  const { nHeads, nKvHeads, headDim, attention, rope, mode } = options;
  const { qkNorm, scale } = attention;
  const tables =
    rope && attention.rope !== undefined ? rotaryTables(graph, attention.rope, { rope, mode }) : undefined;
  const canRotateInside = !mode.byHand && headDim % 16 === 0 && (!rope || (rope.dim / 2) % 8 === 0);
  const isPacked = !qkNorm && (!rope || canRotateInside) && isFusedWidth(headDim) && !mode.byHand;

  let [q, k, v] = [qkv, "", ""];
  if (!isPacked) {
    [q, k, v] = split(graph, qkv, [nHeads * headDim, nKvHeads * headDim, nKvHeads * headDim]);
    if (qkNorm) {
      const isPerHead = qkNorm.over === "head";
      q = isPerHead
        ? normaliseHeads(graph, q, { norm: qkNorm.q, nHeads, headDim })
        : normalise(graph, q, qkNorm.q);
      k = isPerHead
        ? normaliseHeads(graph, k, { norm: qkNorm.k, nHeads: nKvHeads, headDim })
        : normalise(graph, k, qkNorm.k);
    }
    if (rope && tables && !canRotateInside) {
      q = rotate(graph, q, { nHeads, rope, tables, mode });
      k = rotate(graph, k, { nHeads: nKvHeads, rope, tables, mode });
    }
  }
  const cache = mode.cached ? cacheValues(graph, options) : undefined;
  if (mode.byHand) return attendByHand(graph, { q, k, v }, { ...options, cache });
  if (!isFusedWidth(headDim)) {
    return graph.node("Attention", [q, k, v], {
      attributes: {
        q_num_heads: { int: nHeads },
        kv_num_heads: { int: nKvHeads },
        is_causal: { int: 1 },
        scale: { float: scale },
      },
    });
  }
  const lastKey = graph.input({ name: "lastKey", dtype: "int32", shape: ["batch"] });
  const totalLength = graph.input({ name: "totalLength", dtype: "int32", shape: [] });
  const rotatesInside = tables !== undefined && canRotateInside;
  const past = cache ? [cache.pastKey, cache.pastValue] : ["", ""];
  const inputs = [q, k, v, ...past, lastKey, totalLength, ...(rotatesInside ? [tables.cos, tables.sin] : [])];
  return graph.node("GroupQueryAttention", inputs, {
    domain: "com.microsoft",
    ...(cache ? { outputs: [`attended${options.layer}`, cache.presentKey, cache.presentValue] } : {}),
    attributes: {
      num_heads: { int: nHeads },
      kv_num_heads: { int: nKvHeads },
      scale: { float: scale },
      do_rotary: { int: rotatesInside ? 1 : 0 },
      ...(rotatesInside ? { rotary_interleaved: { int: 0 } } : {}),
      ...(attention.softCap === undefined ? {} : { softcap: { float: attention.softCap } }),
      ...(attention.window === undefined ? {} : { local_window_size: { int: attention.window } }),
    },
  });
}

/** Declares a block's cache as fed and returned values. */
function cacheValues(
  graph: GraphBuilder,
  { layer, nKvHeads, headDim }: Pick<AttentionOptions, "layer" | "nKvHeads" | "headDim">,
): CacheNames {
  const names = cacheNames(layer);
  for (const name of [names.pastKey, names.pastValue]) {
    graph.input({ name, dtype: "float32", shape: ["batch", nKvHeads, "pastKeys", headDim] });
  }
  for (const name of [names.presentKey, names.presentValue]) {
    graph.output({ name, dtype: "float32", shape: ["batch", nKvHeads, "keys", headDim] });
  }
  return names;
}

interface TableNames {
  cos: string;
  sin: string;
}

/** Names of the fed tables of a rope; see createShapeFeeds in batch.ts. */
export function rotaryFeedNames(rope: string): TableNames {
  return { cos: `rotaryCos.${rope}`, sin: `rotarySin.${rope}` };
}

function rotaryTables(
  graph: GraphBuilder,
  name: string,
  { rope, mode }: { rope: RopeConfig; mode: ForwardMode },
): TableNames {
  const { cos, sin } = rotaryFeedNames(name);
  const rows = mode.cached ? "tableRows" : "length";
  const table = (feed: string): string =>
    graph.input({ name: feed, dtype: "float32", shape: [rows, rope.dim / 2] });
  return { cos: table(cos), sin: table(sin) };
}

/** Each head by itself: [batch, length, nHeads·headDim] → the same. */
function normaliseHeads(
  graph: GraphBuilder,
  x: string,
  { norm, nHeads, headDim }: { norm: Norm; nHeads: number; headDim: number },
): string {
  const heads = graph.node("Reshape", [x, graph.int64([0, 0, nHeads, headDim])]);
  return graph.node("Reshape", [normalise(graph, heads, norm), graph.int64([0, 0, nHeads * headDim])]);
}

/** Pairs (i, i + dim/2) of the first dim coordinates of every head. */
function rotate(
  graph: GraphBuilder,
  x: string,
  { nHeads, rope, tables, mode }: { nHeads: number; rope: RopeConfig; tables: TableNames; mode: ForwardMode },
): string {
  const positions = mode.cached
    ? graph.input({ name: "rotaryPositions", dtype: "int64", shape: ["batch", "length"] })
    : graph.int64([0]);
  return graph.node("RotaryEmbedding", [x, positions, tables.cos, tables.sin], {
    domain: "com.microsoft",
    attributes: {
      num_heads: { int: nHeads },
      rotary_embedding_dim: { int: rope.dim },
      interleaved: { int: 0 },
    },
  });
}
