// The name of what computes a training: bytes are promised to be the same only under the same name (and number of shards).

import { gemmBackend } from "../compute/gemm.ts";
import type { TrainConfig } from "./config.ts";

export function backendOf({ engine }: Pick<TrainConfig, "engine">): string {
  return engine === "reference" ? "readable reference, float32" : `${gemmBackend()} + WASM SIMD`;
}
