// Files in, files out: held to what the reference classes made of the same files, and to the readable twin.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OURS } from "../../test/golden/dictionary/make_ours.ts";
import { FormatError } from "../errors.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { createRng } from "../numerics/rng.ts";
import { packageRoot } from "../package-root.ts";
import { decode } from "./decode.ts";
import { randomDictionary } from "./dictionary.test.helper.ts";
import { loadDictionary, saveDictionary } from "./dictionary-file.ts";
import { encodeReference } from "./encode.ts";
import { encodeActivationsFile } from "./encode-file.ts";
import { denormaliseInPlace, normaliseInPlace } from "./normaliser.ts";

const golden = join(packageRoot(), "test", "golden", "dictionary");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "encode-file-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const f32 = (name: string, shape: number[], data: Float32Array): TensorToWrite => ({
  name,
  dtype: "F32",
  shape,
  data,
});

function random(length: number, seed: number): Float32Array {
  const rng = createRng(seed, "activations");
  return Float32Array.from({ length }, (_, i) => 2 * rng.normal(i, 0));
}

async function tensorsOf(path: string): Promise<Map<string, { shape: number[]; data: Float32Array }>> {
  const file = await openSafetensors(path);
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const { name, shape, dtype } of file.tensors.values()) {
    const bytes = await file.readBytes(name);
    const data =
      dtype === "I64"
        ? Float32Array.from(new BigInt64Array(bytes.buffer), Number)
        : new Float32Array(bytes.buffer);
    tensors.set(name, { shape, data });
  }
  await file.close();
  return tensors;
}

/** The codes of an output file as a dense [n, D], which is what the reference returns. */
function denseCodes(out: Map<string, { data: Float32Array }>, nLatents: number): Float32Array {
  const [rowStart, latent, value] = ["codeRowStart", "codeLatent", "codeValue"].map(
    (name) => out.get(name)?.data ?? new Float32Array(),
  );
  const dense = new Float32Array((rowStart.length - 1) * nLatents);
  for (let row = 0; row + 1 < rowStart.length; row += 1) {
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
      dense[row * nLatents + latent[entry]] = value[entry];
    }
  }
  return dense;
}

function relativeDistance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; i += 1) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

// test/golden/dictionary/make_cases.py says what each is and how the reference read it.
const BY_REFERENCE = ["relu-old", "relu-new", "batchtopk", "batchtopk-again", "compiled", "sae", "none"];

test.each([...Object.keys(OURS), ...BY_REFERENCE])(
  "%s: the codes kept are the reference's, codes and reconstructions equal its encode and decode",
  async (name) => {
    const out = join(folder, "out.safetensors");
    const activations = join(golden, name, "case.safetensors");
    const result = await encodeActivationsFile({
      dictionary: join(golden, name),
      activations,
      out,
      threads: 1,
    });
    const [got, wanted] = await Promise.all([tensorsOf(out), tensorsOf(activations)]);
    const wantedCodes = wanted.get("codes")?.data ?? new Float32Array();
    const codes = denseCodes(got, result.nLatents);
    const kept = (dense: Float32Array): number[] => [...dense.keys()].filter((i) => dense[i] !== 0);
    expect(kept(codes)).toEqual(kept(wantedCodes));
    expect(result.nonZero).toBe(kept(wantedCodes).length);
    // f32 sums of 20 and of about 10 terms in another order, then divided by the normaliser: a few ulp (1.2e-7) each.
    expect(relativeDistance(codes, wantedCodes)).toBeLessThan(1e-6);
    for (const side of ["reconstructionBase", "reconstructionFinetuned"]) {
      const { shape = [], data = new Float32Array() } = wanted.get(side) ?? {};
      expect(got.get(side)?.shape).toEqual(shape);
      expect(relativeDistance(got.get(side)?.data ?? new Float32Array(), data)).toBeLessThan(1e-6);
    }
  },
);

test.each(Object.entries(OURS))(
  "%s is still, byte for byte, what saveDictionary writes",
  async (name, dictionary) => {
    await saveDictionary(folder, dictionary);
    for (const file of ["model.safetensors", "config.json"]) {
      expect((await readFile(join(folder, file))).equals(await readFile(join(golden, name, file)))).toBe(
        true,
      );
    }
  },
);

test("what the reference's files say is what is loaded: k from the buffer, θ, the normaliser or none", async () => {
  const facts: Record<string, unknown> = {};
  for (const name of BY_REFERENCE) {
    const { k, inferenceThreshold, normaliser, codeNormalisation } = await loadDictionary(join(golden, name));
    facts[name] = { k, inferenceThreshold, targetRms: normaliser?.targetRms, codeNormalisation };
  }
  expect(facts).toEqual({
    "relu-old": { k: 0, inferenceThreshold: 0, targetRms: undefined },
    "relu-new": { k: 0, inferenceThreshold: 0, targetRms: 4 },
    batchtopk: { k: 3, inferenceThreshold: 3, targetRms: 3 },
    "batchtopk-again": { k: 3, inferenceThreshold: 3, targetRms: 3 },
    compiled: { k: 3, inferenceThreshold: -1, targetRms: undefined },
    sae: { k: 3, inferenceThreshold: Math.fround(2.2), codeNormalisation: "sae" },
    none: { k: 3, inferenceThreshold: Math.fround(0.9), codeNormalisation: "none" },
  });
});

test("a dictionary's file does as well as its folder, and a threshold that was never calibrated is said", async () => {
  const activations = join(golden, "compiled", "case.safetensors");
  const both = [];
  for (const place of ["compiled", "compiled/model.safetensors"]) {
    const out = join(folder, `${both.length}.safetensors`);
    const result = await encodeActivationsFile({
      dictionary: join(golden, place),
      activations,
      out,
      threads: 1,
    });
    expect(result.warnings).toEqual([expect.stringContaining("not calibrated")]);
    both.push(await readFile(out));
  }
  expect(both[0].equals(both[1])).toBe(true);
});

describe("against the twin", () => {
  test.each([
    ["several blocks and an uneven rest", [6, 6], 2500],
    ["models of different width", [4, 7], 40],
    ["one site", [5], 33],
    ["a single row", [6, 6], 1],
    ["no row at all", [6, 6], 0],
  ])("%s: raw units in, raw units out", async (_, widths, nRows) => {
    const dictionary = randomDictionary({ widths, nLatents: 21 });
    if (widths.length === 1) dictionary.sites[0].model = "finetuned";
    await saveDictionary(folder, dictionary);
    const parts = widths.map((width, site) => random(nRows * width, site));
    const activations = join(folder, "in.safetensors");
    const tensors = parts.map((data, i) => f32(dictionary.sites[i].model, [nRows, widths[i]], data));
    await writeSafetensors(activations, [...tensors, f32("unrelated", [1], Float32Array.of(Number.NaN))]);
    const out = join(folder, "out.safetensors");
    const result = await encodeActivationsFile({ dictionary: folder, activations, out, threads: 1 });

    const { width } = dictionary;
    const x = new Float32Array(nRows * width);
    let offset = 0;
    for (const [site, part] of parts.entries()) {
      for (let i = 0; i < part.length; i += 1) {
        x[Math.floor(i / widths[site]) * width + offset + (i % widths[site])] = part[i];
      }
      offset += widths[site];
    }
    const sparse = encodeReference(dictionary, normaliseInPlace(x, nRows, dictionary), nRows);
    const whole = denormaliseInPlace(decode(dictionary, sparse), nRows, dictionary);
    const got = await tensorsOf(out);
    expect([...(got.get("codeRowStart")?.data ?? [])]).toEqual([...sparse.rowStart]);
    expect([...(got.get("codeLatent")?.data ?? [])]).toEqual([...sparse.latent]);
    expect(result).toMatchObject({ nRows, nLatents: 21, nonZero: sparse.code.length, warnings: [] });
    expect(result.l0).toBe(nRows === 0 ? null : sparse.code.length / nRows);
    expect([...got.keys()].filter((name) => name.startsWith("reconstruction")).length).toBe(widths.length);
    let from = 0;
    for (const [site, siteWidth] of widths.entries()) {
      const name = dictionary.sites[site].model === "base" ? "reconstructionBase" : "reconstructionFinetuned";
      const { shape, data } = got.get(name) ?? { shape: [], data: new Float32Array() };
      expect(shape).toEqual([nRows, siteWidth]);
      const wanted = Float32Array.from(
        data,
        (_, i) => whole[Math.floor(i / siteWidth) * width + from + (i % siteWidth)],
      );
      // f32 against f64 sums of at most 12 terms; nothing at all without rows.
      if (nRows > 0) expect(relativeDistance(data, wanted)).toBeLessThan(1e-6);
      from += siteWidth;
    }
  });

  test("activations stored as bf16 or f64 give what their values give as f32", async () => {
    await saveDictionary(folder, randomDictionary());
    // The upper half of an f32 is a bf16: these values are exact in all three.
    const bits = new Uint32Array(random(30 * 6, 5).buffer).map((word) => word & 0xffff0000);
    const values = new Float32Array(bits.buffer);
    const forms = {
      F32: values,
      BF16: Uint16Array.from(bits, (word) => word >>> 16),
      F64: Float64Array.from(values),
    } as const;
    const written: Buffer[] = [];
    for (const [dtype, data] of Object.entries(forms) as [keyof typeof forms, ArrayBufferView][]) {
      const activations = join(folder, `${dtype}.safetensors`);
      const tensors = ["base", "finetuned"].map((name) => ({ name, dtype, shape: [30, 6], data }));
      await writeSafetensors(activations, tensors);
      const out = join(folder, "out.safetensors");
      await encodeActivationsFile({ dictionary: folder, activations, out, threads: 1 });
      written.push(await readFile(out));
    }
    expect(written.map((bytes) => bytes.equals(written[0]))).toEqual([true, true, true]);
  });

  test("a row's results do not depend on the rows around it", async () => {
    await saveDictionary(folder, randomDictionary());
    const [base, finetuned] = [random(1500 * 6, 1), random(1500 * 6, 2)];
    const encode = async (from: number, to: number) => {
      const activations = join(folder, `${from}.safetensors`);
      await writeSafetensors(activations, [
        f32("base", [to - from, 6], base.slice(from * 6, to * 6)),
        f32("finetuned", [to - from, 6], finetuned.slice(from * 6, to * 6)),
      ]);
      const out = join(folder, `${from}-out.safetensors`);
      await encodeActivationsFile({ dictionary: folder, activations, out, threads: 1 });
      return tensorsOf(out);
    };
    const [all, some] = [await encode(0, 1500), await encode(1400, 1500)];
    const tail = (all.get("reconstructionBase")?.data ?? new Float32Array()).subarray(1400 * 6);
    // The GEMM may sum in another order for another number of rows.
    expect(relativeDistance(some.get("reconstructionBase")?.data ?? new Float32Array(), tail)).toBeLessThan(
      1e-6,
    );
  });
});

describe("bad input is refused by what is wrong with it, and nothing is written", () => {
  const at = (length: number, index: number, value: number): Float32Array => {
    const data = random(length, 3);
    data[index] = value;
    return data;
  };
  const fine = (name: string): TensorToWrite => f32(name, [4, 6], random(24, 7));

  test.each<[string, TensorToWrite[], string, RegExp]>([
    [
      "a tensor is missing",
      [fine("base")],
      "FormatError",
      /tensor finetuned: expected activations \[n, 6\], found no/,
    ],
    [
      "another width",
      [fine("base"), f32("finetuned", [4, 5], random(20, 1))],
      "MismatchError",
      /tensor finetuned: expected shape \[n, 6\], got \[4,5\]/,
    ],
    [
      "three axes",
      [f32("base", [1, 4, 6], random(24, 1)), fine("finetuned")],
      "MismatchError",
      /tensor base: expected shape \[n, 6\], got \[1,4,6\]/,
    ],
    [
      "another number of rows",
      [fine("base"), f32("finetuned", [3, 6], random(18, 1))],
      "MismatchError",
      /tensor finetuned: expected 4 rows as in base, got 3/,
    ],
    [
      "NaN",
      [fine("base"), f32("finetuned", [4, 6], at(24, 20, Number.NaN))],
      "NumericsError",
      /tensor finetuned: expected finite f32 numbers, got NaN at row 3, column 2/,
    ],
    [
      "infinity",
      [f32("base", [4, 6], at(24, 6, -Infinity)), fine("finetuned")],
      "NumericsError",
      /tensor base: .* got -Infinity at row 1, column 0/,
    ],
    [
      "an f64 beyond f32",
      [
        { name: "base", dtype: "F64", shape: [4, 6], data: new Float64Array(24).fill(1e60) },
        fine("finetuned"),
      ],
      "NumericsError",
      /tensor base: .* got Infinity at row 0, column 0/,
    ],
    [
      "numbers whose products overflow",
      [f32("base", [4, 6], at(24, 13, 3e38)), fine("finetuned")],
      "NumericsError",
      /row 2: expected activations whose products fit f32/,
    ],
    [
      "integers",
      [{ name: "base", dtype: "I32", shape: [4, 6], data: new Int32Array(24) }, fine("finetuned")],
      "FormatError",
      /tensor "base": expected dtype F32, F16, BF16 or F64, got I32/,
    ],
  ])("%s", async (_, tensors, kind, message) => {
    await saveDictionary(folder, randomDictionary());
    const activations = join(folder, "in.safetensors");
    await writeSafetensors(activations, tensors);
    const before = await readdir(folder);
    const run = encodeActivationsFile({
      ...{ dictionary: folder, activations, threads: 1 },
      out: join(folder, "out.safetensors"),
    });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toMatchObject({ name: kind, hint: expect.any(String) });
    expect(await readdir(folder)).toEqual(before);
  });

  test.each([
    [
      "a folder without a dictionary",
      "",
      /model\.safetensors: expected a safetensors file, found no such file/,
    ],
    ["a path that is not there", "nowhere", /nowhere.*found no such file/],
    ["a pickle", "model_final.pt", /zip archive/],
    ["a file of activations", "in.safetensors", /expected a crosscoder with encoder\.weight .* got none/],
  ])("%s for a dictionary", async (_, place, message) => {
    const activations = join(folder, "in.safetensors");
    await writeSafetensors(activations, [fine("base"), fine("finetuned")]);
    await writeFile(join(folder, "model_final.pt"), Buffer.from("PK\x03\x04 and more bytes than eight"));
    const run = encodeActivationsFile({
      ...{ dictionary: join(folder, place), activations, threads: 1 },
      out: join(folder, "out.safetensors"),
    });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toBeInstanceOf(FormatError);
    expect(await readdir(folder)).not.toContain("out.safetensors");
  });

  test.each([
    ["a dictionary", "model.safetensors", /tensor base: expected activations \[n, 6\], found no such tensor/],
    ["a JSON file", "config.json", /safetensors header/],
    ["a folder", ".", /found a folder/],
    ["a path that is not there", "nowhere", /found no such file/],
  ])("%s for the activations", async (_, name, message) => {
    await saveDictionary(folder, randomDictionary());
    const run = encodeActivationsFile({
      ...{ dictionary: folder, activations: join(folder, name), threads: 1 },
      out: join(folder, "out.safetensors"),
    });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toBeInstanceOf(FormatError);
  });

  test.each(["in.safetensors", "model.safetensors"])("%s, an input, as the output", async (name) => {
    await saveDictionary(folder, randomDictionary());
    const activations = join(folder, "in.safetensors");
    await writeSafetensors(activations, [fine("base"), fine("finetuned")]);
    const before = await readFile(join(folder, name));
    const run = encodeActivationsFile({
      dictionary: folder,
      activations,
      out: join(folder, name),
      threads: 1,
    });
    await expect(run).rejects.toMatchObject({ name: "ConfigError" });
    expect((await readFile(join(folder, name))).equals(before)).toBe(true);
  });

  test("two sites of one model", async () => {
    const dictionary = randomDictionary();
    dictionary.sites[0].model = "finetuned";
    await saveDictionary(folder, dictionary);
    const run = encodeActivationsFile({
      ...{ dictionary: folder, activations: join(folder, "in.safetensors"), threads: 1 },
      out: join(folder, "out.safetensors"),
    });
    await expect(run).rejects.toThrow(/expected one site a model, got base-L3, finetuned-L3/);
  });
});
