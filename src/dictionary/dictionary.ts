// A crosscoder in memory: two weight matrices whose rows are latents, over the sites' activations side by side.
//
// Latent j is row j of encoderWeight and of decoderWeight; columns are the sites' widths concatenated, base first, so
// models of different width need no special case. Minder et al. 2025 (arXiv:2504.02922), App. B. Files transpose to
// the field's layout in one place, dictionary-file.ts.

import type { Site } from "../store/store-contract.ts";

/** x̃ = (x − mean) · scale of its site. */
export interface Normaliser {
  /** [width] f32, raw activation units. */
  mean: Float32Array;
  /** [width] f32 standard deviation per coordinate, kept for the file format. */
  std: Float32Array;
  /** One factor a site: targetRms / sqrt(Σ_i std_i²). */
  scale: Float32Array;
  targetRms: number;
}

export const CODE_NORMALISATIONS = ["crosscoder", "sae", "none"] as const;
/** What a latent's code is multiplied by before codes are compared or penalised; see latentWeights. */
export type CodeNormalisation = (typeof CODE_NORMALISATIONS)[number];

export interface Dictionary {
  sites: Site[];
  nLatents: number;
  /** Σ of the sites' widths. */
  width: number;
  /** [nLatents, width] f32 row-major. */
  encoderWeight: Float32Array;
  /** [nLatents] f32. */
  encoderBias: Float32Array;
  /** [nLatents, width] f32 row-major. */
  decoderWeight: Float32Array;
  /** [width] f32. */
  decoderBias: Float32Array;
  /** 0: not selected by number (ReLU + L1). */
  k: number;
  /** Undefined: "crosscoder", the paper's. */
  codeNormalisation?: CodeNormalisation;
  /** How codes are kept at inference: those above θ (undefined: this) or, of every row, the k of largest activation. */
  selection?: "threshold" | "topK";
  /** θ in activation units (code × W); a latent fires when its activation is > θ. Negative: not calibrated. NaN: see below. */
  inferenceThreshold: number;
  /**
   * [nLatents] f32 > 0, in units of codes: a latent fires when its code is > its own. Only of dictionaries whose normaliser was
   * folded into them (fold-normaliser.ts): their W is no longer the one that θ was found with, so inferenceThreshold is NaN.
   */
  latentThresholds?: Float32Array;
  /** Undefined: trained on raw activations. */
  normaliser: Normaliser | undefined;
}

/** Codes of a batch in compressed rows: entries [rowStart[i], rowStart[i + 1]) belong to row i, latents ascending. */
export interface SparseCodes {
  nRows: number;
  /** [nRows + 1]. */
  rowStart: Uint32Array;
  /** [nonZero] latent index. */
  latent: Uint32Array;
  /** [nonZero] unscaled code f > 0. */
  code: Float32Array;
}

/** Inference in threshold mode, owning what the device needs; made by createEncoder in encode.ts. */
export interface Encoder {
  /** x: [rows, width] f32 in the dictionary's own (normalised) space; at most maxRows rows. */
  encode(x: Float32Array, nRows: number): Promise<SparseCodes>;
  maxRows: number;
  dispose(): Promise<void>;
}
