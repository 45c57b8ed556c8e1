// The ONNX graph against its slow twin, on random models small enough to loop over.

import { rm } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "./checkpoint.ts";
import { parseLlamaConfig } from "./families/llama.ts";
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

describe.each(CASES)("%s", (_, raw) => {
  test("the graph computes what the loops compute, right padding included, and so do prefix and suffix at every cut", async () => {
    const config = parseLlamaConfig(raw, "config.json");
    const weights = tinyWeights(raw);
    const folder = await writeTinyLlama(raw, weights);
    folders.push(folder);
    const checkpoint = await openCheckpoint(folder);
    const sequences = [[3], [5, 96, 0, 5, 17, 4, 88, 41], [90, 8, 8, 8, 1]];
    const batch = pad(sequences, 11);
    const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
    const full = await createFullModel(checkpoint, { layers, threads: 1 });
    const got = await full.run(batch);
    await full.dispose();

    const real = (values: Float32Array, sequence: number, width: number): Float32Array =>
      values.subarray(sequence * 11 * width, (sequence * 11 + sequences[sequence].length) * width);
    const read = (name: string): Float32Array => weights.get(name) ?? new Float32Array();
    sequences.forEach((tokenIds, sequence) => {
      const expected = referenceForward(config, { tokenIds, read, headName: checkpoint.head.name });
      for (const layer of layers) {
        const rows = real(got.residuals[layer], sequence, config.dModel);
        expect(worstRowError(rows, expected.residuals[layer], config.dModel)).toBeLessThan(TOLERANCE);
      }
      const logits = real(got.logits, sequence, config.vocabSize);
      expect(worstRowError(logits, expected.logits, config.vocabSize)).toBeLessThan(TOLERANCE);
    });

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
