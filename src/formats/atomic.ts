// Writing so that a reader sees the old thing or the whole new one, whatever happens in between.
//
// Protocol: write beside the target under a temporary name, fsync every file, write and fsync the manifest, fsync the
// folder, rename, fsync the parent. Temporary names carry pid, host and start of their maker, so that leftovers of dead
// processes can be told from work in progress. Locking is lock.ts, the manifest's format manifest.ts.

import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { ShapeError } from "../errors.ts";
import { asStorageError, disk, errorCode, writeFully } from "./disk.ts";
import { describeFile, type FolderManifest, MANIFEST_NAME, sealJson } from "./manifest.ts";
import { identityTag, ownIdentity, taggedProcessState } from "./process-identity.ts";

export { requireFreeSpace } from "./disk.ts";
export { acquireLock } from "./lock.ts";
export {
  type FolderManifest,
  findCommittedFolders,
  readManifest,
  readSealedJson,
  sealJson,
  verifyFolder,
} from "./manifest.ts";

/** Folders being committed by this process right now: what is written inside needs no fsync of its own. */
const committing = new Set<string>();

/** Temporaries of this process whose removal failed: nobody works on them any more. */
const abandoned = new Set<string>();

/** Leftovers of another host are believed dead after this long without change. */
const FOREIGN_STALE_MS = 24 * 3600 * 1000;

function temporaryName(path: string, kind: "tmp" | "old"): string {
  const { pid, host, started } = ownIdentity();
  return `${path}.${kind}-${pid}-${identityTag({ host, started })}${randomBytes(4).toString("hex")}`;
}

/** A part of a file that is made while it is written, a chunk at a time: for what does not fit into memory twice. */
export interface StreamedPart {
  /** Of all chunks together. */
  byteLength: number;
  chunks: () => AsyncIterable<ArrayBufferView>;
}

/**
 * Writes a whole file: temporary, fsync, rename, fsync of the folder. Parts are written one after another. Inside a
 * folder that this process is committing the fsyncs are left to the commit.
 * Throws StorageError naming the path and the bytes (disk full: with what to do), and what a streamed part throws.
 */
export async function writeFileAtomic(
  path: string,
  data: string | ArrayBufferView | (ArrayBufferView | StreamedPart)[],
): Promise<void> {
  const parts = typeof data === "string" ? [Buffer.from(data)] : Array.isArray(data) ? data : [data];
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const temporary = temporaryName(path, "tmp");
  const sync = ![...committing].some((folder) => resolve(path).startsWith(folder + sep));
  try {
    await writeNewFile(temporary, { parts, sync });
    await disk.rename(temporary, path);
    if (sync) await disk.syncFolder(dirname(path));
  } catch (error) {
    await removeOwn(temporary);
    throw asStorageError(error, { path, bytes });
  }
}

/**
 * Commits a file that something else (SQLite) wrote under a temporary name of ours: flush, rename, flush the folder. Throws
 * StorageError.
 */
export async function commitFile(temporary: string, path: string): Promise<void> {
  try {
    await syncFile(temporary);
    await disk.rename(temporary, path);
    await disk.syncFolder(dirname(path));
  } catch (error) {
    throw asStorageError(error, { path });
  }
}

/** A temporary name beside `path`, of the form that removeStaleTemporaries knows. */
export function temporaryBeside(path: string): string {
  return temporaryName(path, "tmp");
}

async function writeNewFile(
  path: string,
  { parts, sync }: { parts: (ArrayBufferView | StreamedPart)[]; sync: boolean },
): Promise<void> {
  const handle = await disk.open(path, "wx");
  let position = 0;
  const write = async (part: ArrayBufferView): Promise<void> => {
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    await writeFully(handle, bytes, { path, position });
    position += bytes.length;
  };
  try {
    for (const part of parts) {
      if (ArrayBuffer.isView(part)) {
        await write(part);
        continue;
      }
      const end = position + part.byteLength;
      for await (const chunk of part.chunks()) await write(chunk);
      if (position !== end) {
        throw new ShapeError(
          `${path}: expected ${part.byteLength} bytes of a streamed part, got ${position - end + part.byteLength}`,
        );
      }
    }
    if (sync) await disk.sync(handle);
  } finally {
    await disk.close(handle);
  }
}

/**
 * Makes the folder `target` from what `write` puts into a temporary folder, with a manifest.json of all its files.
 *
 * An existing target is replaced: moved aside, swapped, deleted. On any error the temporary is removed, the old target
 * stays and the error is thrown on, errors of the system as StorageError. details: plain JSON kept in the manifest.
 * A process killed between the two renames leaves the old folder aside; removeStaleTemporaries puts it back.
 */
export async function commitFolder(
  target: string,
  write: (temporaryFolder: string) => Promise<void>,
  details: Record<string, unknown> = {},
): Promise<FolderManifest> {
  const path = resolve(target);
  const parent = dirname(path);
  const temporary = temporaryName(path, "tmp");
  committing.add(temporary);
  try {
    await disk.makeFolder(parent);
    await disk.makeFolder(temporary);
    await write(temporary);
    const files = [];
    for (const name of await listFiles(temporary)) {
      await syncFile(join(temporary, name));
      files.push(await describeFile(temporary, name));
    }
    const manifest: FolderManifest = { schemaVersion: 1, files, details };
    await writeNewFile(join(temporary, MANIFEST_NAME), {
      parts: [Buffer.from(sealJson(manifest))],
      sync: true,
    });
    for (const folder of await listFolders(temporary)) await disk.syncFolder(folder);
    await swapIn(temporary, path);
    await disk.syncFolder(parent);
    return manifest;
  } catch (error) {
    await removeOwn(temporary);
    throw asStorageError(error, { path });
  } finally {
    committing.delete(temporary);
  }
}

async function swapIn(temporary: string, path: string): Promise<void> {
  if (!(await exists(path))) return disk.rename(temporary, path);
  const aside = temporaryName(path, "old");
  await disk.rename(path, aside);
  try {
    await disk.rename(temporary, path);
  } catch (error) {
    await disk.rename(aside, path).catch(() => abandoned.add(aside)); // Stays aside: removeStaleTemporaries restores it.
    throw error;
  }
  await removeOwn(aside);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function removeOwn(path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch {
    abandoned.add(path); // The caller's error matters more; the leftover goes with the next removeStaleTemporaries.
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await disk.open(path, "r+");
  try {
    await disk.sync(handle);
  } finally {
    await disk.close(handle);
  }
}

/** Relative paths of all files below, "/" between parts, sorted. */
async function listFiles(folder: string, prefix = ""): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await disk.list(join(folder, prefix))) {
    const name = prefix + entry.name;
    if (entry.isDirectory()) names.push(...(await listFiles(folder, `${name}/`)));
    else if (name !== MANIFEST_NAME) names.push(name);
  }
  return names.sort();
}

/** The folder and all folders below, innermost first. */
async function listFolders(folder: string): Promise<string[]> {
  const folders: string[] = [];
  for (const entry of await disk.list(folder)) {
    if (entry.isDirectory()) folders.push(...(await listFolders(join(folder, entry.name))));
  }
  return [...folders, folder];
}

/**
 * Clears `parent` of what dead processes left: temporaries go, an old folder whose successor never came is put back.
 * Leaves what living processes work on. Returns the names handled; an absent parent has none.
 */
export async function removeStaleTemporaries(parent: string): Promise<string[]> {
  const folder = resolve(parent);
  const handled: string[] = [];
  let names: string[];
  try {
    names = (await disk.list(folder)).map(({ name }) => name);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return handled;
    throw asStorageError(error, { path: folder });
  }
  for (const name of names) {
    const match = /^(.+)\.(tmp|old)-(\d+)-([0-9a-f]{8})[0-9a-f]{8}$/.exec(name);
    if (!match) continue;
    const [, original, kind, pid, tag] = match;
    const path = join(folder, name);
    if (!(await isStale(path, Number(pid), tag))) continue;
    try {
      if (kind === "old" && !(await exists(join(folder, original)))) {
        await disk.rename(path, join(folder, original));
      } else await disk.remove(path);
    } catch (error) {
      throw asStorageError(error, { path });
    }
    abandoned.delete(path);
    handled.push(basename(path));
  }
  return handled;
}

async function isStale(path: string, pid: number, tag: string): Promise<boolean> {
  if (abandoned.has(path)) return true;
  const state = taggedProcessState(pid, tag);
  if (state !== "unknown") return state === "dead";
  try {
    return Date.now() - (await stat(path)).mtimeMs > FOREIGN_STALE_MS;
  } catch {
    return false; // It vanished while we looked: someone else is at work.
  }
}
