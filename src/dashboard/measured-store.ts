// The store that a dictionary was measured on, found among a study's stores by the SHA-256 of its manifest (measure-files.ts): names may change.

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { TunediffError } from "../errors.ts";
import { errorCode } from "../formats/disk.ts";
import { readFinishedManifest } from "../store/store.ts";

export type FoundStore = { folder: string } & Awaited<ReturnType<typeof readFinishedManifest>>;

/** Undefined where no finished store has this manifest. Throws what reading the folder throws, but for one that is not there. */
export async function findMeasuredStore(
  storesFolder: string,
  sha256: string,
): Promise<FoundStore | undefined> {
  const entries = await readdir(storesFolder, { withFileTypes: true }).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const folder = join(storesFolder, name);
    const found = await readFinishedManifest(folder).catch((error: unknown) => {
      if (error instanceof TunediffError) return undefined; // half written, damaged or another's: not this one
      throw error;
    });
    if (found === undefined) continue;
    const { storeId: _, ...manifest } = found;
    if (createHash("sha256").update(JSON.stringify(manifest)).digest("hex") === sha256)
      return { folder, ...found };
  }
  return undefined;
}
