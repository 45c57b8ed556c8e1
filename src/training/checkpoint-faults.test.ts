// A file-system call of a checkpoint's commit that fails, every one in turn: what is on the disk is the old checkpoint or
// the new one, never neither, and the run that goes on from it ends with the bytes of a run without a failure.
//
// A run is gone on with that has two checkpoints, so that the commit also removes an old one; calls are counted from there to
// the end of training, so that model.safetensors, config.json and training.json are met as well. The
// readable engine trains, because it is the quickest at this size; a checkpoint cannot tell. Real kills: test/kill/.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { InterruptedError, StorageError } from "../errors.ts";
import { verifyFolder } from "../formats/atomic.ts";
import { type Disk, disk } from "../formats/disk.ts";
import { createRng } from "../numerics/rng.ts";
import { JOB_CONFIG, jobStore } from "./checkpoint-job.test.helper.ts";
import type { TrainConfig } from "./config.ts";
import { train } from "./train.ts";

const original: Disk = { ...disk };
/** Here no power fails, and a real fsync would be most of the time. It stays a call that can fail. */
const quickDisk: Disk = { ...original, sync: async () => {} };

const store = jobStore;
/** Checkpoints after 2, 4 and 6 steps; latents die after one batch, so that the auxiliary loss acts. */
const config: TrainConfig = { ...JOB_CONFIG, steps: 7, deadAfterFraction: 0.15 };

/** Where everything lies; `begun`: a run interrupted after 4 steps, with checkpoints of 2 and 4. */
let parent: string;
type EngineName = "fast" | "reference";
const begun = (engine: EngineName): string => join(parent, `begun-${engine}`);
let folder: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "tunediff-faults-"));
  Object.assign(disk, quickDisk);
  for (const engine of ["reference", "fast"] as const) {
    const controller = new AbortController();
    const interrupted = train({
      store: store(),
      config: { ...config, engine },
      folder: begun(engine),
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        if (stage === "train" && done === 4) controller.abort();
      },
    });
    await expect(interrupted).rejects.toThrow(InterruptedError);
  }
});
beforeEach(() => {
  Object.assign(disk, quickDisk);
  folder = join(parent, "run");
});
afterEach(async () => {
  Object.assign(disk, original);
  await rm(folder, { recursive: true, force: true });
});
afterAll(() => rm(parent, { recursive: true }));

const run = (overrides: Partial<TrainConfig> = {}) =>
  train({ store: store(), config: { ...config, ...overrides }, folder });
/** Puts `folder` back to where the run was interrupted. */
async function begin(engine: EngineName = "reference"): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await cp(begun(engine), folder, { recursive: true });
}
/** What a run leaves that is never interrupted. */
async function straightOutcome(overrides: Partial<TrainConfig> = {}): Promise<Record<string, unknown>> {
  await rm(folder, { recursive: true, force: true });
  await run(overrides);
  return outcome();
}

/** Every name below the folder and the bytes of what a run leaves, without figures of time. */
async function outcome(): Promise<Record<string, unknown>> {
  // A lock that could not be removed stays until its process is gone.
  const names = (await readdir(folder, { recursive: true })).filter((name) => name !== ".lock").sort();
  const json = (text: string): object => ({ ...(JSON.parse(text) as object), rowsPerSecond: 0 });
  const metrics = (await readFile(join(folder, "metrics.jsonl"), "utf8")).trim().split("\n").map(json);
  const bytes = async (name: string): Promise<string> =>
    createHash("sha256")
      .update(await readFile(join(folder, name)))
      .digest("hex");
  return {
    names,
    metrics,
    model: await bytes("model.safetensors"),
    state: await bytes("checkpoints/step-00000006/state.safetensors"),
  };
}

interface Fault {
  /** Calls since the first commit began; the failing one is that of this number, from 0. */
  calls: number;
  happened: boolean;
}

/** Makes call k from the run's first commit on fail, and with `persistent` every one after it: nothing reaches the disk any more. */
function failAt(k: number, { persistent = false, code = "EIO" }): Fault {
  const fault: Fault = { calls: 0, happened: false };
  let armed = false;
  for (const name of Object.keys(quickDisk) as (keyof Disk)[]) {
    const call = quickDisk[name] as (...args: unknown[]) => Promise<unknown>;
    const failing = async (...args: unknown[]): Promise<unknown> => {
      armed ||= name === "makeFolder" && basename(String(args[0])) === "checkpoints";
      if (!armed) return call(...args);
      const number = fault.calls;
      fault.calls += 1;
      if (number !== k && !(persistent && number > k)) return call(...args);
      fault.happened = true;
      if (name === "close") await call(...args); // Do not leak the descriptor.
      throw Object.assign(new Error(`${code}: injected into ${name}`), { code });
    };
    Object.assign(disk, { [name]: failing });
  }
  return fault;
}

/** The verified checkpoints, oldest first; a number for each name. */
async function wholeCheckpoints(): Promise<number[]> {
  const names = (await readdir(join(folder, "checkpoints"))).filter((name) => /^step-\d+$/.test(name)).sort();
  const whole: number[] = [];
  for (const name of names) {
    const path = join(folder, "checkpoints", name);
    const manifest = await verifyFolder(path).catch(() => undefined);
    if (manifest !== undefined) whole.push(manifest.details.completedSteps as number);
  }
  return whole;
}

/** One failing run and the next start; returns false when call k was never made. */
async function failAndGoOn(k: number, mode: { persistent?: boolean; code: string }): Promise<boolean> {
  await begin();
  const fault = failAt(k, mode);
  const error = await run().then(
    () => undefined,
    (error: unknown) => error,
  );
  Object.assign(disk, quickDisk);
  if (!fault.happened) return false;
  // A failed removal of a temporary that is only a leftover does not end a run: then there is no error.
  if (error !== undefined) {
    expect(error, `call ${k}: ${String((error as Error).stack)}`).toBeInstanceOf(StorageError);
    expect((error as Error).message, `call ${k}`).toContain(folder);
    expect((error as Error).message, `call ${k}`).not.toMatch(/\.(tmp|old)-/);
    expect((error as StorageError).hint, `call ${k}`).toMatch(/again/);
  }
  const whole = await wholeCheckpoints();
  expect(whole.length, `call ${k}`).toBeGreaterThan(0);
  expect(whole.at(-1), `call ${k}`).toBeGreaterThanOrEqual(4);
  const finished = existsSync(join(folder, "training.json")); // Its fsync may fail after it is there.
  const { training } = await run();
  expect(training.resumedFromStep, `call ${k}`).toBe(finished ? 4 : whole.at(-1));
  expect(training.warnings, `call ${k}`).toEqual([]);
  return true;
}

test("the run has what the faults should meet: checkpoints of which two are kept, the auxiliary loss, two epochs", async () => {
  const { training } = await run();
  const straight = (await outcome()) as { names: string[]; metrics: { auxLoss: number }[] };
  expect(await readdir(join(begun("reference"), "checkpoints"))).toHaveLength(2);
  expect(straight.names.filter((name) => /step-\d+$/.test(name))).toEqual([
    "checkpoints/step-00000004",
    "checkpoints/step-00000006",
  ]);
  expect(straight.metrics.some(({ auxLoss }) => auxLoss > 0)).toBe(true);
  expect(config.steps).toBeGreaterThan(training.rows.trained / config.batchRows);
});

describe("at every file-system call from a commit to the end of training", () => {
  test.each([
    ["a full disk or an input/output error, met once", { persistent: false, codes: ["ENOSPC", "EIO"] }],
    ["a crash (no later call reaches the disk)", { persistent: true, codes: ["EIO", "ENOSPC"] }],
  ])(
    "%s: the old or the new checkpoint loads, and the run ends with the same bytes",
    async (_, { persistent, codes }) => {
      const straight = await straightOutcome();
      let k = 0;
      for (; await failAndGoOn(k, { persistent, code: codes[k % 2] }); k += 1)
        expect(await outcome(), `call ${k}`).toEqual(straight);
      // One commit of some 40 calls with its removal, then the dictionary's two files and the record.
      expect(k).toBeGreaterThan(60);
    },
  );

  test("under the fast engine with three shards: within the state's writing, and once the new one is there", async () => {
    const fast = { engine: "fast" } as const;
    const straight = await straightOutcome(fast);
    // Of some 45 calls of a commit; each run starts three threads, so not all are met.
    for (const k of [10, 42]) {
      await begin("fast");
      const fault = failAt(k, { persistent: true });
      const error = await run(fast).catch((error: unknown) => error);
      Object.assign(disk, quickDisk);
      expect(fault.happened).toBe(true);
      expect(error, `call ${k}`).toBeInstanceOf(StorageError);
      const { training } = await run(fast);
      expect(training.resumedFromStep, `call ${k}`).toBe(k === 10 ? 4 : 6);
      expect(await outcome(), `call ${k}`).toEqual(straight);
    }
  });
});

test("short writes of 1 to 16 bytes change nothing", async () => {
  const straight = await straightOutcome();
  const rng = createRng(0, "short writes");
  let writes = 0;
  for (const most of [1, 4, 16]) {
    await begin();
    disk.write = (handle, bytes, position) => {
      writes += 1;
      return original.write(
        handle,
        bytes.subarray(0, 1 + Math.floor(rng.uniform(0, writes) * most)),
        position,
      );
    };
    await run();
    Object.assign(disk, quickDisk);
    expect(await outcome(), `at most ${most}`).toEqual(straight);
  }
  expect(writes).toBeGreaterThan(1000);
});

/**
 * Loses, as a power failure would, what was not fsynced: bytes written since a file's last fsync are cut off or turned to
 * zeros, and of the names given since their folder's last fsync a seeded number of the latest is taken back.
 */
function powerFailsAt(k: number, seed: number): { fault: Fault; lose: () => Promise<void> } {
  const fault = failAt(k, { persistent: true });
  const armed = { ...disk };
  const unsynced = new Map<string, number>();
  const paths = new WeakMap<object, string>();
  const renames: { from: string; to: string }[] = [];
  disk.open = async (path, flags) => {
    const handle = await armed.open(path, flags);
    paths.set(handle, path);
    return handle;
  };
  disk.write = async (handle, bytes, position) => {
    const moved = await armed.write(handle, bytes, position);
    const path = paths.get(handle) ?? "";
    if (basename(path) === ".lock") return moved; // Whatever it holds, it is taken over by the time a machine is up again.
    unsynced.set(path, Math.min(unsynced.get(path) ?? Number.POSITIVE_INFINITY, position));
    return moved;
  };
  disk.sync = async (handle) => {
    await armed.sync(handle);
    unsynced.delete(paths.get(handle) ?? "");
  };
  disk.syncFolder = async (path) => {
    await armed.syncFolder(path);
    for (let i = renames.length - 1; i >= 0; i -= 1) {
      if (join(renames[i].to, "..") === join(path)) renames.splice(i, 1);
    }
  };
  disk.rename = async (from, to) => {
    await armed.rename(from, to);
    renames.push({ from, to });
    for (const [path, position] of [...unsynced]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      unsynced.delete(path);
      unsynced.set(to + path.slice(from.length), position);
    }
  };
  const rng = createRng(seed, "power");
  const lose = async (): Promise<void> => {
    Object.assign(disk, quickDisk);
    for (const [i, [path, position]] of [...unsynced].entries())
      await damageFrom(path, position, rng.uniform(1, i));
    const kept = Math.floor(rng.uniform(0, 0) * (renames.length + 1));
    for (const { from, to } of renames.slice(kept).reverse()) await original.rename(to, from).catch(() => {});
  };
  return { fault, lose };
}

async function damageFrom(path: string, position: number, how: number): Promise<void> {
  const size = await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
  if (size === undefined || size <= position) return;
  const handle = await original.open(path, "r+");
  try {
    const from = position + Math.floor((size - position) * how);
    if (how < 0.5) await handle.truncate(from);
    else await handle.write(new Uint8Array(size - from), 0, size - from, from);
  } finally {
    await handle.close();
  }
}

test("a power failure that loses what was not fsynced, at 50 places: the run ends with the same bytes", async () => {
  const straight = await straightOutcome();
  const rng = createRng(0, "places");
  for (let schedule = 0; schedule < 50; schedule += 1) {
    await begin();
    const k = Math.floor(rng.uniform(0, schedule) * 60);
    const { fault, lose } = powerFailsAt(k, schedule);
    await run().catch((error: unknown) => expect(error).toBeInstanceOf(StorageError));
    await lose();
    expect(fault.happened, `schedule ${schedule}, call ${k}`).toBe(true);
    expect((await wholeCheckpoints()).length, `schedule ${schedule}, call ${k}`).toBeGreaterThan(0);
    const { training } = await run();
    expect(training.warnings).toEqual([]);
    expect(await outcome(), `schedule ${schedule}, call ${k}`).toEqual(straight);
  }
});
