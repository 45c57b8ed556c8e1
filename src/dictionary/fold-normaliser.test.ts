// Folding a normaliser: the same codes and reconstructions from raw rows, held to the original and to the reference's files.

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, FormatError, MismatchError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { createRng } from "../numerics/rng.ts";
import { packageRoot } from "../package-root.ts";
import { decode } from "./decode.ts";
import { randomDictionary } from "./dictionary.test.helper.ts";
import { CODE_NORMALISATIONS, type Dictionary, type SparseCodes } from "./dictionary.ts";
import { loadDictionary, saveDictionary } from "./dictionary-file.ts";
import { createEncoder, encodeReference } from "./encode.ts";
import { encodeActivationsFile } from "./encode-file.ts";
import { foldDictionary } from "./fold-file.ts";
import { foldNormaliser } from "./fold-normaliser.ts";
import { latentWeights } from "./latent-norms.ts";
import { denormaliseInPlace, normaliseInPlace } from "./normaliser.ts";

const golden = join(packageRoot(), "test", "golden", "dictionary");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fold-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const rng = createRng(8, "fold.test");
const N_ROWS = 40;

async function encodeFast(dictionary: Dictionary, x: Float32Array): Promise<SparseCodes> {
  const encoder = await createEncoder(dictionary, { maxRows: N_ROWS, threads: 1 });
  try {
    return await encoder.encode(x, x.length / dictionary.width);
  } finally {
    await encoder.dispose();
  }
}

/** Raw rows, none of which has an activation within 1e-4 of θ: rounding (1e-6 here) cannot change who fires. */
function rowsWithMargin(dictionary: Dictionary): Float32Array {
  const { width, nLatents, inferenceThreshold: threshold } = dictionary;
  const weight = latentWeights(dictionary);
  const x = Float32Array.from({ length: N_ROWS * width }, (_, i) => 2 * rng.normal(width, i));
  const all = encodeReference({ ...dictionary, selection: "threshold", inferenceThreshold: -1 }, x, N_ROWS);
  for (let row = 0; row < N_ROWS; row += 1) {
    for (let entry = all.rowStart[row]; entry < all.rowStart[row + 1]; entry += 1) {
      const distance = Math.abs(all.code[entry] * weight[all.latent[entry] % nLatents] - threshold);
      if (distance < 1e-4) x.fill(0, row * width, (row + 1) * width);
    }
  }
  return denormaliseInPlace(x, N_ROWS, dictionary);
}

const cases = CODE_NORMALISATIONS.flatMap((codeNormalisation) =>
  [[6, 6], [3, 7], [5]].map((widths) => ({ widths, codeNormalisation })),
);
describe.each(cases)("widths $widths, $codeNormalisation", ({ widths, codeNormalisation }) => {
  test.each([
    { name: "θ 0.8", threshold: 0.8, k: 4 },
    { name: "ReLU", threshold: 0, k: 0 },
    { name: "θ not calibrated", threshold: -1, k: 4 },
  ])(
    "$name: raw rows give the codes of normalised ones, and reconstructions are the same",
    async ({ threshold, k }) => {
      const inferenceThreshold = Math.fround(threshold);
      const original = { ...randomDictionary({ widths, inferenceThreshold }), codeNormalisation, k };
      const folded = foldNormaliser(original);
      expect(folded.normaliser).toBeUndefined();
      const raw = rowsWithMargin(original);
      const wanted = await encodeFast(original, normaliseInPlace(raw.slice(), N_ROWS, original));
      const got = await encodeFast(folded, raw);
      expect(got.rowStart).toEqual(wanted.rowStart);
      expect(got.latent).toEqual(wanted.latent);
      expect(got.latent.length).toBeGreaterThan(N_ROWS);
      // f32 sums of at most 12 terms of size 1 to 10, in another order.
      for (const [i, code] of got.code.entries()) expect(code).toBeCloseTo(wanted.code[i], 4);
      const reconstruction = denormaliseInPlace(decode(original, wanted), N_ROWS, original);
      for (const [i, value] of decode(folded, got).entries()) expect(value).toBeCloseTo(reconstruction[i], 4);
    },
  );
});

describe("by hand", () => {
  /** One latent, two sites of one column, W = 2 + 4. */
  const hand = (): Dictionary => ({
    ...randomDictionary({ widths: [1, 1], nLatents: 2, inferenceThreshold: 3 }),
    encoderWeight: Float32Array.of(1, 2, 1, 1),
    encoderBias: Float32Array.of(0.5, 0),
    decoderWeight: Float32Array.of(2, -4, 0, 0),
    decoderBias: Float32Array.of(1, 1),
    normaliser: {
      mean: Float32Array.of(10, -1),
      std: Float32Array.of(1, 1),
      scale: Float32Array.of(0.5, 4),
      targetRms: 1,
    },
  });

  test("rows are scaled, biases shifted, and θ is divided by the W of before", () => {
    const original = hand();
    const folded = foldNormaliser(original);
    expect([...folded.encoderWeight]).toEqual([0.5, 8, 0.5, 4]);
    expect([...folded.encoderBias]).toEqual([
      0.5 - (10 * 0.5 * 1 + -1 * 4 * 2),
      0 - (10 * 0.5 * 1 + -1 * 4 * 1),
    ]);
    expect([...folded.decoderWeight]).toEqual([4, -1, 0, 0]);
    expect([...folded.decoderBias]).toEqual([1 / 0.5 + 10, 1 / 4 - 1]);
    // W was 6, is 5 now; the second latent's was 0: it never fires.
    expect([...(folded.latentThresholds ?? [])]).toEqual([0.5, Number.POSITIVE_INFINITY]);
    expect(folded.inferenceThreshold).toBeNaN();
    expect(original).toEqual(hand());
  });

  test("a code at its own threshold does not fire, the next number above does: in both encoders", async () => {
    const dictionary: Dictionary = {
      ...foldNormaliser(hand()),
      encoderWeight: Float32Array.of(1, 0, 1, 0),
      encoderBias: new Float32Array(2),
      latentThresholds: Float32Array.of(0.7, 3),
    };
    const [low, high] = [Math.fround(0.7), 3];
    // 2^-24 and 2^-22: one step of f32 at each.
    const x = Float32Array.of(
      low,
      0,
      low + 2 ** -24,
      0,
      low - 2 ** -24,
      0,
      high,
      0,
      high + 2 ** -22,
      0,
      -5,
      0,
    );
    const expected = { rowStart: [0, 0, 1, 1, 2, 4, 4], latent: [0, 0, 0, 1] };
    for (const codes of [await encodeFast(dictionary, x), encodeReference(dictionary, x, 6)]) {
      expect({ rowStart: [...codes.rowStart], latent: [...codes.latent] }).toEqual(expected);
    }
  });

  test("whatever the threshold, the next number above it fires and it does not", async () => {
    const nLatents = 3000;
    const thresholds = Float32Array.from({ length: nLatents }, (_, j) => 10 ** (8 * rng.uniform(j, 1) - 4));
    const codes = new Float32Array(2 * nLatents);
    codes.set(thresholds);
    const above = codes.subarray(nLatents);
    above.set(thresholds);
    const bits = new Uint32Array(above.buffer, above.byteOffset, nLatents);
    for (let j = 0; j < nLatents; j += 1) bits[j] += 1;
    for (const [encoderBias, expected] of [
      [codes.subarray(0, nLatents), 0],
      [above, nLatents],
    ] as const) {
      const dictionary: Dictionary = {
        ...randomDictionary({ widths: [1, 1], nLatents, normalised: false }),
        encoderWeight: new Float32Array(2 * nLatents),
        encoderBias: encoderBias.slice(),
        inferenceThreshold: Number.NaN,
        latentThresholds: thresholds,
      };
      expect((await encodeFast(dictionary, new Float32Array(2))).latent.length).toBe(expected);
      expect(encodeReference(dictionary, new Float32Array(2), 1).latent.length).toBe(expected);
    }
  });

  test("one θ would not do: it says something else of latents that lean to one site", () => {
    const original = randomDictionary();
    const folded = foldNormaliser(original);
    const weight = latentWeights(folded);
    const inActivations = (folded.latentThresholds ?? new Float32Array()).map(
      (value, j) => value * weight[j],
    );
    expect(Math.max(...inActivations) / Math.min(...inActivations)).toBeGreaterThan(1.1);
  });

  test("without normalisation of codes θ stays one number, and TopK can be folded; weighed TopK cannot", async () => {
    const topK: Dictionary = { ...randomDictionary(), selection: "topK" };
    expect(() => foldNormaliser(topK)).toThrow(MismatchError);
    expect(() => foldNormaliser({ ...topK, codeNormalisation: "sae" })).toThrow(
      /expected one that fires by thresholds/,
    );
    const plain: Dictionary = { ...topK, codeNormalisation: "none" };
    const folded = foldNormaliser(plain);
    expect(folded).toMatchObject({ inferenceThreshold: 0.8, selection: "topK" });
    expect(folded.latentThresholds).toBeUndefined();
    const raw = rowsWithMargin(plain);
    const wanted = await encodeFast(plain, normaliseInPlace(raw.slice(), N_ROWS, plain));
    expect((await encodeFast(folded, raw)).latent).toEqual(wanted.latent);
  });

  test("a dictionary on raw activations is its own folded one", () => {
    const raw = randomDictionary({ normalised: false });
    expect(foldNormaliser(raw)).toBe(raw);
  });
});

describe("on disk", () => {
  test("thresholds of latents come back as they were, an infinite one too", async () => {
    const original = randomDictionary();
    original.decoderWeight.fill(0, 0, 12);
    const folded = foldNormaliser(original);
    expect(folded.latentThresholds?.[0]).toBe(Number.POSITIVE_INFINITY);
    await saveDictionary(folder, folded);
    expect(await loadDictionary(folder)).toEqual(folded);
  });

  test("who looks for a threshold finds no number: not in the field's tensor, and config.json names what is new", async () => {
    await saveDictionary(folder, foldNormaliser(randomDictionary()));
    const file = await openSafetensors(join(folder, "model.safetensors"));
    expect(file.tensors.get("threshold")).toMatchObject({ dtype: "I64", shape: [0] });
    // How versions that knew no such file read it.
    await expect(file.readFloat32("threshold")).rejects.toThrow(FormatError);
    await file.close();
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as object;
    expect(config).toMatchObject({ latent_thresholds: true });
  });

  test.each([
    ["NaN", Number.NaN],
    ["0", 0],
    ["-1", -1],
  ])("a threshold of %s is refused", async (_, bad) => {
    const folded = foldNormaliser(randomDictionary());
    folded.latentThresholds?.set([bad], 7);
    await saveDictionary(folder, folded);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /latent_thresholds: expected numbers above 0, got .* at index 7/,
    );
  });

  test("a field's threshold without a number, or one of another shape, is refused", async () => {
    await saveDictionary(folder, randomDictionary());
    const path = join(folder, "model.safetensors");
    const file = await openSafetensors(path);
    const tensors: TensorToWrite[] = [];
    for (const { name, dtype, shape } of file.tensors.values()) {
      if (name !== "threshold") tensors.push({ name, dtype, shape, data: await file.readBytes(name) });
    }
    await file.close();
    for (const shape of [[0], [2]]) {
      const data = new Float32Array(shape[0]);
      await writeSafetensors(path, [...tensors, { name: "threshold", dtype: "F32", shape, data }]);
      await expect(loadDictionary(folder)).rejects.toThrow(/threshold: expected one number, got shape \[/);
    }
  });

  // Those of the golden files that have a normaliser; make_cases.py says what each is.
  test.each(["batchtopk", "batchtopk-again", "relu-new", "ours"])(
    "%s folded: raw rows give the codes that the reference gave for the original",
    async (name) => {
      const activations = join(golden, name, "case.safetensors");
      await foldDictionary({ dictionary: join(golden, name), out: folder });
      expect((await loadDictionary(folder)).normaliser).toBeUndefined();
      const out = join(folder, "out.safetensors");
      const { nRows, nLatents, inferenceThreshold } = await encodeActivationsFile({
        dictionary: folder,
        activations,
        out,
        threads: 1,
      });
      expect(inferenceThreshold).toBe(name === "relu-new" ? 0 : null);
      const [got, wanted] = [await openSafetensors(out), await openSafetensors(activations)];
      const integers = async (tensor: string): Promise<number[]> =>
        Array.from(new BigInt64Array((await got.readBytes(tensor)).buffer), Number);
      const [rowStart, latent] = [await integers("codeRowStart"), await integers("codeLatent")];
      const value = await got.readFloat32("codeValue");
      const dense = new Float32Array(nRows * nLatents);
      for (let row = 0; row < nRows; row += 1) {
        for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1)
          dense[row * nLatents + latent[entry]] = value[entry];
      }
      const codes = await wanted.readFloat32("codes");
      expect([...dense.keys()].filter((i) => dense[i] !== 0)).toEqual(
        [...codes.keys()].filter((i) => codes[i] !== 0),
      );
      // f32 rounding of raw rows, means of up to 10 deviations among them: 4e-6 seen.
      for (const [i, code] of dense.entries()) expect(Math.abs(code - codes[i])).toBeLessThan(2e-5);
      await Promise.all([got.close(), wanted.close()]);
    },
  );

  test("there is a place to fold to and something to fold, or nothing is written", async () => {
    const at = (name: string): string => join(folder, name);
    await cp(join(golden, "ours"), at("original"), { recursive: true });
    const before = await readFile(join(at("original"), "model.safetensors"));
    await expect(foldDictionary({ dictionary: at("original"), out: at("original") })).rejects.toThrow(
      ConfigError,
    );
    expect((await readFile(join(at("original"), "model.safetensors"))).equals(before)).toBe(true);
    await foldDictionary({ dictionary: at("original"), out: at("folded") });
    await expect(foldDictionary({ dictionary: at("folded"), out: at("again") })).rejects.toThrow(
      /expected a dictionary with a normaliser to fold/,
    );
    await writeFile(at("file"), "");
    await expect(foldDictionary({ dictionary: at("original"), out: at("file") })).rejects.toThrow(/file/);
  });
});
