// The fast step against its readable twin.

import { describe, expect, test } from "vitest";
import { initialDictionary } from "../dictionary/init.ts";
import { siteOffsets as siteOffsetsOf } from "../dictionary/latent-norms.ts";
import { ShapeError, StorageError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import { createEngine, createLocalEngine, defaultShards } from "./engine.ts";
import { type Engine, type EngineOptions, PARAMETER_NAMES, STATE_KINDS } from "./engine-contract.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { startShardThreads } from "./shard-threads.ts";

function setUp({
  widths,
  nLatents,
  batchRows,
  k,
}: {
  widths: number[];
  nLatents: number;
  batchRows: number;
  k: number;
}) {
  const siteOffsets = siteOffsetsOf(widths.map((width) => ({ width })));
  const width = siteOffsets[widths.length];
  const options: EngineOptions = {
    nLatents,
    width,
    siteOffsets,
    batchRows,
    largestK: k,
    auxLatents: 3,
    auxAlpha: 1 / 32,
    deadAfterRows: 2 * batchRows,
    threads: 1,
  };
  const sites = widths.map((siteWidth, i) => ({
    name: `s${i}`,
    model: "base" as const,
    layer: 0,
    width: siteWidth,
  }));
  const initial = initialDictionary({ sites, nLatents, k, initNorm: 0.5, seed: 1 });
  const start = async <E extends Engine>(engine: E): Promise<E> => {
    await engine.write("parameter", "encoderWeight", initial.encoderWeight);
    await engine.write("parameter", "decoderWeight", initial.decoderWeight);
    return engine;
  };
  const rng = createRng(9, "engine.test");
  // A batch that a few directions explain, so that some latents die.
  const batch = (step: number): Float32Array =>
    Float32Array.from({ length: batchRows * width }, (_, i) => {
      const [row, column] = [Math.floor(i / width), i % width];
      return rng.normal(step, 2 * row) * initial.encoderWeight[column] * 4 + 0.3 * rng.normal(step + 100, i);
    });
  return { options, start, batch };
}

/** ‖a − b‖ / ‖b‖. */
function distance(a: Float32Array, b: Float32Array): number {
  let [difference, size] = [0, 0];
  b.forEach((value, i) => {
    difference += (a[i] - value) ** 2;
    size += value ** 2;
  });
  return size === 0 ? Math.sqrt(difference) : Math.sqrt(difference / size);
}

const SIZES = [
  { widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 },
  { widths: [3, 10], nLatents: 33, batchRows: 21, k: 3 },
  { widths: [9], nLatents: 64, batchRows: 12, k: 1 },
];
const VARIANTS: Record<string, Partial<EngineOptions>> = {
  BatchTopK: {},
  "BatchTopK, sae, squared": { codeNormalisation: "sae", reconstruction: "squared" },
  "BatchTopK, none": { codeNormalisation: "none" },
  TopK: { sparsity: { kind: "topK" } },
  "ReLU + L1": { sparsity: { kind: "reluL1", penalty: 0.02 }, auxAlpha: 0 },
  "ReLU + L1, sae, squared": {
    sparsity: { kind: "reluL1", penalty: 0.05 },
    codeNormalisation: "sae",
    reconstruction: "squared",
    auxAlpha: 0,
  },
};

describe("a step of 1, 2 and 7 shards equals the readable twin", () => {
  for (const sizes of SIZES) {
    for (const [variant, changes] of Object.entries(VARIANTS)) {
      test(`${variant}: widths ${sizes.widths}, ${sizes.nLatents} latents, batch ${sizes.batchRows}, k ${sizes.k}`, async () => {
        const { options: plain, start, batch } = setUp(sizes);
        const options = { ...plain, ...changes };
        const isPenalised = options.sparsity?.kind === "reluL1";
        const level = isPenalised ? 0.05 : sizes.k;
        const maxGradientNorm = isPenalised ? Number.POSITIVE_INFINITY : 0.1;
        const fast = await Promise.all(
          [1, 2, 7].map(async (nShards) => start(await createLocalEngine(options, nShards))),
        );
        const slow = await start(createReferenceEngine<Float32Array>(options, new Float32Array(0)));
        let auxiliarySteps = 0;
        for (let step = 0; step < 6; step += 1) {
          const x = batch(step);
          const want = await slow.backward(x, level);
          for (const engine of fast) {
            const got = await engine.backward(x, level);
            expect(got.l0).toBe(want.l0);
            expect(got.nDead).toBe(want.nDead);
            expect(Math.abs(got.loss / want.loss - 1)).toBeLessThan(1e-6);
            expect(got.auxLoss).toBeCloseTo(want.auxLoss, 5);
            expect(got.penaltyLoss ?? 0).toBeCloseTo(want.penaltyLoss ?? 0, 5);
            if (!isPenalised) expect(got.smallestActivation).toBeCloseTo(want.smallestActivation, 6);
            expect(Math.abs(got.gradientNorm / want.gradientNorm - 1)).toBeLessThan(1e-5);
            expect(await engine.readRowsSinceFired()).toEqual(await slow.readRowsSinceFired());
            // f32 sums of a few dozen terms in another order.
            for (const name of PARAMETER_NAMES)
              expect(distance(await engine.read("gradient", name), slow.gradients[name]), name).toBeLessThan(
                1e-6,
              );
            await engine.update({ learningRate: 1e-2, maxGradientNorm, gradientNorm: got.gradientNorm });
          }
          if (want.auxLoss > 0) auxiliarySteps += 1;
          await slow.update({ learningRate: 1e-2, maxGradientNorm, gradientNorm: want.gradientNorm });
          for (const engine of fast) {
            // Adam divides a gradient by its own size: the f32 error of a sum that nearly cancels comes through whole.
            for (const name of PARAMETER_NAMES)
              expect(
                distance(await engine.read("parameter", name), slow.parameters[name]),
                name,
              ).toBeLessThan(2e-5);
            // They part by rounding as they train; each step starts from the twin's state.
            for (const kind of STATE_KINDS) {
              for (const name of PARAMETER_NAMES) await engine.write(kind, name, await slow.read(kind, name));
            }
          }
        }
        if (options.auxAlpha > 0) expect(auxiliarySteps).toBeGreaterThan(1);
        await Promise.all(fast.map((engine) => engine.dispose()));
      });
    }
  }
});

test("gradients on 1, 2 and 7 shards agree to 1e-6 of their norm, and the losses of ten steps to 1e-5", async () => {
  const { options, start, batch } = setUp({ widths: [12, 20], nLatents: 90, batchRows: 40, k: 4 });
  const engines = await Promise.all(
    [1, 2, 7].map(async (nShards) => start(await createLocalEngine(options, nShards))),
  );
  let auxiliarySteps = 0;
  for (let step = 0; step < 10; step += 1) {
    const results = [];
    for (const engine of engines) {
      const result = await engine.backward(batch(step), 4);
      await engine.update({ learningRate: 1e-2, maxGradientNorm: 0.1, gradientNorm: result.gradientNorm });
      results.push(result);
    }
    const [one, ...others] = results;
    if (one.auxLoss > 0) auxiliarySteps += 1;
    for (const [i, other] of others.entries()) {
      expect(Math.abs(other.loss / one.loss - 1)).toBeLessThan(1e-5);
      if (step > 0) continue;
      for (const name of PARAMETER_NAMES) {
        const [a, b] = [await engines[i + 1].read("gradient", name), await engines[0].read("gradient", name)];
        expect(distance(a, b), name).toBeLessThan(1e-6);
      }
    }
  }
  expect(auxiliarySteps).toBeGreaterThan(2);
  await Promise.all(engines.map((engine) => engine.dispose()));
});

describe("shards on worker threads", () => {
  test("do what shards on one thread do, byte for byte, every time", async () => {
    const { options, start, batch } = setUp({ widths: [12, 20], nLatents: 90, batchRows: 40, k: 4 });
    const engines = await Promise.all([
      createLocalEngine(options, 3),
      createEngine({ ...options, shards: 3 }),
      createEngine({ ...options, shards: 3 }),
    ]);
    for (const engine of engines) await start(engine);
    let auxiliarySteps = 0;
    for (let step = 0; step < 8; step += 1) {
      const results = [];
      for (const engine of engines) {
        const result = await engine.backward(batch(step), 4);
        await engine.update({ learningRate: 1e-2, maxGradientNorm: 0.1, gradientNorm: result.gradientNorm });
        results.push(result);
      }
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
      if (results[0].auxLoss > 0) auxiliarySteps += 1;
    }
    expect(auxiliarySteps).toBeGreaterThan(2);
    for (const engine of engines.slice(1)) {
      expect(engine.nShards).toBe(3);
      expect(await engine.readRowsSinceFired()).toEqual(await engines[0].readRowsSinceFired());
      expect(await engine.lastBatch()).toEqual(await engines[0].lastBatch());
      for (const kind of STATE_KINDS) {
        for (const name of PARAMETER_NAMES) {
          expect(await engine.read(kind, name)).toEqual(await engines[0].read(kind, name));
        }
      }
    }
    await Promise.all(engines.map((engine) => engine.dispose()));
  });

  test("rows are read and written across the borders of shards", async () => {
    const { options } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
    const engine = await createEngine({ ...options, shards: 3 });
    const rows = Float32Array.from({ length: 20 * 5 }, (_, i) => i);
    await engine.write("firstMoment", "encoderWeight", rows);
    await engine.write(
      "firstMoment",
      "encoderWeight",
      Float32Array.of(-1, -2, -3, -4, -5, -6, -7, -8, -9, -10),
      5,
    );
    rows.set([-1, -2, -3, -4, -5, -6, -7, -8, -9, -10], 25);
    expect(await engine.read("firstMoment", "encoderWeight")).toEqual(rows);
    expect(await engine.read("firstMoment", "encoderWeight", { from: 5, to: 14 })).toEqual(
      rows.slice(25, 70),
    );
    await engine.dispose();
  });

  test("a shard that fails lets the others out of their waiting, and ends with its own error", async () => {
    const { options, batch } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
    const { shards, dispose } = await startShardThreads({ options, borders: [0, 10, 20], threads: 1 });
    const waiting = expect(shards[0].backward(batch(0), 1)).rejects.toThrow(/another one failed/);
    const tooMany = new Float32Array(11);
    // The mailbox of a shard that is in a step is the step's; this one has not begun.
    await expect(shards[1].write("parameter", "encoderBias", tooMany, 0)).rejects.toThrow(/RangeError/);
    await waiting;
    await dispose();
    await expect(shards[0].backward(batch(0), 1)).rejects.toThrow(/it was stopped/);
  });

  test("a shard that finds no room says so as the class of error it is", async () => {
    const { options } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
    const starting = createEngine({ ...options, nLatents: 2 ** 28, shards: 2 });
    await expect(starting).rejects.toThrow(StorageError);
    await expect(starting).rejects.toThrow(/WASM arena: expected at most 4 GiB/);
  });
});

test("rows that an engine does not have are refused", async () => {
  const { options } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
  const engine = await createEngine(options);
  await expect(engine.write("parameter", "encoderBias", new Float32Array(6), 17)).rejects.toThrow(ShapeError);
  await expect(engine.write("parameter", "encoderWeight", new Float32Array(6))).rejects.toThrow(/rows of 5/);
  await expect(engine.read("parameter", "encoderBias", { from: 3, to: 21 })).rejects.toThrow(ShapeError);
  await engine.dispose();
});

test("by default a shard a thread, one for small dictionaries, more on every thread where memory asks for it", () => {
  const { options } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
  const shards = (changes: Partial<EngineOptions>): number => defaultShards({ ...options, ...changes });
  expect(shards({ threads: 4 })).toBe(1);
  expect(shards({ threads: 4, nLatents: 1024 })).toBe(2);
  expect(shards({ threads: 4, nLatents: 2 ** 14 })).toBe(4);
  expect(shards({ threads: 1, nLatents: 2 ** 14 })).toBe(1);
  // The paper's size is 11 GB of state.
  const paper = { nLatents: 73_728, width: 4608, batchRows: 2048, largestK: 100, auxLatents: 1152 };
  expect(shards({ threads: 2, ...paper })).toBe(4);
});

test("a batch of another width, or of too many rows, is refused", async () => {
  const { options } = setUp({ widths: [3, 2], nLatents: 20, batchRows: 8, k: 1 });
  const engine = await createEngine(options);
  await expect(engine.backward(new Float32Array(9 * 5), 1)).rejects.toThrow(/up to 8 rows of 5 values/);
  await expect(engine.backward(new Float32Array(7), 1)).rejects.toThrow(ShapeError);
  await engine.dispose();
});

test("latents that did not fire get no gradient, and a permutation of latents permutes the gradients", async () => {
  const { options, start, batch } = setUp({ widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 });
  const engine = await start(await createEngine(options));
  const reversed = await createEngine(options);
  const rowsReversed = (matrix: Float32Array, width: number): Float32Array => {
    const result = new Float32Array(matrix.length);
    for (let j = 0; j < 40; j += 1) result.set(matrix.subarray(j * width, (j + 1) * width), (39 - j) * width);
    return result;
  };
  for (const name of ["encoderWeight", "decoderWeight"] as const) {
    await reversed.write("parameter", name, rowsReversed(await engine.read("parameter", name), 10));
  }
  await engine.backward(batch(0), 2);
  await reversed.backward(batch(0), 2);
  const [ofDecoder, ofBias] = [
    await engine.read("gradient", "decoderWeight"),
    await engine.read("gradient", "encoderBias"),
  ];
  (await engine.readRowsSinceFired()).forEach((since, j) => {
    if (since === 0) return;
    expect(ofDecoder.subarray(j * 10, (j + 1) * 10).every((value) => value === 0)).toBe(true);
    expect(ofBias[j]).toBe(0);
  });
  for (const [name, width] of [
    ["encoderWeight", 10],
    ["decoderWeight", 10],
    ["encoderBias", 1],
  ] as const) {
    const back = rowsReversed(await reversed.read("gradient", name), width);
    expect(distance(back, await engine.read("gradient", name))).toBeLessThan(1e-6);
  }
  await Promise.all([engine.dispose(), reversed.dispose()]);
});

test("swapping the two sites of rows and parameters swaps the gradients", async () => {
  const { options, start, batch } = setUp({ widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 });
  const swapped = (rows: Float32Array): Float32Array =>
    rows.map((_, i) => rows[i - (i % 10) + (((i % 10) + 5) % 10)]);
  const [one, two] = [await start(await createEngine(options)), await start(await createEngine(options))];
  const decoder = await one.read("parameter", "decoderWeight");
  decoder[3] += 0.4;
  await one.write("parameter", "decoderWeight", decoder);
  for (const name of ["encoderWeight", "decoderWeight"] as const) {
    await two.write("parameter", name, swapped(await one.read("parameter", name)));
  }
  const [a, b] = [await one.backward(batch(0), 2), await two.backward(swapped(batch(0)), 2)];
  expect(b.loss).toBeCloseTo(a.loss, 6);
  for (const name of ["encoderWeight", "decoderWeight", "decoderBias"] as const) {
    const back = swapped(await two.read("gradient", name));
    expect(distance(back, await one.read("gradient", name)), name).toBeLessThan(1e-6);
  }
  await Promise.all([one.dispose(), two.dispose()]);
});
