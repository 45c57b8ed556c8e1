import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FormatError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { randomDictionary } from "./dictionary.test.helper.ts";
import { loadDictionary, saveDictionary } from "./dictionary-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dictionary-file-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("our own files", () => {
  test("saving and loading gives the same dictionary, sites and normaliser included", async () => {
    const dictionary = randomDictionary();
    dictionary.inferenceThreshold = Math.fround(dictionary.inferenceThreshold);
    await saveDictionary(folder, dictionary);
    expect(await loadDictionary(folder)).toEqual(dictionary);
  });

  test("saving what was loaded writes the same bytes", async () => {
    await saveDictionary(folder, randomDictionary({ normalised: false }));
    const first = await readFile(join(folder, "model.safetensors"));
    const loaded = await loadDictionary(folder);
    expect(loaded.normaliser).toBeUndefined();
    await saveDictionary(folder, loaded);
    expect((await readFile(join(folder, "model.safetensors"))).equals(first)).toBe(true);
  });

  test("the file has the field's tensors: names, shapes, dtypes and axes", async () => {
    const dictionary = randomDictionary({ widths: [6, 6], nLatents: 20 });
    await saveDictionary(folder, dictionary, { note: "kept" });
    const file = await openSafetensors(join(folder, "model.safetensors"));
    const layout = Object.fromEntries(
      [...file.tensors.values()].map(({ name, dtype, shape }) => [name, [dtype, ...shape]]),
    );
    expect(layout).toEqual({
      target_rms: ["F32"],
      activation_mean: ["F32", 2, 6],
      activation_std: ["F32", 2, 6],
      activation_global_scale: ["F32", 2],
      code_normalization_id: ["I64"],
      k: ["I32"],
      threshold: ["F32"],
      "encoder.weight": ["F32", 2, 6, 20],
      "encoder.bias": ["F32", 20],
      "decoder.bias": ["F32", 2, 6],
      "decoder.weight": ["F32", 2, 20, 6],
    });
    const encoder = await file.readFloat32("encoder.weight");
    const decoder = await file.readFloat32("decoder.weight");
    const [site, latent, i] = [1, 13, 4];
    expect(encoder[(site * 6 + i) * 20 + latent]).toBe(dictionary.encoderWeight[latent * 12 + site * 6 + i]);
    expect(decoder[(site * 20 + latent) * 6 + i]).toBe(dictionary.decoderWeight[latent * 12 + site * 6 + i]);
    expect(JSON.parse(file.metadata.get("tunediff") ?? "")).toMatchObject({
      note: "kept",
      sites: dictionary.sites,
    });
    await file.close();
  });

  test("config.json holds constructor arguments of the reference class and nothing it would refuse", async () => {
    await saveDictionary(folder, randomDictionary());
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    expect(Object.keys(config)).toEqual([
      "activation_dim",
      "activation_mean",
      "activation_std",
      "code_normalization",
      "code_normalization_alpha_cc",
      "code_normalization_alpha_sae",
      "dict_size",
      "encoder_layers",
      "init_with_transpose",
      "k",
      "norm_init_scale",
      "num_layers",
      "same_init_for_all_layers",
      "target_rms",
    ]);
    expect(config).toMatchObject({ activation_dim: 6, dict_size: 20, num_layers: 2, k: 4 });
  });

  test("sites of different width keep a tensor each and come back as they were, normaliser included", async () => {
    for (const widths of [
      [6, 9],
      [7, 3],
    ]) {
      const dictionary = randomDictionary({ widths, nLatents: 11 });
      dictionary.inferenceThreshold = Math.fround(dictionary.inferenceThreshold);
      await saveDictionary(folder, dictionary);
      expect(await loadDictionary(folder)).toEqual(dictionary);
      const file = await openSafetensors(join(folder, "model.safetensors"));
      const layout = Object.fromEntries([...file.tensors.values()].map(({ name, shape }) => [name, shape]));
      expect(layout).toMatchObject({
        "encoder.weight.0": [widths[0], 11],
        "encoder.weight.1": [widths[1], 11],
        "decoder.weight.1": [11, widths[1]],
        "decoder.bias.0": [widths[0]],
        "activation_mean.1": [widths[1]],
        "encoder.bias": [11],
      });
      expect(layout).not.toHaveProperty(["encoder.weight"]);
      const encoder = await file.readFloat32("encoder.weight.1");
      const [latent, i] = [8, 2];
      const width = widths[0] + widths[1];
      expect(encoder[i * 11 + latent]).toBe(dictionary.encoderWeight[latent * width + widths[0] + i]);
      await file.close();
    }
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    expect(config.activation_dim).toEqual([7, 3]); // A list: the reference class cannot hold these and refuses it.
  });

  test("a dictionary of two widths without a normaliser has none after loading", async () => {
    await saveDictionary(folder, randomDictionary({ widths: [4, 5], normalised: false }));
    expect((await loadDictionary(folder)).normaliser).toBeUndefined();
  });

  test("a file of two widths that lost its metadata, or a tensor of which has another shape, is refused", async () => {
    const dictionary = randomDictionary({ widths: [4, 5], nLatents: 3 });
    await saveDictionary(folder, dictionary);
    const path = join(folder, "model.safetensors");
    const file = await openSafetensors(path);
    const tensors: TensorToWrite[] = [];
    for (const { name, dtype, shape } of file.tensors.values()) {
      tensors.push({ name, dtype, shape, data: await file.readBytes(name) });
    }
    const metadata = Object.fromEntries(file.metadata);
    await file.close();
    await writeSafetensors(path, tensors);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /sites of different width in the metadata .* got none/,
    );
    const swapped = tensors.map((tensor) =>
      tensor.name === "decoder.weight.1" ? { ...tensor, shape: [5, 3] } : tensor,
    );
    await writeSafetensors(path, swapped, metadata);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /decoder\.weight\.1: expected shape \[3,5\], got \[5,3\]/,
    );
  });
});

const f32 = (name: string, shape: number[], value = 0.5): TensorToWrite => ({
  name,
  dtype: "F32",
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
});
/** The four tensors of an old ReLU crosscoder: two sites of width 3, five latents. */
const fourTensors = (prefix = ""): TensorToWrite[] => [
  f32(`${prefix}encoder.weight`, [2, 3, 5]),
  f32(`${prefix}encoder.bias`, [5]),
  f32(`${prefix}decoder.weight`, [2, 5, 3]),
  f32(`${prefix}decoder.bias`, [2, 3]),
];
const write = (tensors: TensorToWrite[]): Promise<void> =>
  writeSafetensors(join(folder, "model.safetensors"), tensors);

describe("files of the reference classes", () => {
  test("an old file of four tensors is a ReLU crosscoder without normaliser: everything positive fires", async () => {
    await write(fourTensors());
    const dictionary = await loadDictionary(folder);
    expect(dictionary).toMatchObject({ nLatents: 5, width: 6, inferenceThreshold: 0, normaliser: undefined });
    expect(dictionary.sites.map(({ model, layer }) => [model, layer])).toEqual([
      ["base", -1],
      ["finetuned", -1],
    ]);
  });

  test("torch.compile's prefix is seen through", async () => {
    await write(fourTensors("_orig_mod."));
    expect((await loadDictionary(folder)).encoderBias).toEqual(new Float32Array(5).fill(0.5));
  });

  test("a mean of NaN is no normaliser", async () => {
    await write([
      ...fourTensors(),
      f32("activation_mean", [2, 3], Number.NaN),
      f32("activation_std", [2, 3], Number.NaN),
    ]);
    expect((await loadDictionary(folder)).normaliser).toBeUndefined();
  });

  test("a normaliser without its scale gets it from its standard deviations, with target_rms 1", async () => {
    await write([...fourTensors(), f32("activation_mean", [2, 3]), f32("activation_std", [2, 3], 2)]);
    const { normaliser } = await loadDictionary(folder);
    expect(normaliser?.targetRms).toBe(1);
    expect(normaliser?.scale[1]).toBeCloseTo(1 / Math.sqrt(12), 6);
  });

  test("the k buffer wins over config.json; without a threshold the file is not calibrated", async () => {
    await writeFile(join(folder, "config.json"), JSON.stringify({ k: 100 }));
    await write([...fourTensors(), { name: "k", dtype: "I32", shape: [], data: Int32Array.of(7) }]);
    expect(await loadDictionary(folder)).toMatchObject({ k: 7, inferenceThreshold: -1 });
    await write(fourTensors());
    expect((await loadDictionary(folder)).k).toBe(100);
  });

  test("what is no crosscoder of this kind is refused with the reason", async () => {
    await write([f32("b_dec", [3]), f32("encoder.weight", [5, 3])]);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /encoder\.weight \[sites, width, latents\], got \[5,3\]/,
    );
    await write([
      ...fourTensors(),
      { name: "code_normalization_id", dtype: "I64", shape: [], data: BigInt64Array.of(5n) },
    ]);
    await expect(loadDictionary(folder)).rejects.toThrow(/code_normalization_id: expected 1 .*got 5/);
    await write([
      ...fourTensors().slice(0, 2),
      f32("decoder.weight", [2, 4, 3]),
      f32("decoder.bias", [2, 3]),
    ]);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /decoder\.weight: expected shape \[2,5,3\], got \[2,4,3\]/,
    );
    await write([...fourTensors().slice(1), f32("encoder.weight", [2, 3, 5], Number.NaN)]);
    await expect(loadDictionary(folder)).rejects.toThrow(
      /encoder\.weight: expected finite numbers, got NaN at index 0/,
    );
    await rm(join(folder, "model.safetensors"));
    await expect(loadDictionary(folder)).rejects.toThrow(FormatError);
  });
});
