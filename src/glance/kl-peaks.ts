// Per-token KL(p_finetuned ‖ p_base) of a sweep: means, quantiles, and the texts where it peaks.
//
// Fed a document at a time with columns of harvest/next-token.ts, which holds the arithmetic. Kept: a number a token for the quantiles,
// and a bounded pool of peaks. The same few tokens in front (a template's) make the same peak in every chat, so only some of each
// such context are kept. kl-peaks-reference.ts is the same with everything in memory.

import { quantileOfSorted } from "../numerics/statistics.ts";
import { type OutputColumns, TOP_TOKENS } from "../store/outputs.ts";
import { ROLES } from "../store/rows.ts";
import type { KlFindings, PeakText, TokenChance } from "./glance-contract.ts";
import type { GlanceText } from "./glance-texts.ts";

export const KL_OPTIONS = {
  /** Peaks reported, at most one a document. */
  peaks: 20,
  /** Greatest positions of a document that may become its peak. */
  peaksPerDocument: 4,
  /** Peaks are alike when this many tokens up to them are; that many of a kind are reported. */
  contextTokens: 4,
  peaksPerContext: 3,
  /** Contexts held while reading. */
  heldContexts: 400,
  /** Tokens shown before a peak, and behind it. */
  tokensBefore: 17,
  tokensAfter: 6,
  /** First counted positions of a text whose means are told. */
  positions: 32,
  /** "The top": tokens beyond this quantile. */
  topQuantile: 0.99,
} as const;

/** What next-token.ts says of the counted tokens of a text: entry 0 is token nSkipped. */
export type PredictionColumns = Pick<
  OutputColumns,
  "klFinetunedBase" | "topTokenBase" | "topProbabilityBase" | "topTokenFinetuned" | "topProbabilityFinetuned"
>;

/** A place that may be reported. */
export interface PeakCandidate {
  kl: number;
  /** Order in which the document came. */
  document: number;
  /** Position in the document. */
  position: number;
  /** Ids up to the peak that make it one of a kind. */
  context: string;
  text: PeakText;
}

/** What both models say along one text. Nothing of it is kept. */
export interface PredictedText {
  text: GlanceText;
  columns: PredictionColumns;
  /** [tokens of the text] 1 where an earlier text has the same tokens up to there: no peak of its own. */
  isRepeated: Uint8Array;
}

export interface KlTally {
  add(text: PredictedText): void;
  finish(): KlFindings;
}

interface Mean {
  tokens: number;
  sum: number;
}

/** tokenString: as people read an id of the texts' tokenizer. */
export function createKlTally({ tokenString }: { tokenString: (id: number) => string }): KlTally {
  const values: Float32Array[] = [];
  const byRole = new Map<string, Mean>();
  const byDataset = new Map<string, Mean>();
  const byPosition: Mean[] = [];
  const pool = createPeakPool();
  let nDocuments = 0;
  return {
    add({ text, columns, isRepeated }) {
      const { klFinetunedBase: kl } = columns;
      values.push(kl.slice());
      for (let i = 0; i < kl.length; i += 1) {
        count(byRole, ROLES[text.role[text.nSkipped + i]], kl[i]);
        count(byDataset, text.dataset, kl[i]);
        if (i >= KL_OPTIONS.positions) continue;
        byPosition[i] ??= { tokens: 0, sum: 0 };
        byPosition[i].tokens += 1;
        byPosition[i].sum += kl[i];
      }
      const own = kl.map((value, i) => (isRepeated[text.nSkipped + i] === 1 ? 0 : value));
      for (const entry of greatest(own, KL_OPTIONS.peaksPerDocument)) {
        pool.offer(peakAt(text, columns, { entry, document: nDocuments, tokenString }));
      }
      nDocuments += 1;
    },
    finish: () => ({
      ...summarise(values),
      byRole: means(byRole, "role"),
      byDataset: means(byDataset, "dataset"),
      byPosition: byPosition.map(({ tokens, sum }) => sum / tokens),
      peaks: choosePeaks(pool.candidates()).map(({ text }) => text),
    }),
  };
}

function count(means: Map<string, Mean>, name: string, value: number): void {
  const mean = means.get(name) ?? { tokens: 0, sum: 0 };
  means.set(name, mean);
  mean.tokens += 1;
  mean.sum += value;
}

function means<K extends string>(sums: Map<string, Mean>, key: K) {
  const rows = Array.from(sums, ([name, { tokens, sum }]) => ({ name, tokens, mean: sum / tokens }));
  rows.sort((a, b) => b.mean - a.mean || (a.name < b.name ? -1 : 1));
  return rows.map(({ name, ...row }) => ({ [key]: name, ...row }) as { [P in K]: string } & typeof row);
}

function summarise(
  parts: readonly Float32Array[],
): Pick<KlFindings, "tokens" | "mean" | "quantiles" | "shareOfTopPercent"> {
  const tokens = parts.reduce((sum, part) => sum + part.length, 0);
  const sorted = new Float32Array(tokens);
  let at = 0;
  for (const part of parts) {
    sorted.set(part, at);
    at += part.length;
  }
  sorted.sort();
  const of = (q: number): number => (tokens === 0 ? 0 : quantileOfSorted(sorted, q));
  const border = of(KL_OPTIONS.topQuantile);
  let [sum, top] = [0, 0];
  for (const value of sorted) {
    sum += value;
    if (value > border) top += value;
  }
  return {
    tokens,
    mean: tokens === 0 ? 0 : sum / tokens,
    quantiles: { p50: of(0.5), p90: of(0.9), p99: of(0.99), max: of(1) },
    shareOfTopPercent: sum === 0 ? 0 : top / sum,
  };
}

/** Indices of the greatest values above 0, greatest first, of equal ones the first. */
export function greatest(values: ArrayLike<number>, most: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i += 1) {
    if (!(values[i] > 0) || (found.length === most && values[i] <= values[found[most - 1]])) continue;
    let at = found.length;
    while (at > 0 && values[found[at - 1]] < values[i]) at -= 1;
    found.splice(at, 0, i);
    if (found.length > most) found.pop();
  }
  return found;
}

/** The peak at one entry, with its stretch of text. */
export function peakAt(
  text: GlanceText,
  columns: PredictionColumns,
  { entry, document, tokenString }: { entry: number; document: number; tokenString: (id: number) => string },
): PeakCandidate {
  const ids = text.tokens.finetuned;
  const position = text.nSkipped + entry;
  const from = Math.max(text.nSkipped, position - KL_OPTIONS.tokensBefore);
  const to = Math.min(ids.length, position + 1 + KL_OPTIONS.tokensAfter);
  const { klFinetunedBase: kl } = columns;
  const chances = (tokens: Uint32Array, probabilities: Float32Array): TokenChance[] =>
    Array.from({ length: TOP_TOKENS }, (_, k) => ({
      token: tokenString(tokens[entry * TOP_TOKENS + k]),
      probability: probabilities[entry * TOP_TOKENS + k],
    }));
  return {
    kl: kl[entry],
    document,
    position,
    context: ids.slice(Math.max(0, position + 1 - KL_OPTIONS.contextTokens), position + 1).join(),
    text: {
      document: text.id,
      dataset: text.dataset,
      tokens: Array.from(ids.subarray(from, to), tokenString),
      kl: Array.from(kl.subarray(from - text.nSkipped, to - text.nSkipped)),
      peak: position - from,
      nextBase: chances(columns.topTokenBase, columns.topProbabilityBase),
      nextFinetuned: chances(columns.topTokenFinetuned, columns.topProbabilityFinetuned),
    },
  };
}

/** Greater first; of equal ones the earlier. */
function byKl(a: PeakCandidate, b: PeakCandidate): number {
  return b.kl - a.kl || a.document - b.document || a.position - b.position;
}

/** Greatest first: one a document, peaksPerContext a context. */
export function choosePeaks(candidates: readonly PeakCandidate[]): PeakCandidate[] {
  const documents = new Set<number>();
  const contexts = new Map<string, number>();
  const chosen: PeakCandidate[] = [];
  for (const candidate of candidates.toSorted(byKl)) {
    if (chosen.length === KL_OPTIONS.peaks) break;
    const nAlike = contexts.get(candidate.context) ?? 0;
    if (documents.has(candidate.document) || nAlike === KL_OPTIONS.peaksPerContext) continue;
    documents.add(candidate.document);
    contexts.set(candidate.context, nAlike + 1);
    chosen.push(candidate);
  }
  return chosen;
}

/** Of every context the greatest few, of all contexts the greatest heldContexts. */
function createPeakPool(): { offer(candidate: PeakCandidate): void; candidates(): PeakCandidate[] } {
  // Twice as many as can be reported of a context: documents may be taken by a greater peak of another one.
  const perContext = 2 * KL_OPTIONS.peaksPerContext;
  const held = new Map<string, PeakCandidate[]>();
  const prune = (): void => {
    const greatestFirst = [...held].sort(([, a], [, b]) => byKl(a[0], b[0]));
    for (const [context] of greatestFirst.slice(KL_OPTIONS.heldContexts)) held.delete(context);
  };
  return {
    offer(candidate) {
      const own = held.get(candidate.context) ?? [];
      held.set(candidate.context, own);
      own.push(candidate);
      own.sort(byKl);
      if (own.length > perContext) own.pop();
      if (held.size > 2 * KL_OPTIONS.heldContexts) prune();
    },
    candidates: () => [...held.values()].flat(),
  };
}
