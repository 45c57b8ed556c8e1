// Dictionaries on disk in the field's own layout: model.safetensors and config.json, as dictionary_learning's
// BatchTopKCrossCoder saves and loads them. The only place where our [nLatents, width] rows are transposed.
//
// Our own facts (site names, layers) sit in the safetensors header's metadata: the reference passes every key of
// config.json on to a constructor that refuses unknown ones. Read leniently: old files of four tensors, torch.compile's
// prefix, F16 or BF16 weights. Sites of different width have no place in that layout and get a tensor each, which only this
// reader knows (site-tensors.ts); foreign formats are not read here.

import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { Site } from "../store/store-contract.ts";
import {
  CODE_NORMALISATIONS,
  type CodeNormalisation,
  type Dictionary,
  type Normaliser,
} from "./dictionary.ts";
import { siteOffsets } from "./latent-norms.ts";
import { globalScale } from "./normaliser.ts";
import { haveOneWidth, readVector, readWeight, vectorTensors, weightTensors } from "./site-tensors.ts";

export const MODEL_FILE = "model.safetensors";
export const CONFIG_FILE = "config.json";
/** Key of our JSON in the safetensors metadata. */
const METADATA_KEY = "tunediff";
/** code_normalization_id of the field's enum; its MIXED (3) and DECOUPLED (5) are not read. */
const NORMALISATION_IDS: Record<CodeNormalisation, number> = { crosscoder: 1, sae: 2, none: 4 };
const COMPILED_PREFIX = "_orig_mod.";
const MAX_CONFIG_BYTES = 10 * 2 ** 20;

/** Facts that the field's layout has no room for. Plain JSON. */
export type DictionaryExtra = Record<string, unknown>;

/**
 * Writes model.safetensors and config.json into folder, each in one step, replacing older ones.
 * extra: kept in the safetensors metadata beside the sites.
 */
export async function saveDictionary(
  folder: string,
  dictionary: Dictionary,
  extra: DictionaryExtra = {},
): Promise<void> {
  const { sites, nLatents, normaliser } = dictionary;
  const widths = sites.map(({ width }) => width);
  const absent = new Float32Array(dictionary.width).fill(Number.NaN);
  const f32 = (name: string, shape: number[], data: Float32Array): TensorToWrite => ({
    name,
    dtype: "F32",
    shape,
    data,
  });
  const tensors: TensorToWrite[] = [
    f32("target_rms", [], Float32Array.of(normaliser?.targetRms ?? 1)),
    ...vectorTensors("activation_mean", normaliser?.mean ?? absent, widths),
    ...vectorTensors("activation_std", normaliser?.std ?? absent, widths),
    f32(
      "activation_global_scale",
      [sites.length],
      normaliser?.scale ?? new Float32Array(sites.length).fill(1),
    ),
    {
      name: "code_normalization_id",
      dtype: "I64",
      shape: [],
      data: BigInt64Array.of(BigInt(NORMALISATION_IDS[dictionary.codeNormalisation ?? "crosscoder"])),
    },
    ...(isRelu(dictionary)
      ? []
      : ([
          { name: "k", dtype: "I32", shape: [], data: Int32Array.of(dictionary.k) },
          f32("threshold", [], Float32Array.of(dictionary.inferenceThreshold)),
        ] satisfies TensorToWrite[])),
    ...weightTensors("encoder.weight", dictionary.encoderWeight, { widths, nLatents, latentsLast: true }),
    f32("encoder.bias", [nLatents], dictionary.encoderBias),
    ...vectorTensors("decoder.bias", dictionary.decoderBias, widths),
    ...weightTensors("decoder.weight", dictionary.decoderWeight, { widths, nLatents, latentsLast: false }),
  ];
  await writeSafetensors(join(folder, MODEL_FILE), tensors, {
    format: "pt",
    // TopK at inference has no place in the field's layout; its classes see the threshold, which stands in for it.
    [METADATA_KEY]: JSON.stringify({
      ...extra,
      schemaVersion: 1,
      sites,
      ...(dictionary.selection === "topK" ? { selection: "topK" } : {}),
    }),
  });
  await writeFileAtomic(
    join(folder, CONFIG_FILE),
    `${JSON.stringify(fieldConfig(dictionary, haveOneWidth(widths) ? widths[0] : widths), null, 2)}\n`,
  );
}

/** No k and no θ to apply: the field's plain CrossCoder, whose class takes neither. */
const isRelu = ({ k, inferenceThreshold }: Dictionary): boolean => k === 0 && inferenceThreshold === 0;

/** Constructor arguments of the reference class, alphabetical as its mixin writes them. Two widths are a list, which it refuses. */
function fieldConfig(dictionary: Dictionary, activationDim: number | number[]): Record<string, unknown> {
  const { nLatents, sites, k, normaliser, codeNormalisation = "crosscoder" } = dictionary;
  return {
    activation_dim: activationDim,
    activation_mean: null,
    activation_std: null,
    code_normalization: codeNormalisation,
    code_normalization_alpha_cc: 0.1,
    code_normalization_alpha_sae: 1.0,
    dict_size: nLatents,
    encoder_layers: null,
    init_with_transpose: true,
    ...(isRelu(dictionary) ? {} : { k }),
    norm_init_scale: 1.0,
    num_layers: sites.length,
    same_init_for_all_layers: true,
    target_rms: normaliser?.targetRms ?? 1.0,
  };
}

/** Where the tensors lie: place itself when it is a file, else model.safetensors in it, whether or not that exists. */
export async function dictionaryFilePath(place: string): Promise<string> {
  const found = await stat(place).catch(() => undefined);
  return found?.isFile() ? place : join(place, MODEL_FILE);
}

/**
 * Reads a dictionary written by saveDictionary or by the reference classes. place: its folder, or the file itself.
 *
 * Missing buffers take the field's defaults: no normaliser (also when the mean is NaN), CROSSCODER normalisation,
 * target_rms 1. The k buffer wins over config.json. A file with neither k nor threshold is a ReLU crosscoder: θ = 0.
 * Sites without our metadata are named after the models, layer −1 (unknown). Throws FormatError, MismatchError.
 */
export async function loadDictionary(place: string): Promise<Dictionary> {
  const path = await dictionaryFilePath(place);
  const file = await openSafetensors(path);
  try {
    const tensors = createTensorReader(file, path);
    const { sites, nLatents } = findSites(file, tensors, path);
    const widths = sites.map(({ width }) => width);
    const normalisationId = (await tensors.integer("code_normalization_id")) ?? NORMALISATION_IDS.crosscoder;
    const codeNormalisation = CODE_NORMALISATIONS.find((name) => NORMALISATION_IDS[name] === normalisationId);
    if (codeNormalisation === undefined) {
      throw new FormatError(
        `${path}: code_normalization_id: expected 1 (crosscoder), 2 (sae) or 4 (none), got ${normalisationId}`,
        {
          hint: "dictionaries trained with another code normalisation cannot be read yet",
        },
      );
    }
    const k = (await tensors.integer("k")) ?? (await configuredK(dirname(path)));
    const threshold = await tensors.optional("threshold");
    const topK = isTopK(file.metadata.get(METADATA_KEY));
    if (topK && !(k !== undefined && k >= 1)) {
      throw new FormatError(`${path}: k: expected at least 1 in a TopK dictionary, got ${k ?? "none"}`, {
        hint: "the file lost part of itself when it was saved again: use the one that tunediff wrote",
      });
    }
    return {
      sites,
      nLatents,
      width: widths.reduce((sum, width) => sum + width, 0),
      encoderWeight: await readWeight(tensors, "encoder.weight", { widths, nLatents, latentsLast: true }),
      encoderBias: await tensors.floats("encoder.bias", [nLatents]),
      decoderWeight: await readWeight(tensors, "decoder.weight", { widths, nLatents, latentsLast: false }),
      decoderBias: await readVector(tensors, "decoder.bias", widths),
      k: k ?? 0,
      ...(codeNormalisation === "crosscoder" ? {} : { codeNormalisation }),
      ...(topK ? { selection: "topK" as const } : {}),
      inferenceThreshold: threshold?.[0] ?? (k === undefined ? 0 : -1),
      normaliser: await readNormaliser(tensors, widths),
    };
  } finally {
    await file.close();
  }
}

/** Whether our metadata says that the k largest of every row are kept. */
function isTopK(json: string | undefined): boolean {
  if (json === undefined) return false;
  try {
    return (JSON.parse(json) as { selection?: unknown } | null)?.selection === "topK";
  } catch {
    return false; // Not ours after all.
  }
}

type TensorReader = ReturnType<typeof createTensorReader>;

/** Tensors by their plain names, whether or not torch.compile's prefix stands before them. */
function createTensorReader(file: SafetensorsFile, path: string) {
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
async function readNormaliser(
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

async function configuredK(folder: string): Promise<number | undefined> {
  const path = join(folder, CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return undefined; // A bare model.safetensors is enough: config.json only repeats it.
  }
  try {
    if (text.length > MAX_CONFIG_BYTES) throw new Error("too large");
    const { k } = JSON.parse(text) as { k?: unknown };
    return typeof k === "number" && Number.isSafeInteger(k) && k > 0 ? k : undefined;
  } catch (cause) {
    throw new FormatError(`${path}: expected JSON, got something else`, {
      hint: "remove it: model.safetensors alone is enough",
      cause,
    });
  }
}

/** Sites and size: from a stacked encoder.weight as the field writes it, or from one tensor a site as we do. */
function findSites(
  file: SafetensorsFile,
  tensors: TensorReader,
  path: string,
): { sites: Site[]; nLatents: number } {
  const stacked = tensors.shape("encoder.weight");
  if (stacked?.length === 3) {
    const [nSites, dModel, nLatents] = stacked;
    return { sites: sitesOfOneWidth(file, { nSites, dModel, path }), nLatents };
  }
  const first = tensors.shape("encoder.weight.0");
  if (first === undefined) {
    throw new FormatError(
      `${path}: expected a crosscoder with encoder.weight [sites, width, latents], got ${stacked ? `[${stacked}]` : "none"}`,
      {
        hint: tensors.shape("b_dec")
          ? "this is a sparse autoencoder: only crosscoders are read so far"
          : "check that this folder holds a dictionary",
      },
    );
  }
  const sites = parseOwnSites(file.metadata.get(METADATA_KEY));
  if (sites === undefined || sites.length < 2 || haveOneWidth(sites.map(({ width }) => width))) {
    throw new FormatError(
      `${path}: expected sites of different width in the metadata beside encoder.weight.0, got ${sites ? JSON.stringify(sites).slice(0, 200) : "none"}`,
      { hint: "the file lost its metadata when it was saved again: use the one that tunediff wrote" },
    );
  }
  return { sites, nLatents: first[1] };
}

/** Sites from our metadata when they fit the tensors, else the field's convention: base first, fine-tune second. */
function sitesOfOneWidth(
  file: SafetensorsFile,
  { nSites, dModel, path }: { nSites: number; dModel: number; path: string },
): Site[] {
  const own = parseOwnSites(file.metadata.get(METADATA_KEY));
  if (own?.length === nSites && own.every((site) => site.width === dModel)) return own;
  if (nSites === 1) return [{ name: "finetuned", model: "finetuned", layer: -1, width: dModel }];
  if (nSites === 2) {
    return [
      { name: "base", model: "base", layer: -1, width: dModel },
      { name: "finetuned", model: "finetuned", layer: -1, width: dModel },
    ];
  }
  throw new FormatError(`${path}: expected one or two sites, got ${nSites}`, {
    hint: "only a model and its fine-tune are compared",
  });
}

function parseOwnSites(json: string | undefined): Site[] | undefined {
  if (json === undefined) return undefined;
  try {
    const { sites } = JSON.parse(json) as { sites?: unknown };
    return Array.isArray(sites) && sites.every(isSite) ? sites : undefined;
  } catch {
    return undefined; // Not ours after all; the field's convention stands in.
  }
}

function isSite(value: unknown): value is Site {
  if (typeof value !== "object" || value === null) return false;
  const { name, model, layer, width } = value as Partial<Site>;
  return (
    typeof name === "string" &&
    (model === "base" || model === "finetuned") &&
    Number.isInteger(layer) &&
    Number.isInteger(width)
  );
}
