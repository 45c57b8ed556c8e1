// What the measurement pass says of every latent and of the whole dictionary; the words of the glossary, as types.
//
// Everything here lives in the space the dictionary was trained in. Rows used: split `heldout`, BOS and norm outliers excluded
// (one row of thirty times the ordinary norm weighs as much as nine hundred in Latent Scaling; docs/log.md).

export const LATENT_CLASSES = ["base-only", "shared", "finetuned-only", "other"] as const;
export type LatentClass = (typeof LATENT_CLASSES)[number];

export type Claim = "finetuned-specific" | "base-specific" | "none";

/** Why a latent that leans to one side cannot be judged. Counted, never dropped in silence. */
export const EXCLUSIONS = ["not-candidate", "dead", "too-rare", "negative-beta", "nu-out-of-range"] as const;
export type Exclusion = (typeof EXCLUSIONS)[number];

/** Every threshold of a claim in one place; stored with every result. */
export const CLAIM_THRESHOLDS = {
  candidateDeltaNorm: 0.6,
  nuReconstructionBelow: 0.5,
  nuErrorBelow: 0.2,
  nuMinimum: -0.1,
  nuMaximum: 2,
  minimumDocuments: 20,
  baseOnlyAtMost: 0.1,
  finetunedOnlyAtLeast: 0.9,
  sharedFrom: 0.4,
  sharedTo: 0.6,
} as const;
export type ClaimThresholds = typeof CLAIM_THRESHOLDS;

/** Latent Scaling along one decoder direction (Minder et al. 2025, §2.3): the best multiple of f·d for each target. */
export interface LatentScaling {
  betaActivationBase: number;
  betaActivationFinetuned: number;
  betaReconstructionBase: number;
  betaReconstructionFinetuned: number;
  betaErrorBase: number;
  betaErrorFinetuned: number;
  /** For the finetuned direction base/finetuned; for the base direction finetuned/base. */
  nuActivation: number;
  nuReconstruction: number;
  nuError: number;
}

/** low ≤ high, either may be infinite; both NaN for a latent that never fired. */
export interface Interval {
  low: number;
  high: number;
}

export const NU_NAMES = ["nuActivation", "nuReconstruction", "nuError"] as const;
export type NuName = (typeof NU_NAMES)[number];

export const DIRECTIONS = ["finetuned", "base"] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** 95 % intervals of one latent's nus, along the finetuned and along the base decoder direction; see intervals.ts. */
export type LatentIntervals = Record<Direction, Record<NuName, Interval>> & {
  /** Document groups with at least one firing: what the interval rests on. */
  nGroupsFired: number;
};

/** What the intervals say of a latent that leans to a side; see verdict.ts. */
export const VERDICTS = [
  "genuine",
  "complete shrinkage",
  "latent decoupling",
  "complete shrinkage and latent decoupling",
  "uncertain",
  "too rare",
  "dead",
] as const;
export type Verdict = (typeof VERDICTS)[number];

/**
 * How much of each target the best multiple of one latent explains, along one decoder direction; see error-improvement.ts.
 * Improvements lie in [0, 1]; a ratio is that of the other model over the direction's own.
 */
export interface ErrorImprovement {
  activationBase: number;
  activationFinetuned: number;
  reconstructionBase: number;
  reconstructionFinetuned: number;
  errorBase: number;
  errorFinetuned: number;
  activationRatio: number;
  reconstructionRatio: number;
  errorRatio: number;
}

/** A token and how many documents it was seen in at (or before) the peak; a lower bound where a latent has many tokens. */
export interface TokenCount {
  token: string;
  tokenId: number;
  count: number;
}

/** Another latent and the cosine of the two decoder rows. */
export interface Neighbour {
  latent: number;
  cosine: number;
}

/** Quantiles of the activation over rows in which the latent fired, by name. */
export const ACTIVATION_QUANTILES = { q10: 0.1, q50: 0.5, q90: 0.9, q99: 0.99 } as const;
export type ActivationQuantiles = Record<keyof typeof ACTIVATION_QUANTILES, number>;

/**
 * How many rows a latent fired in at which activation, in bins of equally many fine ones; see activation-bins.ts.
 *
 * Bin i holds the activations whose f32, as a u32 shifted right by 18, is in [first + i·step, min(first + (i + 1)·step, end)).
 * The counts add up to the rows in which it fired. A latent that never fired has no bins, and first = end = 0.
 */
export interface ActivationBins {
  first: number;
  end: number;
  step: number;
  counts: readonly number[];
}

/** Kinds of rows a frequency is given by, and their names in the order of the lists. */
export interface CategoryNames {
  role: readonly string[];
  dataset: readonly string[];
  slot: readonly string[];
  /** Tenths of a document, "0" … "9". */
  positionDecile: readonly string[];
}
export type CategoryKind = keyof CategoryNames;
export const CATEGORY_KINDS: readonly CategoryKind[] = ["role", "dataset", "slot", "positionDecile"];

/** One row of tables/measure.parquet. NaN where a quantity does not exist (a latent that never fired). */
export interface LatentMeasure {
  latent: number;
  decoderNormBase: number;
  decoderNormFinetuned: number;
  encoderNormBase: number;
  encoderNormFinetuned: number;
  /** 0 base-only, 0.5 shared, 1 finetuned-only. */
  deltaNorm: number;
  /** Of the angle between the two decoder rows; NaN for models of different width, which have no space in common. */
  decoderCosine: number;
  latentClass: LatentClass;
  /** Share of rows where it fired. */
  frequency: number;
  /** Held-out documents in which it fired at least once. */
  documents: number;
  maxCode: number;
  maxActivation: number;
  meanActivation: number;
  activationQuantiles: ActivationQuantiles;
  /** Null where the table was written before there was one. */
  activationHistogram: ActivationBins | null;
  /** Share of the activation mass on template tokens. */
  templateShare: number;
  /** Share of the rows of each category in which it fired, in the order of the summary's categories; NaN without rows. */
  frequencyBy: Record<CategoryKind, number[]>;
  /** −Σ p·log p over documents, p the share of the activation mass in a document, nats; log(documents) when evenly spread. */
  documentEntropy: number;
  /** Tokens at the peak of a document, and just before it, most frequent first. */
  tokensAtPeak: TokenCount[];
  tokensBeforePeak: TokenCount[];
  /** Along the finetuned decoder direction, as published. */
  scalingFinetuned: LatentScaling;
  /** Along the base decoder direction: the mirror, for what was lost. */
  scalingBase: LatentScaling;
  intervals: LatentIntervals;
  improvementFinetuned: ErrorImprovement;
  improvementBase: ErrorImprovement;
  /** Nearest other latents by cosine of the finetuned rows, of the base rows, and of this finetuned row with other base rows. */
  nearestFinetuned: Neighbour[];
  nearestBase: Neighbour[];
  /** Empty for models of different width. */
  nearestAcross: Neighbour[];
  /** "" for a latent that leans to neither side. */
  verdict: Verdict | "";
  claim: Claim;
  /** Set when claim is "none" for a reason that is not the thresholds themselves. */
  exclusion: Exclusion | "";
}

export interface TwinDivergence {
  /** Null where neither latent was ever high. */
  paper: number | null;
  code: number | null;
  /** Rows in which either was high: what the two stand on. */
  highRowsPaper: number;
  highRowsCode: number;
}

export interface LatentTwin {
  finetuned: number;
  base: number;
  /** Of d^finetuned of the one and d^base of the other. */
  cosine: number;
  /** A: the larger of the two maximum activations over train rows; 0 when neither fired there, and no divergence exists. */
  maxActivation: number;
  /** Over all rows of the split; 1: never high together, and each low where the other is high. */
  divergencePaper: number | null;
  divergenceCode: number | null;
  /** By the names of the store's datasets. */
  byDataset: Record<string, TwinDivergence>;
  /** Rows of the split in which each fired, and both. */
  firedFinetuned: number;
  firedBase: number;
  firedBoth: number;
  /** Of firing; null where it does not exist. */
  jaccard: number | null;
  phi: number | null;
}

/** tables/measure.json: the pooled figures. */
export interface MeasureSummary {
  schemaVersion: 1;
  nLatents: number;
  /** Rows measured: of the split, neither BOS nor norm outliers. */
  nRows: number;
  nDocuments: number;
  nBosRows: number;
  nOutlierRows: number;
  /** Pooled over the measured rows. */
  fve: { base: number; finetuned: number; total: number };
  /** Pooled over all rows. */
  fveAllRows: { base: number; finetuned: number; total: number };
  l0: number;
  deadFraction: number;
  inferenceThreshold: number;
  counts: {
    baseOnly: number;
    finetunedOnly: number;
    shared: number;
    other: number;
    finetunedSpecific: number;
    baseSpecific: number;
  };
  /** Candidates left out, by reason, for each direction. */
  exclusionsFinetuned: Record<Exclusion, number>;
  exclusionsBase: Record<Exclusion, number>;
  /**
   * What Latent Scaling puts into either model. "shared": one decoder row into both, as published. "own": the models
   * differ in width, so each is read along its own row, brought to one length; see latent-scaling.ts.
   */
  scalingDirections: "shared" | "own";
  /** How many latents have each verdict. */
  verdicts: Record<Verdict, number>;
  categories: CategoryNames;
  /** Measured rows of each category. */
  rowsByCategory: Record<CategoryKind, number[]>;
  /** How the intervals were made. */
  intervals: { level: number; nDraws: number; nGroups: number };
  /** Pairs of a finetuned-leaning and a base-leaning latent of nearly one direction; see twins.ts. */
  twins: LatentTwin[];
  thresholds: ClaimThresholds;
}

/** One stretch of text in which a latent fired, as examples.sqlite keeps it. */
export interface LatentExample {
  latent: number;
  /** −1: one of the strongest; 0 … 4: drawn from one of the paper's activation bins, weakest first. */
  bin: number;
  /** 0 = strongest of its bin. One example a document. */
  rank: number;
  document: number;
  documentId: string;
  dataset: string;
  /** The store's row of the first token. */
  rowStart: number;
  /** Token strings of the window, control tokens by name. */
  tokens: string[];
  /** Activation (code × W) of each token, 0 where silent. */
  activations: number[];
  /** Index of the strongest token in the window. */
  peak: number;
  maxActivation: number;
}
