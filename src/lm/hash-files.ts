// SHA-256 of a checkpoint's files, streamed two at a time, and one hash over all of them.
//
// Two, not all: a checkpoint may have hundreds of shards, and a disk or a hash unit serves two streams as fast as many.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

export interface HashedFile {
  name: string;
  /** Hex. */
  sha256: string;
}

const MAX_STREAMS = 2;

/** names: relative to folder. `hash` is SHA-256, hex, over "name\0sha256\n" of the files in order of name. */
export async function hashFiles(
  folder: string,
  names: string[],
): Promise<{ files: HashedFile[]; hash: string }> {
  const sorted = [...names].sort();
  const files: HashedFile[] = new Array(sorted.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < sorted.length) {
      const at = next;
      next += 1;
      files[at] = { name: sorted[at], sha256: await hashFile(join(folder, sorted[at])) };
    }
  };
  await Promise.all(Array.from({ length: MAX_STREAMS }, work));
  return { files, hash: hashOfHashes(files) };
}

/** SHA-256, hex, over "name\0sha256\n" in the order given. */
export function hashOfHashes(files: readonly HashedFile[]): string {
  const all = createHash("sha256");
  for (const { name, sha256 } of files) all.update(`${name}\0${sha256}\n`);
  return all.digest("hex");
}

async function hashFile(path: string): Promise<string> {
  const hasher = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hasher);
  return hasher.digest("hex");
}
