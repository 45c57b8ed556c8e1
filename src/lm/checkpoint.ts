// A checkpoint folder, opened: config read, every tensor found and its shape checked before anything is allocated.
//
// Hugging Face layout: config.json with model.safetensors, or model.safetensors.index.json and its shards. Pickles are
// never opened. Weights are read one tensor at a time and kept by nobody here.

import { FormatError, NumericsError } from "../errors.ts";
import { openSafetensors, type SafetensorsFile, type TensorInfo } from "../formats/safetensors.ts";
import type { Architecture, ModelConfig } from "./architecture.ts";
import { readArchitecture } from "./config.ts";
import { type HashedFile, hashFiles } from "./hash-files.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { findWeightFiles } from "./weight-files.ts";

export interface Checkpoint {
  folder: string;
  config: ModelConfig;
  architecture: Architecture;
  /** SHA-256, hex, over names and SHA-256 of `files`: equal exactly when config and weights are. */
  hash: string;
  /** config.json and the weight files read, names relative to the folder. */
  files: HashedFile[];
  /** Odd things that do not stop a run, one sentence each. */
  warnings: string[];
  /** The tensor that turns residuals into logits: the head, or the embedding it is tied to. */
  head: TensorSpec;
  /**
   * A tensor as f32, C order. Throws FormatError when it is missing or not of that shape, NumericsError when it holds
   * a number that is not finite.
   */
  readTensor(name: string, expectedShape: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

const READABLE_DTYPES = ["F32", "F16", "BF16"];

interface Found {
  file: SafetensorsFile;
  info: TensorInfo;
}

/**
 * Opens a local checkpoint folder; the caller closes it.
 * Throws FormatError (place, expected, got, next step) for anything missing, malformed or unsupported.
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const { names, weightMap, warnings } = await findWeightFiles(folder);
  const architecture = await readArchitecture(folder);
  const opened: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((file) => file.close()));
  };
  try {
    const tensors = new Map<string, Found>();
    for (const { name, path } of names) {
      const file = await openSafetensors(path);
      opened.push(file);
      for (const info of file.tensors.values()) {
        const place = weightMap?.get(info.name);
        if (weightMap && place !== name) {
          warnings.push(`${path}: tensor ${info.name} is not in the index for this file and is ignored`);
        } else tensors.set(info.name, { file, info });
      }
      warnings.push(...file.warnings);
    }
    checkIndexed(folder, weightMap, tensors);
    const read = (name: string, shape: readonly number[]) => readChecked(folder, tensors, { name, shape });
    warnings.push(...checkTensors(folder, architecture, tensors));
    const head = await chooseHead(architecture, { tensors, read, warnings });
    const files = await hashFiles(folder, ["config.json", ...names.map(({ name }) => name)]);
    return {
      folder,
      config: architecture.config,
      architecture,
      ...files,
      warnings,
      head,
      readTensor: read,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function checkIndexed(
  folder: string,
  weightMap: Map<string, string> | undefined,
  tensors: Map<string, Found>,
): void {
  for (const [name, shard] of weightMap ?? []) {
    if (tensors.has(name)) continue;
    throw new FormatError(
      `${folder}/${shard}: expected tensor ${name} (named by model.safetensors.index.json), found none`,
      { hint: "the shards and the index come from different versions: fetch the whole folder again" },
    );
  }
}

/** Every tensor the architecture names is there, readable and of its shape. Returns warnings. */
function checkTensors(folder: string, architecture: Architecture, tensors: Map<string, Found>): string[] {
  const { config, embedding, finalNorm, head, headIsTied, blockTensorPattern, ignoredTensorPattern } =
    architecture;
  const declared = new Set([embedding.name, finalNorm.name, head.name]);
  const needed = [embedding, finalNorm, ...(headIsTied ? [] : [head])];
  for (let layer = 0; layer < config.nLayers; layer += 1) needed.push(...architecture.blockTensors(layer));
  for (const spec of needed) {
    declared.add(spec.name);
    findChecked(folder, tensors, spec);
  }
  if (headIsTied && tensors.has(head.name)) findChecked(folder, tensors, head);
  const extra = [...tensors.keys()].filter((name) => !declared.has(name) && !ignoredTensorPattern.test(name));
  const inBlocks = extra.find((name) => blockTensorPattern.test(name));
  if (inBlocks !== undefined) {
    throw new FormatError(
      `${folder}: expected only the tensors that config.json describes for ${config.modelType}, found ${inBlocks}`,
      { hint: "leaving it out would change the model: config.json and the weights do not belong together" },
    );
  }
  return extra.map((name) => `${folder}: tensor ${name} is not part of ${config.modelType} and is ignored`);
}

function findChecked(folder: string, tensors: Map<string, Found>, { name, shape }: TensorSpec): Found {
  const found = tensors.get(name);
  if (!found) {
    throw new FormatError(`${folder}: expected tensor ${name} [${shape.join(", ")}], found none`, {
      hint: "config.json and the weights do not belong together, or a shard is missing",
    });
  }
  const { info, file } = found;
  if (info.shape.length !== shape.length || info.shape.some((size, axis) => size !== shape[axis])) {
    throw new FormatError(
      `${file.path}: tensor ${name}: expected shape [${shape.join(", ")}] from config.json, got [${info.shape.join(", ")}]`,
      { hint: "config.json and the weights do not belong together" },
    );
  }
  if (!READABLE_DTYPES.includes(info.dtype)) {
    throw new FormatError(
      `${file.path}: tensor ${name}: expected dtype ${READABLE_DTYPES.join(", ")}, got ${info.dtype}`,
      { hint: "use the unquantised checkpoint" },
    );
  }
  return found;
}

async function readChecked(
  folder: string,
  tensors: Map<string, Found>,
  spec: TensorSpec,
): Promise<Float32Array> {
  const { file } = findChecked(folder, tensors, spec);
  const values = await file.readFloat32(spec.name);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new NumericsError(
      `${file.path}: tensor ${spec.name}: expected finite numbers, got ${values[bad]} at index ${bad}`,
      { hint: "the checkpoint is damaged or its training diverged: use another one" },
    );
  }
  return values;
}

/** As transformers 5 decides it: a head that is stored and differs from the embedding is not tied. */
async function chooseHead(
  { embedding, head, headIsTied }: Architecture,
  options: {
    tensors: Map<string, Found>;
    read: (name: string, shape: readonly number[]) => Promise<Float32Array>;
    warnings: string[];
  },
): Promise<TensorSpec> {
  if (!headIsTied) return head;
  if (!options.tensors.has(head.name)) return embedding;
  const [stored, tied] = [
    await options.read(head.name, head.shape),
    await options.read(embedding.name, embedding.shape),
  ];
  if (stored.every((value, i) => value === tied[i])) return embedding;
  options.warnings.push(
    `${head.name} is stored and differs from ${embedding.name} although config.json ties them: the stored one is used, as transformers 5 does`,
  );
  return head;
}
