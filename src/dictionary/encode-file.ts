// The low-level door: a safetensors file of activations in, a safetensors file of codes and reconstructions out.
//
// What the field's classes call encode and decode at inference (dictionary_learning, CrossCoder and BatchTopKCrossCoder),
// over files: raw activation units go in and come out, the dictionary's normaliser is applied inside and undone. It needs
// no store and no model; training's selection over a batch is not here, see select.ts.

import { resolve } from "node:path";
import { ConfigError, StorageError } from "../errors.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorToWrite,
  writeSafetensors,
} from "../formats/safetensors.ts";
import type { ReportProgress } from "../progress.ts";
import type { Site } from "../store/store-contract.ts";
import {
  largestRowNorm,
  requireFinite,
  requireModestNorms,
  requireOneSiteAModel,
  requireShapes,
} from "./activations-input.ts";
import { decode } from "./decode.ts";
import type { Dictionary } from "./dictionary.ts";
import { dictionaryFilePath, loadDictionary } from "./dictionary-file.ts";
import { createEncoder } from "./encode.ts";
import { siteOffsets } from "./latent-norms.ts";
import { denormaliseInPlace, normaliseInPlace } from "./normaliser.ts";

const BLOCK_ROWS = 1024;

export interface EncodeFileOptions {
  /** Folder with model.safetensors, or such a file. */
  dictionary: string;
  /** Safetensors with `base` and `finetuned` [n, width], F32, F16, BF16 or F64, raw activation units. */
  activations: string;
  out: string;
  /** Of the dense product; all cores when undefined. */
  threads?: number;
  report?: ReportProgress;
}

export interface EncodeFileResult {
  nRows: number;
  nLatents: number;
  /** Codes kept, over all rows. */
  nonZero: number;
  /** nonZero / nRows; null without rows. */
  l0: number | null;
  /** null: one a latent, in a dictionary with a folded normaliser. */
  inferenceThreshold: number | null;
  sites: { model: Site["model"]; width: number }[];
  warnings: string[];
}

/**
 * Writes `codeRowStart` [n + 1] i64, `codeLatent` and `codeValue` [nonZero] i64 and f32 (compressed rows: the codes of
 * row i are the entries codeRowStart[i] to codeRowStart[i + 1], latents ascending, f > 0 unscaled), and a reconstruction
 * [n, width] f32 a site, raw activation units: `reconstructionBase`, `reconstructionFinetuned`.
 *
 * A dictionary of one site needs and gives only that site's tensors. Other tensors of the input are ignored. Rows are read
 * in blocks; the reconstructions are held whole. Throws FormatError (files, a tensor missing), MismatchError (shapes),
 * NumericsError (NaN, infinite or too large numbers), ConfigError (out is an input), StorageError; then nothing is written.
 */
export async function encodeActivationsFile(options: EncodeFileOptions): Promise<EncodeFileResult> {
  const { dictionary: place, activations, out, threads, report } = options;
  const dictionary = await loadDictionary(place);
  for (const input of [activations, await dictionaryFilePath(place)]) {
    if (resolve(input) !== resolve(out)) continue;
    throw new ConfigError(`--out: expected another file than the inputs, got ${input}`, {
      hint: "name a new file: what is read is never replaced",
    });
  }
  requireOneSiteAModel(dictionary, place);
  const file = await openSafetensors(activations);
  try {
    const nRows = requireShapes(file, dictionary);
    const encoded = await encodeRows(dictionary, file, { nRows, threads, report });
    const { sites, nLatents, latentThresholds } = dictionary;
    const inferenceThreshold = latentThresholds ? null : dictionary.inferenceThreshold;
    await writeSafetensors(out, encoded.tensors, {
      tunediff: JSON.stringify({ schemaVersion: 1, nLatents, inferenceThreshold }),
    });
    return {
      nRows,
      nLatents,
      nonZero: encoded.nonZero,
      l0: nRows === 0 ? null : encoded.nonZero / nRows,
      inferenceThreshold,
      sites: sites.map(({ model, width }) => ({ model, width })),
      warnings: dictionary.inferenceThreshold < 0 && dictionary.selection !== "topK" ? [NOT_CALIBRATED] : [],
    };
  } finally {
    await file.close();
  }
}

const NOT_CALIBRATED =
  "the dictionary's threshold is negative, that is, not calibrated: every positive code was kept, as the reference does";

async function encodeRows(
  dictionary: Dictionary,
  file: SafetensorsFile,
  { nRows, threads, report }: { nRows: number; threads?: number; report?: ReportProgress },
): Promise<{ tensors: TensorToWrite[]; nonZero: number }> {
  const { sites, width } = dictionary;
  const offsets = siteOffsets(sites);
  const largestNorm = largestRowNorm(dictionary);
  const reconstructions = sites.map((site) => allocate(nRows * site.width, file.path));
  const rowStart = new BigInt64Array(nRows + 1);
  const latents: Uint32Array[] = [];
  const codes: Float32Array[] = [];
  let nonZero = 0;
  const maxRows = Math.min(BLOCK_ROWS, Math.max(1, nRows));
  const x = new Float32Array(maxRows * width);
  const target = new Float32Array(maxRows * width);
  const encoder = await createEncoder(dictionary, { maxRows, threads });
  try {
    for (let first = 0; first < nRows; first += maxRows) {
      const rows = Math.min(maxRows, nRows - first);
      for (const [site, { model, width: dModel }] of sites.entries()) {
        const block = await file.readRows(model, first, first + rows);
        requireFinite(block, { path: file.path, model, dModel, first });
        for (let row = 0; row < rows; row += 1) {
          x.set(block.subarray(row * dModel, (row + 1) * dModel), row * width + offsets[site]);
        }
      }
      normaliseInPlace(x, rows, dictionary);
      requireModestNorms(x, { rows, width, first, largestNorm, path: file.path });
      const sparse = await encoder.encode(x, rows);
      denormaliseInPlace(decode(dictionary, sparse, target), rows, dictionary);
      for (const [site, { model, width: dModel }] of sites.entries()) {
        const whole = reconstructions[site];
        for (let row = 0; row < rows; row += 1) {
          const start = row * width + offsets[site];
          whole.set(target.subarray(start, start + dModel), (first + row) * dModel);
        }
        const done = whole.subarray(first * dModel, (first + rows) * dModel);
        requireFinite(done, { path: file.path, model: `reconstruction of ${model}`, dModel, first });
      }
      for (let row = 1; row <= rows; row += 1) rowStart[first + row] = BigInt(nonZero + sparse.rowStart[row]);
      latents.push(sparse.latent);
      codes.push(sparse.code);
      nonZero += sparse.code.length;
      report?.({ stage: "encode", done: first + rows, total: nRows, unit: "rows" });
    }
  } finally {
    await encoder.dispose();
  }
  const codeLatent = new BigInt64Array(nonZero);
  const codeValue = allocate(nonZero, file.path);
  let at = 0;
  for (const [part, latent] of latents.entries()) {
    for (let i = 0; i < latent.length; i += 1) codeLatent[at + i] = BigInt(latent[i]);
    codeValue.set(codes[part], at);
    at += latent.length;
  }
  const tensors: TensorToWrite[] = [
    { name: "codeRowStart", dtype: "I64", shape: [nRows + 1], data: rowStart },
    { name: "codeLatent", dtype: "I64", shape: [nonZero], data: codeLatent },
    { name: "codeValue", dtype: "F32", shape: [nonZero], data: codeValue },
  ];
  for (const [site, { model, width: dModel }] of sites.entries()) {
    const name = model === "base" ? "reconstructionBase" : "reconstructionFinetuned";
    tensors.push({ name, dtype: "F32", shape: [nRows, dModel], data: reconstructions[site] });
  }
  return { tensors, nonZero };
}

function allocate(length: number, path: string): Float32Array {
  try {
    return new Float32Array(length);
  } catch (cause) {
    throw new StorageError(`${path}: expected results that fit this Node's memory, got ${length} numbers`, {
      hint: "split the file by rows: every row is encoded by itself",
      cause,
    });
  }
}
