// A checkpoint folder, opened: config read, every tensor found and its shape checked before anything is allocated.
//
// Hugging Face layout: config.json with model.safetensors, or model.safetensors.index.json and its shards. Pickles are
// never opened. Weights are read one tensor at a time and kept by nobody here.

import { FormatError, NumericsError } from "../errors.ts";
import { openSafetensors, type SafetensorsFile, type TensorInfo } from "../formats/safetensors.ts";
import type { AdapterFacts } from "./adapter-files.ts";
import { type Architecture, blockTensors, type ModelConfig, outerTensors } from "./architecture.ts";
import { readArchitecture } from "./config.ts";
import { type HashedFile, hashFiles } from "./hash-files.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { findWeightFiles, type WeightFiles } from "./weight-files.ts";

export interface Checkpoint {
  folder: string;
  config: ModelConfig;
  architecture: Architecture;
  /** SHA-256, hex, over names and SHA-256 of `files`: equal exactly when config and weights are. */
  hash: string;
  /** config.json and the weight files read, names relative to the folder. */
  files: HashedFile[];
  /** The LoRA adapter merged into what readTensor returns; see adapter.ts. */
  adapter?: AdapterFacts;
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

/** Tensors outside the model that are warned of by name; the rest are counted. */
const MAX_NAMED_EXTRAS = 5;

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
  const found = await findWeightFiles(folder);
  const architecture = await readArchitecture(folder);
  const opened: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((file) => file.close()));
  };
  try {
    const warnings = [...found.warnings, ...architecture.warnings];
    const stored = await listTensors(folder, found, { opened, warnings });
    const tensors = canonicalNames(folder, architecture, stored);
    warnings.push(...checkTensors(folder, architecture, tensors));
    const read = (name: string, shape: readonly number[]) => readChecked(folder, tensors, { name, shape });
    const head = await chooseHead(folder, architecture, { tensors, warnings });
    const files = await hashFiles(folder, ["config.json", ...found.names.map(({ name }) => name)]);
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

/** Opens every weight file (into `opened`) and maps the names of their tensors, as stored, to their places. */
async function listTensors(
  folder: string,
  { names, weightMap, totalBytes }: WeightFiles,
  { opened, warnings }: { opened: SafetensorsFile[]; warnings: string[] },
): Promise<Map<string, Found>> {
  const tensors = new Map<string, Found>();
  const seenIn = new Map<string, string>();
  let sum = 0;
  for (const { name, path } of names) {
    const file = await openSafetensors(path);
    opened.push(file);
    warnings.push(...file.warnings);
    for (const info of file.tensors.values()) {
      const other = seenIn.get(info.name);
      if (other !== undefined) {
        throw new FormatError(`${path}: expected tensor ${info.name} in one shard, got it in ${other} too`, {
          hint: "the shards come from different versions: fetch the whole folder again",
        });
      }
      seenIn.set(info.name, name);
      const place = weightMap?.get(info.name);
      if (weightMap && place !== name) {
        warnings.push(`${path}: tensor ${info.name} is not in the index for this file and is ignored`);
        continue;
      }
      tensors.set(info.name, { file, info });
      sum += info.end - info.begin;
    }
  }
  checkIndexed(folder, weightMap, tensors);
  if (totalBytes !== undefined && totalBytes !== sum) {
    warnings.push(`${folder}: the index speaks of ${totalBytes} bytes of tensors, its shards hold ${sum}`);
  }
  return tensors;
}

/**
 * The same tensors under the architecture's names: one prefix is taken off, the same for the whole folder. Only the head
 * may lack it, and what belongs to another part of the model keeps its stored name.
 */
function canonicalNames(
  folder: string,
  architecture: Architecture,
  stored: Map<string, Found>,
): Map<string, Found> {
  const { namePrefixes, embedding, head, blockTensorPattern, ignoredTensorPattern } = architecture;
  const prefix = namePrefixes.find((candidate) => stored.has(candidate + embedding.name)) ?? "";
  const outer = new Set(outerTensors(architecture).map(({ name }) => name));
  const isOurs = (name: string): boolean =>
    !ignoredTensorPattern.test(name) && (outer.has(name) || blockTensorPattern.test(name));
  const tensors = new Map<string, Found>();
  for (const [name, found] of stored) {
    const carried = namePrefixes.find((candidate) => candidate !== "" && name.startsWith(candidate)) ?? "";
    const bare = name.slice(carried.length);
    const canonical = carried === prefix || bare === head.name ? bare : name;
    if ((carried !== prefix && isOurs(bare)) || tensors.has(canonical)) {
      throw new FormatError(
        `${folder}: expected tensor names that all begin with ${JSON.stringify(prefix)}, found ${name} too`,
        { hint: "the folder mixes two ways of saving the model: save or fetch it again" },
      );
    }
    tensors.set(canonical, found);
  }
  return tensors;
}

function checkIndexed(
  folder: string,
  weightMap: Map<string, string> | undefined,
  tensors: Map<string, Found>,
): void {
  const stored = new Set([...tensors.values()].map(({ info }) => info.name));
  for (const [name, shard] of weightMap ?? []) {
    if (stored.has(name)) continue;
    throw new FormatError(
      `${folder}/${shard}: expected tensor ${name} (named by model.safetensors.index.json), found none`,
      { hint: "the shards and the index come from different versions: fetch the whole folder again" },
    );
  }
}

/** Every tensor the architecture names is there, readable and of its shape. Returns warnings. */
function checkTensors(folder: string, architecture: Architecture, tensors: Map<string, Found>): string[] {
  const { config, head, headIsTied, blockTensorPattern, ignoredTensorPattern } = architecture;
  const declared = new Set([head.name]);
  const needed = [...outerTensors(architecture), ...(headIsTied ? [] : [head])];
  for (let layer = 0; layer < config.nLayers; layer += 1) needed.push(...blockTensors(architecture, layer));
  for (const spec of needed) {
    declared.add(spec.name);
    findChecked(folder, tensors, spec);
  }
  if (headIsTied && tensors.has(head.name)) findChecked(folder, tensors, head);
  const extra = [...tensors.keys()].filter((name) => !declared.has(name) && !ignoredTensorPattern.test(name));
  const storedName = (name: string): string => tensors.get(name)?.info.name ?? name;
  const inBlocks = extra.find((name) => blockTensorPattern.test(name));
  if (inBlocks !== undefined) {
    throw new FormatError(
      `${folder}: expected only the tensors that config.json describes for ${config.modelType}, found ${storedName(inBlocks)}`,
      { hint: "leaving it out would change the model: config.json and the weights do not belong together" },
    );
  }
  const named = extra
    .slice(0, MAX_NAMED_EXTRAS)
    .map((name) => `${folder}: tensor ${storedName(name)} is not part of ${config.modelType} and is ignored`);
  const nMore = extra.length - named.length;
  return nMore > 0 ? [...named, `${folder}: ${nMore} more such tensors are ignored`] : named;
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
  const { file, info } = findChecked(folder, tensors, spec);
  const values = await file.readFloat32(info.name);
  requireFinite(values, `${file.path}: tensor ${spec.name}`);
  return values;
}

/** Throws NumericsError naming the first number that is NaN or infinite. */
export function requireFinite(values: Float32Array, place: string): void {
  for (let i = 0; i < values.length; i += 1) {
    if (Number.isFinite(values[i])) continue;
    throw new NumericsError(`${place}: expected finite numbers, got ${values[i]} at index ${i}`, {
      hint: "the weights are damaged or their training diverged: use others",
    });
  }
}

/** As transformers 5 decides it: a head that is stored and differs from the embedding is not tied. */
async function chooseHead(
  folder: string,
  { embedding, head, headIsTied }: Architecture,
  { tensors, warnings }: { tensors: Map<string, Found>; warnings: string[] },
): Promise<TensorSpec> {
  if (!headIsTied) return head;
  if (!tensors.has(head.name)) return embedding;
  const [stored, tied] = [head, embedding].map((spec) => findChecked(folder, tensors, spec));
  if (await areEqual(stored, tied, head.shape)) return embedding;
  warnings.push(
    `${head.name} is stored and differs from ${embedding.name} although config.json ties them: the stored one is used, as transformers 5 does`,
  );
  return head;
}

/** Compared block by block: both together can be larger than memory. */
async function areEqual(a: Found, b: Found, [nRows, nColumns]: readonly number[]): Promise<boolean> {
  const step = Math.max(1, Math.floor(COMPARED_ELEMENTS / nColumns));
  for (let row = 0; row < nRows; row += step) {
    const end = Math.min(nRows, row + step);
    const [left, right] = [
      await a.file.readRows(a.info.name, row, end),
      await b.file.readRows(b.info.name, row, end),
    ];
    for (let i = 0; i < left.length; i += 1) if (left[i] !== right[i]) return false;
  }
  return true;
}

const COMPARED_ELEMENTS = 2 ** 20;
