// What the measurement pass says of every latent and of the whole dictionary; the words of the glossary, as types.
//
// Everything here lives in the space the dictionary was trained in. Rows used: split `heldout`, BOS excluded.

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
  /** Share of the activation mass on template tokens. */
  templateShare: number;
  /** Along the finetuned decoder direction, as published. */
  scalingFinetuned: LatentScaling;
  /** Along the base decoder direction: the mirror, for what was lost. */
  scalingBase: LatentScaling;
  claim: Claim;
  /** Set when claim is "none" for a reason that is not the thresholds themselves. */
  exclusion: Exclusion | "";
}

/** tables/measure.json: the pooled figures. */
export interface MeasureSummary {
  schemaVersion: 1;
  nLatents: number;
  /** Rows measured (heldout, BOS and norm outliers excluded from fve; counted here). */
  nRows: number;
  nDocuments: number;
  nBosRows: number;
  nOutlierRows: number;
  /** Pooled, without BOS and norm outliers. */
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
