// A LoRA adapter opened over its base: a Checkpoint whose tensors are W + scale·B·A, merged in f32 while they are read.
//
// Hu et al. 2021 (arXiv:2106.09685), in PEFT's layout; scale = alpha/r, or alpha/√r with use_rslora (Kalajdzievski 2023,
// arXiv:2312.03732). Nothing merged is ever held: a tensor is read, changed in place and handed on. The base that
// adapter_config.json names is never looked up; the caller gives it.

import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { createGemm } from "../compute/gemm.ts";
import { ConfigError, FormatError, ShapeError } from "../errors.ts";
import { openSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import { ADAPTER_CONFIG, readAdapterConfig } from "./adapter-config.ts";
import { type AdapterPlan, type LowRank, planAdapter } from "./adapter-files.ts";
import { type Checkpoint, openCheckpoint, requireFinite } from "./checkpoint.ts";
import { hashFiles, hashOfHashes } from "./hash-files.ts";
import type { TensorSpec } from "./tensor-spec.ts";
import { insideFolder } from "./weight-files.ts";

const WEIGHTS = "adapter_model.safetensors";

/**
 * Opens a model folder: a checkpoint by itself, an adapter (a folder with adapter_config.json) over `base`, a checkpoint's
 * folder. The caller closes it. Throws ConfigError for an adapter without a base, else as openCheckpoint and openAdapter.
 */
export async function openModel(folder: string, { base }: { base?: string } = {}): Promise<Checkpoint> {
  if (!(await isAdapterFolder(folder))) return openCheckpoint(folder);
  if (base !== undefined) return openAdapter(base, folder);
  throw new ConfigError(`${folder}: expected a whole model, found a LoRA adapter`, {
    hint: "an adapter needs its base: give it in the place of the fine-tune, after the base",
  });
}

export async function isAdapterFolder(folder: string): Promise<boolean> {
  return stat(join(folder, ADAPTER_CONFIG)).then(
    (info) => info.isFile(),
    () => false,
  );
}

/**
 * The base with the adapter merged into it. `folder`, `config` and `files` are the base's; `hash` covers both, and
 * `adapter` says what was merged. Tensors are merged on every readTensor.
 *
 * Throws FormatError for a malformed or unsupported adapter, MismatchError for one of another base.
 */
export async function openAdapter(baseFolder: string, adapterFolder: string): Promise<Checkpoint> {
  if (await isAdapterFolder(baseFolder)) {
    throw new ConfigError(`${baseFolder}: expected a whole model as the base, found a LoRA adapter`, {
      hint: "merge it into its own base first (PEFT: merge_and_unload, save_pretrained)",
    });
  }
  const config = await readAdapterConfig(adapterFolder);
  const file = await openSafetensors(await findWeights(adapterFolder));
  let base: Checkpoint | undefined;
  try {
    base = await openCheckpoint(baseFolder);
    const plan = planAdapter({ file, config }, base);
    const { hash, files } = await hashFiles(adapterFolder, [ADAPTER_CONFIG, WEIGHTS]);
    const { lowRank, replaced } = plan;
    if (lowRank.size + replaced.size === 0) {
      throw new FormatError(`${file.path}: expected at least one adapted module, found none`);
    }
    const opened = base;
    return {
      ...base,
      hash: hashOfHashes([
        { name: "base", sha256: base.hash },
        { name: "adapter", sha256: hash },
      ]),
      head: chooseHead(base, plan, file.path),
      warnings: [...base.warnings, ...file.warnings, ...nameWarning(config.baseName, baseFolder)],
      adapter: {
        folder: adapterFolder,
        baseName: config.baseName,
        hash,
        files,
        nModules: lowRank.size,
        nReplaced: replaced.size,
      },
      readTensor: (name, shape) => readMerged(opened, { file, plan }, { name, shape }),
      async close() {
        await Promise.all([opened.close(), file.close()]);
      },
    };
  } catch (error) {
    await Promise.all([base?.close(), file.close()]);
    throw error;
  }
}

async function findWeights(folder: string): Promise<string> {
  const present = await readdir(folder);
  if (present.includes(WEIGHTS)) return insideFolder(folder, WEIGHTS);
  const isPickle = present.includes("adapter_model.bin");
  throw new FormatError(
    `${join(folder, WEIGHTS)}: expected the adapter's weights, found ${isPickle ? "only a Python pickle (opening one can run code)" : "no such file"}`,
    {
      hint: isPickle
        ? "convert it once where you trust it: load it with PEFT and save_pretrained it again"
        : "fetch the adapter's folder again",
    },
  );
}

/** An adapter changes the module it names and no other: a tied head stays what the embedding was, and the reverse. */
function chooseHead(base: Checkpoint, { lowRank, replaced }: AdapterPlan, place: string): TensorSpec {
  const { embedding, head } = base.architecture;
  const touches = ({ name }: TensorSpec): boolean => lowRank.has(name) || replaced.has(name);
  if (base.head.name !== embedding.name || touches(head)) return head;
  if (!touches(embedding)) return base.head;
  throw new FormatError(
    `${place}: expected a head of its own beside the changed embedding, found none, and the base ties the two`,
    {
      hint: "whether the head follows depends on how the adapter is loaded: merge it where it was trained and compare that folder",
    },
  );
}

async function readMerged(
  base: Checkpoint,
  { file, plan }: { file: SafetensorsFile; plan: AdapterPlan },
  spec: TensorSpec,
): Promise<Float32Array> {
  const { embedding, head } = base.architecture;
  const isTiedHead = spec.name === head.name && base.head.name === embedding.name;
  const replacement = plan.replaced.get(spec.name);
  let values: Float32Array;
  if (replacement === undefined) {
    values = await base.readTensor(isTiedHead ? embedding.name : spec.name, spec.shape);
  } else {
    const info = file.tensors.get(replacement);
    if (info?.shape.join() !== spec.shape.join()) {
      throw new ShapeError(
        `${file.path}: ${replacement}: expected shape [${spec.shape}], got [${info?.shape}]`,
      );
    }
    values = await readFinite(file, replacement);
  }
  const change = plan.lowRank.get(spec.name);
  if (change) {
    const [a, b] = [await readFinite(file, change.a), await readFinite(file, change.b)];
    await addLowRank(values, { a, b, change });
    requireFinite(values, `${file.path}: ${spec.name} after merging`);
  }
  return values;
}

async function readFinite(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const values = await file.readFloat32(name);
  requireFinite(values, `${file.path}: tensor ${name}`);
  return values;
}

/** Numbers of the product that exist at one time. */
const BLOCK_ELEMENTS = 2 ** 22;

/**
 * weight += scale·B·A in place, or its transpose. weight: [out, in], or [in, out] where change.isTransposed; a: [rank, in];
 * b: [out, rank]; all f32. The product is made a few rows at a time.
 */
export async function addLowRank(
  weight: Float32Array,
  {
    a,
    b,
    change,
  }: { a: Float32Array; b: Float32Array; change: Pick<LowRank, "rank" | "scale" | "isTransposed"> },
): Promise<void> {
  const { rank, scale, isTransposed } = change;
  const aColumns = transpose(a, rank);
  // change[row, column] = Σ_r rows[row, r]·columns[column, r].
  const [rows, columns] = isTransposed ? [aColumns, b] : [b, aColumns];
  const [nRows, nColumns] = [rows.length / rank, columns.length / rank];
  const step = Math.max(1, Math.floor(BLOCK_ELEMENTS / nColumns));
  const block = new Float32Array(Math.min(step, nRows) * nColumns);
  const gemm = await createGemm();
  try {
    for (let row = 0; row < nRows; row += step) {
      const n = Math.min(step, nRows - row);
      const part = rows.subarray(row * rank, (row + n) * rank);
      const target = block.subarray(0, n * nColumns);
      const product = await gemm.multiplyTransposed(part, columns, { n, m: nColumns, k: rank, target });
      const start = row * nColumns;
      for (let i = 0; i < product.length; i += 1) weight[start + i] += scale * product[i];
    }
  } finally {
    await gemm.dispose();
  }
}

/** [nRows, n] → [n, nRows]. */
function transpose(values: Float32Array, nRows: number): Float32Array {
  const n = values.length / nRows;
  const result = new Float32Array(values.length);
  for (let row = 0; row < nRows; row += 1)
    for (let i = 0; i < n; i += 1) result[i * nRows + row] = values[row * n + i];
  return result;
}

/** The base's name is all an adapter knows of it; another name is worth a word, not a refusal. */
function nameWarning(baseName: string | undefined, folder: string): string[] {
  if (baseName === undefined || baseName === "") return [];
  const real = resolve(folder);
  const wanted = basename(baseName);
  // models--org--name/snapshots/REVISION
  const known = [
    basename(real),
    basename(dirname(dirname(real)))
      .split("--")
      .at(-1),
  ];
  if (known.includes(wanted)) return [];
  return [
    `the adapter was trained over ${wanted} and is merged into ${folder}: every shape fits, whether the weights do cannot be seen`,
  ];
}
