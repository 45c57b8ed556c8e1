// A checkpoint with noise on its weight matrices: a model that differs from its base and learned nothing.
//
// W + scale·rms(W)·ε, ε standard normal, a pure function of (seed, tensor name, index): Philox blocks, two Box–Muller
// pairs each. Made while a tensor is read, never held. Vectors (norms, biases) stay as they are: they move every row alike,
// which a dictionary's bias takes up, and their RMS is no scale for them (a bias may be 0, Gemma's gain is 1 + w).

import { setImmediate as nextTurn } from "node:timers/promises";
import { NumericsError } from "../errors.ts";
import { hashString, philox4x32 } from "../numerics/rng.ts";
import { type Checkpoint, requireFinite } from "./checkpoint.ts";
import { hashOfHashes } from "./hash-files.ts";

export interface WeightNoise {
  /** Safe whole number from 0. */
  seed: number;
  /** Standard deviation over a matrix's own RMS, from 0. */
  scale: number;
}

/** Raised when the same seed and scale would give other weights. */
const NOISE_FORMAT = 1;

/** Numbers between two turns of the event loop, so that Ctrl-C is seen within a large tensor; a multiple of 4. */
const BLOCK_ELEMENTS = 2 ** 22;

/**
 * The base with noise on every tensor of two axes or more; scale 0 is the base's weights under another hash. `hash` covers the
 * base's, seed and scale. A tied head stays tied: one name, one noise. Closing it closes the base.
 *
 * readTensor also throws NumericsError when the noise takes a weight out of f32.
 */
export function addWeightNoise(base: Checkpoint, { seed, scale }: WeightNoise): Checkpoint {
  if (!(Number.isFinite(scale) && scale >= 0)) {
    throw new NumericsError(`noise scale: expected a finite number from 0, got ${scale}`);
  }
  return {
    ...base,
    hash: hashOfHashes([
      { name: "base", sha256: base.hash },
      { name: "noise", sha256: `${NOISE_FORMAT} ${seed} ${scale}` },
    ]),
    async readTensor(name, shape) {
      const values = await base.readTensor(name, shape);
      if (shape.length < 2 || scale === 0) return values;
      const deviation = scale * rootMeanSquare(values);
      for (let start = 0; start < values.length; start += BLOCK_ELEMENTS) {
        const block = values.subarray(start, Math.min(values.length, start + BLOCK_ELEMENTS));
        addNormals(block, { seed, name, start, deviation });
        await nextTurn();
      }
      requireFinite(values, `${base.folder}: tensor ${name} with noise of scale ${scale}`);
      return values;
    },
  };
}

/** values: any length above 0. Summed in f64. */
function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] * values[i];
  return Math.sqrt(sum / values.length);
}

export interface NormalsPlace {
  seed: number;
  /** Of the tensor. */
  name: string;
  /** Index in the tensor of target[0], a multiple of 4. */
  start: number;
  deviation: number;
}

/** target[i] += deviation·ε(seed, name, start + i), in place; f32. */
export function addNormals(
  target: Float32Array,
  { seed, name, start, deviation }: NormalsPlace,
): Float32Array {
  const { key0, key1 } = noiseKeys(seed, name);
  const counter = new Uint32Array(4);
  const words = new Uint32Array(4);
  const normals = new Float64Array(4);
  const firstBlock = start / 4;
  for (let i = 0; i < target.length; i += 4) {
    const block = firstBlock + i / 4;
    counter[0] = block >>> 0;
    counter[1] = Math.floor(block / 2 ** 32);
    philox4x32(counter, key0, key1, words);
    for (let pair = 0; pair < 4; pair += 2) {
      const radius = deviation * Math.sqrt(-2 * Math.log((words[pair] + 1) / (2 ** 32 + 1)));
      const angle = (2 * Math.PI * words[pair + 1]) / 2 ** 32;
      normals[pair] = radius * Math.cos(angle);
      normals[pair + 1] = radius * Math.sin(angle);
    }
    const end = Math.min(4, target.length - i);
    for (let j = 0; j < end; j += 1) target[i + j] += normals[j];
  }
  return target;
}

/** One stream a seed and tensor name, both halves of the seed used. */
export function noiseKeys(seed: number, name: string): { key0: number; key1: number } {
  const purpose = `weight noise ${name}`;
  return {
    key0: (seed ^ hashString(purpose)) >>> 0,
    key1: (Math.floor(seed / 2 ** 32) ^ hashString(`${purpose}#`)) >>> 0,
  };
}
