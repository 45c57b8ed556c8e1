// The training that gets killed: a small store on disk, always the same bytes, and a configuration that meets what a resume
// can get wrong. Shared by the child that trains and the parent that kills it.

import { createRng } from "../../src/numerics/rng.ts";
import { type DocumentRecord, ROLES, type RowTable, SPLITS } from "../../src/store/rows.ts";
import type { Site } from "../../src/store/store-contract.ts";
import { createStoreWriter } from "../../src/store/store-writer.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "../../src/training/config.ts";

const WIDTH = 8;
const DOCUMENT_ROWS = 20;
const N_ROWS = 2000;

/**
 * 120 steps of 40 rows over 1520 rows: an epoch is 38 steps. A checkpoint every 5 steps. Latents are dead after 6 silent
 * batches, so that the auxiliary loss acts.
 */
export function trainJob(shards: number): TrainConfig {
  return {
    ...DEFAULT_TRAIN_CONFIG,
    nLatents: 48,
    k: 2,
    steps: 120,
    batchRows: 40,
    deadAfterFraction: 0.05,
    checkpointEverySteps: 5,
    logEverySteps: 1,
    calibrationRows: 128,
    threads: 1,
    shards,
  };
}

const sites: Site[] = [
  { name: "base-L1", model: "base", layer: 1, width: WIDTH },
  { name: "finetuned-L1", model: "finetuned", layer: 1, width: WIDTH },
];

/** Writes the store, in four shards a site. Eight concepts; the last two are the fine-tune's alone. */
export async function writeJobStore(folder: string): Promise<void> {
  const writer = await createStoreWriter({
    folder,
    name: "kill",
    ...makeRows(),
    datasets: ["planted"],
    slots: ["none"],
    tokenizerHash: "none",
    sites: sites.map((site) => ({ site, dtype: "f32" as const })),
    rowsPerShard: N_ROWS / 4,
    identity: { kind: "planted for kills", version: 1 },
  });
  for (let shard = 0; shard < writer.nShards; shard += 1) {
    const range = writer.shardRange(shard);
    for (const site of sites) await writer.writeShard(site.name, shard, activationsOf(site, range));
  }
  await writer.finish();
}

/** [rowEnd − rowStart, WIDTH]: concept c, with probability 0.15 a row, is coordinate c; little noise. */
function activationsOf(
  { model }: Site,
  { rowStart, rowEnd }: { rowStart: number; rowEnd: number },
): Float32Array {
  const concepts = createRng(1, "kill concepts");
  const noise = createRng(2, `kill noise ${model}`);
  const x = new Float32Array((rowEnd - rowStart) * WIDTH);
  for (let i = 0; i < x.length; i += 1) {
    const [row, c] = [rowStart + Math.floor(i / WIDTH), i % WIDTH];
    const present = concepts.uniform(row, 2 * c) < 0.15 && (model === "finetuned" || c < WIDTH - 2);
    x[i] = 0.05 * noise.normal(row, c) + (present ? 1 + concepts.uniform(row, 2 * c + 1) : 0);
  }
  return x;
}

/** Every document starts with BOS; every fifth is held out. */
function makeRows(): { rows: RowTable; documents: DocumentRecord[] } {
  const isHeldout = (document: number): boolean => document % 5 === 4;
  const index = Array.from({ length: N_ROWS }, (_, row) => row);
  const document = Uint32Array.from(index, (row) => Math.floor(row / DOCUMENT_ROWS));
  const rows: RowTable = {
    nRows: N_ROWS,
    document,
    turn: new Int16Array(N_ROWS).fill(-1),
    position: Uint16Array.from(index, (row) => row % DOCUMENT_ROWS),
    split: Uint8Array.from(document, (d) => SPLITS.indexOf(isHeldout(d) ? "heldout" : "train")),
    role: Uint8Array.from(index, (row) => ROLES.indexOf(row % DOCUMENT_ROWS === 0 ? "bos" : "text")),
    slot: new Uint8Array(N_ROWS),
    dataset: new Uint8Array(N_ROWS),
    charStart: new Uint32Array(N_ROWS),
    charEnd: new Uint32Array(N_ROWS),
    tokenBase: new Uint32Array(N_ROWS),
    tokenFinetuned: new Uint32Array(N_ROWS),
  };
  const documents = Array.from({ length: N_ROWS / DOCUMENT_ROWS }, (_, i) => ({
    index: i,
    id: `d${i}`,
    dataset: "planted",
    split: isHeldout(i) ? ("heldout" as const) : ("train" as const),
    group: i % 64,
    rowStart: i * DOCUMENT_ROWS,
    rowEnd: (i + 1) * DOCUMENT_ROWS,
    text: "",
    turns: [],
  }));
  return { rows, documents };
}
