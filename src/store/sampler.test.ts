import { describe, expect, test } from "vitest";
import { ConfigError } from "../errors.ts";
import type { RowTable } from "./rows.ts";
import { createBatchReader, createSampler, type SamplerOptions } from "./sampler.ts";
import { referenceEpoch } from "./sampler-reference.ts";
import type { Store } from "./store-contract.ts";

/** Only the columns a sampler looks at. */
function tableOf(dataset: number[]): RowTable {
  return { nRows: dataset.length, dataset: Uint8Array.from(dataset) } as RowTable;
}

/** Documents of uneven length from three datasets, mixed; every ninth row is filtered out. */
const mixed = tableOf(
  Array.from({ length: 1237 }, (_, row) => [0, 0, 2, 0, 1, 2, 0][Math.floor(row / 23) % 7]),
);
const include = (row: number): boolean => row % 9 !== 4;
const base: SamplerOptions = { rows: mixed, include, batchRows: 16, seed: 5, blockRows: 32, windowBlocks: 8 };

describe("createSampler", () => {
  test.each<[string, Partial<SamplerOptions>]>([
    ["several windows a dataset", {}],
    ["one window for everything", { windowBlocks: 1000 }],
    ["windows of one block", { windowBlocks: 1 }],
    ["blocks of one row", { blockRows: 1, windowBlocks: 40 }],
    ["default blocks and windows", { blockRows: undefined, windowBlocks: undefined }],
    ["one dataset", { rows: tableOf(new Array(500).fill(3)) }],
    ["a batch of every row", { batchRows: 1100 }],
    ["batches of one row", { batchRows: 1, include: (row) => row % 31 === 0 }],
    [
      "a block that ends exactly with the rows",
      { rows: tableOf(new Array(96).fill(0)), include: () => true },
    ],
  ])("gives the batches of the reference, three epochs long: %s", (_, change) => {
    const options = { ...base, ...change };
    const sampler = createSampler(options);
    for (let epoch = 0; epoch < 3; epoch += 1) {
      const expected = referenceEpoch(options, epoch);
      expect(sampler.stepsPerEpoch).toBe(expected.length);
      for (const [i, batch] of expected.entries()) {
        expect(sampler.batch(epoch * expected.length + i)).toEqual(batch);
      }
    }
  });

  test("every included row comes at most once an epoch, all but the dropped tail do, and no other row", () => {
    const sampler = createSampler(base);
    const wanted = Array.from({ length: mixed.nRows }, (_, row) => row).filter(include);
    expect(sampler.nRows).toBe(wanted.length);
    for (let epoch = 0; epoch < 2; epoch += 1) {
      const seen = new Set<number>();
      for (let i = 0; i < sampler.stepsPerEpoch; i += 1) {
        for (const row of sampler.batch(epoch * sampler.stepsPerEpoch + i)) {
          expect(include(row)).toBe(true);
          seen.add(row);
        }
      }
      expect(seen.size).toBe(Math.floor(wanted.length / 16) * 16);
    }
  });

  test("every batch holds each dataset's share to within two rows", () => {
    const sampler = createSampler({ ...base, batchRows: 64 });
    const share = [0, 0, 0];
    for (let row = 0; row < mixed.nRows; row += 1)
      if (include(row)) share[mixed.dataset[row]] += 1 / sampler.nRows;
    for (let step = 0; step < 2 * sampler.stepsPerEpoch; step += 1) {
      const counts = [0, 0, 0];
      for (const row of sampler.batch(step)) counts[mixed.dataset[row]] += 1;
      for (const d of [0, 1, 2]) expect(Math.abs(counts[d] - 64 * share[d])).toBeLessThanOrEqual(2);
    }
  });

  test("a step's batch is the same asked backwards, again, and of a fresh sampler in mid-epoch", () => {
    const sampler = createSampler(base);
    const steps = Array.from({ length: 3 * sampler.stepsPerEpoch }, (_, step) => step);
    const forward = steps.map((step) => sampler.batch(step));
    expect(
      steps
        .toReversed()
        .map((step) => sampler.batch(step))
        .reverse(),
    ).toEqual(forward);
    for (const step of [1, 17, 68, 69, 150]) expect(createSampler(base).batch(step)).toEqual(forward[step]);
  });

  test("epochs, seeds and windows give different orders", () => {
    const sampler = createSampler(base);
    const another = createSampler({ ...base, seed: 6 });
    expect(sampler.batch(0)).not.toEqual(sampler.batch(sampler.stepsPerEpoch));
    expect(sampler.batch(0)).not.toEqual(another.batch(0));
  });

  test("a window's rows stay together: a batch draws from few blocks when windows are small", () => {
    const one = tableOf(new Array(4096).fill(0));
    const sampler = createSampler({
      rows: one,
      include: () => true,
      batchRows: 64,
      seed: 1,
      blockRows: 64,
      windowBlocks: 4,
    });
    for (let step = 0; step < sampler.stepsPerEpoch; step += 1) {
      const blocks = new Set([...sampler.batch(step)].map((row) => Math.floor(row / 64)));
      expect(blocks.size).toBeLessThanOrEqual(4);
      expect(blocks.size).toBeGreaterThan(1); // Mixed, not block after block.
    }
  });

  test("fewer rows than a batch needs is refused with both numbers", () => {
    expect(() => createSampler({ ...base, batchRows: 1101 })).toThrow(ConfigError);
    expect(() => createSampler({ ...base, batchRows: 1101 })).toThrow("expected 1 to 1100");
    expect(() => createSampler({ ...base, include: () => false })).toThrow("expected 1 to 0");
  });
});

describe("createBatchReader", () => {
  const WIDTH = 3;
  /** A store whose activation of (row, dim) is row + dim/10, counting what is read. */
  function memoryStore(rows: RowTable) {
    const log = { reads: 0, rows: 0, fail: false };
    const store = {
      rows,
      width: WIDTH,
      read: async (
        rowStart: number,
        rowEnd: number,
        target = new Float32Array((rowEnd - rowStart) * WIDTH),
      ) => {
        if (log.fail) throw new Error("the disk failed");
        log.reads += 1;
        log.rows += rowEnd - rowStart;
        for (let i = 0; i < target.length; i += 1)
          target[i] = rowStart + Math.floor(i / WIDTH) + (i % WIDTH) / 10;
        return target;
      },
    } as unknown as Store;
    return { store, log };
  }

  const expectedOf = (batch: Uint32Array): Float32Array =>
    Float32Array.from(
      { length: batch.length * WIDTH },
      (_, i) => batch[Math.floor(i / WIDTH)] + (i % WIDTH) / 10,
    );

  test("equals the store read row by row, in order, out of order and several at once", async () => {
    const { store } = memoryStore(mixed);
    const sampler = createSampler(base);
    const reader = createBatchReader({ store, sampler });
    for (const step of [0, 1, 2, 40, 3, 200, 100, 101]) {
      expect(await reader.batch(step)).toEqual(expectedOf(sampler.batch(step)));
    }
    const steps = Array.from({ length: 2 * sampler.stepsPerEpoch }, (_, step) => step);
    const batches = await Promise.all(steps.map((step) => reader.batch(step)));
    for (const step of steps) expect(batches[step]).toEqual(expectedOf(sampler.batch(step)));
  });

  test("an epoch reads each window once, rows along the way included", async () => {
    const { store, log } = memoryStore(tableOf(new Array(2048).fill(0)));
    const sampler = createSampler({
      ...base,
      rows: store.rows,
      include: () => true,
      blockRows: 64,
      windowBlocks: 4,
    });
    const reader = createBatchReader({ store, sampler });
    for (let step = 0; step < sampler.stepsPerEpoch; step += 1) await reader.batch(step);
    // 8 windows of 256 rows, and the first of the next epoch read ahead.
    expect(log.rows).toBe(2048 + 256);
    expect(log.reads).toBeLessThanOrEqual(9 * 4);
  });

  test("rows that fit into one window are read once for all epochs", async () => {
    const { store, log } = memoryStore(mixed);
    const sampler = createSampler({ ...base, windowBlocks: 1000 });
    const reader = createBatchReader({ store, sampler });
    await reader.batch(0);
    const { reads } = log;
    for (let step = 1; step < 3 * sampler.stepsPerEpoch; step += 7) await reader.batch(step);
    expect(log.reads).toBe(reads);
  });

  test("a batch may be changed by its user without touching the next", async () => {
    const { store } = memoryStore(mixed);
    const sampler = createSampler(base);
    const reader = createBatchReader({ store, sampler });
    (await reader.batch(7)).fill(Number.NaN);
    expect(await reader.batch(7)).toEqual(expectedOf(sampler.batch(7)));
  });

  test("a failed read reaches whoever asks and is tried again", async () => {
    const { store, log } = memoryStore(mixed);
    const sampler = createSampler(base);
    const reader = createBatchReader({ store, sampler });
    log.fail = true;
    await expect(reader.batch(0)).rejects.toThrow("the disk failed");
    log.fail = false;
    expect(await reader.batch(0)).toEqual(expectedOf(sampler.batch(0)));
  });
});
