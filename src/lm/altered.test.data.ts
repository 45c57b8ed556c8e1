// Deliberately wrong architectures: one thing of a right one changed everywhere, for comparisons that must then fail.

import type { Architecture, Attention, Block, Norm } from "./architecture.ts";
import type { RopeConfig } from "./rope.ts";

export function withBlocks(
  architecture: Architecture,
  change: (block: Block, layer: number) => Block,
): Architecture {
  return { ...architecture, block: (layer) => change(architecture.block(layer), layer) };
}

export function withAttention(
  architecture: Architecture,
  change: (attention: Attention) => Partial<Attention>,
): Architecture {
  return withBlocks(architecture, (block) => ({
    ...block,
    attention: { ...block.attention, ...change(block.attention) },
  }));
}

/** Every norm of blocks, heads and end. */
export function withNorms(architecture: Architecture, change: (norm: Norm) => Norm): Architecture {
  const apply = (norm: Norm | undefined): Norm | undefined => norm && change(norm);
  const changed = withBlocks(architecture, (block) => {
    const { qkNorm } = block.attention;
    return {
      ...block,
      attentionNorm: apply(block.attentionNorm),
      attentionPostNorm: apply(block.attentionPostNorm),
      mlpNorm: apply(block.mlpNorm),
      mlpPostNorm: apply(block.mlpPostNorm),
      attention: {
        ...block.attention,
        qkNorm: qkNorm && { ...qkNorm, q: change(qkNorm.q), k: change(qkNorm.k) },
      },
    };
  });
  return { ...changed, finalNorm: change(architecture.finalNorm) };
}

export function withRopes(
  architecture: Architecture,
  change: (rope: RopeConfig) => RopeConfig,
): Architecture {
  const ropes = Object.entries(architecture.ropes).map(([name, rope]) => [name, change(rope)]);
  return { ...architecture, ropes: Object.fromEntries(ropes) };
}
