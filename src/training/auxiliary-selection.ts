// Which dead latents take part in the auxiliary loss: in each row the auxLatents of largest activation.
//
// Twin of auxiliaryCodes in loss.ts, over lists instead of dense rows.

import type { CodeBuffers, Kernels } from "../compute/kernels.ts";

export interface AuxiliarySelectionOptions {
  kernels: Kernels;
  /** [nRows, nLatents] pre-activations. */
  pre: Float32Array;
  /** [nLatents] W. */
  weight: Float32Array;
  nRows: number;
  nLatents: number;
  /** [nLatents] of 0 and 1. */
  isDead: Uint8Array;
  auxLatents: number;
  /** Scratch of the kernels' arena, [nLatents]. */
  scores: Float32Array;
  /** Receives the lists; capacity at least nRows · auxLatents. */
  out: CodeBuffers;
}

/** Returns the number of entries. Ties at the last place go to the lowest latent. */
export function auxiliarySelection(options: AuxiliarySelectionOptions): number {
  const { kernels, pre, weight, nRows, nLatents, isDead, auxLatents, scores, out } = options;
  const dead = Uint32Array.from({ length: nLatents }, (_, j) => j).filter((j) => isDead[j] === 1);
  const positive = new Uint32Array(dead.length);
  let count = 0;
  for (let row = 0; row < nRows; row += 1) {
    out.rowStart[row] = count;
    const start = row * nLatents;
    let found = 0;
    for (const j of dead) {
      const code = pre[start + j];
      if (!(code > 0)) continue;
      scores[found] = code * weight[j];
      if (scores[found] > 0) positive[found++] = j;
    }
    let cut = { value: 0, ties: 0 };
    if (found > auxLatents) cut = kernels.kthLargest(scores, found, auxLatents);
    for (let i = 0; i < found; i += 1) {
      if (scores[i] < cut.value) continue;
      if (scores[i] === cut.value) {
        if (cut.ties === 0) continue;
        cut.ties -= 1;
      }
      out.latent[count] = positive[i];
      out.code[count] = pre[start + positive[i]];
      count += 1;
    }
  }
  out.rowStart[nRows] = count;
  return count;
}
