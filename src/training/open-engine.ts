// The engine that a configuration asks for, and a copy of what it holds as a dictionary.

import type { Dictionary, Normaliser } from "../dictionary/dictionary.ts";
import { siteOffsets } from "../dictionary/latent-norms.ts";
import type { Store } from "../store/store-contract.ts";
import { checkpointShards } from "./checkpoint.ts";
import type { TrainConfig, TrainConstants } from "./config.ts";
import { createEngine } from "./engine.ts";
import type { Engine, EngineOptions } from "./engine-contract.ts";
import { createReferenceEngine } from "./reference-engine.ts";

export interface OpenEngineOptions {
  store: Store;
  config: TrainConfig;
  constants: TrainConstants;
  /** Of the dictionary, with its checkpoints. */
  folder: string;
  /** Receives what the user should know. */
  warnings: string[];
}

/** Sums are rounded in the order of the shards, so a run keeps the number that its newest checkpoint has. All state is zero. */
export async function openEngine(options: OpenEngineOptions): Promise<Engine> {
  const { store, config, constants, folder, warnings } = options;
  const shards = (await checkpointShards(folder)) ?? config.shards;
  if (config.shards !== undefined && shards !== config.shards && config.engine !== "reference")
    warnings.push(
      `${folder}: goes on with ${shards} shards as its checkpoint has, not with ${config.shards}`,
    );
  const siteStarts = siteOffsets(store.manifest.sites);
  const engine: EngineOptions = {
    ...config,
    ...constants,
    width: store.width,
    siteOffsets: siteStarts,
    shards,
  };
  return config.engine === "reference"
    ? createReferenceEngine(engine, new Float32Array(0))
    : await createEngine(engine);
}

/** A copy of the parameters. threshold: θ; not looked at under ReLU + L1, whose θ is 0. */
export async function readDictionary(
  engine: Engine,
  {
    store,
    config,
    normaliser,
    threshold,
  }: { store: Store; config: TrainConfig; normaliser: Normaliser | undefined; threshold: number },
): Promise<Dictionary> {
  const isRelu = config.sparsity?.kind === "reluL1";
  return {
    sites: store.manifest.sites,
    nLatents: config.nLatents,
    width: store.width,
    encoderWeight: await engine.read("parameter", "encoderWeight"),
    encoderBias: await engine.read("parameter", "encoderBias"),
    decoderWeight: await engine.read("parameter", "decoderWeight"),
    decoderBias: await engine.read("parameter", "decoderBias"),
    k: isRelu ? 0 : config.k,
    codeNormalisation: config.codeNormalisation,
    selection: config.sparsity?.kind === "topK" ? "topK" : undefined,
    inferenceThreshold: isRelu ? 0 : threshold,
    normaliser,
  };
}
