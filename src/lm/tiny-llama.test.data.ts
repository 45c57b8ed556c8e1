// A model of a few thousand weights written to a folder, a Llama unless the config says otherwise, for the tests of lm/.
// Weights come from a seed.

import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSafetensors } from "../formats/safetensors.ts";
import { createRng } from "../numerics/rng.ts";
import { blockTensors, outerTensors } from "./architecture.ts";
import { describeArchitecture } from "./config.ts";
import type { TensorSpec } from "./tensor-spec.ts";

export const TINY_CONFIG = {
  model_type: "llama",
  vocab_size: 97,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  rope_parameters: { rope_type: "default", rope_theta: 10000 },
};

/** Every tensor of a config, in file order, the head only when untied. */
export function tinySpecs(config: object): TensorSpec[] {
  const architecture = describeArchitecture(config, "config.json");
  const { head, headIsTied } = architecture;
  const blocks = Array.from({ length: architecture.config.nLayers }, (_, layer) =>
    blockTensors(architecture, layer),
  );
  return [...outerTensors(architecture), ...(headIsTied ? [] : [head]), ...blocks.flat()];
}

/** Seeded weights: matrices with gain 1.5 (so that attention is far from uniform), norms about 1. */
export function tinyWeights(config: object, seed = 1): Map<string, Float32Array> {
  const { finalNorm } = describeArchitecture(config, "config.json");
  const normCentre = finalNorm.kind === "rmsPlusOne" ? 0 : 1;
  return new Map(
    tinySpecs(config).map(({ name, shape }) => {
      const rng = createRng(seed, name);
      const size = shape.reduce((a, b) => a * b, 1);
      const isNorm = /norm|ln_/.test(name);
      const deviation = shape.length === 2 && !/embed|wte|wpe/.test(name) ? 1.5 / Math.sqrt(shape[1]) : 0.2;
      return [
        name,
        Float32Array.from(
          { length: size },
          (_, i) => (isNorm ? normCentre : 0) + deviation * rng.normal(0, i),
        ),
      ];
    }),
  );
}

/** Writes config.json and model.safetensors (F32) to a fresh folder and returns its path. */
export async function writeTinyLlama(
  config: object = TINY_CONFIG,
  weights: Map<string, Float32Array> = tinyWeights(config),
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tunediff-lm-"));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await writeSafetensors(join(folder, "model.safetensors"), tinyTensors(config, weights));
  return folder;
}

export function tinyTensors(config: object, weights: Map<string, Float32Array>) {
  return tinySpecs(config).map(({ name, shape }) => ({
    name,
    dtype: "F32" as const,
    shape: [...shape],
    data: weights.get(name) ?? new Float32Array(),
  }));
}

/** max over rows of ‖a − b‖₂ / ‖b‖₂. a, b: [rows, width]. NaN when anything is not a number. */
export function worstRowError(a: ArrayLike<number>, b: ArrayLike<number>, width: number): number {
  if (a.length !== b.length || a.length === 0) return Number.NaN;
  let worst = 0;
  for (let row = 0; row < a.length / width; row += 1) {
    let difference = 0;
    let size = 0;
    for (let i = row * width; i < (row + 1) * width; i += 1) {
      difference += (a[i] - b[i]) ** 2;
      size += b[i] ** 2;
    }
    const error = Math.sqrt(difference / size);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}
