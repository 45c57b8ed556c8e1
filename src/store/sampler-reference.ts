// The sampler as one would explain it: a whole epoch's order written out in memory. Slow; tests hold keyed-sampler.ts to it.
//
// Shares only the keyed permutation with the fast one, and none of its bookkeeping.

import { createRng, keyedPermutation } from "../numerics/rng.ts";
import { DEFAULT_BLOCK_ROWS, DEFAULT_WINDOW_BLOCKS, type SamplerOptions } from "./keyed-sampler.ts";

/** All batches of one epoch, in step order. */
export function referenceEpoch(options: SamplerOptions, epoch: number): Uint32Array[] {
  const { rows, include, batchRows, seed } = options;
  const { blockRows = DEFAULT_BLOCK_ROWS, windowBlocks = DEFAULT_WINDOW_BLOCKS } = options;
  const all = Array.from({ length: rows.nRows }, (_, row) => row).filter(include);
  const datasets = [...new Set(all.map((row) => rows.dataset[row]))].sort((a, b) => a - b);

  const queues = datasets.map((dataset) => {
    const own = all.filter((row) => rows.dataset[row] === dataset);
    const rng = createRng(seed, `sampler.${dataset}`);
    const blocks = shuffle(chunks(own, blockRows), (n) => keyedPermutation(rng, epoch, n));
    const windows = chunks(blocks, Math.max(1, Math.round((windowBlocks * own.length) / all.length)));
    return windows.flatMap((window, w) => {
      const windowRows = window.flat().sort((a, b) => a - b);
      return shuffle(windowRows, (n) => keyedPermutation(rng, 2 ** 40 + epoch * windows.length + w, n));
    });
  });

  const given = datasets.map(() => 0);
  const dealt: { row: number; dataset: number }[] = [];
  while (dealt.length < all.length) {
    const behind = queues.map((queue, d) =>
      given[d] < queue.length
        ? (dealt.length + 1) * queue.length - given[d] * all.length
        : Number.NEGATIVE_INFINITY,
    );
    const d = behind.indexOf(Math.max(...behind));
    dealt.push({ row: queues[d][given[d]], dataset: d });
    given[d] += 1;
  }
  return chunks(dealt, batchRows)
    .filter((batch) => batch.length === batchRows)
    .map((batch) => {
      const grouped = datasets.flatMap((_, d) => batch.filter(({ dataset }) => dataset === d));
      return Uint32Array.from(grouped, ({ row }) => row);
    });
}

function chunks<T>(values: T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < values.length; i += size) parts.push(values.slice(i, i + size));
  return parts;
}

/** New order: place i gets the value at permutation(i). */
function shuffle<T>(values: T[], permutation: (n: number) => (i: number) => number): T[] {
  const permute = permutation(values.length);
  return values.map((_, i) => values[permute(i)]);
}
