// What was read from files, kept until one of them changes: a stage that is run again is seen at the next request.
//
// A file is known by inode, size and time of change; stages replace files and never write into them. A value that holds something open is
// closed when it is replaced and nobody uses it any more.

import { stat } from "node:fs/promises";
import { errorCode } from "../formats/disk.ts";

export interface Kept<T> {
  value: T;
  close?: () => Promise<void> | void;
}

export interface FileMemo {
  /** Runs `work` on what `read` made of these files, read again only when one of them changed. Rejections are not kept. */
  use<T, R>(
    kept: { key: string; paths: readonly string[]; read: () => Promise<Kept<T>> },
    work: (value: T) => R | Promise<R>,
  ): Promise<R>;
  /** Lets everything go; values in use are closed when they are free. */
  clear(): Promise<void>;
}

interface Entry {
  state: string;
  kept: Promise<Kept<unknown>>;
  users: number;
  stale: boolean;
}

export function createFileMemo(): FileMemo {
  const entries = new Map<string, Entry>();
  const closeIfFree = async (entry: Entry): Promise<void> => {
    if (!entry.stale || entry.users > 0) return;
    entry.users = Number.POSITIVE_INFINITY; // once
    const kept = await entry.kept.catch(() => undefined);
    await kept?.close?.();
  };
  const drop = (key: string, entry: Entry): Promise<void> => {
    if (entries.get(key) === entry) entries.delete(key);
    entry.stale = true;
    return closeIfFree(entry);
  };
  return {
    async use({ key, paths, read }, work) {
      const state = (await Promise.all(paths.map(fileState))).join("\n");
      let entry = entries.get(key);
      if (entry === undefined || entry.state !== state) {
        if (entry !== undefined) void drop(key, entry);
        entry = { state, kept: read(), users: 0, stale: false };
        entries.set(key, entry);
      }
      entry.users += 1;
      const own = entry;
      try {
        const kept = await own.kept.catch(async (error: unknown) => {
          void drop(key, own);
          throw error;
        });
        return await work(kept.value as Parameters<typeof work>[0]);
      } finally {
        own.users -= 1;
        await closeIfFree(own);
      }
    },
    async clear() {
      await Promise.all([...entries].map(([key, entry]) => drop(key, entry)));
    },
  };
}

/** "" for a file that is not there. Throws what stat throws otherwise. */
export async function fileState(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return "";
    throw error;
  }
}
