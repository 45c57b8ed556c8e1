// Three steps against numbers that torch's autograd made; test/golden/training/make_step.py says how.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../package-root.ts";
import { createEngine } from "./engine.ts";
import type { Engine, EngineOptions } from "./engine-contract.ts";
import type { Parameters } from "./loss.ts";
import { createReferenceEngine } from "./reference-engine.ts";

type Named = Record<keyof Parameters, number[]>;
interface Golden {
  options: {
    nRows: number;
    dModel: number;
    nSites: number;
    nLatents: number;
    k: number;
    auxLatents: number;
    auxAlpha: number;
    deadAfterRows: number;
    maxGradientNorm: number;
    learningRate: number;
  };
  initial: Named;
  steps: {
    x: number[];
    loss: number;
    auxLoss: number;
    nDead: number;
    smallestActivation: number;
    gradientNorm: number;
    gradients: Named;
  }[];
  final: Named;
}

const golden = JSON.parse(
  readFileSync(join(packageRoot(), "test/golden/training/step.json"), "utf8"),
) as Golden;
const { nRows, dModel, nSites, nLatents, k, maxGradientNorm, learningRate, ...rest } = golden.options;
const options: EngineOptions = {
  ...rest,
  nLatents,
  width: nSites * dModel,
  siteOffsets: Array.from({ length: nSites + 1 }, (_, site) => site * dModel),
  batchRows: nRows,
  largestK: k,
  threads: 1,
};

/** ‖got − want‖ / ‖want‖ of one tensor. */
function distance(got: ArrayLike<number>, want: number[]): number {
  let difference = 0;
  let size = 0;
  want.forEach((value, i) => {
    difference += (got[i] - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

const engines: Record<string, () => Promise<Engine>> = {
  "the fast engine": () => createEngine(options),
  "the readable engine": async () => createReferenceEngine(options, new Float32Array(0)),
};

describe.each(Object.keys(engines))("%s makes torch's three steps", (name) => {
  test("losses, gradients and parameters agree, with the auxiliary loss and clipping acting", async () => {
    const engine = await engines[name]();
    for (const key of Object.keys(golden.initial) as (keyof Parameters)[]) {
      await engine.write("parameter", key, Float32Array.from(golden.initial[key]));
    }
    for (const step of golden.steps) {
      const result = await engine.backward(Float32Array.from(step.x), k);
      // f32 on both sides, sums of at most 48 terms in another order.
      expect(result.loss).toBeCloseTo(step.loss, 5);
      expect(result.auxLoss).toBeCloseTo(step.auxLoss, 5);
      expect(result.smallestActivation).toBeCloseTo(step.smallestActivation, 5);
      expect(result.nDead).toBe(step.nDead);
      expect(result.l0).toBe(k);
      expect(Math.abs(result.gradientNorm / step.gradientNorm - 1)).toBeLessThan(1e-5);
      for (const key of Object.keys(step.gradients) as (keyof Parameters)[]) {
        expect(distance(await engine.read("gradient", key), step.gradients[key]), key).toBeLessThan(1e-5);
      }
      await engine.update({ learningRate, maxGradientNorm, gradientNorm: result.gradientNorm });
    }
    for (const key of Object.keys(golden.final) as (keyof Parameters)[]) {
      expect(distance(await engine.read("parameter", key), golden.final[key]), key).toBeLessThan(1e-5);
    }
    await engine.dispose();
  });
});
