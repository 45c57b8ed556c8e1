// adapter_model.safetensors of a PEFT adapter → what happens to each tensor of the base.
//
// PEFT (0.21) names a module's tensors base_model.model.MODULE.{lora_A.weight [r, in], lora_B.weight [out, r],
// lora_embedding_A [r, vocab], lora_embedding_B [dModel, r]}, and tensors trained whole (modules_to_save, biases, resized
// embeddings) base_model.model.MODULE[.base_layer].{weight, bias}. Everything in the file must find its place; nothing is
// left out silently. No number is read here but shapes.

import { basename, join } from "node:path";
import { FormatError, MismatchError } from "../errors.ts";
import type { SafetensorsFile, TensorInfo } from "../formats/safetensors.ts";
import { ADAPTER_CONFIG, type AdapterConfig } from "./adapter-config.ts";
import { type Architecture, blockTensors, outerTensors } from "./architecture.ts";
import type { HashedFile } from "./hash-files.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** What is known of a merged adapter. */
export interface AdapterFacts {
  folder: string;
  /** The base its adapter_config.json names, as written. */
  baseName: string | undefined;
  /** SHA-256 over the adapter's own files. */
  hash: string;
  files: HashedFile[];
  /** Modules that get a low-rank change, and tensors that are replaced. */
  nModules: number;
  nReplaced: number;
}

/** W + scale·B·A, the product transposed where the base stores W [in, out]. */
export interface LowRank {
  /** [rank, in]. */
  a: string;
  /** [out, rank]. */
  b: string;
  rank: number;
  scale: number;
  isTransposed: boolean;
}

/** By canonical name of the base's tensor. */
export interface AdapterPlan {
  lowRank: Map<string, LowRank>;
  /** Name in the adapter's file of the tensor that stands in the base's place. */
  replaced: Map<string, string>;
}

const PREFIX = "base_model.model.";
const FACTOR = /^(.+)\.lora_(embedding_)?([AB])(?:\.weight)?$/;
const WHOLE = /^(.+?)(?:\.base_layer)?\.(weight|bias)$/;

/** Throws FormatError for a tensor without a place, MismatchError when the shapes are those of another base. */
export function planAdapter(
  { file, config }: { file: SafetensorsFile; config: AdapterConfig },
  { architecture, folder }: { architecture: Architecture; folder: string },
): AdapterPlan {
  const base = declaredTensors(architecture);
  const find = (module: string, part: string, info: TensorInfo): TensorSpec => {
    const name = moduleNames(module, architecture.namePrefixes)
      .map((candidate) => `${candidate}.${part}`)
      .find((candidate) => base.has(candidate));
    const spec = base.get(name ?? "");
    if (spec) return spec;
    throw new MismatchError(
      `${file.path}: tensor ${info.name}: expected a module of ${architecture.config.modelType} with ${architecture.config.nLayers} layers (${folder}), got ${module}`,
      { hint: describeBase(config) },
    );
  };
  const misfit = (info: TensorInfo, expected: string): MismatchError =>
    new MismatchError(
      `${file.path}: tensor ${info.name}: expected shape ${expected} over ${folder}, got [${info.shape.join(", ")}]`,
      { hint: describeBase(config) },
    );
  const inOut = inOutNames(architecture);
  const plan: AdapterPlan = { lowRank: new Map(), replaced: new Map() };
  const factors = new Map<string, { isEmbedding: boolean; A?: TensorInfo; B?: TensorInfo }>();
  for (const info of file.tensors.values()) {
    const inside = info.name.startsWith(PREFIX) ? info.name.slice(PREFIX.length) : "";
    const factor = FACTOR.exec(inside);
    if (factor) {
      const [, module, embedding, letter] = factor;
      const pair = factors.get(module) ?? { isEmbedding: embedding !== undefined };
      factors.set(module, { ...pair, [letter]: info });
      continue;
    }
    const whole = /\.lora_/.test(inside) ? null : WHOLE.exec(inside);
    if (!whole) {
      throw new FormatError(
        `${file.path}: tensor ${info.name}: expected base_model.model.MODULE.lora_A.weight, .lora_B.weight or a whole weight, got another name`,
        { hint: "this kind of adapter is not merged here: merge it into its base where it was trained" },
      );
    }
    const spec = find(whole[1], whole[2], info);
    if (info.shape.join() !== spec.shape.join()) throw misfit(info, `[${spec.shape.join(", ")}]`);
    plan.replaced.set(spec.name, info.name);
  }
  for (const [module, { A, B, isEmbedding }] of factors) {
    const one = A ?? B;
    if (!A || !B || !one) {
      throw new FormatError(
        `${file.path}: module ${module}: expected lora_A and lora_B, found only ${one?.name}`,
        {
          hint: "the adapter is incomplete: fetch it again",
        },
      );
    }
    requireTarget(module, config, join(file.path, "..", ADAPTER_CONFIG));
    const { rank, scale } = config.moduleScale(module);
    const spec = find(module, "weight", one);
    const isTransposed = isEmbedding || inOut.has(spec.name);
    const [nOut, nIn] = isTransposed ? [spec.shape[1], spec.shape[0]] : spec.shape;
    if (A.shape.join() !== [rank, nIn].join()) throw misfit(A, `[${rank}, ${nIn}] (rank, in)`);
    if (B.shape.join() !== [nOut, rank].join()) throw misfit(B, `[${nOut}, ${rank}] (out, rank)`);
    plan.lowRank.set(spec.name, { a: A.name, b: B.name, rank, scale, isTransposed });
  }
  return plan;
}

/**
 * What a module may be called here: as it is, without a prefix, without one inside "model." (multimodal wrappers since
 * transformers 4.52), or with the "model." that an adapter made over AutoModel lacks.
 */
function moduleNames(module: string, prefixes: readonly string[]): string[] {
  const cuts = prefixes
    .filter((prefix) => prefix !== "")
    .flatMap((prefix) => [
      ...(module.startsWith(prefix) ? [module.slice(prefix.length)] : []),
      ...(module.startsWith(`model.${prefix}`) ? [`model.${module.slice(6 + prefix.length)}`] : []),
    ]);
  return [module, ...cuts, `model.${module}`];
}

function declaredTensors(architecture: Architecture): Map<string, TensorSpec> {
  const layers = Array.from({ length: architecture.config.nLayers }, (_, layer) => layer);
  const all = [
    ...outerTensors(architecture),
    architecture.head,
    ...layers.flatMap((layer) => blockTensors(architecture, layer)),
  ];
  return new Map(all.map((spec) => [spec.name, spec]));
}

/** Weights stored [in, out]; PEFT transposes for exactly these, whatever fan_in_fan_out says. */
function inOutNames(architecture: Architecture): Set<string> {
  const { config, block } = architecture;
  return new Set(
    Array.from({ length: config.nLayers }, (_, layer) => block(layer)).flatMap(({ attention, mlp }) =>
      [...attention.qkv, attention.out, mlp.gate, mlp.up, mlp.down].flatMap((linear) =>
        linear?.inOut ? [linear.weight.name] : [],
      ),
    ),
  );
}

/** PEFT would load such a tensor and never use it. */
function requireTarget(module: string, { targetModules }: AdapterConfig, place: string): void {
  if (!targetModules || targetModules.some((name) => module === name || module.endsWith(`.${name}`))) return;
  throw new FormatError(
    `${place}: target_modules: expected a name for module ${module}, which the adapter holds, got ${targetModules.slice(0, 8).join(", ")}`,
    {
      hint: "adapter_config.json and adapter_model.safetensors come from different versions: fetch both again",
    },
  );
}

function describeBase({ baseName }: AdapterConfig): string {
  return baseName === undefined
    ? "use the base that the adapter was trained over"
    : `use the base that the adapter was trained over: its adapter_config.json names ${basename(baseName)}`;
}
