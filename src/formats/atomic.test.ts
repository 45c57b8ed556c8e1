import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FormatError, StorageError } from "../errors.ts";
import {
  acquireLock,
  commitFolder,
  findCommittedFolders,
  readManifest,
  readSealedJson,
  removeStaleTemporaries,
  requireFreeSpace,
  sealJson,
  verifyFolder,
  writeFileAtomic,
} from "./atomic.ts";
import { type Disk, disk } from "./disk.ts";
import { identityTag, ownIdentity } from "./process-identity.ts";
import { writeSafetensors } from "./safetensors.ts";

let parent: string;
const original: Disk = { ...disk };
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "atomic-"));
});
afterEach(() => {
  Object.assign(disk, original);
  rmSync(parent, { recursive: true });
});

/** Makes the k-th call (0-based) of the disk fail, and with `persistent` every one after it. Returns a counter. */
function failAt(k: number, { persistent = false, code = "EIO" } = {}): { calls: number } {
  const counter = { calls: 0 };
  for (const name of Object.keys(original) as (keyof Disk)[]) {
    const call = original[name] as (...args: unknown[]) => Promise<unknown>;
    const failing = async (...args: unknown[]): Promise<unknown> => {
      const number = counter.calls;
      counter.calls += 1;
      if (number === k || (persistent && number > k)) {
        if (name === "close") await call(...args); // Do not leak the descriptor.
        throw Object.assign(new Error(`${code}: injected into ${name}`), { code });
      }
      return call(...args);
    };
    Object.assign(disk, { [name]: failing });
  }
  return counter;
}

/** A commit of two files, one in a subfolder, whose content says which version it is. */
const commit = (target: string, version: string) =>
  commitFolder(
    target,
    async (folder) => {
      await writeSafetensors(join(folder, "w.safetensors"), [
        { name: version, dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) },
      ]);
      await mkdir(join(folder, "sub"));
      await writeFile(join(folder, "sub", "note.txt"), version);
    },
    { version },
  );

async function versionOf(target: string): Promise<unknown> {
  const { details } = await verifyFolder(target);
  expect(readFileSync(join(target, "sub", "note.txt"), "utf8")).toBe(details.version);
  return details.version;
}

const temporaries = (): string[] => readdirSync(parent).filter((name) => /\.(tmp|old)-/.test(name));

describe("commitFolder", () => {
  test("leaves the files and a manifest that verifies, and no temporary", async () => {
    const target = join(parent, "deep", "X");
    await commit(target, "first");
    expect(await versionOf(target)).toBe("first");
    expect((await readManifest(target)).files.map(({ name }) => name)).toEqual([
      "sub/note.txt",
      "w.safetensors",
    ]);
    expect(readdirSync(join(parent, "deep"))).toEqual(["X"]);
  });

  test("replaces an existing folder whole", async () => {
    const target = join(parent, "X");
    await commit(target, "first");
    await commit(target, "second");
    expect(await versionOf(target)).toBe("second");
    expect(readdirSync(parent)).toEqual(["X"]);
  });

  test("an error of the caller leaves the old folder and no temporary", async () => {
    const target = join(parent, "X");
    await commit(target, "first");
    const failing = commitFolder(target, async (folder) => {
      await writeFile(join(folder, "half"), "half");
      throw new RangeError("mine");
    });
    await expect(failing).rejects.toThrow("mine");
    expect(await versionOf(target)).toBe("first");
    expect(temporaries()).toEqual([]);
  });

  test.each([
    ["one failing call", { persistent: false }],
    ["a disk that fails from one call on, clean-up included", { persistent: true }],
  ])(
    "%s, at every call: the old or the new folder is there, no temporary survives the next start",
    async (_, mode) => {
      for (const hasOld of [false, true]) {
        let completed = false;
        let outcomes = "";
        for (let k = 0; !completed; k += 1) {
          const target = join(parent, `X${hasOld}${k}`);
          if (hasOld) await commit(target, "old");
          failAt(k, mode);
          completed = await commit(target, "new").then(
            () => true,
            (error) => {
              expect(error).toBeInstanceOf(StorageError);
              return false;
            },
          );
          Object.assign(disk, original);
          await removeStaleTemporaries(parent);
          expect(temporaries(), `call ${k}`).toEqual([]);
          const version = existsSync(target) ? await versionOf(target) : "none";
          expect(completed ? ["new"] : hasOld ? ["old", "new"] : ["none", "new"]).toContain(version);
          outcomes += String(version)[0];
          if (k > 200) throw new Error("the commit never completed");
        }
        // Most calls come before the rename, so nearly all failures keep what was there.
        expect(outcomes.length).toBeGreaterThan(30);
        expect(outcomes.startsWith(hasOld ? "oooooooooo" : "nnnnnnnnnn")).toBe(true);
      }
    },
  );

  test("short writes of one byte change nothing in the result", async () => {
    disk.write = (handle, bytes, position) => original.write(handle, bytes.subarray(0, 1), position);
    await commit(join(parent, "slow"), "v");
    Object.assign(disk, original);
    await commit(join(parent, "fast"), "v");
    expect((await verifyFolder(join(parent, "slow"))).files).toEqual(
      (await verifyFolder(join(parent, "fast"))).files,
    );
  });

  test("a full disk is one line with path and bytes, the way out, and nothing left behind", async () => {
    disk.write = async () => {
      throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    };
    const error = await commit(join(parent, "X"), "v").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageError);
    // The header of the small file the commit writes first: 8 + 56 bytes.
    expect((error as StorageError).message).toBe(
      `${join(parent, "X", "w.safetensors")}: expected room to write 64 bytes, the disk is full (ENOSPC)`,
    );
    expect((error as StorageError).hint).toContain("free space");
    expect(readdirSync(parent)).toEqual([]);
  });

  test("a full disk met by the caller's own writes is a StorageError as well", async () => {
    const failing = commitFolder(join(parent, "X"), async () => {
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    });
    await expect(failing).rejects.toThrow(StorageError);
  });

  test("a platform that cannot fsync a folder can still commit", async () => {
    let refused = 0;
    disk.sync = async (handle) => {
      if (!(await handle.stat()).isDirectory()) return original.sync(handle);
      refused += 1;
      throw Object.assign(new Error("EPERM"), { code: "EPERM" });
    };
    await commit(join(parent, "X"), "v");
    expect(await versionOf(join(parent, "X"))).toBe("v");
    expect(refused).toBeGreaterThan(2);
  });
});

describe("verifyFolder", () => {
  test("names the file and the block of a flipped bit", async () => {
    const target = join(parent, "X");
    await commitFolder(target, (folder) => writeFile(join(folder, "big.bin"), new Uint8Array(2.5 * 2 ** 20)));
    const path = join(target, "big.bin");
    const bytes = readFileSync(path);
    bytes[2 ** 20 + 5] ^= 0x10;
    writeFileSync(path, bytes);
    await expect(verifyFolder(target)).rejects.toThrow(`${path}: block 1: expected CRC32 `);
  });

  test("finds every single flipped bit of a small folder, manifest included", async () => {
    const target = join(parent, "X");
    await commit(target, "v");
    let flips = 0;
    for (const name of ["w.safetensors", "sub/note.txt", "manifest.json"]) {
      const path = join(target, name);
      const bytes = readFileSync(path);
      // Every bit of the two files, every 23rd of the longer manifest.
      for (let bit = 0; bit < bytes.length * 8; bit += name === "manifest.json" ? 23 : 1) {
        bytes[bit >> 3] ^= 1 << (bit & 7);
        writeFileSync(path, bytes);
        const error = await verifyFolder(target).catch((error: unknown) => error);
        expect(error, `${name} bit ${bit}`).toBeInstanceOf(FormatError);
        expect((error as Error).message).toContain(path);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        flips += 1;
      }
      writeFileSync(path, bytes);
    }
    expect(flips).toBeGreaterThan(500);
    expect(await versionOf(target)).toBe("v");
  });

  test("finds truncation, extension, a missing file and a missing manifest", async () => {
    const target = join(parent, "X");
    const path = join(target, "f");
    const fresh = () =>
      commitFolder(target, (folder) => writeFile(join(folder, "f"), new Uint8Array(2 ** 20 + 7)));
    await fresh();
    truncateSync(path, 2 ** 20);
    await expect(verifyFolder(target)).rejects.toThrow("expected 1048583 bytes, got 1048576");
    await fresh();
    writeFileSync(path, new Uint8Array(3 * 2 ** 20));
    await expect(verifyFolder(target)).rejects.toThrow(FormatError);
    await fresh();
    rmSync(path);
    await expect(verifyFolder(target)).rejects.toThrow("expected a file of 1048583 bytes, found none");
    await fresh();
    rmSync(join(target, "manifest.json"));
    await expect(verifyFolder(target)).rejects.toThrow("expected a readable file, found none");
  });

  test("refuses a manifest that points outside its folder", async () => {
    const target = join(parent, "X");
    mkdirSync(target);
    for (const name of ["../secret", "/etc/passwd", "a//b", "C:\\x", ""]) {
      const files = [{ name, bytes: 0, sha256: "0".repeat(64), crc32: [] }];
      writeFileSync(join(target, "manifest.json"), sealJson({ schemaVersion: 1, files, details: {} }));
      await expect(verifyFolder(target), name).rejects.toThrow("files.0.name");
    }
  });

  test("findCommittedFolders lists committed and damaged folders, not temporaries nor a sealed manifest of another kind", async () => {
    await commit(join(parent, "a", "b"), "v");
    await commit(join(parent, "c"), "v");
    writeFileSync(join(parent, "c", "manifest.json"), "broken");
    mkdirSync(join(parent, `d.tmp-1-${"0".repeat(16)}`));
    writeFileSync(join(parent, `d.tmp-1-${"0".repeat(16)}`, "manifest.json"), "{}");
    writeFileSync(join(parent, "manifest.json"), sealJson({ sites: [] }));
    expect(await findCommittedFolders(parent)).toEqual([join(parent, "a", "b"), join(parent, "c")]);
  });
});

test("sealed JSON comes back equal, and no reformatting of it is taken", async () => {
  const path = join(parent, "s.json");
  const value = { b: 1.5, a: [null, "é", { deep: true }], nothing: undefined };
  writeFileSync(path, sealJson(value));
  expect(await readSealedJson(path)).toEqual({ b: 1.5, a: [null, "é", { deep: true }] });
  writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, "utf8"))));
  await expect(readSealedJson(path)).rejects.toThrow("expected JSON exactly as tunediff wrote it");
});

describe("writeFileAtomic", () => {
  test("every failing call leaves the old or the new content and no temporary", async () => {
    const path = join(parent, "f.txt");
    let completed = false;
    for (let k = 0; !completed; k += 1) {
      writeFileSync(path, "old");
      failAt(k, { persistent: k % 2 === 0 });
      completed = await writeFileAtomic(path, "new").then(
        () => true,
        () => false,
      );
      Object.assign(disk, original);
      await removeStaleTemporaries(parent);
      expect(readdirSync(parent)).toEqual(["f.txt"]);
      expect(completed ? ["new"] : ["old", "new"]).toContain(readFileSync(path, "utf8"));
    }
  });

  test("takes several parts in order and a folder that is not there is a StorageError", async () => {
    await writeFileAtomic(join(parent, "f"), [Uint8Array.of(1), Uint16Array.of(0x0302)]);
    expect([...readFileSync(join(parent, "f"))]).toEqual([1, 2, 3]);
    await expect(writeFileAtomic(join(parent, "no", "f"), "x")).rejects.toThrow(StorageError);
  });
});

/** A pid that is certainly dead. */
const deadPid = (): number => spawnSync(process.execPath, ["-e", ""]).pid;

describe("removeStaleTemporaries", () => {
  const tag = (): string => identityTag(ownIdentity());

  test("removes what dead processes left and leaves the living and the unrelated", async () => {
    const dead = deadPid();
    const names = [
      `X.tmp-${dead}-${tag()}00000000`, // dead
      `X.tmp-${process.pid}-${tag()}00000000`, // ours and at work
      `X.tmp-${process.pid}-${tag().slice(0, 4)}ffff00000000`, // our pid, an earlier start: dead
      `X.tmp-${dead}-ffff000000000000`, // another host, fresh
      `X.tmp-notes`,
      "X",
    ];
    for (const name of names) writeFileSync(join(parent, name), "");
    const handled = await removeStaleTemporaries(parent);
    // Without start times (no /proc) the third cannot be told from the second by more than its tag, which differs too.
    expect(handled.sort()).toEqual([names[0], names[2]].sort());
    expect(readdirSync(parent).sort()).toEqual([names[1], names[3], names[4], names[5]].sort());
  });

  test("removes another host's temporary only after a day without change", async () => {
    const path = join(parent, "X.tmp-1-ffff000000000000");
    writeFileSync(path, "");
    expect(await removeStaleTemporaries(parent)).toEqual([]);
    const twoDaysAgo = statSync(path).mtimeMs / 1000 - 2 * 86_400;
    utimesSync(path, twoDaysAgo, twoDaysAgo);
    expect(await removeStaleTemporaries(parent)).toHaveLength(1);
  });

  test("puts an old folder back when its successor never came, and drops it when it did", async () => {
    for (const name of ["A", "B"]) await commit(join(parent, name), "old");
    const dead = deadPid();
    for (const name of ["A", "B"]) {
      await original.rename(join(parent, name), join(parent, `${name}.old-${dead}-${tag()}00000000`));
    }
    await commit(join(parent, "B"), "new");
    await removeStaleTemporaries(parent);
    expect(readdirSync(parent).sort()).toEqual(["A", "B"]);
    expect([await versionOf(join(parent, "A")), await versionOf(join(parent, "B"))]).toEqual(["old", "new"]);
  });

  test("a folder that is not there holds none", async () => {
    expect(await removeStaleTemporaries(join(parent, "nowhere"))).toEqual([]);
  });
});

describe("acquireLock", () => {
  test("a second writer is told the pid of the first; after release it gets the lock", async () => {
    const path = join(parent, ".lock");
    const lock = await acquireLock(path);
    const error = await acquireLock(path).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as Error).message).toContain(`process ${process.pid} on`);
    await lock.release();
    await lock.release();
    expect(existsSync(path)).toBe(false);
    await (await acquireLock(path)).release();
  });

  test("takes over the lock of a dead process, and of a pid that was used again", async () => {
    const path = join(parent, ".lock");
    const { host, started } = ownIdentity();
    writeFileSync(path, JSON.stringify({ pid: deadPid(), host, started: "1", token: "t" }));
    await (await acquireLock(path)).release();
    if (started === "") return; // No /proc: a reused pid cannot be told here.
    writeFileSync(path, JSON.stringify({ pid: process.pid, host, started: "1", token: "t" }));
    await (await acquireLock(path)).release();
  });

  test("respects a lock of another host and a fresh empty one, and takes an empty one that is old", async () => {
    const path = join(parent, ".lock");
    writeFileSync(path, JSON.stringify({ pid: 1, host: "elsewhere", started: "", token: "t" }));
    await expect(acquireLock(path)).rejects.toThrow("process 1 on elsewhere");
    writeFileSync(path, "");
    await expect(acquireLock(path)).rejects.toThrow("just starting");
    utimesSync(path, 1, 1);
    await (await acquireLock(path)).release();
  });

  test("releasing does not remove a lock that someone else took over", async () => {
    const path = join(parent, ".lock");
    const first = await acquireLock(path);
    const second = await acquireLock(path, { takeOverOwn: true });
    await first.release();
    expect(existsSync(path)).toBe(true);
    await second.release();
    expect(existsSync(path)).toBe(false);
  });
});

test("asking for more room than the disk has is a StorageError with both amounts", async () => {
  await requireFreeSpace(parent, 1);
  await expect(requireFreeSpace(parent, Number.MAX_SAFE_INTEGER)).rejects.toThrow(
    `expected ${Number.MAX_SAFE_INTEGER} bytes of free space, found `,
  );
});
