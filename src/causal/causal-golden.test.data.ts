// The golden files of test/golden/causal/ as typed arrays, for the tests of causal/. Made by PyTorch alone; see make_golden.py there.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../formats/safetensors.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { Conversation, PatchForm, SpliceOutcome } from "./causal-contract.ts";

export const GOLDEN_FOLDER = fileURLToPath(new URL("../../test/golden/causal/", import.meta.url));
export const PAIR_FOLDER = fileURLToPath(new URL("../../organisms/minichat/", import.meta.url));

interface GoldenEstimate {
  tokens: number;
  mean: number;
  low: number;
  high: number;
}
export type GoldenMetric = "kl" | "klReverse" | "nll" | "nllArgmax" | "klBase";
type GoldenSet = "all" | "firstNine" | "rest" | "restAfterNine";

export interface GoldenIntervention {
  name: string;
  kind: "none" | "all" | "error" | "template" | "finetuned" | "subset";
  decoderBias: "omit" | "swap";
  unedited: number;
  /** Whose residual stands at the unedited positions; absent without any. */
  leading?: ModelSide;
  form?: PatchForm;
  latents?: number[];
  sets: Record<GoldenSet, Record<GoldenMetric, GoldenEstimate>>;
}

export type GoldenSplice = Record<ModelSide, SpliceOutcome & { kept: number }> & {
  normLimits: number[];
  spliceAll: boolean;
};

export interface GoldenLayer {
  layer: number;
  threshold: number;
  nearestToThreshold: number;
  interventions: GoldenIntervention[];
  latents: {
    latent: number;
    conversationsFired: number;
    rate: number;
    energy: number;
    add: { klMean: number; klByChat: number[] };
    remove: { klMean: number; klByChat: number[] };
  }[];
  splice: Record<"ordinary" | "lowLimits" | "all", GoldenSplice>;
}

export interface Golden {
  weights: Record<ModelSide, string>;
  ids: string[];
  nChats: number;
  metrics: GoldenMetric[];
  layers: GoldenLayer[];
}

export interface GoldenDocuments {
  /** Chats with masks, then plain texts (masks all 0). */
  documents: Conversation[];
  /** Of the chats. */
  predicted: { positions: Uint32Array; isFirstNine: Uint8Array }[];
}

export async function readGolden(): Promise<Golden> {
  return JSON.parse(await readFile(`${GOLDEN_FOLDER}golden.json`, "utf8")) as Golden;
}

/** SHA-256 of the bundled pair's weights, by which a stale golden is told from a wrong program. */
export async function pairHashes(): Promise<Record<ModelSide, string>> {
  const hash = async (side: ModelSide): Promise<string> =>
    createHash("sha256")
      .update(await readFile(`${PAIR_FOLDER}${side}/model.safetensors`))
      .digest("hex");
  return { base: await hash("base"), finetuned: await hash("finetuned") };
}

export async function readGoldenDocuments({ ids, nChats }: Golden): Promise<GoldenDocuments> {
  const file = await openSafetensors(`${GOLDEN_FOLDER}chats.safetensors`);
  try {
    const numbers = async (name: string): Promise<Uint32Array> =>
      new Uint32Array((await file.readBytes(name)).buffer as ArrayBuffer);
    const bytes = (name: string): Promise<Uint8Array> => file.readBytes(name);
    const [rowStart, positionStart] = [await numbers("rowStart"), await numbers("positionStart")];
    const [tokenBase, tokenFinetuned] = [await numbers("tokenBase"), await numbers("tokenFinetuned")];
    const [isTemplate, isAssistant] = [await bytes("isTemplate"), await bytes("isAssistant")];
    const [positions, isFirstNine] = [await numbers("positions"), await bytes("isFirstNine")];
    return {
      documents: ids.map((id, i) => {
        const [from, to] = [rowStart[i], rowStart[i + 1]];
        const mask = (of: Uint8Array): Uint8Array =>
          i < nChats ? of.slice(from, to) : new Uint8Array(to - from);
        return {
          id,
          group: i % 64,
          tokenBase: tokenBase.slice(from, to),
          tokenFinetuned: tokenFinetuned.slice(from, to),
          isTemplate: mask(isTemplate),
          isAssistant: mask(isAssistant),
        };
      }),
      predicted: Array.from({ length: nChats }, (_, i) => ({
        positions: positions.slice(positionStart[i], positionStart[i + 1]),
        isFirstNine: isFirstNine.slice(positionStart[i], positionStart[i + 1]),
      })),
    };
  } finally {
    await file.close();
  }
}

/** table: [intervention, metric, predicted position of all chats] f32. nonZero: latents that fire at each row of the chats. */
export async function readGoldenCases(
  layer: number,
): Promise<{ table: Float32Array; nonZero: Uint8Array; nPositions: number }> {
  const file = await openSafetensors(`${GOLDEN_FOLDER}L${layer}/cases.safetensors`);
  try {
    const table = await file.readFloat32("table");
    const nPositions = file.tensors.get("table")?.shape[2] ?? 0;
    return { table, nonZero: await file.readBytes("nonZero"), nPositions };
  } finally {
    await file.close();
  }
}
