// What the causal experiments are made of and what they say; the shapes of causal.json and tables/causal.parquet.
//
// Minder et al. 2025 (arXiv:2504.02922), section 3.2 and App. G: a residual between the two models is put together after the compared layer
// and the finetuned model's later layers run on it; what it predicts is held against what the fine-tune predicts. Everything here is
// in raw activation units and nats. Where the paper and its code differ, both are options of PaperChoices and CODE_CHOICES is the default.

/** A chat as both models read it. All arrays have an entry a token, position 0 first. */
export interface Conversation {
  /** Of the document, or of the prompt whose answer was generated. */
  id: string;
  /** 0 … 63, as the store's document groups. */
  group: number;
  tokenBase: Uint32Array;
  tokenFinetuned: Uint32Array;
  /** 1 for a token of the template; BOS is none. */
  isTemplate: Uint8Array;
  /** 1 for the assistant's content and the first template token that closes it (its end mark). */
  isAssistant: Uint8Array;
}

/** Which predictions are averaged over. */
export const TOKEN_SETS = ["all", "firstNine", "rest"] as const;
export type TokenSet = (typeof TOKEN_SETS)[number];

/** Positions whose next token is the assistant's, ascending, and to which sets each belongs. */
export interface PredictedPositions {
  positions: Uint32Array;
  /** 1 where it belongs to firstNine; the same length as positions. Together with `rest` it makes `all`, but see restOf. */
  isFirstNine: Uint8Array;
  /** 1 where it belongs to rest. */
  isRest: Uint8Array;
}

/** Where the paper's text and its code differ. */
export interface PaperChoices {
  /** code: KL(p_finetuned ‖ p_hybrid). paper: the arguments the other way round. */
  klDirection: "finetuned-from-hybrid" | "hybrid-from-finetuned";
  /** omit (code): All and Error leave the difference of the decoder biases out. swap: they are exact reconstructions. */
  decoderBias: "omit" | "swap";
  /** code: `rest` is every prediction outside firstNine, the first token of an answer included. paper: without it. */
  restOf: "all-but-nine" | "after-nine";
  /** Whose residual stands at unedited leading positions when the fine-tune's layers run on: its own (code), None included, or the base's. */
  leading: "finetuned" | "base";
  /** signed (code): ranks of nu as they are. absolute (tables 5 and 6): of |nu|. */
  nuRank: "signed" | "absolute";
}

export const CODE_CHOICES: PaperChoices = {
  klDirection: "finetuned-from-hybrid",
  decoderBias: "omit",
  restOf: "all-but-nine",
  leading: "finetuned",
  nuRank: "signed",
};

/** additive: h_base + Σ f·d_finetuned. replacing: h_base + Σ f·(d_finetuned − d_base). */
export const PATCH_FORMS = ["additive", "replacing"] as const;
export type PatchForm = (typeof PATCH_FORMS)[number];

/** How the residual that the finetuned suffix reads is made. */
export type Intervention = { name: string } & (
  | { kind: "none" | "all" | "error" | "template" | "finetuned" }
  | { kind: "subset"; form: PatchForm; latents: Uint32Array }
);

/** Numbers of one predicted position; the columns of PositionMetrics. */
export const METRICS = ["kl", "nll", "nllArgmax", "klBase"] as const;
/**
 * kl: to the finetuned model, in the chosen direction. nll: of the token that came. nllArgmax: of the fine-tune's most probable token.
 * klBase: KL(p_base ‖ p_hybrid), the base whole.
 */
export type Metric = (typeof METRICS)[number];
/** Each [positions] f64, nats. */
export type PositionMetrics = Record<Metric, Float64Array>;

/** Low and high of a 95 % interval. */
export interface Limits {
  low: number;
  high: number;
}

/** A mean over predicted tokens. */
export interface Estimate {
  mean: number;
  /** Percentile bootstrap over conversations; the same resampling for every intervention. */
  interval: Limits;
}

export interface SetOutcome {
  /** Predicted tokens. */
  tokens: number;
  kl: Estimate;
  /** mean ± 1.96 σ/√n over pooled tokens, as published: tokens of one conversation count as independent. */
  klPublished: Limits;
  nll: Estimate;
  nllArgmax: Estimate;
  klBase: Estimate;
  /** (KL_None − KL) / KL_None, neither clamped nor hidden when negative; null where KL_None is 0. */
  gapClosed: Estimate | null;
  /** KL − KL_None over the same resampling. */
  klAgainstNone: Estimate;
}

export interface InterventionOutcome {
  name: string;
  kind: Intervention["kind"];
  /** For subsets. */
  form: PatchForm | null;
  nLatents: number;
  /** How the subset was chosen, e.g. "latent-scaling best half", "nuActivation ≤ 0.3"; "" otherwise. */
  selection: string;
  /** Of the subset that it is the control of; "" for anything else. */
  controlOf: string;
  sets: Record<TokenSet, SetOutcome>;
}

/** Two interventions over the same resampling: KL of the first less that of the second. */
export interface Comparison {
  first: string;
  second: string;
  sets: Record<TokenSet, Estimate>;
}

/** Latents left out of the candidates, by reason; see selection.ts. */
export interface PoolCounts {
  /** Latents of the pool before any filter. */
  pool: number;
  dead: number;
  nuMissing: number;
  nuReconstructionOutOfRange: number;
  nuErrorOutOfRange: number;
  /** Left after all. */
  kept: number;
}

/** How well the random controls of one subset match it; the lists have an entry a draw. */
export interface ControlMatch {
  /** Of the subset. */
  selection: string;
  nLatents: number;
  /** Of these, silent in the conversations: they change nothing and need no control. */
  silent: number;
  /** Of the others, those for which no control was left. */
  missing: number[];
  /** Σ over the controls / Σ over the subset: of the firing rate, and of f²‖d_finetuned‖². NaN where the subset is silent. */
  rateRatio: number[];
  energyRatio: number[];
  /** Mean KL of each draw, nats; the outcome "… control" is their mean. */
  kl: Record<PatchForm, Record<TokenSet, number[]>>;
}

/** causal.json, the part of the paper's experiment. */
export interface PatchingResult {
  choices: PaperChoices;
  /** Where the conversations come from. */
  conversations: {
    source: "stored" | "file";
    /** stored: as written in the text. finetuned: the answers were generated by the fine-tune, greedily. */
    answers: "written" | "finetuned";
    split: string;
    count: number;
    /** That were read; predicted ones are counted in every set of an outcome. */
    tokens: number;
    /** Left out, by reason. */
    excluded: Record<string, number>;
    /** Leading positions at which nothing is edited. */
    unedited: number;
  };
  poolCounts: PoolCounts;
  outcomes: InterventionOutcome[];
  comparisons: Comparison[];
  controls: ControlMatch[];
  bootstrap: { draws: number; level: number; seed: number };
}

/** add: h_base + f·d_finetuned. remove: h_finetuned − f·d_finetuned. */
export const EFFECT_EDITS = ["add", "remove"] as const;
export type EffectEdit = (typeof EFFECT_EDITS)[number];

/** One prompt or token that a latent moves. */
export interface MovedText {
  edit: EffectEdit;
  /** Conversation id. */
  conversation: string;
  /** Sum over its predicted tokens of KL without the latent's edit less KL with it (adding), or KL with it (removing), nats. */
  change: number;
}

export interface MovedToken {
  edit: EffectEdit;
  token: string;
  tokenId: number;
  /** Predicted positions at which it is the next token. */
  count: number;
  /** Mean over those of log p(token) with the edit less without it, nats. */
  change: number;
}

/** One row of tables/causal.parquet: a candidate or a control. */
export interface LatentEffect {
  latent: number;
  role: "candidate" | "control";
  /** Conversations in which it fired, and predicted positions at or after the first firing. */
  conversationsFired: number;
  positionsReached: number;
  /** Share of the rows of the conversations where it fired; Σ f²‖d_finetuned‖² over them. What controls are matched on. */
  firingRate: number;
  energy: number;
  /** Added to the base: gap closed over all predicted tokens of all conversations. */
  gapClosed: Estimate;
  /** Removed from the fine-tune: mean KL(p_finetuned ‖ p_without) over the same tokens, nats. */
  damage: Estimate;
  /** Matched control latents, and what they do; NaN for controls themselves. */
  controls: number[];
  controlGapClosed: number;
  controlDamage: number;
  /** Share of the candidate's bootstrap draws in which it does no more than its controls' mean. */
  gapClosedP: number;
  damageP: number;
  movedTexts: MovedText[];
  movedTokens: MovedToken[];
}

/** A latent in a steering request. */
export interface SteeredLatent {
  latent: number;
  /** In units of the latent's greatest activation. Negative: against it. */
  factor: number;
}

export const STEERED_ARMS = ["base", "base + latents", "finetuned", "finetuned − latents"] as const;
export type SteeredArm = (typeof STEERED_ARMS)[number];

export interface SteeredAnswer {
  arm: SteeredArm;
  prompt: number;
  seed: number;
  text: string;
  tokens: number;
  /** Why generation ended. */
  end: "stopId" | "maxNewTokens" | "positions";
  /** exp of the mean NLL of the answer under the same model, unsteered. */
  perplexity: number;
  /** Share of the answer's 4-grams that were seen before in it. */
  repetition: number;
  /** "" or what is wrong with it, in words; thresholds in steer.ts. */
  degenerate: string;
}

/** One model with its residual replaced by its reconstruction, over held-out text. */
export interface SpliceOutcome {
  tokens: number;
  /** Mean NLL of the next token, nats: of the model, with the reconstruction, with the mean residual, with zeros. */
  ce: { model: number; spliced: number; mean: number; zero: number };
  /** Mean KL(p_model ‖ p_spliced). */
  kl: number;
  /** (ce.zero − ce.spliced) / (ce.zero − ce.model), and the same against the mean residual. */
  lossRecoveredZero: number;
  lossRecoveredMean: number;
}

/** finetuned + latents is the paper's own steering: the behaviour where nobody asked for it. */
export const BEHAVIOUR_ARMS = [
  "base",
  "base + latents",
  "base + control",
  "finetuned",
  "finetuned − latents",
  "finetuned − control",
  "finetuned + latents",
  "finetuned + control",
] as const;
export type BehaviourArm = (typeof BEHAVIOUR_ARMS)[number];

/** What answers do under an edit, counted by a regular expression a behaviour. */
export interface BehaviourRate {
  behaviour: string;
  latent: number;
  /** Of base + latents and base + control, chosen on other prompts than the counts are of. */
  factor: number;
  /** Of finetuned − latents and finetuned − control, chosen likewise. */
  removalFactor: number;
  /** Of finetuned + latents and finetuned + control, chosen likewise. */
  pushFactor: number;
  /** Answers that show it and are not degenerate, over prompts that call for it, and over others; summed over controls. */
  arms: {
    arm: BehaviourArm;
    /** Control latents that the figure is a mean over; 0 for others. */
    controls: number;
    called: { shown: number; prompts: number };
    notCalled: { shown: number; prompts: number };
    degenerate: number;
  }[];
}
