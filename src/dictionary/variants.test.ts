// Code normalisations, TopK and ReLU dictionaries: on disk and when they encode.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { createRng } from "../numerics/rng.ts";
import { randomDictionary } from "./dictionary.test.helper.ts";
import { CODE_NORMALISATIONS, type Dictionary } from "./dictionary.ts";
import { loadDictionary, saveDictionary } from "./dictionary-file.ts";
import { createEncoder, encodeReference } from "./encode.ts";
import { decoderNorms, latentWeights } from "./latent-norms.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "variants-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const config = async (): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
const tensorNames = async (): Promise<string[]> => {
  const file = await openSafetensors(join(folder, "model.safetensors"));
  await file.close();
  return [...file.tensors.keys()];
};

test("every code normalisation comes back as it was saved, under the field's name", async () => {
  for (const codeNormalisation of CODE_NORMALISATIONS) {
    await saveDictionary(folder, { ...randomDictionary(), codeNormalisation });
    expect((await config()).code_normalization).toBe(codeNormalisation);
    expect((await loadDictionary(folder)).codeNormalisation ?? "crosscoder").toBe(codeNormalisation);
  }
});

test("a TopK dictionary comes back as one, and one without k is refused", async () => {
  const dictionary: Dictionary = { ...randomDictionary({ inferenceThreshold: 0.75 }), selection: "topK" };
  await saveDictionary(folder, dictionary);
  expect(await loadDictionary(folder)).toEqual(dictionary);
  await saveDictionary(folder, { ...dictionary, k: 0 });
  await expect(loadDictionary(folder)).rejects.toThrow(FormatError);
});

test("a ReLU dictionary is saved without k and threshold, which the field's class for it would refuse", async () => {
  const dictionary: Dictionary = { ...randomDictionary({ inferenceThreshold: 0 }), k: 0 };
  await saveDictionary(folder, dictionary);
  expect(await tensorNames()).not.toContain("k");
  expect(await tensorNames()).not.toContain("threshold");
  expect(await config()).not.toHaveProperty("k");
  expect(await loadDictionary(folder)).toEqual(dictionary);
});

test("weights are the sites' norms added, the norm of the whole row, or 1", () => {
  const dictionary = randomDictionary({ widths: [2, 1], nLatents: 1 });
  dictionary.decoderWeight.set([0, 3, 4]);
  expect(decoderNorms(dictionary).map(([norm]) => norm)).toEqual([3, 4]);
  const weightOf = (change: Partial<Dictionary>): number[] => [
    ...latentWeights({ ...dictionary, ...change }),
  ];
  expect(weightOf({})).toEqual([7]);
  expect(weightOf({ codeNormalisation: "crosscoder" })).toEqual([7]);
  expect(weightOf({ codeNormalisation: "sae" })).toEqual([5]);
  expect(weightOf({ codeNormalisation: "none" })).toEqual([1]);
});

for (const codeNormalisation of CODE_NORMALISATIONS) {
  for (const selection of ["threshold", "topK"] as const) {
    test(`encoding by ${selection} under ${codeNormalisation} normalisation equals its twin`, async () => {
      const dictionary: Dictionary = {
        ...randomDictionary({ widths: [3, 7], nLatents: 33 }),
        codeNormalisation,
        selection,
      };
      const nRows = 13;
      const rng = createRng(8, "variants.test");
      const x = Float32Array.from({ length: nRows * dictionary.width }, (_, i) => rng.normal(0, i));
      const encoder = await createEncoder(dictionary, { maxRows: nRows, threads: 1 });
      const [fast, slow] = [await encoder.encode(x, nRows), encodeReference(dictionary, x, nRows)];
      expect(fast.rowStart).toEqual(slow.rowStart);
      expect(fast.latent).toEqual(slow.latent);
      for (const [i, code] of fast.code.entries()) expect(code).toBeCloseTo(slow.code[i], 5); // f32 sums of 10 terms
      const perRow = Array.from({ length: nRows }, (_, row) => fast.rowStart[row + 1] - fast.rowStart[row]);
      // About half of 33 latents are positive in a row: always more than k = 4.
      if (selection === "topK") expect(perRow).toEqual(new Array(nRows).fill(dictionary.k));
      else expect(new Set(perRow).size).toBeGreaterThan(1);
      await encoder.dispose();
    });
  }
}
