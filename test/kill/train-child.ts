// A process that trains and can be killed, from outside or by itself at a given file-system call.
//
// node --import tsx train-child.ts '{"store": …, "folder": …, "shards": 3, "suicide": {"call": 17, "torn": false}}'
// Says "step N" on stdout after every step. SIGINT and SIGTERM do what they do under the command line.

import { resolve, sep } from "node:path";
import { TunediffError } from "../../src/errors.ts";
import { type Disk, disk } from "../../src/formats/disk.ts";
import { openStore } from "../../src/store/store.ts";
import { train } from "../../src/training/train.ts";
import { trainJob } from "./train-job.ts";

export interface ChildTask {
  store: string;
  folder: string;
  shards: number;
  /** SIGKILL instead of the call of this number (from 0) on the folder; torn: after half the bytes, if it is a write. */
  suicide?: { call: number; torn: boolean };
  /** Install the command line's handling of signals (slower to load). */
  graceful?: boolean;
}

/** Counts the disk's calls on files at or below the folder and ends the process at one of them. */
function dieAt({ folder, suicide }: ChildTask & { suicide: { call: number; torn: boolean } }): void {
  const root = resolve(folder) + sep;
  const original: Disk = { ...disk };
  const pathOf = new WeakMap<object, string>();
  let calls = 0;
  for (const name of Object.keys(original) as (keyof Disk)[]) {
    const call = original[name] as (...args: unknown[]) => Promise<unknown>;
    const counted = async (...args: unknown[]): Promise<unknown> => {
      const [first] = args;
      const path = typeof first === "string" ? first : pathOf.get(first as object);
      if (path !== undefined && (resolve(path) + sep).startsWith(root)) {
        if (calls === suicide.call) {
          const [handle, bytes, position] = args as Parameters<Disk["write"]>;
          if (name === "write" && suicide.torn)
            await original.write(handle, bytes.subarray(0, bytes.length >> 1), position);
          process.kill(process.pid, "SIGKILL");
        }
        calls += 1;
      }
      const result = await call(...args);
      if (name === "open") pathOf.set(result as object, String(first));
      return result;
    };
    Object.assign(disk, { [name]: counted });
  }
}

const task = JSON.parse(process.argv[2]) as ChildTask;
if (task.suicide !== undefined) dieAt({ ...task, suicide: task.suicide });
const interrupt = task.graceful ? (await import("../../src/cli/session.ts")).interruptSignal() : undefined;
try {
  const store = await openStore(task.store);
  await train({
    store,
    config: trainJob(task.shards),
    folder: task.folder,
    signal: interrupt?.signal,
    reportProgress: ({ stage, done }) => {
      if (stage === "train") process.stdout.write(`step ${done}\n`); // A pipe: written before the call returns.
    },
  });
  await store.close();
} catch (error) {
  if (!(error instanceof TunediffError)) throw error;
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exitCode = error.exitCode;
} finally {
  interrupt?.release();
}
