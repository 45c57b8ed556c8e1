// What a first glance at a pair says, without a dictionary: the shape of glance.json.
//
// Per-token KL, activation difference lens (Minder et al. 2025, arXiv:2510.13900), principal components of the difference, logit-difference
// mining. KL in nats, residuals in raw activation units. Positive is the direction from the base to the fine-tune.

export const GLANCE_SCHEMA = 1;

/** A stretch of text around a peak. All arrays have an entry a token. */
export interface PeakText {
  document: string;
  dataset: string;
  tokens: string[];
  /** KL(p_finetuned ‖ p_base) of the prediction made at the token, nats. */
  kl: number[];
  /** Index of the greatest. */
  peak: number;
  /** What each model expected after the peak: token and probability, most probable first. */
  nextBase: TokenChance[];
  nextFinetuned: TokenChance[];
}

export interface TokenChance {
  token: string;
  probability: number;
}

export interface KlFindings {
  tokens: number;
  mean: number;
  /** 0.5, 0.9, 0.99, 1. */
  quantiles: { p50: number; p90: number; p99: number; max: number };
  /** Share of all KL that the tokens beyond p99 hold. */
  shareOfTopPercent: number;
  byRole: { role: string; tokens: number; mean: number }[];
  byDataset: { dataset: string; tokens: number; mean: number }[];
  /** Mean by position, first positions each, e.g. 0 … 31. */
  byPosition: number[];
  peaks: PeakText[];
}

/** A direction as one model reads it. */
export interface ReadDirection {
  model: "base" | "finetuned";
  /** How: the model's final norm and head on the direction, or its answer when the direction is put in place of a token. */
  by: "logit lens" | "patchscope";
  promoted: ReadToken[];
  /** Of the negative direction. */
  suppressed: ReadToken[];
}

export interface ReadToken {
  token: string;
  tokenId: number;
  score: number;
}

export interface PositionDifference {
  /** Token position in the text, 0-based; BOS is 0 where there is one. */
  position: number;
  texts: number;
  /** ‖mean difference‖ over the mean norm of the base's residual there; null where that is undefined. */
  relativeNorm: number | null;
  /** ‖mean difference‖ / mean ‖difference‖: 1, every text is moved alike; 0 where no text is moved. */
  consistency: number;
  read: ReadDirection[];
}

/** The same over all first positions together, BOS left out. */
export type OverallDifference = Omit<PositionDifference, "position">;

export interface DifferenceSteering {
  model: "base" | "finetuned";
  /** Multiple of the mean difference of `position` that was added at every position. */
  strength: number;
  sign: 1 | -1;
  position: number;
  prompt: string;
  steered: string;
  unsteered: string;
  degenerate: string;
}

export interface LensFindings {
  texts: number;
  layer: number;
  positions: PositionDifference[];
  overall: OverallDifference;
  /** The position whose difference speaks for the pair and is steered with, never BOS; null where nothing differs. */
  mainPosition: number | null;
  steering: DifferenceSteering[];
  /** What was not done, and why: a sentence each. */
  leftOut: string[];
}

export interface ComponentFinding {
  /** Share of the summed squared difference about its mean. */
  share: number;
  read: ReadDirection[];
  /** Where the projection is greatest and least. */
  highest: { document: string; tokens: string[]; values: number[]; peak: number }[];
  lowest: { document: string; tokens: string[]; values: number[]; peak: number }[];
}

export interface PcaFindings {
  rows: number;
  /** Mean ‖h_finetuned − h_base‖² / ‖h_base‖². */
  changeRatio: number;
  /** Share of the squared difference that its mean holds. */
  meanShare: number;
  components: ComponentFinding[];
}

export interface MinedToken {
  token: string;
  tokenId: number;
  /** Positions at which it was among the K of greatest logit difference, fine-tune less base, and that share. */
  count: number;
  share: number;
  /** Share that the control gives: the same counting with the sign of the difference drawn at random a position (its expectation). */
  controlShare: number;
  /** Of the positions at which either model held it possible: the share at which its logit rose beside the others', and its mean change. */
  fractionPositive: number;
  meanDifference: number;
  /** Times it stands in the text that was read; 0: a token that never occurs there. */
  occurrences: number;
}

export interface MiningFindings {
  positions: number;
  topK: number;
  /** More probable in the fine-tune, and in the base. */
  risen: MinedToken[];
  fallen: MinedToken[];
}

export interface Glance {
  schemaVersion: typeof GLANCE_SCHEMA;
  tunediff: string;
  base: string;
  finetuned: string;
  layer: { base: number; finetuned: number };
  /** Where the text came from, in words, and how much. */
  text: { source: "file" | "written by the models"; description: string; documents: number; tokens: number };
  seconds: number;
  kl: KlFindings;
  lens: LensFindings;
  pca: PcaFindings;
  mining: MiningFindings;
  /** Up to ten plain sentences, strongest first; none where the models do not differ. */
  findings: string[];
  warnings: string[];
  /** Hash of all that a study's glance was made from; absent for one outside a study. */
  key?: string | undefined;
}
