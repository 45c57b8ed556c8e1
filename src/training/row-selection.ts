// The largest activations of each row when the latents lie in several shards: TopK, and the dead latents of the auxiliary loss.
//
// Each shard finds the largest of its own; the row's last place over all shards is then found a bit of an f32 number at a time.
// Ties go to the lowest latent, so that the number of shards cannot matter. Twin: selectTopKReference in dictionary/select.ts.

import { type Collective, gatherNumbers } from "../compute/collective.ts";
import type { Entries, TiledRows } from "../compute/kernels.ts";
import type { ShardMemory } from "./shard-memory.ts";

export interface TopOfRowsOptions {
  memory: ShardMemory;
  tiles: TiledRows;
  collective: Collective;
  entries: Entries;
  /** The first nList of memory.latentList take part. */
  nList: number;
  /** How many to keep of each row over all shards. */
  most: number;
}

/** Leaves this shard's share of each row's `most` largest activations in `entries`, in row order. Returns their number. */
export async function selectTopOfRows(options: TopOfRowsOptions): Promise<number> {
  const { memory, tiles, collective, entries, nList, most } = options;
  const { kernels, latentList: list, score, place } = memory;
  const rowStart = kernelRowStart(options);
  let count = 0;
  for (let row = 0; row < tiles.nRows; row += 1) {
    rowStart[row] = count;
    count = kernels.topOfRow(tiles, { row, list, nList, most, score, place, entries, count });
  }
  rowStart[tiles.nRows] = count;
  const total = await gatherNumbers(collective, nList);
  if (total.reduce((a, b) => a + b, 0) <= most || collective.size === 1) return count;
  return cutRowsOverShards(options, rowStart);
}

/** Group borders are rebuilt from the final entries later, so theirs is free to be used here. */
function kernelRowStart({ memory, entries }: TopOfRowsOptions): Uint32Array {
  return entries === memory.auxiliary.entries ? memory.auxiliary.byRow.start : memory.kept.byRow.start;
}

async function cutRowsOverShards(options: TopOfRowsOptions, rowStart: Uint32Array): Promise<number> {
  const { memory, collective, entries, most } = options;
  const { nRows } = options.tiles;
  const { kernels } = memory;
  const bound = memory.rowBound.subarray(0, nRows);
  const bits = new Uint32Array(bound.buffer, bound.byteOffset, nRows);
  /** Over all shards, how many entries of each row are ≥ bound. */
  const countAll = async (own?: Float32Array): Promise<Float32Array> => {
    const out = memory.rowCount.subarray(0, nRows);
    kernels.countAtLeast(rowStart, { activation: entries.activation, nRows, bound, out });
    own?.set(out);
    const counts = out.slice();
    await collective.allReduce(counts);
    return counts;
  };

  bits.fill(0);
  for (let bit = 30; bit >= 0; bit -= 1) {
    for (let row = 0; row < nRows; row += 1) bits[row] |= 1 << bit;
    const counts = await countAll();
    for (let row = 0; row < nRows; row += 1) if (counts[row] < most) bits[row] &= ~(1 << bit);
  }
  // Now bound is each row's `most`-th largest activation; 0 where there are fewer.
  const ownAtLeast = new Float32Array(nRows);
  await countAll(ownAtLeast);
  const limits = bound.slice();
  for (let row = 0; row < nRows; row += 1) bits[row] += 1;
  const ownAbove = new Float32Array(nRows);
  const above = await countAll(ownAbove);
  const tied = new Float32Array(collective.size * nRows);
  for (let row = 0; row < nRows; row += 1)
    tied[collective.rank * nRows + row] = ownAtLeast[row] - ownAbove[row];
  await collective.allReduce(tied);

  let kept = 0;
  for (let row = 0; row < nRows; row += 1) {
    let before = 0;
    for (let rank = 0; rank < collective.rank; rank += 1) before += tied[rank * nRows + row];
    let ties = limits[row] === 0 ? Number.POSITIVE_INFINITY : most - above[row] - before;
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
      const v = entries.activation[entry];
      if (v < limits[row]) continue;
      if (v === limits[row] && ties-- <= 0) continue;
      for (const array of [entries.row, entries.latent, entries.code, entries.activation]) {
        array[kept] = array[entry];
      }
      kept += 1;
    }
  }
  return kept;
}
