// Real SIGKILLs: a training process killed at any moment and started again ends with the bytes of one never killed.
//
// 10 kills here; TUNEDIFF_KILLS=40 in continuous integration; many-kills.ts for 300.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { differences, killMany, killsOf, outcomeOf, requireTelling, runChild } from "./kill-run.ts";
import { writeJobStore } from "./train-job.ts";

const SHARDS = 3;
const kills = Number(process.env.TUNEDIFF_KILLS ?? 10);

let parent: string;
let straight: Map<string, string>;
const task = (name: string) => ({ store: join(parent, "store"), folder: join(parent, name), shards: SHARDS });
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "tunediff-kill-"));
  await writeJobStore(join(parent, "store"));
  const { code, stderr } = await runChild(task("straight"));
  expect(code, stderr).toBe(0);
  straight = await outcomeOf(join(parent, "straight"));
});
afterAll(() => rm(parent, { recursive: true, force: true }));

test("the run that is killed crosses two epoch boundaries with the auxiliary loss acting", () => {
  requireTelling(straight, SHARDS);
  expect([...straight.keys()].sort()).toEqual([
    "checkpoints/step-00000115/manifest.json",
    "checkpoints/step-00000115/state.safetensors",
    "checkpoints/step-00000120/manifest.json",
    "checkpoints/step-00000120/state.safetensors",
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "training.json",
  ]);
});

test("the comparison sees one changed byte, a missing and a new file", () => {
  const other = new Map(straight).set("model.safetensors", `x${straight.get("model.safetensors")?.slice(1)}`);
  other.delete("config.json");
  other.set("left.tmp-1-0", "");
  expect(differences(straight, other)).toEqual([
    "config.json: expected a file, found none",
    "left.tmp-1-0: expected no such file",
    expect.stringMatching(/^model\.safetensors: differs from character 0 of /),
  ]);
  expect(differences(straight, straight)).toEqual([]);
});

describe.concurrent(`${kills} kills`, () => {
  // Two at a time, because half of a child's time is its start.
  test.each([0, 1])(
    "half of them, lane %i, up to 5 a folder at seeded places: every run ends with the same bytes",
    async (lane) => {
      const share = Math.floor((kills + lane) / 2);
      const taskOf = (seed: number) => task(`killed-${seed}`);
      const tally = await killMany({ kills: share, seed: lane, stride: 2, taskOf, straight });
      expect(tally.divergences).toEqual([]);
      expect(killsOf(tally)).toBeGreaterThanOrEqual(share);
      expect(tally.resumes).toBeGreaterThan(0);
    },
    60_000 + 20_000 * kills,
  );

  test("SIGTERM and SIGINT leave a checkpoint of the step they came in, exit 130, and the run goes on to the same bytes", async () => {
    const stopped = { ...task("stopped"), graceful: true };
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { code, firstStep, lastStep, stderr } = await runChild(stopped, (steps, send) => {
        if (steps === 13) send(signal);
      });
      expect(code, stderr).toBe(130);
      expect(stderr).toContain("InterruptedError");
      expect(lastStep - firstStep).toBeGreaterThanOrEqual(12);
      const names = (await readdir(join(stopped.folder, "checkpoints"))).sort();
      expect(names.at(-1)).toBe(`step-${String(lastStep).padStart(8, "0")}`);
      expect(names).toHaveLength(2);
    }
    const { code, stderr } = await runChild(stopped);
    expect(code, stderr).toBe(0);
    expect(differences(straight, await outcomeOf(stopped.folder))).toEqual([]);
  }, 300_000);
});
