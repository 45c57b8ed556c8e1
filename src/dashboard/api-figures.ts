// The pages of figures in the API's contract: Causal and Glance. Types alone; web/ has them by way of api-contract.ts.

import type { Part, TokenScore } from "./api-parts.ts";

/** A mean with its 95 % interval, as pages of figures hold it; null where one does not exist. */
export interface FigureEstimate {
  mean: number | null;
  low: number | null;
  high: number | null;
}

/** A list that may be longer than a page holds. */
export interface Limited<T> {
  items: T[];
  total: number;
}

/** A word of the glossary. */
export interface PageTerm {
  name: string;
  words: string;
}

/** GET …/causal: what latents do to the answers of a running model. */
export interface CausalPage {
  patching: Part<CausalPatching>;
  effects: Part<CausalEffects>;
  splice: Part<Record<"base" | "finetuned", CausalSplice>>;
  behaviours: Part<Limited<CausalBehaviour>>;
  terms: PageTerm[];
}

export type CausalTokenSet = "all" | "firstNine" | "rest";
export type CausalForm = "additive" | "replacing";

/** The paper's experiment (Minder et al. 2025, figure 4): what each edit leaves of the gap between the models. */
export interface CausalPatching {
  conversations: {
    count: number;
    /** Read; predicted ones are in `tokens` of the page. */
    tokens: number;
    /** Where they come from, in words. */
    words: string;
    excluded: { reason: string; conversations: number }[];
  };
  /** The candidates of which the halves were made. */
  pool: { words: string; kept: number; counts: { reason: string; latents: number }[] };
  /** Where the paper's text and its code differ. */
  choices: { words: string; rows: { decides: string; used: string; asIn: string; other: string }[] };
  draws: number;
  /** Predicted tokens of each set. */
  tokens: Record<CausalTokenSet, number>;
  outcomes: CausalOutcome[];
  comparisons: { first: string; second: string; sets: Record<CausalTokenSet, FigureEstimate> }[];
  controls: CausalControlMatch[];
}

export interface CausalOutcome {
  name: string;
  kind: "none" | "all" | "error" | "template" | "finetuned" | "subset";
  form: CausalForm | null;
  nLatents: number;
  selection: string;
  /** Of the outcome that it is the control of; "" for anything else. */
  controlOf: string;
  sets: Record<CausalTokenSet, CausalFigures>;
}

/** Nats a token; gapClosed is a share. */
export interface CausalFigures {
  kl: FigureEstimate;
  nll: FigureEstimate;
  nllArgmax: FigureEstimate;
  klBase: FigureEstimate;
  gapClosed: FigureEstimate;
  klAgainstNone: FigureEstimate;
  /** mean ± 1.96 σ/√n over tokens. */
  klPublished: { low: number | null; high: number | null };
}

/** Lists have an entry a draw of controls. */
export interface CausalControlMatch {
  selection: string;
  nLatents: number;
  silent: number;
  missing: number[];
  rateRatio: (number | null)[];
  energyRatio: (number | null)[];
  /** Mean KL of each draw, nats. */
  kl: Record<CausalForm, Record<CausalTokenSet, (number | null)[]>>;
}

/** Single latents: added to the base, removed from the fine-tune. */
export interface CausalEffects {
  candidates: number;
  controls: number;
  controlsEach: number;
  conversations: number;
  tokens: number;
  silent: number;
  draws: number;
  /** Candidates by the gap that they close, greatest first; then controls. */
  rows: Limited<CausalEffectRow>;
}

export interface CausalEffectRow {
  latent: number;
  role: "candidate" | "control";
  /** Planted behaviour that a claim answers to; "" where there is none. */
  concept: string;
  gapClosed: FigureEstimate;
  controlGapClosed: number | null;
  gapClosedP: number | null;
  damage: FigureEstimate;
  controlDamage: number | null;
  damageP: number | null;
  conversationsFired: number;
  positionsReached: number;
  firingRate: number | null;
  energy: number | null;
}

/** GET …/causal/:latent: what the rows of one latent move, a candidate's first. */
export interface CausalMoved {
  latent: number;
  role: "candidate" | "control";
  /** Latents matched to it. */
  controls: number[];
  texts: { edit: "add" | "remove"; conversation: string; change: number | null }[];
  tokens: { edit: "add" | "remove"; token: string; tokenId: number; change: number | null; count: number }[];
}

/** One model run on its reconstructions: mean NLL of the next token in nats, and what is left of its skill. */
export interface CausalSplice {
  tokens: number;
  model: number | null;
  spliced: number | null;
  mean: number | null;
  zero: number | null;
  kl: number | null;
  lossRecoveredZero: number | null;
  lossRecoveredMean: number | null;
}

/** Answers that show a behaviour, n of m, by arm. */
export interface CausalBehaviour {
  behaviour: string;
  latent: number;
  /** Of base + latents, finetuned − latents and finetuned + latents, in units of the latent's greatest activation. */
  factors: { base: number; removal: number; push: number };
  arms: {
    arm: string;
    /** Control latents that the counts are summed over; 0 for others. */
    controls: number;
    called: { shown: number; prompts: number };
    notCalled: { shown: number; prompts: number };
    degenerate: number;
  }[];
}

/** GET …/glance: what differs between the two models, without a dictionary. */
export interface GlancePage {
  glance: Part<GlanceFindings>;
  terms: PageTerm[];
}

export interface GlanceFindings {
  base: string;
  finetuned: string;
  layer: { base: number; finetuned: number };
  tunediff: string;
  seconds: number;
  text: { description: string; source: string; documents: number; tokens: number };
  findings: string[];
  warnings: string[];
  kl: {
    tokens: number;
    mean: number | null;
    quantiles: { p50: number | null; p90: number | null; p99: number | null; max: number | null };
    shareOfTopPercent: number | null;
    byRole: GlanceGroup[];
    byDataset: GlanceGroup[];
    /** Mean by position from 0. */
    byPosition: (number | null)[];
    peaks: Limited<GlancePeak>;
  };
  /** Null where nothing was planted, or the texts are not the study's. */
  planted: Part<GlancePlanted> | null;
  lens: {
    texts: number;
    layer: number;
    /** The position that speaks for the pair; null where nothing differs. */
    mainPosition: number | null;
    /** Ascending; the last, of position null, is all first positions together. */
    positions: Limited<GlanceDifference>;
    steering: Limited<GlanceSteering>;
    leftOut: string[];
  };
  pca: {
    rows: number;
    changeRatio: number | null;
    meanShare: number | null;
    components: Limited<GlanceComponent>;
  };
  mining: {
    positions: number;
    topK: number;
    risen: Limited<GlanceMined>;
    fallen: Limited<GlanceMined>;
  };
}

/** Planted behaviours of the documents with a peak, held against all of the store. */
export interface GlancePlanted {
  peaks: number;
  known: number;
  withAny: number;
  ofStore: { documents: number; withAny: number };
  /** Most frequent first. */
  concepts: { concept: string; documents: number }[];
  /** What the dictionary's claims find of them. */
  found: number;
  planted: number;
}

export interface GlanceGroup {
  name: string;
  tokens: number;
  mean: number | null;
}

/** A stretch of text; tokens and values have an entry a token. */
export interface GlanceText {
  document: string;
  dataset: string;
  tokens: string[];
  values: (number | null)[];
  /** Index of the token that stands out. */
  peak: number;
}

/** values: KL of the prediction made at the token, nats. */
export interface GlancePeak extends GlanceText {
  nextBase: { token: string; probability: number }[];
  nextFinetuned: { token: string; probability: number }[];
}

/** A direction as each model reads it. */
export interface GlanceRead {
  model: "base" | "finetuned";
  by: string;
  promoted: TokenScore[];
  suppressed: TokenScore[];
}

export interface GlanceDifference {
  position: number | null;
  /** Texts; tokens where position is null. */
  texts: number;
  relativeNorm: number | null;
  consistency: number | null;
  read: GlanceRead[];
}

export interface GlanceSteering {
  model: "base" | "finetuned";
  strength: number;
  sign: 1 | -1;
  position: number;
  prompt: string;
  steered: string;
  unsteered: string;
  degenerate: string;
}

export interface GlanceComponent {
  share: number | null;
  read: GlanceRead[];
  /** values: the projection. */
  highest: GlanceText[];
  lowest: GlanceText[];
}

export interface GlanceMined {
  token: string;
  tokenId: number;
  count: number;
  share: number | null;
  controlShare: number | null;
  fractionPositive: number | null;
  meanDifference: number | null;
  occurrences: number;
}
