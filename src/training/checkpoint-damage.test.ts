// A checkpoint that is damaged, of another run, or cannot be read: found in every case, never trained on, never deleted.
//
// A run interrupted after 4 steps, with checkpoints of 2 and 4, is damaged and gone on with. Whatever is left of it, the end
// has the bytes of a run without damage: a lost checkpoint costs time, even if all are lost. Failing writes are
// checkpoint-faults.test.ts.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { InterruptedError, MismatchError, StorageError, TunediffError } from "../errors.ts";
import { type Disk, disk } from "../formats/disk.ts";
import { createRng } from "../numerics/rng.ts";
import { JOB_CONFIG, jobStore } from "./checkpoint-job.test.helper.ts";
import type { TrainConfig } from "./config.ts";
import { train } from "./train.ts";

const original: Disk = { ...disk };

const store = jobStore;
const config: TrainConfig = { ...JOB_CONFIG, deadAfterFraction: 0.4 };

let parent: string;
let begun: string;
let folder: string;
let straight: string;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "tunediff-damage-"));
  begun = join(parent, "begun");
  folder = join(parent, "run");
  disk.sync = async () => {}; // No power fails here.
  await run();
  straight = await outcome();
  await rm(folder, { recursive: true });
  const controller = new AbortController();
  const interrupted = train({
    store: store(),
    config,
    folder: begun,
    signal: controller.signal,
    reportProgress: ({ stage, done }) => {
      if (stage === "train" && done === 4) controller.abort();
    },
  });
  await expect(interrupted).rejects.toThrow(InterruptedError);
});
beforeEach(begin);
afterEach(() => {
  Object.assign(disk, original, { sync: async () => {} });
});
afterAll(async () => {
  Object.assign(disk, original);
  await rm(parent, { recursive: true });
});

const run = (overrides: Partial<TrainConfig> = {}) =>
  train({ store: store(), config: { ...config, ...overrides }, folder });
async function begin(): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await cp(begun, folder, { recursive: true });
}
/** The model and the log without its figures of time. */
async function outcome(): Promise<string> {
  const model = createHash("sha256").update(await readFile(join(folder, "model.safetensors")));
  const log = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return `${model.digest("hex")}\n${log.replaceAll(/"rowsPerSecond":[^,}]*/g, "")}`;
}
const checkpoint = (step: number, name = ""): string =>
  join(folder, "checkpoints", `step-${String(step).padStart(8, "0")}`, name);
const checkpointNames = async (): Promise<string[]> => (await readdir(join(folder, "checkpoints"))).sort();

/** The newest checkpoint was found damaged, set aside with its damage, and the run ended as ever from the one before. */
async function expectSetAside(what: string): Promise<void> {
  const { training } = await run();
  expect(training.warnings, what).toEqual([
    expect.stringContaining(`${checkpoint(4)}: damaged, set aside and the checkpoint before it used`),
  ]);
  expect(training.resumedFromStep, what).toBe(2);
  expect(await outcome(), what).toBe(straight);
  const names = await checkpointNames();
  expect(
    names.filter((name) => name.startsWith("step-00000004.bad-")),
    what,
  ).toHaveLength(1);
}

async function flipBit(path: string, where: number): Promise<void> {
  const bytes = await readFile(path);
  const bit = Math.floor(where * bytes.length * 8);
  bytes[bit >> 3] ^= 1 << (bit & 7);
  await writeFile(path, bytes);
}

describe("a damaged newest checkpoint makes way for the one before it", () => {
  test.each(["state.safetensors", "manifest.json"])("50 single flipped bits of %s", async (name) => {
    const rng = createRng(0, `flips of ${name}`);
    for (let i = 0; i < 50; i += 1) {
      await begin();
      await flipBit(checkpoint(4, name), rng.uniform(0, i));
      await expectSetAside(`flip ${i}`);
    }
  });

  test.each(["state.safetensors", "manifest.json"])(
    "%s cut off, drawn out, emptied or gone",
    async (name) => {
      const { length } = await readFile(checkpoint(4, name));
      for (const bytes of [0, 1, 7, 8, length >> 1, length - 1, length + 1, length + 4096]) {
        await begin();
        await truncate(checkpoint(4, name), bytes);
        await expectSetAside(`${bytes} of ${length} bytes`);
      }
      await begin();
      await rm(checkpoint(4, name));
      await expectSetAside("gone");
    },
  );

  test.each([
    ["the manifest of the checkpoint before it", (): Promise<void> => copyFrom("manifest.json")],
    ["the state of the checkpoint before it", (): Promise<void> => copyFrom("state.safetensors")],
    [
      "the whole checkpoint before it under its name",
      async (): Promise<void> => {
        await copyFrom("manifest.json");
        await copyFrom("state.safetensors");
      },
    ],
    ["a folder with nothing in it", () => rm(checkpoint(4), { recursive: true }).then(() => mkdirEmpty())],
  ])("%s", async (what, damage) => {
    await damage();
    await expectSetAside(what);
  });

  const copyFrom = (name: string): Promise<void> =>
    cp(checkpoint(2, name), checkpoint(4, name), { force: true });
  const mkdirEmpty = (): Promise<void> => original.makeFolder(checkpoint(4));

  test("twice in a row, so that a name set aside is met again", async () => {
    await flipBit(checkpoint(4, "state.safetensors"), 0.5);
    await expectSetAside("first");
    const [bad] = (await checkpointNames()).filter((name) => name.includes(".bad-"));
    await begin();
    await cp(checkpoint(4), join(folder, "checkpoints", bad), { recursive: true });
    await flipBit(checkpoint(4, "state.safetensors"), 0.7);
    const { training } = await run();
    expect(training.resumedFromStep).toBe(2);
    expect((await checkpointNames()).filter((name) => name.includes(".bad-"))).toHaveLength(2);
  });
});

test("when every checkpoint is damaged, all are set aside, warnings say so and training begins anew", async () => {
  await flipBit(checkpoint(2, "state.safetensors"), 0.9);
  await truncate(checkpoint(4, "manifest.json"), 20);
  const { training } = await run();
  expect(training.resumedFromStep).toBe(0);
  expect(training.warnings).toHaveLength(2);
  expect(training.warnings[0]).toContain(checkpoint(4));
  expect(training.warnings[1]).toContain(checkpoint(2));
  expect(await outcome()).toBe(straight);
  expect((await checkpointNames()).filter((name) => name.includes(".bad-"))).toHaveLength(2);
});

describe("reading that fails while a checkpoint is loaded", () => {
  /** Makes the k-th call on a file below checkpoints/ fail; says whether it was made. */
  function failRead(k: number, code: string): { happened: boolean } {
    const fault = { happened: false };
    let calls = 0;
    const paths = new WeakMap<object, string>();
    for (const name of ["open", "read", "size", "list"] as const) {
      const call = disk[name] as (...args: unknown[]) => Promise<unknown>;
      const failing = async (...args: unknown[]): Promise<unknown> => {
        const path = typeof args[0] === "string" ? args[0] : (paths.get(args[0] as object) ?? "");
        if (!fault.happened && path.includes("checkpoints")) {
          fault.happened = calls === k;
          calls += 1;
          if (fault.happened) throw Object.assign(new Error(`${code}: injected into ${name}`), { code });
        }
        const result = await call(...args);
        if (name === "open") paths.set(result as object, path);
        return result;
      };
      Object.assign(disk, { [name]: failing });
    }
    return fault;
  }

  test.each(["EIO", "EMFILE"])(
    "%s at every call: a typed error that names the path or the checkpoint before it, and the same bytes in the end",
    async (code) => {
      let k = 0;
      let refused = 0;
      // The load makes some 25 calls; those after it are a commit's, which checkpoint-faults.test.ts has.
      for (; k < 25; k += 1) {
        await begin();
        const fault = failRead(k, code);
        const error = await run().catch((error: unknown) => error);
        Object.assign(disk, original, { sync: async () => {} });
        expect(fault.happened).toBe(true);
        if (error instanceof Error) {
          refused += 1;
          expect(error, `call ${k}: ${error.stack}`).toBeInstanceOf(TunediffError);
          expect(error.message, `call ${k}`).toContain(folder);
          await run();
        }
        expect(await outcome(), `call ${k}`).toBe(straight);
        // Out of handles or without permission is no damage: nothing may be set aside for it.
        const bad = (await checkpointNames()).filter((name) => name.includes(".bad-"));
        if (code !== "EIO") expect(bad, `call ${k}`).toEqual([]);
      }
      expect(refused).toBeGreaterThan(0);
    },
  );
});

describe("the lock of a folder", () => {
  /** Locks the folder in the name of a process; an unknown start is believed. */
  const lockFor = (pid: number): Promise<void> =>
    writeFile(
      join(folder, ".lock"),
      JSON.stringify({ pid, host: hostname(), started: "", token: "another" }),
    );

  test("of a living process refuses a second training, which changes nothing", async () => {
    await lockFor(process.ppid);
    const before = await readFile(join(folder, "metrics.jsonl"));
    const error = await run().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as Error).message).toContain(`${join(folder, ".lock")}: expected to be the only writer`);
    expect((error as Error).message).toContain(`process ${process.ppid} on`);
    expect(await readFile(join(folder, "metrics.jsonl"))).toEqual(before);
    expect(await checkpointNames()).toEqual(["step-00000002", "step-00000004"]);
    await rm(join(folder, ".lock"));
    await run();
    expect(await outcome()).toBe(straight);
  });

  test("of a dead process is taken over, and let go of at the end", async () => {
    await lockFor(spawnSync(process.execPath, ["-e", ""]).pid);
    await run();
    expect(await outcome()).toBe(straight);
    expect(await readdir(folder)).not.toContain(".lock");
  });
});

describe("a checkpoint of another run is refused and stays", () => {
  test.each([
    ["another seed", { config: { seed: 1 }, what: "configuration" }],
    ["another engine", { config: { engine: "fast" as const }, what: "configuration" }],
    ["another learning rate", { config: { learningRate: 1e-3 }, what: "configuration" }],
  ])("%s", async (_, { config: changed, what }) => {
    const error = await run(changed).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(MismatchError);
    expect((error as Error).message).toMatch(
      new RegExp(`step-00000004: ${what} hash is [0-9a-f]{12}…, this run expects [0-9a-f]{12}…`),
    );
    expect(await checkpointNames()).toEqual(["step-00000002", "step-00000004"]);
    const { training } = await run();
    expect(training.resumedFromStep).toBe(4);
    expect(await outcome()).toBe(straight);
  });

  test("another store", async () => {
    const other = store();
    other.manifest.identity = { kind: "another" };
    await expect(train({ store: other, config, folder })).rejects.toThrow(/step-00000004: store hash is /);
  });
});
