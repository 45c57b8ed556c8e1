// Every file-system call that a commit makes, in one object, so that a test can fail any of them.
//
// Thin over node:fs/promises. Adds three things Node leaves out: writes loop until all bytes are down (one call moves at
// most 2,147,479,552 bytes and may move fewer), fsync of folders is skipped where the platform has none (Windows), and
// an error of the system becomes a StorageError that names the path, the bytes and what to do.

import type { Dirent } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { StorageError, TunediffError } from "../errors.ts";

export type { FileHandle };

/** The calls a commit is made of. Production uses `disk` as it is; only tests swap members. */
export interface Disk {
  makeFolder(path: string): Promise<void>;
  open(path: string, flags: "r" | "r+" | "wx"): Promise<FileHandle>;
  /** Moves at most bytes.length bytes and returns how many. */
  read(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number>;
  /** Moves at most bytes.length bytes and returns how many. */
  write(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number>;
  size(handle: FileHandle): Promise<number>;
  sync(handle: FileHandle): Promise<void>;
  close(handle: FileHandle): Promise<void>;
  syncFolder(path: string): Promise<void>;
  list(path: string): Promise<Dirent[]>;
  rename(from: string, to: string): Promise<void>;
  /** A file or a whole folder; silent when it is not there. */
  remove(path: string): Promise<void>;
}

/** One call never asks for more than this. */
const MAX_CALL_BYTES = 2 ** 30;

export const disk: Disk = {
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true });
  },
  open: (path, flags) => open(path, flags),
  read: async (handle, bytes, position) =>
    (await handle.read(bytes, 0, Math.min(bytes.length, MAX_CALL_BYTES), position)).bytesRead,
  write: async (handle, bytes, position) =>
    (await handle.write(bytes, 0, Math.min(bytes.length, MAX_CALL_BYTES), position)).bytesWritten,
  size: async (handle) => (await handle.stat()).size,
  sync: (handle) => handle.sync(),
  close: (handle) => handle.close(),
  syncFolder: async (path) => {
    try {
      const handle = await disk.open(path, "r");
      try {
        await disk.sync(handle);
      } finally {
        await disk.close(handle);
      }
    } catch (error) {
      // Windows and some network file systems cannot fsync a folder; there the rename is as durable as it gets.
      if (!["EPERM", "EINVAL", "EISDIR", "EACCES", "ENOTSUP"].includes(errorCode(error))) throw error;
    }
  },
  list: (path) => readdir(path, { withFileTypes: true }),
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { recursive: true, force: true }),
};

/** The `code` of a system error ("ENOSPC"), else "". */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Writes all of `bytes` at `position`. Throws StorageError naming `path` and the bytes. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  { path, position }: { path: string; position: number },
): Promise<void> {
  let done = 0;
  try {
    while (done < bytes.length) {
      const moved = await disk.write(handle, bytes.subarray(done), position + done);
      if (moved === 0) throw Object.assign(new Error("the disk took no bytes"), { code: "ENOSPC" });
      done += moved;
    }
  } catch (error) {
    throw asStorageError(error, { path, bytes: bytes.length - done });
  }
}

/** Fills `bytes` from `position`; returns how many bytes there were (fewer only at the end of the file). */
export async function readFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const moved = await disk.read(handle, bytes.subarray(done), position + done);
    if (moved === 0) break;
    done += moved;
  }
  return done;
}

/** What atomic.ts appends to the names of work in progress; the reader of an error knows the final name. */
const TEMPORARY_PART = /\.(?:tmp|old)-\d+-[0-9a-f]{16}/g;

/** Makes the reader's error of a system error; our own errors pass unchanged. */
export function asStorageError(
  error: unknown,
  { path, bytes }: { path: string; bytes?: number },
): TunediffError {
  if (error instanceof TunediffError) return error;
  const code = errorCode(error);
  const place = path.replaceAll(TEMPORARY_PART, "");
  const amount = bytes === undefined ? "" : ` ${bytes} bytes`;
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
    return new StorageError(`${place}: expected room to write${amount}, the disk is full (${code})`, {
      hint: "free space (or raise the quota) and run the same command again: what was committed stays",
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new StorageError(`${place}: expected a place that can be written, got ${code}`, {
      hint: "check the permissions, or choose another folder with --out",
      cause: error,
    });
  }
  if (code === "EEXIST" || code === "ENOTDIR") {
    return new StorageError(`${place}: expected a folder, found a file`, {
      hint: "move the file away, or choose another folder with --out",
      cause: error,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new StorageError(`${place}: the file system refused${amount === "" ? "" : amount}: ${message}`, {
    hint: "check the disk and run the same command again: what was committed stays",
    cause: error,
  });
}

/** Makes a folder and those above it; one that is there is fine. Throws StorageError naming the path. */
export async function ensureFolder(path: string): Promise<void> {
  await disk.makeFolder(path).catch((error: unknown) => {
    throw asStorageError(error, { path });
  });
}

/** Throws StorageError when the disk that holds `folder` has fewer than `bytes` bytes left. */
export async function requireFreeSpace(folder: string, bytes: number): Promise<void> {
  let free: number;
  try {
    const { bavail, bsize } = await statfs(folder);
    free = bavail * bsize;
  } catch {
    return; // A file system that does not say how much room it has is believed to have enough.
  }
  if (free >= bytes) return;
  throw new StorageError(`${folder}: expected ${bytes} bytes of free space, found ${free}`, {
    hint: "free space and run the same command again: what was committed stays",
  });
}
