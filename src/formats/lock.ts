// A lock file: one writer at a time for a study or store.
//
// Made with O_EXCL; holds the pid, host and start of its owner, so that the lock of a dead process is seen and taken. Not
// a lock against threads of one process that do not ask for it, and advisory: readers never look.

import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import { asStorageError, disk, errorCode, readFully, writeFully } from "./disk.ts";
import { ownIdentity, type ProcessIdentity, processState } from "./process-identity.ts";

export interface Lock {
  /** Removes the lock when it is still ours; calling it again does nothing. */
  release(): Promise<void>;
}

interface LockOwner extends ProcessIdentity {
  token: string;
}

/** A lock file without an owner in it is a writer that just started, or one that died right there. */
const EMPTY_LOCK_STALE_MS = 10_000;

/**
 * Takes the lock file `path` or throws StorageError naming the pid that holds it. Locks of dead processes are taken over.
 * takeOverOwn: also take a lock that this same process holds (an earlier holder that failed without releasing).
 */
export async function acquireLock(
  path: string,
  { takeOverOwn = false }: { takeOverOwn?: boolean } = {},
): Promise<Lock> {
  const owner: LockOwner = { ...ownIdentity(), token: randomBytes(8).toString("hex") };
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await tryCreate(path, owner)) return { release: () => release(path, owner.token) };
    const holder = await readOwner(path);
    if (holder === "gone") continue;
    const own = holder !== "empty" && processState(holder) === "alive" && holder.pid === owner.pid;
    const stale = holder === "empty" ? await isOld(path) : processState(holder) === "dead";
    if (!stale && !(own && takeOverOwn)) {
      const who =
        holder === "empty" ? "a process that is just starting" : `process ${holder.pid} on ${holder.host}`;
      throw new StorageError(`${path}: expected to be the only writer, ${who} holds the lock`, {
        hint: "wait for it or stop it; if it is surely gone, delete the lock file",
      });
    }
    await removeIfStill(path, holder);
  }
  throw new StorageError(`${path}: expected to get the lock, others keep taking it`, { hint: "run again" });
}

async function tryCreate(path: string, owner: LockOwner): Promise<boolean> {
  try {
    const handle = await disk.open(path, "wx");
    try {
      await writeFully(handle, Buffer.from(`${JSON.stringify(owner)}\n`), { path, position: 0 });
    } catch (error) {
      await disk.remove(path);
      throw error;
    } finally {
      await disk.close(handle);
    }
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw asStorageError(error, { path });
  }
}

async function readOwner(path: string): Promise<LockOwner | "empty" | "gone"> {
  try {
    const handle = await disk.open(path, "r");
    try {
      const bytes = new Uint8Array(4096);
      const text = Buffer.from(bytes.subarray(0, await readFully(handle, bytes, 0))).toString();
      const { pid, host, started, token } = JSON.parse(text);
      if (!Number.isSafeInteger(pid) || typeof host !== "string" || typeof token !== "string") return "empty";
      return { pid, host, started: String(started ?? ""), token };
    } finally {
      await disk.close(handle);
    }
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "gone";
    if (error instanceof SyntaxError || error instanceof TypeError) return "empty";
    throw asStorageError(error, { path });
  }
}

async function isOld(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > EMPTY_LOCK_STALE_MS;
  } catch {
    return true; // Gone in between: the next attempt finds out.
  }
}

/** Two processes may both see the stale lock: the one that renames it away first wins, the other sees a new owner. */
async function removeIfStill(path: string, seen: LockOwner | "empty"): Promise<void> {
  const now = await readOwner(path);
  const same =
    now === seen || (typeof now === "object" && typeof seen === "object" && now.token === seen.token);
  if (!same) return;
  const aside = `${path}.stale-${randomBytes(4).toString("hex")}`;
  try {
    await disk.rename(path, aside);
    await disk.remove(aside);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw asStorageError(error, { path });
  }
}

async function release(path: string, token: string): Promise<void> {
  const holder = await readOwner(path);
  if (typeof holder === "object" && holder.token === token) await disk.remove(path);
}
