// One model's residuals over one text, as a safetensors file: what `tunediff activations` writes.
//
// For looking at a single model, and for handing activations to other tools. No store, no rows: a study's activations
// come from harvest.ts.

import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, FormatError } from "../errors.ts";
import { type TensorToWrite, writeSafetensors } from "../formats/safetensors.ts";
import { openModel } from "../lm/adapter.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createFullModel, createPrefix, requireLayer } from "../lm/runner.ts";
import { createDocumentTokenizer } from "../text/tokenize-document.ts";
import { loadTokenizer } from "../text/tokenizer.ts";

export interface ActivationsOptions {
  /** Folder of a checkpoint, or of a LoRA adapter over `base`. */
  model: string;
  base?: string | undefined;
  /** 0-based; the residual after this block. */
  layer: number;
  /** Text, tokenised as plain text (a BOS first where the tokenizer names one); or ids, used as they are. */
  input: { text: string } | { tokens: readonly number[] };
  /** Also write the logits. */
  logits?: boolean;
  /** File to write, replaced in one step. */
  out: string;
  /** Default: all cores. */
  threads?: number | undefined;
  /** Default: cpu. */
  device?: ExecutionDevice | undefined;
}

export interface ActivationsResult {
  nTokens: number;
  dModel: number;
  /** SHA-256 over config.json and weights. */
  modelHash: string;
  /** One sentence each. */
  warnings: string[];
}

/** A JSON array of token ids. Throws FormatError naming the file and the first bad entry. */
export async function readTokenIds(path: string): Promise<number[]> {
  const hint = "write the ids as one JSON array of whole numbers, such as [2, 15, 7]";
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? "something that is not JSON" : "no file that can be read";
    throw new FormatError(`${path}: expected a JSON array of token ids, found ${reason}`, { hint, cause });
  }
  if (!Array.isArray(value) || value.length === 0) {
    throw new FormatError(`${path}: expected a JSON array of at least one token id`, { hint });
  }
  const bad = value.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (bad >= 0) {
    throw new FormatError(
      `${path}: entry ${bad}: expected a token id (a whole number from 0), got ${JSON.stringify(value[bad])}`,
      { hint },
    );
  }
  return value;
}

/** An adapter without a tokenizer of its own reads with its base's. */
async function tokenizerFolder(model: string, checkpointFolder: string): Promise<string> {
  const hasOwn = await access(join(model, "tokenizer.json")).then(
    () => true,
    () => false,
  );
  return hasOwn ? model : checkpointFolder;
}

async function tokenIdsOf(options: ActivationsOptions, { config, folder }: Checkpoint): Promise<number[]> {
  const { input, model } = options;
  if ("tokens" in input) return [...input.tokens];
  const { tokenize } = createDocumentTokenizer({
    tokenizer: await loadTokenizer(await tokenizerFolder(model, folder)),
    maxTokens: Math.min(config.maxPositions, 65_535),
  });
  const [document] = await tokenize([{ id: "text", dataset: "text", text: input.text }]);
  if (document === undefined) {
    throw new ConfigError("text: expected at least one token, got none", { hint: "give some words" });
  }
  return [...document.tokenFinetuned];
}

/**
 * Writes `residual` [nTokens, dModel] f32, `tokens` [nTokens] i64 and, when asked, `logits` [nTokens, vocab] f32.
 *
 * Raw activation units: no centring, no scale. Metadata: layer, model hash, logits or not. Throws ConfigError (layer,
 * too long), MismatchError (an id outside the vocabulary), FormatError (files), StorageError.
 */
export async function captureActivations(options: ActivationsOptions): Promise<ActivationsResult> {
  const { layer, out } = options;
  const place = {
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.device === undefined ? {} : { device: options.device }),
  };
  const checkpoint = await openModel(options.model, options.base === undefined ? {} : { base: options.base });
  try {
    requireLayer(layer, checkpoint);
    const ids = await tokenIdsOf(options, checkpoint);
    const nTokens = ids.length;
    const { dModel, vocabSize } = checkpoint.config;
    const batch = {
      tokenIds: Uint32Array.from(ids),
      batch: 1,
      length: nTokens,
      lengths: Int32Array.of(nTokens),
    };
    const tensors: TensorToWrite[] = [
      { name: "tokens", dtype: "I64", shape: [nTokens], data: BigInt64Array.from(ids, BigInt) },
    ];
    let residual: Float32Array;
    if (options.logits) {
      const model = await createFullModel(checkpoint, { layers: [layer], ...place });
      try {
        const run = await model.run(batch);
        [residual] = run.residuals;
        tensors.push({ name: "logits", dtype: "F32", shape: [nTokens, vocabSize], data: run.logits });
      } finally {
        await model.dispose();
      }
    } else {
      const prefix = await createPrefix(checkpoint, { layers: [layer], ...place });
      try {
        [residual] = await prefix.run(batch);
      } finally {
        await prefix.dispose();
      }
    }
    tensors.push({ name: "residual", dtype: "F32", shape: [nTokens, dModel], data: residual });
    await writeSafetensors(out, tensors, { layer: String(layer), modelHash: checkpoint.hash });
    return { nTokens, dModel, modelHash: checkpoint.hash, warnings: checkpoint.warnings };
  } finally {
    await checkpoint.close();
  }
}
