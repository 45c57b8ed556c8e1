// Our graphs against transformers (eager attention, float32), by the golden files in test/golden/lm.
//
// The same comparison is run on deliberately wrong models, which must fail it: a tolerance that lets them pass would
// prove nothing.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../formats/safetensors.ts";
import { packageRoot } from "../package-root.ts";
import { withNorms, withRopes } from "./altered.test.data.ts";
import type { Architecture } from "./architecture.ts";
import { rightPad, type TokenBatch, tokenTensor } from "./batch.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { planGraph, tapName } from "./graph.ts";
import type { GraphPlan } from "./graph-builder.ts";
import type { RopeConfig } from "./rope.ts";
import { createFullModel, createPrefix, createSuffix, openPlan } from "./runner.ts";
import { worstRowError } from "./tiny-llama.test.data.ts";

// The promise of the project: per token row ‖a − b‖₂/‖b‖₂; both sides are f32, summed in different orders.
const TOLERANCE = 1e-5;

interface Golden {
  sequences: number[][];
  kept: number[][];
  weights: Record<string, string>;
  residuals: Float32Array;
  logits: Float32Array;
}

const goldens = join(packageRoot(), "test/golden/lm");
const pair = join(packageRoot(), "organisms/minichat");
const CASES = [
  { name: "tiny-gqa-llama3-tied", folder: join(goldens, "tiny-gqa-llama3-tied"), golden: "golden" },
  { name: "tiny-bias-sharded", folder: join(goldens, "tiny-bias-sharded"), golden: "golden" },
  { name: "minichat base", folder: join(pair, "base"), golden: join(goldens, "minichat-base") },
  {
    name: "minichat finetuned",
    folder: join(pair, "finetuned"),
    golden: join(goldens, "minichat-finetuned"),
  },
].map((known) => ({
  ...known,
  golden: known.golden === "golden" ? join(known.folder, "golden") : known.golden,
}));

async function readGolden(path: string): Promise<Golden> {
  const file = await openSafetensors(`${path}.safetensors`);
  const [residuals, logits] = [await file.readFloat32("residuals"), await file.readFloat32("logits")];
  await file.close();
  return { ...JSON.parse(readFileSync(`${path}.json`, "utf8")), residuals, logits };
}

/** Rows of [batch, length, width] that the golden keeps, in its order. */
function keptRows(values: Float32Array, { kept }: Golden, length: number, width: number): Float32Array {
  const rows = kept.flatMap((positions, i) => positions.map((position) => i * length + position));
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    out.set(values.subarray(row * width, (row + 1) * width), i * width);
  });
  return out;
}

describe.each(CASES)("$name", ({ folder, golden: goldenPath }) => {
  let checkpoint: Checkpoint;
  let golden: Golden;
  let batch: TokenBatch;
  let layers: number[];

  beforeAll(async () => {
    expect(existsSync(folder), `${folder} is missing`).toBe(true);
    checkpoint = await openCheckpoint(folder);
    golden = await readGolden(goldenPath);
    batch = rightPad(golden.sequences);
    layers = Array.from({ length: checkpoint.config.nLayers }, (_, layer) => layer);
    const read = checkpoint.files.filter(({ name }) => name.endsWith(".safetensors"));
    expect(
      Object.fromEntries(read.map(({ name, sha256 }) => [name, sha256])),
      "stale golden: the weights changed after it was made; run test/golden/lm/make_*.py again",
    ).toEqual(golden.weights);
  });
  afterAll(() => checkpoint?.close());

  const expectedLayer = (layer: number): Float32Array => {
    const size = golden.residuals.length / layers.length;
    return golden.residuals.subarray(layer * size, (layer + 1) * size);
  };
  const residualError = (values: Float32Array, layer: number): number => {
    const { dModel } = checkpoint.config;
    return worstRowError(keptRows(values, golden, batch.length, dModel), expectedLayer(layer), dModel);
  };
  const logitError = (values: Float32Array): number => {
    const { vocabSize } = checkpoint.config;
    return worstRowError(keptRows(values, golden, batch.length, vocabSize), golden.logits, vocabSize);
  };
  /** Worst error over all layers and the logits of a full forward by some plan. */
  const fullError = async (plan: GraphPlan, wrong: Checkpoint = checkpoint): Promise<number> => {
    const piece = await openPlan(wrong, plan, { threads: 1 });
    const outputs = await piece.run({ tokenIds: tokenTensor(batch, checkpoint.config) }, batch);
    await piece.dispose();
    return Math.max(logitError(outputs.logits), ...layers.map((l) => residualError(outputs[tapName(l)], l)));
  };
  const fullPlan = (from: Checkpoint = checkpoint): GraphPlan =>
    planGraph(from.architecture, { start: "tokens", taps: layers, head: from.head });
  /** The same weights under an altered architecture. */
  const altered = (change: (architecture: Architecture) => Architecture): Checkpoint => ({
    ...checkpoint,
    architecture: change(checkpoint.architecture),
  });

  test("every layer's residual and the logits agree in a full forward", async () => {
    const model = await createFullModel(checkpoint, { layers, threads: 1 });
    const { residuals, logits } = await model.run(batch);
    await model.dispose();
    for (const layer of layers) expect(residualError(residuals[layer], layer)).toBeLessThanOrEqual(TOLERANCE);
    expect(logitError(logits)).toBeLessThanOrEqual(TOLERANCE);
  });

  test("prefix and suffix composed agree at every cut", async () => {
    const prefix = await createPrefix(checkpoint, { layers, threads: 2 });
    const residuals = await prefix.run(batch);
    await prefix.dispose();
    for (const layer of layers) {
      expect(residualError(residuals[layer], layer)).toBeLessThanOrEqual(TOLERANCE);
      const suffix = await createSuffix(checkpoint, { layer, threads: 2 });
      const logits = await suffix.run({ ...batch, residual: residuals[layer] });
      await suffix.dispose();
      expect(logitError(logits)).toBeLessThanOrEqual(TOLERANCE);
    }
  });

  test("rotary pairs (2i, 2i + 1) in place of (i, i + d/2) fail the same comparison", async () => {
    const plan = fullPlan();
    const rotating = plan.nodes.filter(({ op }) => op === "GroupQueryAttention" || op === "RotaryEmbedding");
    expect(rotating.length).toBeGreaterThan(0);
    for (const { op, attributes } of rotating) {
      const name = op === "RotaryEmbedding" ? "interleaved" : "rotary_interleaved";
      if (attributes) attributes[name] = { int: 1 };
    }
    expect(await fullError(plan)).toBeGreaterThan(10 * TOLERANCE);
  });

  test("a layer index off by one fails the same comparison", async () => {
    const prefix = await createPrefix(checkpoint, { layers, threads: 1 });
    const residuals = await prefix.run(batch);
    await prefix.dispose();
    for (const layer of layers.slice(1)) {
      expect(residualError(residuals[layer - 1], layer)).toBeGreaterThan(10 * TOLERANCE);
    }
  });

  test("an epsilon ten times too large fails the same comparison", async () => {
    const wrong = altered((right) => withNorms(right, (norm) => ({ ...norm, epsilon: 10 * norm.epsilon })));
    expect(await fullError(fullPlan(wrong), wrong)).toBeGreaterThan(TOLERANCE);
  });

  test("another rope base fails the same comparison", async () => {
    const wrong = altered((right) => withRopes(right, (rope) => ({ ...rope, theta: 1.1 * rope.theta })));
    expect(await fullError(fullPlan(wrong), wrong)).toBeGreaterThan(TOLERANCE);
  });
});

test("llama3 scaling left out fails the comparison of the model that asks for it", async () => {
  const { folder, golden: path } = CASES[0];
  const checkpoint = await openCheckpoint(folder);
  const golden = await readGolden(path);
  const { config } = checkpoint;
  const plain = ({ dim, theta }: RopeConfig): RopeConfig => ({ kind: "default", dim, theta });
  const wrong = { ...checkpoint, architecture: withRopes(checkpoint.architecture, plain) };
  const batch = rightPad(golden.sequences);
  const prefix = await createPrefix(wrong, { layers: [0], threads: 1 });
  const [residual] = await prefix.run(batch);
  await prefix.dispose();
  await checkpoint.close();
  const rows = keptRows(residual, golden, batch.length, config.dModel);
  const expected = golden.residuals.subarray(0, rows.length);
  expect(worstRowError(rows, expected, config.dModel)).toBeGreaterThan(10 * TOLERANCE);
});
