// A dictionary file's tensors by their plain names, checked as they are read.
//
// Read leniently where the field's files differ (torch.compile's prefix, buffers that older versions lack), strictly where
// numbers would be wrong: shapes, and values that are not finite. What the tensors mean: dictionary-file.ts.

import { FormatError } from "../errors.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import type { Normaliser } from "./dictionary.ts";
import { siteOffsets } from "./latent-norms.ts";
import { globalScale } from "./normaliser.ts";
import { readVector } from "./site-tensors.ts";

const COMPILED_PREFIX = "_orig_mod.";

export type TensorReader = ReturnType<typeof createTensorReader>;

/** Tensors by their plain names, whether or not torch.compile's prefix stands before them. */
export function createTensorReader(file: SafetensorsFile, path: string) {
  const stored = (name: string): string => (file.tensors.has(name) ? name : COMPILED_PREFIX + name);
  const shape = (name: string): number[] | undefined => file.tensors.get(stored(name))?.shape;
  const expect = (name: string, expected: number[]): void => {
    const got = shape(name);
    if (got?.join() === expected.join()) return;
    throw new FormatError(
      `${path}: tensor ${name}: expected shape [${expected}], got ${got ? `[${got}]` : "no such tensor"}`,
      {
        hint: "the file is no whole crosscoder: fetch or make it again",
      },
    );
  };
  const withNaN = async (name: string, expected: number[]): Promise<Float32Array> => {
    expect(name, expected);
    return file.readFloat32(stored(name));
  };
  const floats = async (name: string, expected: number[]): Promise<Float32Array> => {
    const values = await withNaN(name, expected);
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      throw new FormatError(
        `${path}: tensor ${name}: expected finite numbers, got ${values[bad]} at index ${bad}`,
        {
          hint: "the dictionary is broken for good: use an earlier checkpoint of it",
        },
      );
    }
    return values;
  };
  return {
    shape,
    floats,
    /** As floats, without looking at the numbers. */
    withNaN,
    /** As stored, NaN allowed; undefined when absent. */
    optional: async (name: string): Promise<Float32Array | undefined> =>
      shape(name) === undefined ? undefined : file.readFloat32(stored(name)),
    integer: async (name: string): Promise<number | undefined> => {
      const info = file.tensors.get(stored(name));
      if (info === undefined) return undefined;
      const bytes = await file.readBytes(stored(name));
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (info.dtype === "I64" && bytes.byteLength === 8) return Number(view.getBigInt64(0, true));
      if (info.dtype === "I32" && bytes.byteLength === 4) return view.getInt32(0, true);
      throw new FormatError(
        `${path}: tensor ${name}: expected one I32 or I64, got ${info.dtype} [${info.shape}]`,
      );
    },
  };
}

/** Undefined when the buffers are absent or the mean is NaN, which is how the reference says that there is none. */
export async function readNormaliser(
  tensors: TensorReader,
  widths: readonly number[],
): Promise<Normaliser | undefined> {
  const buffer = async (name: string): Promise<Float32Array | undefined> => {
    if (tensors.shape(name) === undefined && tensors.shape(`${name}.0`) === undefined) return undefined;
    const values = await readVector({ floats: tensors.withNaN }, name, widths);
    return values.some(Number.isNaN) ? undefined : values;
  };
  const mean = await buffer("activation_mean");
  const std = await buffer("activation_std");
  if (mean === undefined || std === undefined) return undefined;
  const targetRms = (await tensors.optional("target_rms"))?.[0] ?? 1;
  const stored = await tensors.optional("activation_global_scale");
  const offsets = siteOffsets(widths.map((width) => ({ width })));
  const scale = Float32Array.from(widths, (_, site) => {
    if (stored !== undefined) return stored[stored.length === 1 ? 0 : site];
    const part = std.subarray(offsets[site], offsets[site + 1]);
    return globalScale(
      targetRms,
      part.reduce((sum, value) => sum + value * value, 0),
    );
  });
  return { mean, std, scale, targetRms };
}

/** The field's one θ; undefined when the file has none. */
export async function readThreshold(tensors: TensorReader, path: string): Promise<number | undefined> {
  const shape = tensors.shape("threshold");
  if (shape === undefined) return undefined;
  const values =
    shape.reduce((size, n) => size * n, 1) === 1 ? await tensors.optional("threshold") : undefined;
  const value = values?.[0];
  if (value !== undefined && Number.isFinite(value)) return value;
  throw new FormatError(
    `${path}: tensor threshold: expected one number, got ${value ?? `shape [${shape}]`}`,
    { hint: "the file lost part of itself, or is of a kind that is not read: use the original" },
  );
}

/** [nLatents] f32 > 0, Infinity where a latent never fires; undefined when the file has one threshold for all. */
export async function readLatentThresholds(
  tensors: TensorReader,
  { name, nLatents, path }: { name: string; nLatents: number; path: string },
): Promise<Float32Array | undefined> {
  if (tensors.shape(name) === undefined) return undefined;
  const values = await tensors.withNaN(name, [nLatents]);
  const bad = values.findIndex((value) => !(value > 0));
  if (bad < 0) return values;
  throw new FormatError(
    `${path}: tensor ${name}: expected numbers above 0, got ${values[bad]} at index ${bad}`,
    {
      hint: "the dictionary is broken for good: fold its original again",
    },
  );
}
