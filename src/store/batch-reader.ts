// Activations of a sampler's batches: whole windows are read in sequence and held, batches are gathered from memory.
//
// The window after the one in use is read ahead. Memory: the windows in use and the next ones, windowBlocks × blockRows
// rows each way, in bf16 as they are stored when all sites are, else in f32. A store whose included rows fit into one window is
// read once and for all. On a machine of few cores this work is taken from the shards, so values are touched as seldom as can be:
// read as bytes, and once more when a batch takes them.

import type { Sampler, SampleWindow } from "./keyed-sampler.ts";
import type { Store } from "./store-contract.ts";

export interface BatchReader {
  /** Activations of sampler.batch(step), row for row: [batchRows, width] f32 raw, a fresh array. Any step, any order. */
  batch(step: number): Promise<Float32Array>;
  /** The same for each of `copies` into the array of that place in `targets`, [batchRows, width] each. */
  batches(step: number, copies: readonly CopyRow[], targets: readonly Float32Array[]): Promise<void>;
}

/** Copies the row of raw activations at `from` of source to `to` of target, or changes it on the way. */
export type CopyRow = (source: Float32Array, from: number, target: Float32Array, to: number) => void;

/** Rows that are not wanted but lie between wanted ones are read along when at most this many. */
const MAX_GAP_ROWS = 16;
/** Rows a single read asks for at most: bounds the scratch memory. */
const MAX_RUN_ROWS = 4096;

/** Rows of a window, from which one is taken. */
interface WindowRows {
  /** The array and the place in it where row `place` of the window stands as f32 [width], until the next call. */
  row(place: number): { source: Float32Array; from: number };
}

export function createBatchReader({ store, sampler }: { store: Store; sampler: Sampler }): BatchReader {
  const { width } = store;
  const held = new Map<string, Promise<WindowRows>>();
  const load = (window: SampleWindow): Promise<WindowRows> => {
    let data = held.get(window.key);
    if (!data) {
      data = store.readBits ? readBitsWindow(store, window.rows) : readWindow(store, window.rows);
      data.catch(() => held.delete(window.key)); // Whoever awaits it sees the error; another try reads again.
      held.set(window.key, data);
    }
    return data;
  };
  const copyRaw: CopyRow = (source, from, target, to) => {
    target.set(source.subarray(from, from + width), to);
  };
  const reader: BatchReader = {
    async batch(step) {
      const target = new Float32Array(sampler.batchRows * width);
      await reader.batches(step, [copyRaw], [target]);
      return target;
    },
    async batches(step, copies, targets) {
      const parts = sampler.parts(step);
      const loading = parts.map(({ window }) => load(window));
      const ahead = parts.map(({ window }) => window.next()).filter((window) => window !== undefined);
      const wanted = new Set([...parts.map(({ window }) => window.key), ...ahead.map(({ key }) => key)]);
      for (const key of held.keys()) if (!wanted.has(key)) held.delete(key);
      let at = 0;
      for (const [i, { places }] of parts.entries()) {
        const data = await loading[i];
        for (const place of places) {
          const { source, from } = data.row(place);
          for (let c = 0; c < copies.length; c += 1) copies[c](source, from, targets[c], at * width);
          at += 1;
        }
      }
      for (const window of ahead) load(window).catch(() => {}); // Started only now: what is needed first is read first.
    },
  };
  return reader;
}

async function readWindow(store: Store, rows: Uint32Array): Promise<WindowRows> {
  const { width } = store;
  const data = new Float32Array(rows.length * width);
  await readRuns(rows, async ({ first, end, at, places }) => {
    if (places === undefined) {
      await store.read(first, end, data.subarray(at * width, (at + end - first) * width));
      return;
    }
    const run = await store.read(first, end);
    for (const [i, place] of places.entries()) {
      data.set(run.subarray(place * width, (place + 1) * width), (at + i) * width);
    }
  });
  return { row: (place) => ({ source: data, from: place * width }) };
}

/** The stored bits, a site after another; a row becomes f32 when it is taken. */
async function readBitsWindow(store: Store, rows: Uint32Array): Promise<WindowRows> {
  const readBits = store.readBits as NonNullable<Store["readBits"]>;
  const sites = store.manifest.sites.map(({ width }) => ({
    width,
    bits: new Uint16Array(rows.length * width),
  }));
  for (const [index, { width, bits }] of sites.entries()) {
    await readRuns(rows, async ({ first, end, at, places }) => {
      if (places === undefined) {
        await readBits(index, first, end, bits.subarray(at * width, (at + end - first) * width));
        return;
      }
      const run = new Uint16Array((end - first) * width);
      await readBits(index, first, end, run);
      for (const [i, place] of places.entries()) {
        bits.set(run.subarray(place * width, (place + 1) * width), (at + i) * width);
      }
    });
  }
  const source = new Float32Array(store.width);
  const sourceBits = new Uint32Array(source.buffer);
  return {
    row(place) {
      let to = 0;
      for (const { width, bits } of sites) {
        const from = place * width;
        // A bf16 number is the upper half of its f32.
        for (let i = 0; i < width; i += 1) sourceBits[to + i] = bits[from + i] << 16;
        to += width;
      }
      return { source, from: 0 };
    },
  };
}

/** A stretch of the store that is read at once. */
interface Run {
  /** Store rows [first, end). */
  first: number;
  end: number;
  /** Place in the window of the first of them. */
  at: number;
  /** Which rows of the stretch are wanted, counted from first; undefined: all. */
  places: number[] | undefined;
}

/** Rows ascending. One run after another, so that reading stays sequential. */
async function readRuns(rows: Uint32Array, read: (run: Run) => Promise<void>): Promise<void> {
  for (let i = 0; i < rows.length; ) {
    let next = i + 1;
    while (
      next < rows.length &&
      rows[next] - rows[next - 1] <= MAX_GAP_ROWS + 1 &&
      rows[next] - rows[i] < MAX_RUN_ROWS
    ) {
      next += 1;
    }
    const [first, end] = [rows[i], rows[next - 1] + 1];
    const isWhole = end - first === next - i;
    const places = isWhole ? undefined : Array.from(rows.subarray(i, next), (row) => row - first);
    await read({ first, end, at: i, places });
    i = next;
  }
}
