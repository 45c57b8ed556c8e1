// Ten steps of the reference trainers, replayed: every loss, gradient, counter and θ, and the parameters at the end.
//
// The golden files are what CrossCoderTrainer and BatchTopKCrossCoderTrainer of dictionary_learning did, watched through
// their own update(); test/golden/training/make_reference_runs.py says what was set on them and how far every selection is
// from flipping. At the end, sparsify's auxiliary loss: where it is ours, and where it is another.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CodeNormalisation, Normaliser } from "../dictionary/dictionary.ts";
import { globalScale, normaliseInPlace } from "../dictionary/normaliser.ts";
import { packageRoot } from "../package-root.ts";
import { createEngine } from "./engine.ts";
import { type Engine, type EngineOptions, PARAMETER_NAMES, type ParameterName } from "./engine-contract.ts";
import { geometricMedian } from "./geometric-median.ts";
import { addCodeGradients, auxiliaryDirection } from "./gradients.ts";
import {
  auxiliaryCodes,
  auxiliaryLoss,
  type BatchShape,
  batchVariance,
  type Parameters,
  preActivations,
  type Reconstruction,
  reconstruct,
} from "./loss.ts";
import { createReferenceEngine } from "./reference-engine.ts";
import { kAt, learningRateAt } from "./schedule.ts";
import { type Sparsity, sparseCodes } from "./sparsity.ts";
import { nextThreshold } from "./train.ts";

/** Base64 of little-endian float32. */
type Packed = string;
type Named = Record<ParameterName, Packed>;
interface Run {
  made: { marginAtLeast: { selection: number; gate: number } };
  margins: { selection?: number; auxSelection?: number; gate: number };
  shape: { dModel: number; nSites: number; nLatents: number; batchRows: number };
  sparsity: Sparsity;
  options: {
    auxLatents: number;
    auxAlpha: number;
    deadAfterRows: number;
    /** null: the trainer does not clip. */
    maxGradientNorm: number | null;
    codeNormalisation: CodeNormalisation;
    reconstruction: Reconstruction;
    k: number;
    kStart?: number | null;
    kAnnealingSteps?: number;
    largestK: number;
    learningRate: number;
    warmupSteps: number;
    decayStartStep: number;
    thresholdBeta?: number;
    thresholdStartStep?: number;
    normaliser?: { mean: Packed; std: Packed; targetRms: number };
  };
  initial: Named;
  /** The decoder bias after step 0, whose learning rate is 0. Absent: it starts at `initial`. */
  median?: Packed;
  steps: {
    x: Packed;
    k: number;
    learningRate: number;
    loss: number;
    auxLoss: number;
    penaltyLoss?: number;
    total: number;
    smallestActivation: number;
    l0: number;
    nDead: number | null;
    rowsSinceFired?: number[];
    threshold?: number;
    gradientNorm: number;
    gradients: Named;
  }[];
  final: Named;
}

const folder = join(packageRoot(), "test/golden/training");
const readGolden = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));
const runs = new Map(
  readdirSync(join(folder, "reference-runs")).map((file) => [
    file.replace(".json", ""),
    readGolden(join("reference-runs", file)) as Run,
  ]),
);
const runOf = (name: string): Run => runs.get(name) as Run;

function unpack(packed: Packed): Float32Array {
  const bytes = Buffer.from(packed, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/**
 * Both sides are float32 and sum at most a few hundred terms in another order: some 1e-6 of the norm, also after ten steps.
 * None seen is above 2e-6.
 */
const TOLERANCE = 1e-5;

/** ‖got − want‖ / ‖want‖ of one tensor. */
function distance(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < want.length; i += 1) {
    difference += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

function expectNear(got: number, want: number, what: string): void {
  expect(Math.abs(got - want), `${what}: ${got}, reference ${want}`).toBeLessThan(
    TOLERANCE * Math.max(Math.abs(want), 1e-3),
  );
}

function expectTensor(got: ArrayLike<number>, want: Packed, what: string): void {
  const expected = unpack(want);
  expect(got.length, what).toBe(expected.length);
  expect(distance(got, expected), what).toBeLessThan(TOLERANCE);
}

function engineOptions({ shape, sparsity, options }: Run): EngineOptions {
  const { dModel, nSites, nLatents, batchRows } = shape;
  const { auxLatents, auxAlpha, deadAfterRows, largestK, codeNormalisation, reconstruction } = options;
  return {
    nLatents,
    width: nSites * dModel,
    siteOffsets: Array.from({ length: nSites + 1 }, (_, site) => site * dModel),
    batchRows,
    largestK,
    auxLatents,
    auxAlpha,
    deadAfterRows,
    sparsity,
    codeNormalisation,
    reconstruction,
    threads: 1,
  };
}

function spaceOf({ shape, options: { normaliser } }: Run): {
  sites: { width: number }[];
  normaliser: Normaliser | undefined;
} {
  const { dModel, nSites } = shape;
  const sites = Array.from({ length: nSites }, () => ({ width: dModel }));
  if (normaliser === undefined) return { sites, normaliser };
  const [mean, std] = [unpack(normaliser.mean), unpack(normaliser.std)];
  const scale = Float32Array.from(sites, (_, site) => {
    const ofSite = std.subarray(site * dModel, (site + 1) * dModel);
    return globalScale(
      normaliser.targetRms,
      ofSite.reduce((sum, value) => sum + value ** 2, 0),
    );
  });
  return { sites, normaliser: { mean, std, scale, targetRms: normaliser.targetRms } };
}

async function replay(run: Run, engine: Engine): Promise<void> {
  const { shape, sparsity, options } = run;
  const { batchRows } = shape;
  const space = spaceOf(run);
  const level = sparsity.kind === "reluL1" ? sparsity.penalty : undefined;
  const batchOf = (step: Run["steps"][number]): Float32Array =>
    normaliseInPlace(unpack(step.x), batchRows, space);
  for (const name of PARAMETER_NAMES) await engine.write("parameter", name, unpack(run.initial[name]));
  if (run.median !== undefined) {
    const median = geometricMedian(batchOf(run.steps[0]), { nRows: batchRows, ...engineOptions(run) });
    expectTensor(median, run.median, "bias median");
    await engine.write("parameter", "decoderBias", median);
  }
  let threshold = -1;
  for (const [index, step] of run.steps.entries()) {
    const at = (what: string): string => `step ${index}, ${what}`;
    const result = await engine.backward(batchOf(step), level ?? step.k);
    expectNear(result.loss, step.loss, at("loss"));
    expectNear(result.auxLoss, step.auxLoss, at("auxLoss"));
    expectNear(result.penaltyLoss ?? 0, step.penaltyLoss ?? 0, at("penaltyLoss"));
    const total = result.loss + options.auxAlpha * result.auxLoss + (level ?? 0) * (result.penaltyLoss ?? 0);
    expectNear(total, step.total, at("total"));
    expectNear(result.gradientNorm, step.gradientNorm, at("gradientNorm"));
    expectNear(result.l0, step.l0, at("l0"));
    // What only BatchTopK's trainer has: θ comes of the smallest activation, aux-k of the counters.
    if (step.nDead !== null) {
      expectNear(result.smallestActivation, step.smallestActivation, at("smallestActivation"));
      expect(result.nDead, at("nDead")).toBe(step.nDead);
      expect([...(await engine.readRowsSinceFired())], at("rowsSinceFired")).toEqual(step.rowsSinceFired);
    }
    for (const name of PARAMETER_NAMES) {
      expectTensor(await engine.read("gradient", name), step.gradients[name], at(`gradient of ${name}`));
    }
    await engine.update({
      learningRate: step.learningRate,
      maxGradientNorm: options.maxGradientNorm ?? Number.POSITIVE_INFINITY,
      gradientNorm: result.gradientNorm,
    });
    if (options.thresholdBeta !== undefined) {
      if (index > (options.thresholdStartStep ?? 0))
        threshold = nextThreshold(threshold, result.smallestActivation, options.thresholdBeta);
      expectNear(threshold, step.threshold as number, at("threshold"));
    }
  }
  expect(engine.updates).toBe(run.steps.length);
  for (const name of PARAMETER_NAMES) {
    expectTensor(await engine.read("parameter", name), run.final[name], `${name} after ten steps`);
  }
}

describe("ten steps of the reference trainer come out the same", () => {
  for (const [name, run] of runs) {
    test(`${name}: by the readable engine`, async () => {
      await replay(run, createReferenceEngine(engineOptions(run), new Float32Array(0)));
    });
  }
  for (const [name, run] of runs) {
    // Threads take a second to start.
    const isSharded = name === "batchtopk-crosscoder" || name === "l1-norm";
    for (const shards of isSharded ? [1, 3] : [1]) {
      test(`${name}: by the fast engine, shards: ${shards}`, async () => {
        const engine = await createEngine({ ...engineOptions(run), shards });
        try {
          expect(engine.nShards).toBe(shards);
          await replay(run, engine);
        } finally {
          await engine.dispose();
        }
      });
    }
  }
});

describe("what the ten steps exercise", () => {
  const topK = [...runs].filter(([, run]) => run.sparsity.kind === "batchTopK");
  const count = (run: Run, is: (step: Run["steps"][number]) => boolean): number =>
    run.steps.filter(is).length;

  test("all three normalisations, annealing, a normaliser, and ReLU + L1 with both reconstructions", () => {
    expect([...runs.keys()].sort()).toEqual([
      "batchtopk-annealed",
      "batchtopk-crosscoder",
      "batchtopk-none",
      "batchtopk-normalised",
      "batchtopk-sae",
      "l1-norm",
      "l1-sae",
      "l1-squared",
    ]);
  });

  test.each(topK)(
    "%s: aux-k acts and has to choose, θ moves and clipping acts, each in three steps",
    (_, run) => {
      const maxNorm = run.options.maxGradientNorm as number;
      expect(count(run, ({ auxLoss }) => auxLoss > 0)).toBeGreaterThanOrEqual(3);
      expect(count(run, ({ nDead }) => (nDead ?? 0) > run.options.auxLatents)).toBeGreaterThanOrEqual(3);
      // Clipping changes Adam's result only where other steps are not clipped.
      const clipped = count(run, (step) => step.gradientNorm > maxNorm && step.learningRate > 0);
      expect(clipped).toBeGreaterThanOrEqual(3);
      expect(count(run, ({ gradientNorm }) => gradientNorm < maxNorm)).toBeGreaterThanOrEqual(3);
      expect(new Set(run.steps.map(({ threshold }) => threshold)).size).toBeGreaterThanOrEqual(4);
    },
  );

  test.each([...runs])("%s: no selection is near enough to a tie for float32 to flip it", (_, run) => {
    const { selection = 1, auxSelection = 1, gate } = run.margins;
    expect(Math.min(selection, auxSelection)).toBeGreaterThan(run.made.marginAtLeast.selection);
    expect(gate).toBeGreaterThan(run.made.marginAtLeast.gate);
  });
});

describe("the reference's schedules", () => {
  test.each([...runs])("%s: our learning rates, with the warm-up one step earlier", (_, run) => {
    const { learningRate, warmupSteps, decayStartStep } = run.options;
    const steps = run.steps.length;
    for (const [index, step] of run.steps.entries()) {
      // The reference spends its first update at rate 0, so that its warm-up lags one step behind.
      const at = index <= warmupSteps ? index - 1 : index;
      const rate =
        index === 0 ? 0 : learningRateAt(at, { learningRate, steps }, { warmupSteps, decayStartStep });
      expect(step.learningRate, `step ${index}`).toBeCloseTo(rate, 14);
    }
  });

  test("k anneals through the reference's numbers, a half rounding to the even k", () => {
    const { steps, options } = runOf("batchtopk-annealed");
    const { k, kStart, kAnnealingSteps = 0 } = options;
    const ours = steps.map((_, step) => kAt(step, { k, kStart: kStart ?? undefined, kAnnealingSteps }));
    expect(ours).toEqual(steps.map((step) => step.k));
    expect(ours).toEqual([5, 4, 4, 4, 3, 2, 2, 2, 2, 2]); // 5, 4.5, 4, 3.5, 3, 2.5, 2: halves are met three times
  });
});

// sparsify (EleutherAI, SparseCoder.forward) has an auxiliary loss of the same idea and another definition:
//   Σ‖r − ê‖² · min(nDead / kAux, 1) / Σ‖x − x̄‖²    with ê = dead codes · decoder + bias
// against ours, dictionary_learning's and the paper's code: Σ‖r − ê‖² / Σ‖r − r̄‖² without bias. Also, its selection and its
// codes are of x − bias, it selects by codes (its decoder rows have norm 1: our normalisation "none"), counts fired latents
// after the step and takes > where we take ≥. And its encoder's hand-written backward ignores the gradient of the
// pre-activations, which is where the auxiliary codes come from, so that this loss never moves the encoder of a dead latent.
// Ours follows dictionary_learning, the code of the method we reproduce: a loss relative to what is left to explain, a
// residual that already has the bias taken off once, and a gradient that reaches the encoder, without which a dead latent
// cannot come to fire.
interface SparsifyCase {
  nDead: number;
  x: Packed;
  parameters: Named;
  saeOut: Packed;
  auxLoss: number;
  gradients: Named;
}

describe("sparsify's auxiliary loss against ours", () => {
  const golden = readGolden("sparsify-auxk.json") as {
    shape: { width: number; nLatents: number; batchRows: number; k: number };
    cases: Record<"withoutBias" | "withBias" | "fewDead", SparsifyCase>;
  };
  const { width, nLatents, batchRows, k } = golden.shape;
  const shape: BatchShape = { nRows: batchRows, nLatents, width, siteOffsets: [0, width] };
  const auxLatents = width / 2;
  const f64 = (packed: Packed): Float64Array => Float64Array.from(unpack(packed));
  const one = new Float64Array(nLatents).fill(1);

  /** Ours in float64 on its arrays; it encodes x − bias, so that is what is given to our encoder. */
  function ours({ nDead, x: packedX, parameters: packed, saeOut }: SparsifyCase) {
    const parameters: Parameters<Float64Array> = {
      encoderWeight: f64(packed.encoderWeight),
      encoderBias: f64(packed.encoderBias),
      decoderWeight: f64(packed.decoderWeight),
      decoderBias: f64(packed.decoderBias),
    };
    const x = f64(packedX);
    const centred = x.map((value, i) => value - parameters.decoderBias[i % width]);
    const pre = preActivations(centred, parameters, shape);
    const isDead = Array.from({ length: nLatents }, (_, j) => (j >= nLatents - nDead ? 1 : 0));
    const codes = sparseCodes(pre, one, { kind: "topK", level: k });
    const reconstruction = reconstruct(codes, parameters, shape);
    expect(distance(reconstruction, unpack(saeOut))).toBeLessThan(TOLERANCE);
    const residual = x.map((value, i) => value - reconstruction[i]);
    const auxCodes = auxiliaryCodes(pre, { weight: one, isDead, auxLatents }, shape);
    const auxReconstruction = reconstruct(auxCodes, { decoderWeight: parameters.decoderWeight }, shape);
    const gradients: Parameters<Float64Array> = {
      encoderWeight: new Float64Array(nLatents * width),
      encoderBias: new Float64Array(nLatents),
      decoderWeight: new Float64Array(nLatents * width),
      decoderBias: new Float64Array(width),
    };
    const g = auxiliaryDirection(residual, auxReconstruction, shape);
    addCodeGradients(gradients, { x: centred, codes: auxCodes, g, parameters }, shape);
    return {
      loss: auxiliaryLoss(residual, auxReconstruction, shape),
      gradients,
      residual,
      auxReconstruction,
      parameters,
      ratio: batchVariance(residual, shape) / batchVariance(x, shape),
    };
  }

  test("without bias and with enough dead latents it is ours, divided by the inputs' variance in place of the residual's", () => {
    const { auxLoss, gradients: theirs } = golden.cases.withoutBias;
    const { loss, gradients, ratio } = ours(golden.cases.withoutBias);
    expectNear(loss * ratio, auxLoss, "loss");
    const scaled = gradients.decoderWeight.map((value) => value * ratio);
    expectTensor(scaled, theirs.decoderWeight, "decoder gradient");
    expect(Math.abs(ratio - 1)).toBeGreaterThan(0.1);
  });

  test("with fewer dead latents than kAux it is scaled down by their share, ours is not", () => {
    const { auxLoss, gradients: theirs, nDead } = golden.cases.fewDead;
    const { loss, gradients, ratio } = ours(golden.cases.fewDead);
    const share = nDead / auxLatents;
    expect(share).toBe(0.5);
    expectNear(loss * ratio * share, auxLoss, "loss");
    const scaled = gradients.decoderWeight.map((value) => value * ratio * share);
    expectTensor(scaled, theirs.decoderWeight, "decoder gradient");
  });

  test("its auxiliary reconstruction has the decoder bias in it a second time, ours has none", () => {
    const theirs = golden.cases.withBias;
    const { loss, ratio, residual, auxReconstruction, parameters } = ours(theirs);
    const withBias = auxReconstruction.map((value, i) => value + parameters.decoderBias[i % width]);
    expectNear(auxiliaryLoss(residual, withBias, shape) * ratio, theirs.auxLoss, "loss with bias");
    expect(Math.abs(loss * ratio - theirs.auxLoss)).toBeGreaterThan(0.01 * theirs.auxLoss);
    expect(unpack(theirs.gradients.decoderBias).every((value) => value !== 0)).toBe(true);
  });

  test("its gradient never reaches the encoder, ours reaches that of every latent it chose", () => {
    for (const theirs of Object.values(golden.cases)) {
      const { gradients } = ours(theirs);
      for (const name of ["encoderWeight", "encoderBias"] as const) {
        expect(unpack(theirs.gradients[name]).every((value) => value === 0)).toBe(true);
      }
      const decoderMoved = unpack(theirs.gradients.decoderWeight);
      for (let j = 0; j < nLatents; j += 1) {
        expect(gradients.encoderBias[j] !== 0).toBe(decoderMoved[j * width] !== 0);
      }
    }
  });
});
