// Every model family against transformers (eager attention, float32), by the golden files of test/golden/lm/families.
//
// The same comparison is run on deliberately wrong models, which must fail it by far: a tolerance that lets them pass would
// prove nothing.

import { rm } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { withAttention, withBlocks, withNorms, withRopes } from "./altered.test.data.ts";
import { type Architecture, blockTensors, type Norm, outerTensors } from "./architecture.ts";
import { rightPad, tokenTensor } from "./batch.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import {
  FAMILY_GOLDENS,
  type GoldenCase,
  goldenWeights,
  readFamilyGolden,
  readGoldenCases,
  realRows,
  sha256OfWeights,
  writeFamilyFolder,
} from "./family-golden.test.data.ts";
import { planGraph, tapName } from "./graph.ts";
import type { GraphPlan } from "./graph-builder.ts";
import { referenceForward } from "./reference-forward.ts";
import { createPrefix, createSuffix, openPlan } from "./runner.ts";
import { worstRowError } from "./tiny-llama.test.data.ts";

// The promise of the project: per token row ‖a − b‖₂/‖b‖₂; both sides are f32, summed in different orders.
const TOLERANCE = 1e-5;
// A wrong model must be far from passing, not merely outside.
const WRONG = 10 * TOLERANCE;

interface Opened {
  folder: string;
  checkpoint: Checkpoint;
  cases: GoldenCase[];
}

/** Folders are written once and shared by the tests of this file. */
const opened = new Map<string, Promise<Opened>>();
afterAll(async () => {
  for (const { folder, checkpoint } of await Promise.all(opened.values())) {
    await checkpoint.close();
    await rm(folder, { recursive: true, force: true });
  }
});

function openGolden(name: string, seed: number): Promise<Opened> {
  const key = `${name} ${seed}`;
  const known = opened.get(key) ?? writeAndOpen(name, seed);
  opened.set(key, known);
  return known;
}

async function writeAndOpen(name: string, seed: number): Promise<Opened> {
  const golden = readFamilyGolden(name);
  const described = golden.seeds.find((one) => one.seed === seed);
  const weights = goldenWeights(golden, seed);
  expect(sha256OfWeights(weights), "stale golden: run make_families.py again").toBe(described?.weightsSha256);
  const folder = await writeFamilyFolder(golden, { weights });
  return { folder, checkpoint: await openCheckpoint(folder), cases: await readGoldenCases(name, seed) };
}

const layersOf = ({ config }: Checkpoint): number[] =>
  Array.from({ length: config.nLayers }, (_, layer) => layer);

function fullPlan({ head }: Checkpoint, architecture: Architecture): GraphPlan {
  const taps = Array.from({ length: architecture.config.nLayers }, (_, layer) => layer);
  return planGraph(architecture, { start: "tokens", taps, head });
}

/** Worst row of every block's residual and the logits, over the cases. tapped: which tap stands for a layer. */
async function worstError(
  checkpoint: Checkpoint,
  cases: GoldenCase[],
  options: { plan?: GraphPlan; architecture?: Architecture; tapped?: (layer: number) => number } = {},
): Promise<number> {
  const { architecture = checkpoint.architecture, tapped = (layer) => layer } = options;
  const { config } = checkpoint;
  const plan = options.plan ?? fullPlan(checkpoint, architecture);
  const piece = await openPlan({ ...checkpoint, architecture }, plan, { threads: 1 });
  const errors: number[] = [];
  for (const { sequences, residuals, logits } of cases) {
    const batch = rightPad(sequences);
    const outputs = await piece.run({ tokenIds: tokenTensor(batch, config) }, batch);
    const size = residuals.length / config.nLayers;
    for (const layer of layersOf(checkpoint)) {
      const rows = realRows(outputs[tapName(tapped(layer))], batch, config.dModel);
      errors.push(worstRowError(rows, residuals.subarray(layer * size, (layer + 1) * size), config.dModel));
    }
    errors.push(worstRowError(realRows(outputs.logits, batch, config.vocabSize), logits, config.vocabSize));
  }
  await piece.dispose();
  return Math.max(...errors);
}

describe.each(FAMILY_GOLDENS)("%s", (name) => {
  test.each([1, 2, 3])(
    "every block's residual and the logits agree: plain, padded, past the window (seed %i)",
    async (seed) => {
      const { checkpoint, cases } = await openGolden(name, seed);
      expect(cases.map((one) => one.name)).toEqual(["plain", "padded", "window"]);
      expect(checkpoint.warnings).toEqual([]);
      expect(await worstError(checkpoint, cases)).toBeLessThanOrEqual(TOLERANCE);
    },
  );

  test("the loops of the slow twin agree, and so do prefix and suffix composed at every cut", async () => {
    const { checkpoint, cases } = await openGolden(name, 1);
    const { config, architecture, head } = checkpoint;
    const [{ sequences, residuals, logits }] = cases.filter((one) => one.name === "window");
    const weights = new Map<string, Float32Array>();
    for (const { name: key, shape } of tensorsOf(architecture, head)) {
      weights.set(key, await checkpoint.readTensor(key, shape));
    }
    const read = (key: string): Float32Array => weights.get(key) ?? new Float32Array();
    const slow = referenceForward(architecture, { tokenIds: sequences[0], read, headName: head.name });
    const batch = rightPad(sequences);
    const size = residuals.length / config.nLayers;
    const prefix = await createPrefix(checkpoint, { layers: layersOf(checkpoint), threads: 1 });
    const tapped = await prefix.run(batch);
    await prefix.dispose();
    expect(worstRowError(slow.logits, logits, config.vocabSize)).toBeLessThanOrEqual(TOLERANCE);
    for (const layer of layersOf(checkpoint)) {
      const expected = residuals.subarray(layer * size, (layer + 1) * size);
      expect(worstRowError(slow.residuals[layer], expected, config.dModel)).toBeLessThanOrEqual(TOLERANCE);
      const suffix = await createSuffix(checkpoint, { layer, threads: 1 });
      const got = await suffix.run({ ...batch, residual: tapped[layer] });
      await suffix.dispose();
      expect(worstRowError(got, logits, config.vocabSize)).toBeLessThanOrEqual(TOLERANCE);
    }
  });

  test("a layer index off by one, and the normed state in place of the last residual, fail", async () => {
    const { checkpoint, cases } = await openGolden(name, 1);
    const previous = (layer: number): number => Math.max(0, layer - 1);
    expect(await worstError(checkpoint, cases, { tapped: previous })).toBeGreaterThan(WRONG);
    const { config, finalNorm } = checkpoint.architecture;
    const [{ residuals }] = cases;
    const last = residuals.subarray(residuals.length * (1 - 1 / config.nLayers));
    const weight = await checkpoint.readTensor(finalNorm.weight.name, [config.dModel]);
    expect(worstRowError(normed(last, finalNorm, weight), last, config.dModel)).toBeGreaterThan(WRONG);
  });

  // GPT-2 rotates nothing.
  if (!name.startsWith("gpt2"))
    test("rotary pairs (2i, 2i + 1) in place of (i, i + d/2) fail", async () => {
      const { checkpoint, cases } = await openGolden(name, 1);
      const plan = fullPlan(checkpoint, checkpoint.architecture);
      const rotating = plan.nodes.filter(
        ({ op, attributes }) => op === "RotaryEmbedding" || "rotary_interleaved" in (attributes ?? {}),
      );
      expect(rotating.length).toBeGreaterThanOrEqual(checkpoint.config.nLayers);
      for (const node of rotating) {
        const key = node.op === "RotaryEmbedding" ? "interleaved" : "rotary_interleaved";
        node.attributes = { ...node.attributes, [key]: { int: 1 } };
      }
      expect(await worstError(checkpoint, cases, { plan })).toBeGreaterThan(WRONG);
    });
});

const GEMMAS = ["gemma", "gemma2", "gemma3"];
const WINDOWED = ["mistral", "qwen2", "gemma2", "gemma3", "phi3"];
const NORMED_HEADS = ["qwen3", "gemma3", "olmo2"];

const CONTROLS: [string, string[], (right: Architecture) => Architecture][] = [
  ["score soft-cap off", ["gemma2"], (right) => withAttention(right, () => ({ softCap: undefined }))],
  ["logit soft-cap off", ["gemma2"], (right) => ({ ...right, finalLogitSoftCap: undefined })],
  ["RMS norm without the + 1", GEMMAS, (right) => withNorms(right, (norm) => ({ ...norm, kind: "rms" }))],
  [
    "LayerNorm without its mean",
    ["gpt2", "gpt-neox"],
    (right) => withNorms(right, ({ bias, ...norm }) => ({ ...norm, kind: "rms" })),
  ],
  [
    "window one token too wide",
    WINDOWED,
    (right) => withAttention(right, ({ window }) => ({ window: window && window + 1 })),
  ],
  [
    "window one token too narrow",
    WINDOWED,
    (right) => withAttention(right, ({ window }) => ({ window: window && window - 1 })),
  ],
  ["embedding scale off", GEMMAS, (right) => ({ ...right, embeddingScale: 1 })],
  ["norms of q and k left out", NORMED_HEADS, (right) => withAttention(right, () => ({ qkNorm: undefined }))],
  [
    "scores scaled by 1/√headDim in place of query_pre_attn_scalar",
    ["gemma2", "gemma3"],
    (right) => withAttention(right, () => ({ scale: right.config.headDim ** -0.5 })),
  ],
  [
    "scores not divided by the layer's number",
    ["gpt2-inverse-layer-scale"],
    (right) => withAttention(right, () => ({ scale: right.config.headDim ** -0.5 })),
  ],
  [
    "q, k and v read as three blocks",
    ["gpt-neox"],
    (right) => withAttention(right, ({ qkv: [{ weight, bias }] }) => ({ qkv: [{ weight, bias }] })),
  ],
  [
    "sequential in place of parallel residual, and the other way round",
    ["gpt-neox", "gpt-neox-sequential", "llama-llama3"],
    (right) => withBlocks(right, (block) => ({ ...block, parallel: !block.parallel })),
  ],
  [
    "whole heads rotated in place of a part",
    ["gpt-neox", "gpt-neox-sequential"],
    (right) => withRopes(right, (rope) => ({ ...rope, dim: right.config.headDim })),
  ],
  [
    "rope scaling left out",
    ["llama-llama3", "llama-linear-bias-tied", "gemma3", "phi3-longrope"],
    (right) => withRopes(right, ({ dim, theta }) => ({ kind: "default", dim, theta })),
  ],
  [
    "long factors never used",
    ["phi3-longrope"],
    (right) =>
      withRopes(right, (rope) =>
        rope.kind === "longrope" ? { ...rope, longFactors: rope.shortFactors } : rope,
      ),
  ],
  [
    "ropes of full and windowed layers swapped",
    ["gemma3"],
    (right) => ({ ...right, ropes: { full: right.ropes.sliding, sliding: right.ropes.full } }),
  ],
  [
    "gate and up swapped",
    ["phi3", "qwen3"],
    (right) =>
      withBlocks(right, (block) => ({
        ...block,
        mlp: { ...block.mlp, gate: block.mlp.up, up: block.mlp.gate ?? block.mlp.up },
      })),
  ],
  [
    "the other form of GELU",
    ["gpt2", "gpt2-inverse-layer-scale", "gpt-neox", "gemma"],
    (right) =>
      withBlocks(right, (block) => ({
        ...block,
        mlp: { ...block.mlp, activation: block.mlp.activation === "gelu" ? "geluTanh" : "gelu" },
      })),
  ],
  [
    "[in, out] weights read as [out, in]",
    ["gpt2"],
    (right) => withAttention(right, ({ out }) => ({ out: { weight: out.weight, bias: out.bias } })),
  ],
  [
    "norms before attention and MLP in place of after",
    ["olmo2"],
    (right) =>
      withBlocks(right, ({ attentionPostNorm, mlpPostNorm, ...block }) => ({
        ...block,
        attentionNorm: attentionPostNorm,
        mlpNorm: mlpPostNorm,
      })),
  ],
];

describe("fails the same comparison", () => {
  const rows = CONTROLS.flatMap(([what, names, change]) =>
    names.map((name) => ({ what, name, change }) as const),
  );
  test.each(rows)("$what: $name", async ({ name, change }) => {
    const { checkpoint, cases } = await openGolden(name, 1);
    const architecture = change(checkpoint.architecture);
    expect(await worstError(checkpoint, cases, { architecture })).toBeGreaterThan(WRONG);
  });
});

/** Every tensor of a checkpoint, the head included. */
function tensorsOf(architecture: Architecture, head: Checkpoint["head"]) {
  const blocks = Array.from({ length: architecture.config.nLayers }, (_, layer) =>
    blockTensors(architecture, layer),
  );
  return [...outerTensors(architecture), head, ...blocks.flat()];
}

/** The final norm without its bias, over rows [row, dModel]. */
function normed(rows: Float32Array, { kind, epsilon }: Norm, weight: Float32Array): Float32Array {
  const width = weight.length;
  const out = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) {
    const row = rows.subarray(at, at + width);
    const scale = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / width + epsilon);
    row.forEach((value, i) => {
      out[at + i] = (value / scale) * (kind === "rmsPlusOne" ? 1 + weight[i] : weight[i]);
    });
  }
  return out;
}
