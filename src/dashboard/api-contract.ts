// What the dashboard's server says to its browser side: the only file of src/ that web/ may import, types alone.
//
// Everything derived is read-only; notes.sqlite holds what people write. A part that a study does not have is never left out in silence:
// Missing says what it is and the command that makes it. Names and units are those of docs/glossary.md.

import type { HarvestFacts, TrainingFact } from "./api-training-data.ts";

export type * from "./api-training-data.ts";

import type { Part, TokenScore } from "./api-parts.ts";

export type { Missing, Part, TokenScore } from "./api-parts.ts";

export interface DictionaryEntry {
  name: string;
  nLatents: number;
  sparsity: string;
  /** The study's own one. */
  isMain: boolean;
  measured: boolean;
}

export interface StudyEntry {
  /** Number in the path, by which the browser names the study; never a path of the disk. */
  id: number;
  title: string;
  base: string;
  finetuned: string;
  layer: { base: number; finetuned: number };
  dictionaries: DictionaryEntry[];
  /** A stage that another process works on now. */
  running: string | null;
}

/** POST /api/session: the token that was printed, for the cookie of this launch, which comes in Set-Cookie; answers as GET does. */

/** GET /api/session: which studies are served, their dictionaries, and whether models may be loaded. */
export interface Session {
  version: string;
  studies: StudyEntry[];
  /** Whether models may be loaded for the labs, and why not. */
  labs: Part<{ threads: number }>;
}

export interface Finding {
  /** Plain words: what, how much. */
  text: string;
  latent: number;
  effect: { name: string; value: number };
  interval: { low: number; high: number } | null;
  q: number | null;
  /** Found again by n of m other dictionaries. */
  foundAgain: { n: number; m: number } | null;
}

/** GET …/overview: the pair, the fit, counts, findings, and every stage's summary or what is missing. */
export interface Overview {
  pair: StudyEntry;
  fit: Part<{
    fve: { base: number; finetuned: number; total: number };
    l0: number;
    deadFraction: number;
    nLatents: number;
    nRows: number;
    nDocuments: number;
  }>;
  counts: Part<Record<string, number>>;
  verdicts: Part<Record<string, number>>;
  nulls: Part<{
    draws: number;
    expectedFalseClaims: { finetuned: number; base: number };
    claimsUpTo: { q: number; finetuned: number; base: number }[];
  }>;
  stability: Part<{ others: number; claims: number; foundInAll: number; claimedInAll: number }>;
  truth: Part<{
    found: number;
    planted: number;
    recall: number;
    precisionWithTemplate: number;
    permutedRecall: number;
  }>;
  causal: Part<CausalSummary>;
  glance: Part<{ findings: string[] }>;
  findings: Finding[];
  warnings: string[];
  /** Of a claim, as stored with the measurement; absent when there is none. */
  thresholds?: { nuReconstructionBelow: number; nuErrorBelow: number };
}

/** One bar of the paper's causal figure. */
export interface CausalBar {
  name: string;
  /** Of subsets; null for the others. */
  form: "additive" | "replacing" | null;
  /** The bar of which it is the matched control; "" for anything else. */
  controlOf: string;
  tokenSet: string;
  kl: number;
  low: number;
  high: number;
  gapClosed: number | null;
}

export interface CausalSummary {
  bars: CausalBar[];
  conversations: number;
  tokens: number;
}

/** GET …/columns: every column of the joined tables, and of the notes: note_label, note_tags, note_starred. */
export interface ColumnInfo {
  name: string;
  /** Which table it is from: measure, null, stability, causal, lens, truth, notes. */
  table: string;
  kind: "number" | "category" | "text";
  /** Of the glossary; "" when it has none. */
  description: string;
  /** Of numbers: over finite values; null when there is none. */
  range: { low: number; high: number } | null;
  /** Of categories: the words behind the codes. */
  words: string[] | null;
}

/**
 * GET …/column?name=: numbers as f64 little-endian, NaN where there is none; categories as u16 codes. nLatents entries,
 * application/octet-stream. Text columns: a JSON list of strings.
 */

/** GET …/latents/:latent: everything that is known of one latent. */
export interface LatentPage {
  latent: number;
  /** Every number of the joined tables, by column name; NaN and infinities as strings "NaN", "Infinity", "-Infinity". */
  numbers: Record<string, number | string>;
  categories: Record<string, string>;
  /** Why the verdict is what it is, one sentence each. */
  reasons: string[];
  lens: Part<{
    promotedBase: TokenScore[];
    suppressedBase: TokenScore[];
    promotedFinetuned: TokenScore[];
    suppressedFinetuned: TokenScore[];
  }>;
  /** Shares of rows of each role, dataset, template slot and position decile in which it fired. */
  where: Record<string, { name: string; share: number; rows: number }[]>;
  tokensAtPeak: { token: string; count: number }[];
  tokensBeforePeak: { token: string; count: number }[];
  /**
   * Tokens in which it fired by activation: bin i from edge i up to edge i + 1. "counted" while measuring, exact; "quantiles": estimated from the
   * four quantiles of a measurement that counted none. Null where it never fired.
   */
  histogram: { from: "counted" | "quantiles"; edges: number[]; counts: number[] } | null;
  nearest: Record<"finetuned" | "base" | "across", { latent: number; cosine: number }[]>;
  twins: { latent: number; cosine: number; divergence: number | null }[];
  causal: Part<{
    gapClosed: Estimate;
    damage: Estimate;
    controlGapClosed: number;
    controlDamage: number;
    movedTexts: { conversation: string; change: number }[];
    movedTokens: { token: string; change: number; count: number }[];
  }>;
  /** "damaged" where notes.sqlite cannot be read; then nothing is written into it either. */
  note: Part<Note>;
}

export interface Estimate {
  mean: number;
  low: number;
  high: number;
}

/** GET …/latents/:latent/examples?bin=&from=&count=: the strongest first, then those drawn from the bins of activation. */
export interface ExamplePage {
  total: number;
  examples: Example[];
}

export interface Example {
  bin: number;
  rank: number;
  documentId: string;
  dataset: string;
  rowStart: number;
  tokens: string[];
  activations: number[];
  peak: number;
  maxActivation: number;
  /** Encoder contributions of each model to the pre-activation, a token; null without the store. */
  contributions: { base: number[]; finetuned: number[]; bias: number } | null;
  /** Both models' expectations of the token after each one; null without outputs. */
  outputs:
    | {
        kl: number;
        base: { token: string; probability: number }[];
        finetuned: { token: string; probability: number }[];
      }[]
    | null;
}

/**
 * GET …/search?q=&mode=text|regex&in=examples|labels&each=: server-sent events, a SearchBatch each, the last with done. text: in either case;
 * regex: as written. each: hits a latent at most, default API_LIMITS.hitsOfLatent. A hit in labels has bin and rank 0.
 */
export interface SearchBatch {
  hits: SearchHit[];
  /** Examples looked at, of all that could match. */
  looked: number;
  candidates: number;
  done: boolean;
  /** The bound on hits or on time was reached. */
  truncated: boolean;
  /** The index is being made, of so many examples; then no hits yet. */
  building?: { made: number; of: number };
  /** Why the search ended before its time: the expression takes too long. */
  stopped?: string;
}

export interface SearchHit {
  latent: number;
  bin: number;
  rank: number;
  /** Text around the match, and where in it the match is. */
  text: string;
  start: number;
  end: number;
}

export interface Note {
  label: string;
  text: string;
  tags: string[];
  starred: boolean;
  /** ISO time; "" when never written. */
  updated: string;
}

/** A table's columns, order, filters, or a plot's selection, kept under a name. */
export interface SavedView {
  name: string;
  /** The query part of the address that shows it. */
  query: string;
  /** It was saved at another dictionary: latents that it names are that one's. */
  ofOtherDictionary?: boolean;
}

/** GET …/notes: what people wrote about this dictionary. */
export interface NotesList {
  /** Ascending by latent. */
  notes: (Note & { latent: number })[];
  /** Most used first. */
  tags: { tag: string; count: number }[];
  /** Notes of this study that belong to other dictionaries, as after a new training: kept, and counted here. */
  elsewhere: { dictionary: string; notes: number }[];
}

/** The note as another browser left it, where a change was made to an older one. */
export interface NoteConflict extends ApiError {
  note: Note;
}

/**
 * PUT …/notes/:latent: the fields that change. Answers the Note; 409 with a NoteConflict when it has changed since `seen`
 * (Note.updated as the browser last saw it; absent: not asked).
 */
export type NoteChange = Partial<Pick<Note, "label" | "text" | "tags" | "starred">> & { seen?: string };

/** GET …/notes/:latent: the note of one latent; an empty one where nobody wrote. */
/** DELETE …/notes/:latent: removes the note; answers the empty one. */
/** GET …/views: by name. */
/** PUT …/views: saves a view, in place of the one of that name; answers all of them. */
/** DELETE …/views?name=: removes a view; answers those that are left. */

/** GET …/export/report: the report of the study, an HTML file, as a download. */

/** POST …/export/selection: a file of some latents' columns; answers text/csv or application/vnd.apache.parquet. */
export interface SelectionRequest {
  format: "csv" | "parquet";
  /** Names of GET …/columns, each once, note_label, note_tags and note_starred among them; `latent` is always the first. */
  columns: string[];
  /**
   * "all"; numbers and ranges: "0-99,105"; or "bits:" and base64 of ⌈nLatents / 8⌉ bytes, a bit a latent, the lowest bit of a byte first: a
   * sixth of a character a latent however scattered they are.
   */
  latents: string;
  /** Default: ascending by latent. Rows without a value last. */
  sort?: { column: string; descending: boolean };
}

export const API_LIMITS = {
  /** Characters. */
  label: 200,
  noteText: 20_000,
  tag: 60,
  tags: 40,
  viewName: 120,
  viewQuery: 8000,
  searchText: 400,
  prompt: 20_000,
  /** Hits of one search. */
  hits: 2000,
  /** … of one latent, unless the request says otherwise. */
  hitsOfLatent: 3,
  /** Examples of one page. */
  examples: 100,
  /** Latents of one reading of the prompt lab; prompts, seeds, latents and tokens of one question to the steering lab. */
  readingLatents: 200,
  labPrompts: 8,
  labSeeds: 8,
  labLatents: 16,
  labTokens: 512,
  /** Dictionaries whose training one stream follows. */
  dictionariesFollowed: 8,
  /** Documents of one page, and tokens of one document at a time. */
  documents: 100,
  documentTokens: 2000,
  /** Bytes of a request's body. */
  body: 256_000,
} as const;

/** What a lab lets the models read: a chat, or plain text. */
export type LabPrompt =
  | { messages: { role: "system" | "user" | "assistant"; content: string }[] }
  | { text: string };

/** What a lab is doing before it has a result: loading the models, reading, generating. total: null where it is not known. */
export interface LabProgress {
  kind: "progress";
  words: string;
  done: number;
  total: number | null;
}

/** GET …/labs: what the labs can do with this study; loads nothing. */
export interface LabState {
  /** closed: the next question loads the models. open: they are in memory. busy: a question is in work, perhaps another person's. */
  models: "closed" | "open" | "busy";
  /** Questions that wait behind the one in work. */
  waiting: number;
  /** Most tokens that both models read at once, answer included. */
  contextTokens: number;
  /** Without one, prompts must be plain text. */
  hasChatTemplate: boolean;
}

/** POST …/labs/prompt: what fires where, and what both models expect. Server-sent events, a PromptEvent each, the reading last. */
export interface PromptRequest {
  prompt: LabPrompt;
  /** Let this model answer first (greedily) and read its answer, too; "none": the prompt as it is. */
  answer: "none" | "base" | "finetuned";
  /** Longest answer, tokens. */
  maxNewTokens: number;
  /** Pinned: latents whose activations are wanted even where they are weak or silent. */
  latents: number[];
}

export type PromptEvent = LabProgress | { kind: "reading"; reading: PromptReading };

export interface PromptReading {
  tokens: string[];
  roles: string[];
  /** 1: generated by the answering model. */
  isAnswer: (0 | 1)[];
  /** KL(p_finetuned ‖ p_base) of the token after each one, nats. */
  kl: number[];
  /** The most probable tokens after each one, in each model. */
  nextBase: { token: string; probability: number }[][];
  nextFinetuned: { token: string; probability: number }[][];
  /** Latents that fire anywhere, claims first, then by greatest activation; and the pinned ones. No more than API_LIMITS.readingLatents. */
  latents: ReadLatent[];
  /** How many fire anywhere. */
  nFiring: number;
  warnings: string[];
}

export interface ReadLatent {
  latent: number;
  /** "finetuned-specific", "base-specific" or "". */
  claim: string;
  deltaNorm: number;
  /** A person's label; "" when there is none. */
  label: string;
  /** Strongest promoted tokens of the fine-tune, for a name where there is no label. */
  promoted: string[];
  /** A token each; 0 where it is silent. */
  activations: number[];
  /** In this text, and in the measured rows. */
  max: number;
  maxMeasured: number;
}

/** POST …/labs/steer: four answers side by side. Server-sent events, a SteerEvent each, "done" last. */
export interface SteerRequest {
  /** factor: in units of the latent's greatest activation; below 0 against it. */
  latents: { latent: number; factor: number }[];
  unit: "activation" | "code";
  positions: "prompt" | "all";
  prompts: LabPrompt[];
  /** 0: the most probable token. */
  temperature: number;
  seeds: number[];
  maxNewTokens: number;
  models: "both" | "base" | "finetuned";
}

export type SteerEvent =
  | LabProgress
  | { kind: "token"; arm: string; prompt: number; seed: number; text: string }
  | {
      kind: "answer";
      arm: string;
      prompt: number;
      seed: number;
      text: string;
      tokens: number;
      perplexity: number;
      repetition: number;
      /** "" or what is wrong with it. */
      degenerate: string;
    }
  | { kind: "done"; warnings: string[] };

/** GET …/training/facts */
export interface TrainingFacts {
  /** As far as they are known before the record is there. */
  plan: { steps: number | null; batchRows: number | null };
  /** Those that are kept, by completed steps; ISO time of each. */
  checkpoints: { step: number; made: string }[];
  record: Part<{ facts: TrainingFact[]; warnings: string[] }>;
}

/** GET …/data: rows, by what they are of. */
export interface DataPage {
  store: Part<StoreFacts>;
  /** Rows that were measured, by role, dataset, slot and tenth of the document; and those left out of measuring. */
  measured: Part<{
    nRows: number;
    nBosRows: number;
    nOutlierRows: number;
    rows: Record<string, { name: string; rows: number }[]>;
  }>;
  /** Rows of the train split that the dictionary learned from, and those left out. */
  trained: Part<{ store: string; nRows: number; nBosRows: number; nOutlierRows: number }>;
  /** How text became rows; null where the store does not say. */
  harvest: HarvestFacts | null;
}

export interface StoreFacts {
  name: string;
  nRows: number;
  nDocuments: number;
  splits: { name: string; rows: number }[];
  datasets: { name: string; rows: number }[];
  roles: { name: string; rows: number }[];
  /** Template slots; "none" is a row of text. */
  slots: { name: string; rows: number }[];
  sites: {
    name: string;
    model: string;
    layer: number;
    width: number;
    dtype: string;
    /** ‖stored − exact‖ over the norm of the models' difference; null where it is not known. */
    roundingErrorRelative: number | null;
  }[];
  /** Whether both models' predictions were harvested too. */
  hasOutputs: boolean;
}

/** Pages of figures: Causal and Glance. */
export type * from "./api-figures.ts";

/**
 * GET …/compare?otherStudy=&other=: what the overviews of two dictionaries do not say, and in which ways their latents can be matched. a is the
 * dictionary of the path.
 */
export interface Comparison {
  a: ComparedDictionary;
  b: ComparedDictionary;
  matching: Record<MatchingBy, MatchingWay>;
}

export interface ComparedDictionary {
  measured: Part<{
    /** Of the store's manifest. */
    storeSha256: string;
    split: string;
    nRows: number;
    nDocuments: number;
    datasets: string[];
    inferenceThreshold: number | null;
    scalingDirections: string;
  }>;
  /** Configuration and constants of training.json by their names there; null for a number that is none. */
  training: Part<Record<string, number | string | boolean | null>>;
}

/** direction: by the cosine of decoder rows. place: by the tokens at which the stored examples peak. */
export type MatchingBy = "direction" | "place";

export interface MatchingWay {
  isPossible: boolean;
  /** Why, or why not. */
  words: string;
  /** Of direction: the models whose decoder rows lie in one space in both dictionaries. Of place: both. */
  halves: ("base" | "finetuned")[];
}

/**
 * GET …/compare/matches?otherStudy=&other=&by=&latents=claims|all: server-sent events, progress and then one matching. Who asks for the same at
 * the same time shares one computation; it ends when the last of them goes.
 */
export type MatchingEvent = LabProgress | { kind: "matching"; matching: Matching };

export interface Matching {
  by: MatchingBy;
  latents: "claims" | "all";
  halves: ("base" | "finetuned")[];
  nLatents: { a: number; b: number };
  /** A match is mutual, its score is at least `score` and it has at least `shared` places in common. */
  limits: { score: number; shared: number };
  rows: MatchingRows;
  summary: Record<"a" | "b", Record<"finetuned" | "base", ClaimsFound>>;
}

/** What became of a claim: kept, lost (of a alone), new (of b alone), or not compared; "" for a latent that neither claims. */
export type MatchingChange = "" | "kept" | "lost" | "new" | "not compared";

/**
 * Columns of equal length: latents of a (claims, or all), then claims of b that are not listed yet. −1: there is no such latent. null: no such
 * number.
 */
export interface MatchingRows {
  a: number[];
  b: number[];
  change: MatchingChange[];
  claimA: string[];
  claimB: string[];
  /** 1: a match. 0: the nearest, which is none. */
  found: (0 | 1)[];
  /** What was compared: the cosine along the latent's own side, or the Jaccard index. */
  score: (number | null)[];
  /** Of direction. Joint: of both rows side by side, each in its dictionary's own units. */
  cosineBase: (number | null)[];
  cosineFinetuned: (number | null)[];
  cosineJoint: (number | null)[];
  /** Of place: peaks in common. */
  shared: (number | null)[];
}

/** Claims of one side in one dictionary: those that could be compared, have a match in the other, and are claimed there for the same side. */
export interface ClaimsFound {
  claims: number;
  compared: number;
  found: number;
  kept: number;
}

/** Every refusal and error, with its HTTP status. No stack, no path of the disk. */
export interface ApiError {
  error: string;
  hint: string;
}
