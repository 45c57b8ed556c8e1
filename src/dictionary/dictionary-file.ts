// Dictionaries on disk in the field's own layout: model.safetensors and config.json, as dictionary_learning's
// BatchTopKCrossCoder saves and loads them. The only place where our [nLatents, width] rows are transposed.
//
// Our own facts (site names, layers) sit in the safetensors header's metadata: the reference passes every key of
// config.json on to a constructor that refuses unknown ones. Read leniently: old files of four tensors, torch.compile's
// prefix, F16 or BF16 weights. Sites of different width have no place in that layout and get a tensor each, which only this
// reader knows (site-tensors.ts); so have dictionaries with a threshold a latent, which other readers must refuse: they are
// written with no single threshold to find. Foreign formats are not read here.

import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FormatError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { CODE_NORMALISATIONS, type CodeNormalisation, type Dictionary } from "./dictionary.ts";
import { CONFIG_FILE, configuredK, fieldConfig, isRelu } from "./field-config.ts";
import { findSites, isTopK, METADATA_KEY } from "./file-sites.ts";
import { readVector, readWeight, vectorTensors, weightTensors } from "./site-tensors.ts";
import { createTensorReader, readLatentThresholds, readNormaliser, readThreshold } from "./tensor-reader.ts";

export const MODEL_FILE = "model.safetensors";
/** Ours: what every latent's code must exceed. */
const LATENT_THRESHOLDS = "latent_thresholds";
/** code_normalization_id of the field's enum; its MIXED (3) and DECOUPLED (5) are not read. */
const NORMALISATION_IDS: Record<CodeNormalisation, number> = { crosscoder: 1, sae: 2, none: 4 };

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
          ...thresholdTensors(dictionary),
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
  await writeFileAtomic(join(folder, CONFIG_FILE), `${JSON.stringify(fieldConfig(dictionary), null, 2)}\n`);
}

/**
 * One θ as the field has it. Or one a latent under our own name, and an empty tensor of whole numbers in the field's place:
 * whoever looks for a number there (the field's classes, versions of ours without such thresholds) fails instead of using another.
 */
function thresholdTensors({ nLatents, inferenceThreshold, latentThresholds }: Dictionary): TensorToWrite[] {
  if (latentThresholds === undefined) {
    return [{ name: "threshold", dtype: "F32", shape: [], data: Float32Array.of(inferenceThreshold) }];
  }
  return [
    { name: "threshold", dtype: "I64", shape: [0], data: new BigInt64Array(0) },
    { name: LATENT_THRESHOLDS, dtype: "F32", shape: [nLatents], data: latentThresholds },
  ];
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
    const latentThresholds = await readLatentThresholds(tensors, { name: LATENT_THRESHOLDS, nLatents, path });
    const threshold = latentThresholds === undefined ? await readThreshold(tensors, path) : undefined;
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
      inferenceThreshold: latentThresholds ? Number.NaN : (threshold ?? (k === undefined ? 0 : -1)),
      ...(latentThresholds && { latentThresholds }),
      normaliser: await readNormaliser(tensors, widths),
    };
  } finally {
    await file.close();
  }
}
