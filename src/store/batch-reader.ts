// Activations of a sampler's batches: whole windows are read in sequence and held, batches are gathered from memory.
//
// The window after the one in use is read ahead. Memory: the windows in use and the next ones, windowBlocks × blockRows
// rows each way, [rows, width] f32. A store whose included rows fit into one window is read once and for all.

import type { Sampler, SampleWindow } from "./keyed-sampler.ts";
import type { Store } from "./store-contract.ts";

export interface BatchReader {
  /** Activations of sampler.batch(step), row for row: [batchRows, width] f32 raw, a fresh array. Any step, any order. */
  batch(step: number): Promise<Float32Array>;
}

/** Rows that are not wanted but lie between wanted ones are read along when at most this many. */
const MAX_GAP_ROWS = 16;
/** Rows a single read asks for at most: bounds the scratch memory. */
const MAX_RUN_ROWS = 4096;

export function createBatchReader({ store, sampler }: { store: Store; sampler: Sampler }): BatchReader {
  const { width } = store;
  const held = new Map<string, Promise<Float32Array>>();
  const load = (window: SampleWindow): Promise<Float32Array> => {
    let data = held.get(window.key);
    if (!data) {
      data = readWindow(store, window.rows);
      data.catch(() => held.delete(window.key)); // Whoever awaits it sees the error; another try reads again.
      held.set(window.key, data);
    }
    return data;
  };
  return {
    async batch(step) {
      const parts = sampler.parts(step);
      const batch = new Float32Array(sampler.batchRows * width);
      const loading = parts.map(({ window }) => load(window));
      const ahead = parts.map(({ window }) => window.next()).filter((window) => window !== undefined);
      const wanted = new Set([...parts.map(({ window }) => window.key), ...ahead.map(({ key }) => key)]);
      for (const key of held.keys()) if (!wanted.has(key)) held.delete(key);
      let at = 0;
      for (const [i, { places }] of parts.entries()) {
        const data = await loading[i];
        for (const place of places) {
          batch.set(data.subarray(place * width, (place + 1) * width), at * width);
          at += 1;
        }
      }
      for (const window of ahead) load(window).catch(() => {}); // Started only now: what is needed first is read first.
      return batch;
    },
  };
}

/** Activations of the given rows (ascending): [rows.length, width]. */
async function readWindow(store: Store, rows: Uint32Array): Promise<Float32Array> {
  const { width } = store;
  const data = new Float32Array(rows.length * width);
  for (let i = 0; i < rows.length; ) {
    let end = i + 1;
    while (
      end < rows.length &&
      rows[end] - rows[end - 1] <= MAX_GAP_ROWS + 1 &&
      rows[end] - rows[i] < MAX_RUN_ROWS
    ) {
      end += 1;
    }
    const first = rows[i];
    if (rows[end - 1] - first === end - 1 - i) {
      await store.read(first, rows[end - 1] + 1, data.subarray(i * width, end * width));
    } else {
      const run = await store.read(first, rows[end - 1] + 1);
      for (let j = i; j < end; j += 1) {
        data.set(run.subarray((rows[j] - first) * width, (rows[j] - first + 1) * width), j * width);
      }
    }
    i = end;
  }
  return data;
}
