// A small store on disk, for tests of what reads stores by range and on several threads.

import { createRng } from "../numerics/rng.ts";
import type { Role, Split } from "../store/rows.ts";
import type { Site, StoreDtype } from "../store/store-contract.ts";
import { createStoreWriter } from "../store/store-writer.ts";
import { createMemoryStore, type MemoryDocument } from "./memory-store.test.helper.ts";

/** Documents of 4 to 40 rows of random activations over 20 groups: a BOS row, then template and text rows, tokens repeating. */
export function randomDocuments(width: number, nDocuments: number): MemoryDocument[] {
  const rng = createRng(11, "disk store");
  const splits: Split[] = ["heldout", "heldout", "train"];
  return Array.from({ length: nDocuments }, (_, d) => ({
    split: splits[d % 3],
    dataset: d % 2 === 0 ? "chats" : "prose",
    group: rng.uint32(0, d) % 20,
    tokens: Array.from({ length: 4 + (rng.uint32(1, d) % 37) }, (_, position) => ({
      role: (position === 0 ? "bos" : position % 5 === 1 ? "template" : "text") as Role,
      slot: position % 5 === 1 ? "turn" : "none",
      token: rng.uint32(2, d * 64 + position) % 9,
      activation: Float32Array.from({ length: width }, (_, c) => rng.normal(3 + d, position * width + c)),
    })),
  }));
}

/** Writes the documents as a finished store. */
export async function writeDiskStore(
  folder: string,
  sites: Site[],
  documents: readonly MemoryDocument[],
  dtype: StoreDtype = "f32",
): Promise<void> {
  const store = createMemoryStore(sites, documents);
  const { datasets, slots, tokenizerHash, nRows } = store.manifest;
  const writer = await createStoreWriter({
    ...{ folder, name: "main", rows: store.rows, documents: store.documents, datasets, slots, tokenizerHash },
    sites: sites.map((site) => ({ site, dtype })),
    rowsPerShard: 500,
    identity: { made: "for a test" },
  });
  const all = await store.read(0, nRows);
  let offset = 0;
  for (const { name, width } of sites) {
    for (let shard = 0; shard < writer.nShards; shard += 1) {
      const { rowStart, rowEnd } = writer.shardRange(shard);
      const part = new Float32Array((rowEnd - rowStart) * width);
      for (let row = rowStart; row < rowEnd; row += 1) {
        const at = row * store.width + offset;
        part.set(all.subarray(at, at + width), (row - rowStart) * width);
      }
      await writer.writeShard(name, shard, part);
    }
    offset += width;
  }
  await writer.finish();
}
