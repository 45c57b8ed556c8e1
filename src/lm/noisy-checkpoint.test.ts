// Noise on weights: what it touches, how large it is, and that it is the same whoever asks and however it is cut.

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NumericsError } from "../errors.ts";
import { philox4x32 } from "../numerics/rng.ts";
import { blockTensors, outerTensors } from "./architecture.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { addNormals, addWeightNoise, noiseKeys } from "./noisy-checkpoint.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { writeTinyLlama } from "./tiny-llama.test.data.ts";

let folder = "";
let base: Checkpoint;
beforeAll(async () => {
  folder = await writeTinyLlama();
  base = await openCheckpoint(folder);
});
afterAll(async () => {
  await base.close();
  await rm(folder, { recursive: true, force: true });
});

const specs = (): TensorSpec[] => [
  ...outerTensors(base.architecture),
  base.architecture.head,
  ...blockTensors(base.architecture, 0),
];
const read = (checkpoint: Checkpoint, { name, shape }: TensorSpec): Promise<Float32Array> =>
  checkpoint.readTensor(name, shape);
const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length);

/** One number by itself: the block that holds it, then its half of its pair. */
function normalAt(seed: number, name: string, index: number): number {
  const { key0, key1 } = noiseKeys(seed, name);
  const block = Math.floor(index / 4);
  const counter = Uint32Array.of(block % 2 ** 32, Math.floor(block / 2 ** 32), 0, 0);
  const words = philox4x32(counter, key0, key1, new Uint32Array(4));
  const pair = index % 4 < 2 ? 0 : 2;
  const radius = Math.sqrt(-2 * Math.log((words[pair] + 1) / (2 ** 32 + 1)));
  const angle = (2 * Math.PI * words[pair + 1]) / 2 ** 32;
  return radius * (index % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
}

test("every number is its twin's, wherever the tensor is cut", () => {
  for (const [start, length] of [
    [0, 0],
    [0, 1],
    [0, 11],
    [8, 6],
    [2 ** 34 + 4, 9],
  ]) {
    const cut = addNormals(new Float32Array(length), { seed: 2 ** 40 + 3, name: "w", start, deviation: 0.5 });
    const expected = Float32Array.from(
      { length },
      (_, i) => 0.5 * normalAt(2 ** 40 + 3, "w", start + i), // a factor 0.5 rounds nowhere
    );
    expect(cut).toEqual(expected);
  }
});

test("the numbers are standard normal, and another seed or tensor has others", () => {
  const n = 100_000;
  const draw = (seed: number, name: string) =>
    addNormals(new Float32Array(n), { seed, name, start: 0, deviation: 1 });
  const values = draw(1, "w");
  const moment = (power: number): number => values.reduce((sum, value) => sum + value ** power, 0) / n;
  // Five standard errors of each moment: √(1/n), √(2/n), √(96/n).
  expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
  for (const other of [draw(2, "w"), draw(1, "v"), draw(1 + 2 ** 32, "w")]) {
    const correlation = values.reduce((sum, value, i) => sum + value * other[i], 0) / n;
    expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(n));
  }
});

test("matrices move by the scale times their own RMS; norms stay to the bit", async () => {
  const noisy = addWeightNoise(base, { seed: 7, scale: 0.1 });
  for (const spec of specs()) {
    const [before, after] = [await read(base, spec), await read(noisy, spec)];
    if (spec.shape.length < 2) {
      expect(after, spec.name).toEqual(before);
      continue;
    }
    const share = rms(after.map((value, i) => value - before[i])) / rms(before);
    // An RMS over n numbers scatters by 1/√(2n); the smallest matrix here has 1,024 of them: five times that.
    expect(Math.abs(share / 0.1 - 1), spec.name).toBeLessThan(5 / Math.sqrt(2 * 1024));
    expect(await read(noisy, spec)).toEqual(after);
  }
});

test("scale 0 leaves every weight, and the hash tells base, seed and scale apart", async () => {
  const none = addWeightNoise(base, { seed: 7, scale: 0 });
  for (const spec of specs()) expect(await read(none, spec)).toEqual(await read(base, spec));
  const other = { ...base, hash: "other" };
  const hashes = [
    base.hash,
    none.hash,
    addWeightNoise(base, { seed: 7, scale: 0.1 }).hash,
    addWeightNoise(base, { seed: 8, scale: 0.1 }).hash,
    addWeightNoise(other, { seed: 7, scale: 0.1 }).hash,
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
  expect(addWeightNoise(base, { seed: 7, scale: 0.1 }).hash).toBe(hashes[2]);
});

test("a scale that is no scale, and one that leaves f32, are refused", async () => {
  for (const scale of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => addWeightNoise(base, { seed: 0, scale })).toThrow(NumericsError);
  }
  const { embedding } = base.architecture;
  await expect(read(addWeightNoise(base, { seed: 0, scale: 1e39 }), embedding)).rejects.toThrow(
    /scale 1e\+39/,
  );
});
