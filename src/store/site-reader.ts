// Reads the activations of a store's sites by row range, over the borders of their shards.
//
// A shard is verified (every CRC32, and that it is this store's shard of this place) the first time it is touched; its
// file then stays open. Rows and documents are not known here.

import { join } from "node:path";
import { FormatError, ShapeError } from "../errors.ts";
import { verifyFolder } from "../formats/atomic.ts";
import { openSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import type { SiteManifest, Store, StoreManifest } from "./store-contract.ts";
import { checkShard, firstDifference, shardFolder, shardRange } from "./store-plan.ts";

/** Open shard files kept at a time, over all sites. */
const MAX_OPEN_SHARDS = 64;

/** The part of a store that reads activations; see Store for what each does. */
export function openSites({
  folder,
  storeId,
  manifest,
}: {
  folder: string;
  storeId: string;
  manifest: StoreManifest;
}): Pick<Store, "width" | "read" | "readBits" | "close"> {
  const { nRows } = manifest;
  const shards = openShards({ folder, storeId, nRows });
  const width = manifest.sites.reduce((sum, site) => sum + site.width, 0);
  const requireRows = (rowStart: number, rowEnd: number): void => {
    if (
      !(
        Number.isInteger(rowStart) &&
        Number.isInteger(rowEnd) &&
        0 <= rowStart &&
        rowStart <= rowEnd &&
        rowEnd <= nRows
      )
    ) {
      throw new ShapeError(`${folder}: expected rows within [0, ${nRows}), got [${rowStart}, ${rowEnd})`);
    }
  };
  const read = async (rowStart: number, rowEnd: number, target?: Float32Array): Promise<Float32Array> => {
    requireRows(rowStart, rowEnd);
    const out = target ?? new Float32Array((rowEnd - rowStart) * width);
    if (out.length !== (rowEnd - rowStart) * width) {
      throw new ShapeError(
        `${folder}: expected a target of ${(rowEnd - rowStart) * width}, got ${out.length}`,
      );
    }
    let offset = 0;
    for (const site of manifest.sites) {
      await readSite(shards, { site, rowStart, rowEnd, out, offset, width, nRows });
      offset += site.width;
    }
    return out;
  };
  const readBits = async (
    index: number,
    rowStart: number,
    rowEnd: number,
    target: Uint16Array,
  ): Promise<void> => {
    requireRows(rowStart, rowEnd);
    const site = manifest.sites[index];
    if (target.length !== (rowEnd - rowStart) * site.width) {
      throw new ShapeError(
        `${folder}: expected a target of ${(rowEnd - rowStart) * site.width}, got ${target.length}`,
      );
    }
    await eachShardPart({ site, rowStart, rowEnd, nRows }, async ({ shard, from, to, first }) => {
      const part = target.subarray(first * site.width, (first + to - from) * site.width);
      const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      await shards.use(site, shard, (file) => file.readRowBytes("activations", from, to, bytes));
    });
  };
  const isAllBf16 = manifest.sites.every(({ dtype }) => dtype === "bf16");
  return { width, read, readBits: isAllBf16 ? readBits : undefined, close: shards.close };
}

/** The parts of rows [rowStart, rowEnd) that lie in one shard each: rows [from, to) of it, the first being row `first` of all. */
async function eachShardPart(
  { site, rowStart, rowEnd, nRows }: Pick<SiteRead, "site" | "rowStart" | "rowEnd" | "nRows">,
  use: (part: { shard: number; from: number; to: number; first: number }) => Promise<void>,
): Promise<void> {
  for (let row = rowStart; row < rowEnd; ) {
    const shard = Math.floor(row / site.rowsPerShard);
    const range = shardRange(shard, { nRows, rowsPerShard: site.rowsPerShard });
    const end = Math.min(rowEnd, range.rowEnd);
    await use({ shard, from: row - range.rowStart, to: end - range.rowStart, first: row - rowStart });
    row = end;
  }
}

interface SiteRead {
  site: SiteManifest;
  rowStart: number;
  rowEnd: number;
  /** [rowEnd − rowStart, width], of which columns [offset, offset + site.width) are filled. */
  out: Float32Array;
  offset: number;
  width: number;
  nRows: number;
}

async function readSite(
  shards: OpenShards,
  { site, rowStart, rowEnd, out, offset, width, nRows }: SiteRead,
): Promise<void> {
  await eachShardPart({ site, rowStart, rowEnd, nRows }, async ({ shard, from, to, first }) => {
    const start = first * width;
    if (site.width === width) {
      const part = out.subarray(start, start + (to - from) * width);
      await shards.use(site, shard, (file) => file.readRows("activations", from, to, part));
      return;
    }
    const part = await shards.use(site, shard, (file) => file.readRows("activations", from, to));
    for (let i = 0; i < to - from; i += 1) {
      out.set(part.subarray(i * site.width, (i + 1) * site.width), start + i * width + offset);
    }
  });
}

interface OpenShards {
  /** Runs `work` on the verified open file of a shard. */
  use<T>(site: SiteManifest, shard: number, work: (file: SafetensorsFile) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

function openShards({
  folder,
  storeId,
  nRows,
}: {
  folder: string;
  storeId: string;
  nRows: number;
}): OpenShards {
  const open = new Map<string, { file: Promise<SafetensorsFile>; users: number }>();
  const verified = new Set<string>();

  const openOne = async (site: SiteManifest, shard: number): Promise<SafetensorsFile> => {
    const path = shardFolder(folder, site.name, shard);
    if (!verified.has(path)) {
      const range = shardRange(shard, { nRows, rowsPerShard: site.rowsPerShard });
      checkShard(await verifyFolder(path), { path, storeId, site: site.name, shard, ...range });
      verified.add(path);
    }
    const file = await openSafetensors(join(path, "activations.safetensors"));
    const { rowStart, rowEnd } = shardRange(shard, { nRows, rowsPerShard: site.rowsPerShard });
    const expected = {
      dtype: site.dtype === "bf16" ? "BF16" : "F32",
      shape: [rowEnd - rowStart, site.width],
    };
    const info = file.tensors.get("activations");
    if (info && !firstDifference(expected, { dtype: info.dtype, shape: info.shape })) return file;
    await file.close();
    throw new FormatError(
      `${file.path}: expected activations ${expected.dtype} [${expected.shape}], got ${info?.dtype} [${info?.shape}]`,
      {
        hint: "the shard was not written by this store: move it away and run `tunediff harvest` again",
      },
    );
  };

  /** Oldest files that nobody reads are closed above the cap. */
  const trim = async (): Promise<void> => {
    for (const [key, { file, users }] of open) {
      if (open.size <= MAX_OPEN_SHARDS) return;
      if (users > 0) continue;
      open.delete(key);
      await (await file).close();
    }
  };

  return {
    async use(site, shard, work) {
      const key = `${site.name}/${shard}`;
      const entry = open.get(key) ?? { file: openOne(site, shard), users: 0 };
      open.delete(key); // To the end: the map is in order of last use.
      open.set(key, entry);
      entry.users += 1;
      try {
        return await work(await entry.file);
      } catch (error) {
        // A file that never opened must not be remembered: the shard may be mended meanwhile.
        await entry.file.catch(() => open.get(key) === entry && open.delete(key));
        throw error;
      } finally {
        entry.users -= 1;
        await trim();
      }
    },
    async close() {
      const files = [...open.values()].map(({ file }) => file);
      open.clear();
      for (const file of await Promise.allSettled(files))
        if (file.status === "fulfilled") await file.value.close();
    },
  };
}
