// SHA-256 of a checkpoint's files, streamed, and one hash over all of them.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

export interface HashedFile {
  name: string;
  /** Hex. */
  sha256: string;
}

/** names: relative to folder. `hash` is SHA-256, hex, over "name\0sha256\n" of the files in order of name. */
export async function hashFiles(
  folder: string,
  names: string[],
): Promise<{ files: HashedFile[]; hash: string }> {
  const files: HashedFile[] = [];
  for (const name of [...names].sort()) {
    const hasher = createHash("sha256");
    await pipeline(createReadStream(join(folder, name), { highWaterMark: 2 ** 20 }), hasher);
    files.push({ name, sha256: hasher.digest("hex") });
  }
  const all = createHash("sha256");
  for (const { name, sha256 } of files) all.update(`${name}\0${sha256}\n`);
  return { files, hash: all.digest("hex") };
}
