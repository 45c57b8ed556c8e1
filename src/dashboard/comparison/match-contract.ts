// What a matching of two dictionaries is made of, between the thread that computes it and the server.

import { STABILITY_THRESHOLDS } from "../../measure/stability.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { MatchingBy } from "../api-contract.ts";

/** What makes a match, beside being each other's nearest. */
export const MATCH_THRESHOLDS = {
  /** As stability asks; firing correlation, which it also asks for, needs the rows and is not asked here. */
  cosineAtLeast: STABILITY_THRESHOLDS.cosineAtLeast,
  /**
   * On the bundled pair (two sizes, one layer) 87 % of the claims whose nearest by place reaches it have the same nearest by direction; of those
   * between 0.1 and it, 55 %.
   */
  jaccardAtLeast: 0.2,
  /** Peaks in common: one or two meet by chance. */
  sharedAtLeast: 3,
} as const;

/** Latents that look for a partner, ascending, and the model along whose decoder row each does (0 base, 1 finetuned). */
export interface Asked {
  latents: Uint32Array;
  sides: Uint8Array;
}
export const SIDE_CODES: readonly ModelSide[] = ["base", "finetuned"];

/** An entry an asked latent, in their order. */
export interface Matches {
  latents: Uint32Array;
  /** The nearest latent of the other dictionary; −1: none, or not compared. */
  partner: Int32Array;
  /** 1: the latent is its partner's nearest, too. */
  mutual: Uint8Array;
  /** 1: it was compared with the other dictionary's latents. */
  compared: Uint8Array;
  /** Cosine along the own side, or Jaccard index; NaN without a partner. */
  score: Float64Array;
  /** NaN where the halves do not compare; joint: both halves side by side. Empty for places. */
  cosineBase: Float64Array;
  cosineFinetuned: Float64Array;
  cosineJoint: Float64Array;
  /** Peaks in common; empty for directions. */
  shared: Uint32Array;
}

export interface MatchedDictionary {
  modelPath: string;
  examplesPath: string;
  nLatents: number;
  asked: Asked;
  /** documents.jsonl of the store, where places have to be counted from each document's start; null: rows are the same in both. */
  documentsPath: string | null;
}

export interface MatchJob {
  by: MatchingBy;
  a: MatchedDictionary;
  b: MatchedDictionary;
  /** Of direction: what may be compared. */
  halves: readonly ModelSide[];
}

export interface MatchResult {
  a: Matches;
  b: Matches;
}

/** Both may be called often. */
export interface MatchRun {
  signal?: AbortSignal;
  report?: (words: string, done: number, total: number) => void;
}

export function emptyMatches(latents: Uint32Array): Matches {
  const numbers = (): Float64Array => new Float64Array(0);
  return {
    latents,
    partner: new Int32Array(latents.length).fill(-1),
    mutual: new Uint8Array(latents.length),
    compared: new Uint8Array(latents.length),
    score: new Float64Array(latents.length).fill(Number.NaN),
    ...{ cosineBase: numbers(), cosineFinetuned: numbers(), cosineJoint: numbers() },
    shared: new Uint32Array(0),
  };
}
