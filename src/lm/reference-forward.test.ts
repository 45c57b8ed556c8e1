// The ONNX graph against its slow twin, on random models small enough to loop over.

import { rm } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { createRng } from "../numerics/rng.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { FAMILIES } from "./families/index.ts";
import { referenceForward } from "./reference-forward.ts";
import { createFullModel, createPrefix, createSuffix } from "./runner.ts";
import { TINY_CONFIG, tinyWeights, worstRowError, writeTinyLlama } from "./tiny-llama.test.data.ts";

// f32 sums of up to 40 terms through 3 blocks against f64: a few 1e-7 each.
const TOLERANCE = 3e-6;

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const LLAMA3 = {
  rope_type: "llama3",
  rope_theta: 500,
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};
const CASES: [string, object][] = [
  ["grouped queries, heads of 16", TINY_CONFIG],
  [
    "one key head, heads of 6 (outside GroupQueryAttention)",
    { ...TINY_CONFIG, num_key_value_heads: 1, head_dim: 6 },
  ],
  [
    "as many key heads as heads, head_dim left out (8)",
    { ...TINY_CONFIG, num_key_value_heads: null, head_dim: null },
  ],
  ["biases everywhere", { ...TINY_CONFIG, attention_bias: true, mlp_bias: true }],
  ["llama3 rope and a tied head", { ...TINY_CONFIG, tie_word_embeddings: true, rope_parameters: LLAMA3 }],
  ["one layer", { ...TINY_CONFIG, num_hidden_layers: 1 }],
];

function pad(sequences: number[][], length: number) {
  const tokenIds = new Int32Array(sequences.length * length).fill(-1);
  sequences.forEach((sequence, i) => {
    tokenIds.set(sequence, i * length);
  });
  return {
    tokenIds,
    batch: sequences.length,
    length,
    lengths: Int32Array.from(sequences, (sequence) => sequence.length),
  };
}

/** The graph against the loops on some sequences of one batch: worst row over every layer and the logits. */
async function twinError(checkpoint: Checkpoint, sequences: number[][], weights: Map<string, Float32Array>) {
  const { config, architecture } = checkpoint;
  const length = Math.max(...sequences.map((sequence) => sequence.length)) + 3;
  const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
  const full = await createFullModel(checkpoint, { layers, threads: 1 });
  const got = await full.run(pad(sequences, length));
  await full.dispose();
  const real = (values: Float32Array, sequence: number, width: number): Float32Array =>
    values.subarray(sequence * length * width, (sequence * length + sequences[sequence].length) * width);
  const read = (name: string): Float32Array => weights.get(name) ?? new Float32Array();
  const errors = sequences.flatMap((tokenIds, sequence) => {
    const headName = checkpoint.head.name;
    const expected = referenceForward(architecture, { tokenIds, read, headName, paddedLength: length });
    const residual = (layer: number): number =>
      worstRowError(
        real(got.residuals[layer], sequence, config.dModel),
        expected.residuals[layer],
        config.dModel,
      );
    const logits = real(got.logits, sequence, config.vocabSize);
    return [...layers.map(residual), worstRowError(logits, expected.logits, config.vocabSize)];
  });
  return Math.max(...errors);
}

describe.each(CASES)("%s", (_, raw) => {
  test("the graph computes what the loops compute, right padding included, and so do prefix and suffix at every cut", async () => {
    const weights = tinyWeights(raw);
    const folder = await writeTinyLlama(raw, weights);
    folders.push(folder);
    const checkpoint = await openCheckpoint(folder);
    const { config } = checkpoint;
    const sequences = [[3], [5, 96, 0, 5, 17, 4, 88, 41], [90, 8, 8, 8, 1]];
    expect(await twinError(checkpoint, sequences, weights)).toBeLessThan(TOLERANCE);

    const batch = pad(sequences, 11);
    const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
    const full = await createFullModel(checkpoint, { layers, threads: 1 });
    const got = await full.run(batch);
    await full.dispose();
    for (const layer of layers) {
      const prefix = await createPrefix(checkpoint, { layers: [layer], threads: 1 });
      const suffix = await createSuffix(checkpoint, { layer, threads: 1 });
      const [residual] = await prefix.run(batch);
      expect(residual).toEqual(got.residuals[layer]);
      const logits = await suffix.run({ ...batch, residual });
      expect(worstRowError(logits, got.logits, config.vocabSize)).toBeLessThan(TOLERANCE);
      await prefix.dispose();
      await suffix.dispose();
    }
    await checkpoint.close();
  });
});

/** A random config of a family: sizes, and every switch the family has. */
function randomConfig(modelType: string, seed: number): object {
  const rng = createRng(seed, modelType);
  let drawn = 0;
  const pick = <T>(...options: T[]): T => options[Math.floor(rng.uniform(0, drawn++) * options.length)];
  const nKvHeads = pick(1, 2, 3);
  const nHeads = nKvHeads * pick(1, 2, 3);
  const headDim = pick(8, 16, 24, 32);
  const shared = {
    model_type: modelType,
    vocab_size: 53,
    hidden_size: pick(16, 30, 48),
    intermediate_size: pick(20, 33),
    num_hidden_layers: pick(1, 2, 3),
    num_attention_heads: nHeads,
    num_key_value_heads: nKvHeads,
    head_dim: headDim,
    max_position_embeddings: 256,
    tie_word_embeddings: pick(true, false),
    attention_bias: pick(true, false),
    rope_theta: pick(50, 10_000),
    use_sliding_window: true,
    max_window_layers: pick(0, 1),
    sliding_window: pick(1, 4, 9),
    query_pre_attn_scalar: pick(8, 100),
    attn_logit_softcapping: pick(1, 5, null),
    final_logit_softcapping: pick(2, null),
    rope_local_base_freq: 20,
    sliding_window_pattern: 2,
  };
  if (modelType === "gpt2") {
    const scale_attn_by_inverse_layer_idx = pick(true, false);
    return {
      ...shared,
      n_embd: nHeads * headDim,
      n_head: nHeads,
      n_layer: 2,
      n_inner: pick(null, 40),
      n_positions: 256,
      activation_function: pick("gelu", "gelu_new"),
      scale_attn_by_inverse_layer_idx,
    };
  }
  if (modelType === "gpt_neox") {
    const rotary = { rotary_pct: pick(0.25, 0.5, 1), use_parallel_residual: pick(true, false) };
    return { ...shared, hidden_size: nHeads * headDim, ...rotary };
  }
  if (modelType !== "phi3") return shared;
  const nPairs = headDim / 4;
  const factors = (step: number): number[] => Array.from({ length: nPairs }, (_, i) => 1 + step * i);
  const scaling = { type: "longrope", short_factor: factors(0.1), long_factor: factors(1) };
  const longrope = {
    rope_scaling: scaling,
    partial_rotary_factor: 0.5,
    original_max_position_embeddings: 12,
  };
  return { ...shared, sliding_window: pick(4, null), ...pick<object>(longrope, {}) };
}

const families = FAMILIES.map(({ modelType }) => modelType).filter((modelType) => modelType !== "gemma3");
describe.each(families)("random configs of %s", (modelType) => {
  test.each([1, 2, 3, 4, 5])("the graph computes what the loops compute (seed %i)", async (seed) => {
    const raw = randomConfig(modelType, seed);
    const weights = tinyWeights(raw, seed);
    const folder = await writeTinyLlama(raw, weights);
    folders.push(folder);
    const checkpoint = await openCheckpoint(folder);
    const rng = createRng(seed, "tokens");
    const sequences = [1, 7, 17].map((length) =>
      Array.from({ length }, (_, i) => Math.floor(53 * rng.uniform(length, i))),
    );
    // Sharp attention of random models passes rounding on: the worst of these is 6e-6.
    expect(await twinError(checkpoint, sequences, weights)).toBeLessThan(1e-5);
    await checkpoint.close();
  });
});

test("a window and a score cap hold over a sequence much longer than either kernel block", async () => {
  const raw = {
    ...TINY_CONFIG,
    model_type: "gemma2",
    num_hidden_layers: 2,
    sliding_window: 100,
    attn_logit_softcapping: 3,
    query_pre_attn_scalar: 4,
  };
  const weights = tinyWeights(raw);
  const folder = await writeTinyLlama(raw, weights);
  folders.push(folder);
  const checkpoint = await openCheckpoint(folder);
  const tokens = Array.from({ length: 300 }, (_, i) => (i * 31) % 97);
  expect(await twinError(checkpoint, [tokens, tokens.slice(40, 170)], weights)).toBeLessThan(TOLERANCE);
  await checkpoint.close();
});
