// The fast step against its readable twin.

import { describe, expect, test } from "vitest";
import { initialDictionary } from "../dictionary/init.ts";
import { siteOffsets as siteOffsetsOf } from "../dictionary/latent-norms.ts";
import { createRng } from "../numerics/rng.ts";
import { createEngine } from "./engine.ts";
import type { Engine, EngineOptions } from "./engine-contract.ts";
import type { Parameters } from "./loss.ts";
import { createReferenceEngine } from "./reference-engine.ts";

const NAMES = ["encoderWeight", "encoderBias", "decoderWeight", "decoderBias"] as const;

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
  const start = (engine: Engine): Engine => {
    engine.parameters.encoderWeight.set(initial.encoderWeight);
    engine.parameters.decoderWeight.set(initial.decoderWeight);
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
      const fast = start(await createEngine(options));
      const slow = start(createReferenceEngine(options, new Float32Array(0)));
      let auxiliarySteps = 0;
      for (let step = 0; step < 6; step += 1) {
        // The twins part by rounding as they train; each step starts from the same parameters.
        slow.state.parameters.set(fast.state.parameters);
        slow.state.firstMoment.set(fast.state.firstMoment);
        slow.state.secondMoment.set(fast.state.secondMoment);
        const x = batch(step);
        const [a, b] = [await fast.backward(x, sizes.k), await slow.backward(x, sizes.k)];
        expect(a.l0).toBe(b.l0);
        expect(a.nDead).toBe(b.nDead);
        expect(a.loss).toBeCloseTo(b.loss, 6);
        expect(a.auxLoss).toBeCloseTo(b.auxLoss, 5);
        expect(a.smallestActivation).toBeCloseTo(b.smallestActivation, 6);
        expect(fast.state.rowsSinceFired).toEqual(slow.state.rowsSinceFired);
        // f32 sums of a few dozen terms in another order.
        for (const name of NAMES)
          expect(distance(fast.gradients[name], slow.gradients[name]), name).toBeLessThan(1e-6);
        if (a.auxLoss > 0) auxiliarySteps += 1;
        for (const [engine, result] of [
          [fast, a],
          [slow, b],
        ] as const) {
          engine.update({ learningRate: 1e-2, maxGradientNorm: 0.1, gradientNorm: result.gradientNorm });
        }
        for (const name of NAMES)
          expect(distance(fast.parameters[name], slow.parameters[name]), name).toBeLessThan(1e-6);
      }
      expect(auxiliarySteps).toBeGreaterThan(1);
      await fast.dispose();
    });
  }
});

test("latents that did not fire get no gradient, and a permutation of latents permutes the gradients", async () => {
  const { options, start, batch } = setUp({ widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 });
  const engine = start(await createEngine(options));
  const reversed = await createEngine(options);
  const rowsReversed = (matrix: Float32Array, width: number): Float32Array => {
    const result = new Float32Array(matrix.length);
    for (let j = 0; j < 40; j += 1) result.set(matrix.subarray(j * width, (j + 1) * width), (39 - j) * width);
    return result;
  };
  reversed.parameters.encoderWeight.set(rowsReversed(engine.parameters.encoderWeight, 10));
  reversed.parameters.decoderWeight.set(rowsReversed(engine.parameters.decoderWeight, 10));
  await engine.backward(batch(0), 2);
  await reversed.backward(batch(0), 2);
  engine.state.rowsSinceFired.forEach((since, j) => {
    if (since === 0) return;
    expect(engine.gradients.decoderWeight.subarray(j * 10, (j + 1) * 10).every((value) => value === 0)).toBe(
      true,
    );
    expect(engine.gradients.encoderBias[j]).toBe(0);
  });
  for (const [name, width] of [
    ["encoderWeight", 10],
    ["decoderWeight", 10],
    ["encoderBias", 1],
  ] as [keyof Parameters, number][]) {
    expect(distance(rowsReversed(reversed.gradients[name], width), engine.gradients[name])).toBeLessThan(
      1e-6,
    );
  }
  await Promise.all([engine.dispose(), reversed.dispose()]);
});

test("swapping the two sites of rows and parameters swaps the gradients", async () => {
  const { options, start, batch } = setUp({ widths: [5, 5], nLatents: 40, batchRows: 16, k: 2 });
  const swapped = (rows: Float32Array): Float32Array =>
    rows.map((_, i) => rows[i - (i % 10) + (((i % 10) + 5) % 10)]);
  const [one, two] = [start(await createEngine(options)), start(await createEngine(options))];
  one.parameters.decoderWeight[3] += 0.4;
  two.parameters.encoderWeight.set(swapped(one.parameters.encoderWeight));
  two.parameters.decoderWeight.set(swapped(one.parameters.decoderWeight));
  const [a, b] = [await one.backward(batch(0), 2), await two.backward(swapped(batch(0)), 2)];
  expect(b.loss).toBeCloseTo(a.loss, 6);
  for (const name of ["encoderWeight", "decoderWeight", "decoderBias"] as const) {
    expect(distance(swapped(two.gradients[name]), one.gradients[name]), name).toBeLessThan(1e-6);
  }
  await Promise.all([one.dispose(), two.dispose()]);
});
