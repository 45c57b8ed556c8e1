// What feeding costs a step: batches of step-512 read from a store on disk, against the same step on a batch in memory.
//
// Reading, shuffling and normalising happen on the main thread while the shards compute; what shows is the wait for a batch that
// is not ready, and the cores that its making takes from the shards. The store holds 64k rows of bf16 in two sites; windows are
// 16k rows, so that reading goes on all the time.

import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { rowNormaliser } from "../src/dictionary/normaliser.ts";
import { ROLES, type RowTable, SPLITS } from "../src/store/rows.ts";
import { createBatchReader, createSampler } from "../src/store/sampler.ts";
import { openStore } from "../src/store/store.ts";
import type { Site } from "../src/store/store-contract.ts";
import { createStoreWriter } from "../src/store/store-writer.ts";
import type { BenchRow } from "./run.ts";
import { median } from "./statistics.ts";
import { drawBatch, openEngine, stepOnce, type TrainCase } from "./train-cases.ts";

const CASE: TrainCase = { name: "step-512", dModel: 512, nLatents: 16_384, k: 64, batch: 2048 };
const N_ROWS = 2 ** 16;
const STEPS = 40;
const WARM_STEPS = 4;

export async function writeStore(folder: string): Promise<void> {
  const column = <A>(make: (length: number) => A): A => make(N_ROWS);
  const rows: RowTable = {
    nRows: N_ROWS,
    document: column((n) => new Uint32Array(n)),
    turn: column((n) => new Int16Array(n).fill(-1)),
    position: column((n) => Uint16Array.from({ length: n }, (_, row) => row % 65_536)),
    split: column((n) => new Uint8Array(n).fill(SPLITS.indexOf("train"))),
    role: column((n) => new Uint8Array(n).fill(ROLES.indexOf("text"))),
    slot: column((n) => new Uint8Array(n)),
    dataset: column((n) => new Uint8Array(n)),
    charStart: column((n) => new Uint32Array(n)),
    charEnd: column((n) => new Uint32Array(n)),
    tokenBase: column((n) => new Uint32Array(n)),
    tokenFinetuned: column((n) => new Uint32Array(n)),
  };
  const sites: Site[] = [
    { name: "base-L1", model: "base", layer: 1, width: CASE.dModel },
    { name: "finetuned-L1", model: "finetuned", layer: 1, width: CASE.dModel },
  ];
  const documents = [
    {
      index: 0,
      id: "d",
      dataset: "bench",
      split: "train" as const,
      group: 0,
      rowStart: 0,
      rowEnd: N_ROWS,
      text: "",
      turns: [],
    },
  ];
  const writer = await createStoreWriter({
    ...{
      folder,
      name: "bench",
      rows,
      documents,
      datasets: ["bench"],
      slots: ["none"],
      tokenizerHash: "none",
    },
    sites: sites.map((site) => ({ site, dtype: "bf16" as const })),
    identity: { kind: "bench" },
  });
  const batch = drawBatch(CASE);
  const width = 2 * CASE.dModel;
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    const { rowStart, rowEnd } = writer.shardRange(shard);
    for (const [side, site] of sites.entries()) {
      const part = new Float32Array((rowEnd - rowStart) * site.width);
      for (let row = 0; row < rowEnd - rowStart; row += 1) {
        const from = ((rowStart + row) % CASE.batch) * width + side * site.width;
        part.set(batch.subarray(from, from + site.width), row * site.width);
      }
      await writer.writeShard(site.name, shard, part);
    }
  }
  await writer.finish();
}

export async function benchFeeding(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "tunediff-bench-"));
  const engine = await openEngine(CASE, cpus().length);
  try {
    await writeStore(join(folder, "store"));
    const store = await openStore(join(folder, "store"));
    const sampler = createSampler({
      rows: store.rows,
      include: () => true,
      batchRows: CASE.batch,
      seed: 0,
      blockRows: 2048,
      windowBlocks: 8,
    });
    const reader = createBatchReader({ store, sampler });
    const space = {
      sites: store.manifest.sites,
      normaliser: {
        mean: new Float32Array(store.width),
        std: new Float32Array(store.width),
        scale: Float32Array.of(1, 1),
        targetRms: 1,
      },
    };
    const copies = [rowNormaliser(space)];
    const targets = [0, 1].map(() => new Float32Array(CASE.batch * store.width));
    const load = async (step: number): Promise<Float32Array> => {
      await reader.batches(step, copies, [targets[step % 2]]);
      return targets[step % 2];
    };
    const held = (await load(0)).slice();
    const [alone, fed, waits]: [number[], number[], number[]] = [[], [], []];
    let next = load(1);
    for (let step = 0; step < STEPS + WARM_STEPS; step += 1) {
      const single = await stepOnce(engine, held, CASE);
      const started = performance.now();
      const batch = await next;
      const waited = (performance.now() - started) / 1000;
      next = load(step + 2);
      await stepOnce(engine, batch, CASE);
      const seconds = (performance.now() - started) / 1000;
      if (step < WARM_STEPS) continue;
      alone.push(single);
      fed.push(seconds);
      waits.push(waited);
    }
    await next;
    await store.close();
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const row = (metric: string, ours: number, unit: string): BenchRow => ({
      ...{ case: "feeding step-512", metric, ours, unit, peer: null, peerName: null, ratio: null },
    });
    return [
      row("wait for a batch, share of a step", (100 * mean(waits)) / mean(fed), "%"),
      // Steps next to each other are compared, so that what the machine does over minutes drops out.
      row(
        "fed from disk, more than the step before from memory",
        (100 * median(fed.map((seconds, i) => seconds - alone[i]))) / median(alone),
        "%",
      ),
    ];
  } finally {
    await engine.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}
