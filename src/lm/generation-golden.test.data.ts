// The greedy continuations of test/golden/lm/generation.json, and the checkpoints they were made with, written to a folder.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../package-root.ts";
import { goldenWeights, readFamilyGolden, writeFamilyFolder } from "./family-golden.test.data.ts";

export interface GoldenContinuation {
  prompt: number[];
  tokens: number[];
  /** Between the two highest logits, over the whole continuation. */
  smallestGap: number;
}

interface GenerationGolden {
  embeddingScale: Record<string, number>;
  families: Record<string, { seed: number; sequences: GoldenContinuation[] }[]>;
}

const golden: GenerationGolden = JSON.parse(
  readFileSync(join(packageRoot(), "test/golden/lm/generation.json"), "utf8"),
);

export function readContinuations(name: string, seed: number): GoldenContinuation[] {
  return golden.families[name].find((one) => one.seed === seed)?.sequences ?? [];
}

/** A checkpoint folder with the weights of a family's continuations. */
export async function writeGenerationFolder(name: string, seed: number): Promise<string> {
  const family = readFamilyGolden(name);
  const scale = golden.embeddingScale[name];
  const tensors = family.tensors.map((rule) =>
    scale !== undefined && rule.name.includes("embed") ? { ...rule, scale } : rule,
  );
  const altered = { ...family, tensors };
  return writeFamilyFolder(altered, { weights: goldenWeights(altered, seed) });
}
