// Which rows make up the batch of a step: a two-level keyed shuffle, stratified by dataset, a pure function of the step.
//
// The included rows of a dataset, in store order, are cut into blocks. An epoch permutes the blocks; every few blocks in
// that order form a window, and rows are permuted inside their window. So a window is all that must be in memory, its
// blocks are read in sequence, and any step can be named and replayed. sampler-reference.ts is the obvious twin.
// Rows are dealt to batches so that each dataset has its share of every batch (to within a row or two). An epoch is
// floor(nRows / batchRows) steps: the last nRows mod batchRows places of an epoch's order are dropped, other rows each time.

import { ConfigError } from "../errors.ts";
import { createRng, keyedPermutation, type Rng } from "../numerics/rng.ts";
import type { RowTable } from "./rows.ts";

export const DEFAULT_BLOCK_ROWS = 4096;
export const DEFAULT_WINDOW_BLOCKS = 32;

export interface SamplerOptions {
  rows: RowTable;
  /** Asked for every row once here and again whenever a window is entered: must stay the same. */
  include: (row: number) => boolean;
  batchRows: number;
  /** Safe non-negative integer. */
  seed: number;
  /** Included rows a block. Default 4096. */
  blockRows?: number;
  /** Blocks in memory at a time, all datasets together. Default 32. */
  windowBlocks?: number;
}

/** The part of a batch that comes from one window. */
export interface BatchPart {
  window: SampleWindow;
  /** Indices into the window's rows, in batch order. */
  places: Uint32Array;
}

/** Rows that are shuffled together. */
export interface SampleWindow {
  /** The same key always has the same rows. */
  key: string;
  /** Row indices of the store, ascending. */
  rows: Uint32Array;
  /** The window that comes after this one in its dataset, made when called; undefined when it is this same one. */
  next: () => SampleWindow | undefined;
}

export interface Sampler {
  /** Rows that pass the filter. */
  nRows: number;
  batchRows: number;
  stepsPerEpoch: number;
  /** Row indices of a step's batch, batchRows long, grouped by dataset. Any step ≥ 0, in any order. */
  batch(step: number): Uint32Array;
  /** The same batch as places in windows, for a reader that holds windows. */
  parts(step: number): BatchPart[];
}

/** Throws ConfigError when fewer rows pass the filter than a batch needs. */
export function createSampler(options: SamplerOptions): Sampler {
  const { rows, include, batchRows, seed } = options;
  const blockRows = options.blockRows ?? DEFAULT_BLOCK_ROWS;
  const windowBlocks = options.windowBlocks ?? DEFAULT_WINDOW_BLOCKS;
  const indexed = indexStrata(rows, { include, blockRows });
  const nRows = indexed.reduce((sum, { nRows }) => sum + nRows, 0);
  if (!(Number.isInteger(batchRows) && batchRows > 0 && batchRows <= nRows)) {
    throw new ConfigError(
      `batch rows: expected 1 to ${nRows} (the rows there are to train on), got ${batchRows}`,
      {
        hint: "lower the batch size or give more text",
      },
    );
  }
  const strata = indexed.map((stratum) =>
    createStratum(stratum, {
      rows,
      include,
      blockRows,
      windowBlocks: Math.max(1, Math.round((windowBlocks * stratum.nRows) / nRows)),
      rng: createRng(seed, `sampler.${stratum.dataset}`),
    }),
  );
  const stepsPerEpoch = Math.floor(nRows / batchRows);
  const dealt = dealBatches(
    indexed.map(({ nRows }) => nRows),
    { batchRows, stepsPerEpoch },
  );
  const parts = (step: number): BatchPart[] => {
    const epoch = Math.floor(step / stepsPerEpoch);
    const inEpoch = step % stepsPerEpoch;
    return strata.flatMap((stratum, d) => {
      const [from, to] = [dealt[inEpoch * strata.length + d], dealt[(inEpoch + 1) * strata.length + d]];
      return stratum.slice(epoch, from, to);
    });
  };
  return {
    nRows,
    batchRows,
    stepsPerEpoch,
    parts,
    batch: (step) => {
      const batch = new Uint32Array(batchRows);
      let at = 0;
      for (const { window, places } of parts(step)) {
        for (const place of places) {
          batch[at] = window.rows[place];
          at += 1;
        }
      }
      return batch;
    },
  };
}

/**
 * How many rows each stratum has given before each step of an epoch: [(stepsPerEpoch + 1) × nStrata].
 * Every place of the epoch goes to the stratum furthest behind its share, the first of equals.
 */
export function dealBatches(
  sizes: number[],
  { batchRows, stepsPerEpoch }: { batchRows: number; stepsPerEpoch: number },
): Uint32Array {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const given = sizes.map(() => 0);
  const table = new Uint32Array((stepsPerEpoch + 1) * sizes.length);
  for (let place = 1; place <= stepsPerEpoch * batchRows; place += 1) {
    let most = 0;
    let mostBehind = Number.NEGATIVE_INFINITY;
    for (let d = 0; d < sizes.length; d += 1) {
      const behind = place * sizes[d] - given[d] * total;
      if (given[d] < sizes[d] && behind > mostBehind) [most, mostBehind] = [d, behind];
    }
    given[most] += 1;
    if (place % batchRows === 0) table.set(given, (place / batchRows) * sizes.length);
  }
  return table;
}

interface IndexedStratum {
  dataset: number;
  nRows: number;
  /** Store row of the first included row of each block. */
  blockStarts: number[];
}

/** One pass over the rows; keeps a number a block, not a number a row. Datasets without included rows are left out. */
function indexStrata(
  rows: RowTable,
  { include, blockRows }: { include: (row: number) => boolean; blockRows: number },
): IndexedStratum[] {
  const byDataset = new Map<number, IndexedStratum>();
  for (let row = 0; row < rows.nRows; row += 1) {
    if (!include(row)) continue;
    const dataset = rows.dataset[row];
    let stratum = byDataset.get(dataset);
    if (!stratum) {
      stratum = { dataset, nRows: 0, blockStarts: [] };
      byDataset.set(dataset, stratum);
    }
    if (stratum.nRows % blockRows === 0) stratum.blockStarts.push(row);
    stratum.nRows += 1;
  }
  return [...byDataset.values()].sort((a, b) => a.dataset - b.dataset);
}

interface StratumOptions {
  rows: RowTable;
  include: (row: number) => boolean;
  blockRows: number;
  windowBlocks: number;
  rng: Rng;
}

interface Stratum {
  /** Places [from, to) of the stratum's order in an epoch. */
  slice(epoch: number, from: number, to: number): BatchPart[];
}

/** The windows of one epoch of a stratum. */
interface EpochOrder {
  epoch: number;
  /** Block ids, in this epoch's order. */
  blocks: Uint32Array;
  /** First place of each window, and at the end nRows. */
  windowStarts: number[];
}

function createStratum(
  { dataset, nRows, blockStarts }: IndexedStratum,
  { rows, include, blockRows, windowBlocks, rng }: StratumOptions,
): Stratum {
  const nBlocks = blockStarts.length;
  const nWindows = Math.ceil(nBlocks / windowBlocks);
  const sizeOf = (block: number): number => (block === nBlocks - 1 ? nRows - block * blockRows : blockRows);

  const orders = createRecent<EpochOrder>(2);
  const orderOf = (epoch: number): EpochOrder =>
    orders(`${epoch}`, () => {
      const permute = keyedPermutation(rng, epoch, nBlocks);
      const blocks = Uint32Array.from({ length: nBlocks }, (_, i) => permute(i));
      const windowStarts = [0];
      for (let w = 0; w < nWindows; w += 1) {
        const inWindow = blocks.subarray(w * windowBlocks, (w + 1) * windowBlocks);
        windowStarts.push(windowStarts[w] + inWindow.reduce((sum, block) => sum + sizeOf(block), 0));
      }
      return { epoch, blocks, windowStarts };
    });

  const windows = createRecent<SampleWindow>(3);
  const windowOf = (epoch: number, w: number): SampleWindow => {
    // A stratum that fits into one window has the same rows there in every epoch.
    const key = nWindows === 1 ? `${dataset}` : `${dataset}/${epoch}/${w}`;
    return windows(key, () => {
      const blocks = orderOf(epoch)
        .blocks.slice(w * windowBlocks, (w + 1) * windowBlocks)
        .sort();
      const windowRows = concatenate([...blocks].map(rowsOfBlock));
      const next = w + 1 < nWindows ? ([epoch, w + 1] as const) : ([epoch + 1, 0] as const);
      return { key, rows: windowRows, next: () => (nWindows === 1 ? undefined : windowOf(...next)) };
    });
  };

  const rowsOfBlock = (block: number): Uint32Array => {
    const found = new Uint32Array(sizeOf(block));
    for (let row = blockStarts[block], n = 0; n < found.length; row += 1) {
      if (rows.dataset[row] !== dataset || !include(row)) continue;
      found[n] = row;
      n += 1;
    }
    return found;
  };

  return {
    slice(epoch, from, to) {
      const { windowStarts } = orderOf(epoch);
      const parts: BatchPart[] = [];
      for (let w = 0; w < nWindows; w += 1) {
        const [start, end] = [Math.max(from, windowStarts[w]), Math.min(to, windowStarts[w + 1])];
        if (start >= end) continue;
        const window = windowOf(epoch, w);
        // Purposes share a generator: orders of blocks draw at steps from 0, of rows at steps from 2^40.
        const permute = keyedPermutation(rng, 2 ** 40 + epoch * nWindows + w, window.rows.length);
        const places = Uint32Array.from({ length: end - start }, (_, i) =>
          permute(start + i - windowStarts[w]),
        );
        parts.push({ window, places });
      }
      return parts;
    },
  };
}

function concatenate(parts: Uint32Array[]): Uint32Array {
  const whole = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Keeps the last few values by key; what fell out is made again, equal. */
function createRecent<T>(limit: number): (key: string, make: () => T) => T {
  const kept = new Map<string, T>();
  return (key, make) => {
    const value = kept.get(key) ?? make();
    kept.delete(key);
    kept.set(key, value);
    for (const oldest of kept.keys()) {
      if (kept.size <= limit) break;
      kept.delete(oldest);
    }
    return value;
  };
}
