// Several dictionaries from one pass: each ends with the bytes it has alone, whatever the others do and wherever it is stopped.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, InterruptedError, MismatchError } from "../errors.ts";
import { disk } from "../formats/disk.ts";
import type { Store } from "../store/store-contract.ts";
import { DEFAULT_TRAIN_CONFIG, type TrainConfig } from "./config.ts";
import { memoryStore, pairOfSites, plantedActivations } from "./memory-store.test.helper.ts";
import { train } from "./train.ts";
import { trainMany } from "./train-many.ts";

const { sync } = disk;
let root: string;
/** What each dictionary is when it is trained by itself. */
const alone: Record<string, object> = {};
beforeAll(async () => {
  disk.sync = async () => {}; // No power fails here, and a real one would be most of the time.
  root = await mkdtemp(join(tmpdir(), "alone-"));
  for (const name of names) {
    await train({ store: smallStore(), config: configs[name], folder: join(root, "alone", name) });
    alone[name] = await outcome("alone", name);
  }
  await rm(root, { recursive: true });
});
afterAll(() => {
  disk.sync = sync;
});
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "many-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const WIDTH = 8;
const concepts = Array.from({ length: 6 }, (_, c) => ({ base: c === 0 ? 0 : 1, finetuned: c === 1 ? 0 : 1 }));
const activations = plantedActivations({ concepts, width: WIDTH, nRows: 1500, density: 0.2, noise: 0.02 });
const smallStore = (): Store => memoryStore(activations, { sites: pairOfSites(WIDTH) });
const base: TrainConfig = {
  ...DEFAULT_TRAIN_CONFIG,
  engine: "reference",
  nLatents: 24,
  k: 2,
  steps: 50,
  batchRows: 32,
  learningRate: 1e-2,
  deadAfterFraction: 0.1,
  dataSeed: 7,
  logEverySteps: 10,
  checkpointEverySteps: 12,
  validateEverySteps: 25,
  threads: 1,
};
/** An epoch is 41 steps: all but the shorter one cross its end. */
const configs: Record<string, TrainConfig> = {
  plain: base,
  seed: { ...base, seed: 5 },
  larger: { ...base, nLatents: 32, k: 3, steps: 30, checkpointEverySteps: 7 },
  fast: { ...base, engine: "fast", shards: 2 },
  penalised: { ...base, sparsity: { kind: "reluL1", penalty: 0.02 }, targetRms: 3 },
  raw: { ...base, normalise: false, k: 1 },
};
const names = Object.keys(configs);

/** Counts how often rows of the training split are read. */
function counted(store: Store): { store: Store; reads: () => number } {
  const read = store.read.bind(store);
  let rows = 0;
  store.read = (from, to, target) => {
    for (let row = from; row < to; row += 1) if (store.rows.split[row] === 0) rows += 1;
    return read(from, to, target);
  };
  return { store, reads: () => rows };
}

async function outcome(place: string, name: string): Promise<object> {
  const lines = (await readFile(join(root, place, name, "metrics.jsonl"), "utf8")).trim().split("\n");
  const training = JSON.parse(await readFile(join(root, place, name, "training.json"), "utf8"));
  const { seconds, resumedFromStep, lastMetrics, ...facts } = training;
  return {
    model: (await readFile(join(root, place, name, "model.safetensors"))).toString("base64"),
    lines: lines.map((line) => ({ ...JSON.parse(line), rowsPerSecond: 0 })),
    facts,
  };
}
const runsAt = (place: string, some: string[] = names) =>
  some.map((name) => ({ config: configs[name], folder: join(root, place, name) }));

describe("side by side", () => {
  test("seeds, sizes, sparsities, spaces, engines and lengths each end as they do alone, from one reading of the batches", async () => {
    const one = counted(smallStore());
    await train({ store: one.store, config: base, folder: join(root, "counted") });
    const many = counted(smallStore());
    const stages = new Set<string>();
    const trained = await trainMany({
      store: many.store,
      runs: runsAt("many"),
      reportProgress: ({ stage }) => stages.add(stage),
    });
    expect(trained.map(({ training }) => training.config)).toEqual(Object.values(configs));
    for (const name of names) expect(await outcome("many", name), name).toEqual(alone[name]);
    expect(stages).toEqual(new Set(["prepare training", ...names.map((name) => `train ${name}`)]));
    expect(many.reads()).toBe(one.reads());
    expect(new Set(names.map((name) => (alone[name] as { model: string }).model)).size).toBe(names.length);
  });

  test("stopped while some are ahead of others, and again, they end with the same bytes", async () => {
    const stopAt = async (steps: number, some: string[]): Promise<void> => {
      const controller = new AbortController();
      const last = `train ${some.at(-1)}`;
      const run = trainMany({
        store: smallStore(),
        runs: runsAt("many", some),
        signal: controller.signal,
        reportProgress: ({ stage, done }) => {
          if (done === steps && (stage === last || (some.length === 1 && stage === "train")))
            controller.abort();
        },
      });
      await expect(run).rejects.toThrow(InterruptedError);
    };
    await stopAt(9, ["penalised"]);
    await stopAt(20, ["plain", "larger"]);
    await stopAt(14, ["raw", "fast", "seed"]);
    // All together now: at 0, 9, 14 and 20 steps.
    await stopAt(33, ["plain", "seed", "larger", "fast", "penalised", "raw"]);
    const trained = await trainMany({ store: smallStore(), runs: runsAt("many") });
    for (const name of names) expect(await outcome("many", name), name).toEqual(alone[name]);
    const resumed = Object.fromEntries(names.map((name, i) => [name, trained[i].training.resumedFromStep]));
    expect(resumed).toEqual({
      plain: 33,
      seed: 33,
      larger: 20,
      fast: 33,
      penalised: 33,
      raw: 33,
    });
  });

  test("checkpoints of different ages: each goes on from its own and waits for those behind", async () => {
    const controller = new AbortController();
    let writes = 0;
    const store = smallStore();
    // A failure, not a polite stop: nobody saves anything on the way out.
    const run = trainMany({
      store,
      runs: runsAt("many", ["plain", "larger"]),
      signal: controller.signal,
      reportProgress: ({ stage, done }) => {
        writes += 1;
        if (stage === "train plain" && done === 27) throw new Error("killed");
      },
    });
    await expect(run).rejects.toThrow("killed");
    expect(writes).toBeGreaterThan(27);
    const trained = await trainMany({ store: smallStore(), runs: runsAt("many", ["plain", "larger"]) });
    expect(trained.map(({ training }) => training.resumedFromStep)).toEqual([24, 21]);
    for (const name of ["plain", "larger"]) expect(await outcome("many", name)).toEqual(alone[name]);
  });

  test("a dictionary that is finished is returned as it is, and a new one beside it trains", async () => {
    await trainMany({ store: smallStore(), runs: runsAt("many", ["plain"]) });
    const before = await outcome("many", "plain");
    const stages = new Set<string>();
    const trained = await trainMany({
      store: smallStore(),
      runs: runsAt("many", ["plain", "seed"]),
      reportProgress: ({ stage }) => stages.add(stage),
    });
    expect(stages).toEqual(new Set(["prepare training", "train seed"]));
    expect(trained).toHaveLength(2);
    expect(await outcome("many", "plain")).toEqual(before);
  });
});

describe("what must agree", () => {
  test.each([
    [{ batchRows: 16 }, /dictionary\.batchRows: expected one for all dictionaries of a pass, got 32 and 16/],
    [{ outlierFactor: 5 }, /dictionary\.outlierFactor/],
    [{ dataSeed: 8 }, /dictionary\.dataSeed .*got 7 and 8/],
    [{ dataSeed: undefined, seed: 3 }, /dictionary\.dataSeed .*got 7 and 3/],
  ])("%j is refused before anything is read", async (change, message) => {
    const { store, reads } = counted(smallStore());
    const runs = [
      ...runsAt("many", ["plain"]),
      { config: { ...base, ...change }, folder: join(root, "other") },
    ];
    await expect(trainMany({ store, runs })).rejects.toThrow(ConfigError);
    await expect(trainMany({ store, runs })).rejects.toThrow(message);
    expect(reads()).toBe(0);
  });

  test("one folder for two dictionaries is refused, and so is another run's folder", async () => {
    await expect(
      trainMany({ store: smallStore(), runs: runsAt("many", ["plain", "plain"]) }),
    ).rejects.toThrow(/this one twice/);
    await train({ store: smallStore(), config: configs.plain, folder: join(root, "many", "seed") });
    await expect(trainMany({ store: smallStore(), runs: runsAt("many", ["plain", "seed"]) })).rejects.toThrow(
      MismatchError,
    );
  });

  test("dataSeed decides the order of rows and nothing else: with it, seed decides the start and nothing else", async () => {
    const first = async (
      change: Partial<TrainConfig>,
      name: string,
    ): Promise<{ loss: number; rows: string }> => {
      const config = { ...base, steps: 1, logEverySteps: 1, ...change };
      const { dictionary } = await train({ store: smallStore(), config, folder: join(root, name) });
      const [line] = (await readFile(join(root, name, "metrics.jsonl"), "utf8")).split("\n");
      // The decoder bias is the first batch's median, moved by one update.
      return {
        loss: JSON.parse(line).loss,
        rows: [...dictionary.decoderBias].map((v) => v.toFixed(1)).join(),
      };
    };
    const same = await first({ dataSeed: 3, seed: 3 }, "a");
    expect(await first({ dataSeed: undefined, seed: 3 }, "b")).toEqual(same);
    const otherStart = await first({ dataSeed: 3, seed: 4 }, "c");
    expect(otherStart.loss).not.toBe(same.loss);
    expect((await first({ dataSeed: 4, seed: 3 }, "d")).loss).not.toBe(same.loss);
  });
});
