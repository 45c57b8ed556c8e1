// Reads a finished store: rows and documents at once, activations by row range over shard borders.
//
// Activations come from site-reader.ts. Here all rows and documents are held in memory; row-source.ts reads them by range.
// Writing is store-writer.ts.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError, MismatchError, StorageError } from "../errors.ts";
import { readSealedJson } from "../formats/atomic.ts";
import { readRows } from "./row-file.ts";
import { openSites } from "./site-reader.ts";
import type { Store, StoreManifest } from "./store-contract.ts";
import { firstDifference, parsePlan, readStoreId } from "./store-plan.ts";

const count = z.int().nonnegative();
const manifestSchema = z.object({
  schemaVersion: z.literal(1),
  name: z.string(),
  nRows: count,
  nDocuments: count,
  rowsBySplit: z.object({ train: count, heldout: count, test: count }),
  datasets: z.array(z.string()),
  slots: z.array(z.string()),
  sites: z.array(
    z.object({
      name: z.string().regex(/^[A-Za-z0-9._-]+$/),
      model: z.enum(["base", "finetuned"]),
      layer: count,
      width: z.int().positive(),
      dtype: z.enum(["bf16", "f32"]),
      rowsPerShard: z.int().positive(),
      nShards: count,
      roundingErrorRelative: z.number().nullable(),
    }),
  ),
  tokenizerHash: z.string(),
  identity: z.record(z.string(), z.unknown()),
  storeId: z.string(),
});

/** True when a folder has a manifest.json, which commits write last. */
export async function isCommitted(folder: string): Promise<boolean> {
  return stat(join(folder, "manifest.json")).then(
    (entry) => entry.isFile(),
    () => false,
  );
}

/** The manifest of a finished store with its id. Throws FormatError when it is damaged or of another version. */
export async function readStoreManifest(folder: string): Promise<StoreManifest & { storeId: string }> {
  const path = join(folder, "manifest.json");
  const parsed = manifestSchema.safeParse(await readSealedJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError(`${path}: ${issue.path.join(".")}: ${issue.message}`, {
    hint: "the store was written by another version: harvest it again into another folder",
  });
}

/**
 * Opens a finished store. Throws StorageError when there is none or it is unfinished, FormatError when a file is damaged,
 * MismatchError when its parts do not belong together.
 */
export async function openStore(folder: string): Promise<Store> {
  const { storeId, ...manifest } = await readFinishedManifest(folder);
  const { rows, documents, details } = await readRows(join(folder, "rows"));
  await requireOneHarvest(folder, { manifest, storeId, details, nRows: rows.nRows });
  return { folder, manifest, rows, documents, ...openSites({ folder, storeId, manifest }) };
}

/** The manifest of a store that must be finished. Throws StorageError when there is none or it is unfinished. */
export async function readFinishedManifest(folder: string): Promise<StoreManifest & { storeId: string }> {
  if (await isCommitted(folder)) return readStoreManifest(folder);
  const begun = await isCommitted(join(folder, "rows"));
  throw new StorageError(
    `${folder}: expected a finished store, found ${begun ? "one half written" : "none"}`,
    {
      hint: begun
        ? "run the same harvest again: it goes on where it stopped"
        : "run `tunediff harvest` first",
    },
  );
}

/** Throws MismatchError unless rows/ (its manifest's details and number of rows) belongs to the store's manifest. */
export async function requireOneHarvest(
  folder: string,
  {
    manifest,
    storeId,
    details,
    nRows,
  }: { manifest: StoreManifest; storeId: string; details: Record<string, unknown>; nRows: number },
): Promise<void> {
  const plan = parsePlan(details, join(folder, "rows"));
  const difference =
    firstDifference(storeId, await readStoreId(folder), "storeId") ??
    firstDifference(manifest.identity, plan.identity, "identity") ??
    firstDifference(manifest.nRows, nRows, "nRows");
  if (!difference) return;
  const { key, a, b } = difference;
  throw new MismatchError(
    `${folder}: ${key} is ${JSON.stringify(a)} in manifest.json and ${JSON.stringify(b)} in rows/`,
    {
      hint: "the store mixes two harvests: remove it and run `tunediff harvest` again",
    },
  );
}
