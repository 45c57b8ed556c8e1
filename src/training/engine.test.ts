// The fast step against its readable twin.

import { describe, expect, test } from "vitest";
import { initialDictionary } from "../dictionary/init.ts";
import { siteOffsets as siteOffsetsOf } from "../dictionary/latent-norms.ts";
import { createRng } from "../numerics/rng.ts";
import { createEngine } from "./engine.ts";
import { type Engine, type EngineOptions, PARAMETER_NAMES, STATE_KINDS } from "./engine-contract.ts";
import { createReferenceEngine } from "./reference-engine.ts";

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

describe("one step equals its readable twin", () => {
  for (const sizes of [
    { widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 },
    { widths: [3, 10], nLatents: 33, batchRows: 21, k: 3 },
    { widths: [9], nLatents: 64, batchRows: 12, k: 1 },
  ]) {
    test(`widths ${sizes.widths}, ${sizes.nLatents} latents, batch ${sizes.batchRows}, k ${sizes.k}`, async () => {
      const { options, start, batch } = setUp(sizes);
      const fast = await start(await createEngine(options));
      const slow = await start(createReferenceEngine<Float32Array>(options, new Float32Array(0)));
      let auxiliarySteps = 0;
      for (let step = 0; step < 6; step += 1) {
        // The twins part by rounding as they train; each step starts from the same parameters.
        for (const kind of STATE_KINDS) {
          for (const name of PARAMETER_NAMES) await slow.write(kind, name, await fast.read(kind, name));
        }
        const x = batch(step);
        const [a, b] = [await fast.backward(x, sizes.k), await slow.backward(x, sizes.k)];
        expect(a.l0).toBe(b.l0);
        expect(a.nDead).toBe(b.nDead);
        expect(a.loss).toBeCloseTo(b.loss, 6);
        expect(a.auxLoss).toBeCloseTo(b.auxLoss, 5);
        expect(a.smallestActivation).toBeCloseTo(b.smallestActivation, 6);
        expect(await fast.readRowsSinceFired()).toEqual(await slow.readRowsSinceFired());
        // f32 sums of a few dozen terms in another order.
        for (const name of PARAMETER_NAMES)
          expect(distance(await fast.read("gradient", name), slow.gradients[name]), name).toBeLessThan(1e-6);
        if (a.auxLoss > 0) auxiliarySteps += 1;
        for (const [engine, result] of [
          [fast, a],
          [slow, b],
        ] as const) {
          await engine.update({
            learningRate: 1e-2,
            maxGradientNorm: 0.1,
            gradientNorm: result.gradientNorm,
          });
        }
        for (const name of PARAMETER_NAMES)
          expect(distance(await fast.read("parameter", name), slow.parameters[name]), name).toBeLessThan(
            1e-6,
          );
      }
      expect(auxiliarySteps).toBeGreaterThan(1);
      await fast.dispose();
    });
  }
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
