// Chosen rows of a store in ascending order, read in long stretches and packed a batch at a time.
//
// For passes that look at rows once (fitting, calibrating). Training batches are random: store/sampler.ts.

import { throwIfInterrupted } from "../errors.ts";
import { ROLES, SPLITS, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";

/** Rows of a split without BOS, ascending. */
export function rowsOfSplit(store: Store, split: Split): Uint32Array {
  const { nRows, split: splitOf, role } = store.rows;
  const wanted = SPLITS.indexOf(split);
  const bos = ROLES.indexOf("bos");
  return Uint32Array.from({ length: nRows }, (_, row) => row).filter(
    (row) => splitOf[row] === wanted && role[row] !== bos,
  );
}

/** Neighbours kept together when rows are sampled, so that reading them stays cheap. */
const CHUNK_ROWS = 64;

/** At most `most` of the ascending rows, in chunks of neighbours spread evenly over all of them; ascending, each once. */
export function spreadSample(rows: Uint32Array, most: number): Uint32Array {
  if (rows.length <= most) return rows;
  const nChunks = Math.ceil(most / CHUNK_ROWS);
  const sample = new Uint32Array(most);
  for (let chunk = 0; chunk < nChunks; chunk += 1) {
    const start = chunk * CHUNK_ROWS;
    const size = Math.min(CHUNK_ROWS, most - start);
    // The rows that are left out lie between the chunks.
    const leftOut = Math.floor((chunk * (rows.length - most)) / Math.max(1, nChunks - 1));
    sample.set(rows.subarray(start + leftOut, start + leftOut + size), start);
  }
  return sample;
}

/** Valid until the next batch is asked for. */
export interface RowBatch {
  nRows: number;
  /** [nRows] index into the store's rows. */
  rows: Uint32Array;
  /** [nRows, width] f32 raw activation units; the caller may overwrite it. */
  x: Float32Array;
}

/** A gap of up to this many unwanted rows is read through rather than around. */
const LARGEST_GAP_ROWS = 16;

/** rows: ascending. Every batch but the last has batchRows rows. Throws InterruptedError between batches. */
export async function* rowBatches({
  store,
  rows,
  batchRows,
  signal,
}: {
  store: Store;
  rows: Uint32Array;
  batchRows: number;
  signal?: AbortSignal;
}): AsyncGenerator<RowBatch> {
  const { width } = store;
  const x = new Float32Array(batchRows * width);
  for (let first = 0; first < rows.length; first += batchRows) {
    throwIfInterrupted(signal);
    const wanted = rows.subarray(first, first + batchRows);
    for (let from = 0; from < wanted.length; ) {
      let to = from + 1;
      while (to < wanted.length && wanted[to] - wanted[to - 1] <= LARGEST_GAP_ROWS) to += 1;
      const stretch = await store.read(wanted[from], wanted[to - 1] + 1);
      for (let i = from; i < to; i += 1) {
        const at = (wanted[i] - wanted[from]) * width;
        x.set(stretch.subarray(at, at + width), i * width);
      }
      from = to;
    }
    yield { nRows: wanted.length, rows: wanted, x: x.subarray(0, wanted.length * width) };
  }
}
