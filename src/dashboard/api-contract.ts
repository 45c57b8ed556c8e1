// What the dashboard's server says to its browser side: the only file of src/ that web/ may import, types alone.
//
// Everything derived is read-only; notes.sqlite holds what people write. A part that a study does not have is never left out in silence:
// Missing says what it is and the command that makes it. Names and units are those of docs/glossary.md.

/** A part of a study that is not there (yet), is older than the dictionary, or of a newer program. */
export interface Missing {
  state: "missing" | "outdated" | "running" | "newer" | "damaged";
  /** One sentence. */
  words: string;
  /** What makes it, e.g. "tunediff null STUDY"; "" when it is on its way. */
  command: string;
}

export type Part<T> = { state: "made"; value: T } | Missing;

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

/** GET /api/session */
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

/** GET /api/studies/:study/:dictionary/overview */
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

/** GET /api/studies/:study/:dictionary/columns: every column of the joined tables. */
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

/** GET …/latents/:latent */
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
  histogram: { edges: number[]; counts: number[] } | null;
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
  note: Note;
}

export interface Estimate {
  mean: number;
  low: number;
  high: number;
}

export interface TokenScore {
  token: string;
  tokenId: number;
  score: number;
}

/** GET …/latents/:latent/examples?bin=&from=&count= */
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

/** GET …/notes */
export interface NotesList {
  /** Ascending by latent. */
  notes: (Note & { latent: number })[];
  /** Most used first. */
  tags: { tag: string; count: number }[];
  /** Notes of this study that belong to other dictionaries, as after a new training: kept, and counted here. */
  elsewhere: { dictionary: string; notes: number }[];
}

/**
 * PUT …/notes/:latent: the fields that change. Answers the Note; 409 with { note, error, hint } when it has changed since `seen`
 * (Note.updated as the browser last saw it; absent: not asked). PUT …/views takes { name, query }, DELETE …/views ?name=.
 */
export type NoteChange = Partial<Pick<Note, "label" | "text" | "tags" | "starred">> & { seen?: string };

/** POST …/export/selection: a file of some latents' columns; answers text/csv or application/vnd.apache.parquet. */
export interface SelectionRequest {
  format: "csv" | "parquet";
  /** Names of GET …/columns, each once; `latent` is always the first. */
  columns: string[];
  /** "all", or numbers and ranges: "0-99,105". */
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

/** GET …/training: lines of metrics.jsonl; then server-sent events at …/training/live. */
export interface TrainingLine {
  step: number;
  loss: number;
  fve: { base: number; finetuned: number; total: number };
  l0: number;
  dead: number;
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

/** Every refusal and error, with its HTTP status. No stack, no path of the disk. */
export interface ApiError {
  error: string;
  hint: string;
}
