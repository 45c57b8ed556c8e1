// The golden files of test/golden/lm/families: read, their weights computed again, written as a checkpoint folder.
//
// make_families.py computes the same weights; the SHA-256 in each golden file says that both sides agree bit for bit.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors, writeSafetensors } from "../formats/safetensors.ts";
import { packageRoot } from "../package-root.ts";
import type { TokenBatch } from "./batch.ts";

interface TensorRule {
  name: string;
  shape: number[];
  scale: number;
  offset: number;
}

export interface FamilyGolden {
  config: Record<string, unknown>;
  tensors: TensorRule[];
  seeds: { seed: number; weightsSha256: string; cases: Record<string, number[][]> }[];
}

export interface GoldenCase {
  name: string;
  sequences: number[][];
  /** [layer, row, dModel] f32, rows of real tokens only. */
  residuals: Float32Array;
  /** [row, vocab] f32. */
  logits: Float32Array;
}

const folder = join(packageRoot(), "test/golden/lm/families");

export const FAMILY_GOLDENS = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -".json".length));

export function readFamilyGolden(name: string): FamilyGolden {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
}

export async function readGoldenCases(name: string, seed: number): Promise<GoldenCase[]> {
  const file = await openSafetensors(join(folder, `${name}.safetensors`));
  const described = readFamilyGolden(name).seeds.find((one) => one.seed === seed);
  const cases: GoldenCase[] = [];
  for (const [label, sequences] of Object.entries(described?.cases ?? {})) {
    const residuals = await file.readFloat32(`${seed}.${label}.residuals`);
    const logits = await file.readFloat32(`${seed}.${label}.logits`);
    cases.push({ name: label, sequences, residuals, logits });
  }
  await file.close();
  return cases;
}

/** MurmurHash3's finaliser. */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** offset + scale · (sum of four 16-bit uniforms, centred, over its deviation); see make_families.py. */
function hashedWeights(seed: number, { name, shape, scale, offset }: TensorRule): Float32Array {
  let start = 0x811c9dc5;
  for (const byte of Buffer.from(`${seed}:${name}`)) start = Math.imul(start ^ byte, 0x01000193);
  const size = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: size }, (_, index) => {
    const first = mix((Math.imul(index, 0x9e3779b1) + start) | 0);
    const second = mix(first ^ 0x5bd1e995);
    const total = (first & 0xffff) + (first >>> 16) + (second & 0xffff) + (second >>> 16);
    return offset + scale * ((total - 131070) / 37837);
  });
}

/** Every stored tensor of a seed, in the file's names. */
export function goldenWeights({ tensors }: FamilyGolden, seed: number): Map<string, Float32Array> {
  return new Map(tensors.map((tensor) => [tensor.name, hashedWeights(seed, tensor)]));
}

export function sha256OfWeights(weights: Map<string, Float32Array>): string {
  const hash = createHash("sha256");
  for (const values of weights.values()) hash.update(new Uint8Array(values.buffer));
  return hash.digest("hex");
}

/** config.json and model.safetensors (F32) in a fresh folder. rename: stored names in place of transformers'. */
export async function writeFamilyFolder(
  golden: FamilyGolden,
  options: { weights: Map<string, Float32Array>; rename?: (name: string) => string; config?: object },
): Promise<string> {
  const { weights, rename = (name) => name, config = golden.config } = options;
  const target = await mkdtemp(join(tmpdir(), "tunediff-lm-"));
  const tensors = golden.tensors.map(({ name, shape }) => ({
    name: rename(name),
    dtype: "F32" as const,
    shape,
    data: weights.get(name) ?? new Float32Array(),
  }));
  await writeFile(join(target, "config.json"), JSON.stringify(config));
  await writeSafetensors(join(target, "model.safetensors"), tensors);
  return target;
}

/** Rows of real tokens of [batch, length, width], sequence after sequence. */
export function realRows(values: Float32Array, { length, lengths }: TokenBatch, width: number): Float32Array {
  const out = new Float32Array(lengths.reduce((a, b) => a + b, 0) * width);
  let at = 0;
  lengths.forEach((real, i) => {
    out.set(values.subarray(i * length * width, (i * length + real) * width), at);
    at += real * width;
  });
  return out;
}
