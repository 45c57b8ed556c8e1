// Twins: a latent of the fine-tune's side and one of the base's whose directions are nearly the same, as when an L1 crosscoder
// writes one concept twice. And whether the two fire in the same places.
//
// Minder et al. 2025 (arXiv:2504.02922), App. F: pairs with cos(d_j^finetuned, d_k^base) > 0.9, and their activation divergence.
// The paper's text has thresholds 0.7 and 0.3, its code 0.4 and 0.1: both are given. Not here: latents near each other within a
// model, see nearest-latents.ts.

import type { Dictionary } from "../dictionary/dictionary.ts";
import { decoderNorms } from "../dictionary/latent-norms.ts";
import type { ReportProgress } from "../progress.ts";
import type { DocumentRecord, Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { classOf, deltaNormOf } from "./claims.ts";
import { rowRanges } from "./encoded-rows.ts";
import { CLAIM_THRESHOLDS, type LatentTwin, type TwinDivergence } from "./measure-contract.ts";

import { type CrossPair, crossPairs } from "./nearest-latents.ts";
import {
  type DivergenceCounts,
  type DivergenceThresholds,
  divergenceOf,
  emptyCounts,
  jaccardOf,
  type LatentPair,
  type PairFirings,
  pairFirings,
  phiOf,
} from "./pair-firings.ts";

/** Every constant of twins in one place; stored with a result. */
export const TWIN_THRESHOLDS = {
  minimumCosine: 0.9,
  /** Fractions of the larger of the two latents' maximum activations. */
  divergencePaper: { high: 0.7, low: 0.3 },
  divergenceCode: { high: 0.4, low: 0.1 },
  /** Train rows looked at for those maxima. */
  maxTrainRows: 200_000,
} as const satisfies {
  minimumCosine: number;
  divergencePaper: DivergenceThresholds;
  divergenceCode: DivergenceThresholds;
  maxTrainRows: number;
};

/**
 * Which latents may be twins. "classes": finetuned-only with base-only, as published. "leaning": all that lean to a side,
 * deltaNorm > 0.6 with < 0.4, the widened set in which the paper looked for twins of BatchTopK.
 */
export type TwinSides = "classes" | "leaning";

export interface TwinOptions {
  store: Store;
  dictionary: Dictionary;
  /** Default "leaning". */
  sides?: TwinSides;
  /** Default TWIN_THRESHOLDS.minimumCosine. */
  minimumCosine?: number;
  /** Where divergence and co-firing are counted; default "heldout". */
  split?: Split;
  /** The pairs, where they have been found; then sides and minimumCosine are not looked at. */
  pairs?: readonly CrossPair[];
  /** Default TWIN_THRESHOLDS.maxTrainRows. */
  maxTrainRows?: number;
  /** Largest ordinary norm of every site; default: normLimits(store). */
  normLimits?: readonly number[];
  threads?: number;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

/**
 * All twins, ascending by the fine-tune's latent. The store is read only when there are any: whole documents spread over the
 * train rows for A, then every row of the split. Empty for models of different width.
 *
 * Throws NumericsError (a row that is not finite), InterruptedError.
 */
export async function findTwins(options: TwinOptions): Promise<LatentTwin[]> {
  const { store, dictionary, split = "heldout", threads, signal } = options;
  const { minimumCosine = TWIN_THRESHOLDS.minimumCosine, maxTrainRows = TWIN_THRESHOLDS.maxTrainRows } =
    options;
  const sides = twinSides(dictionary, options.sides ?? "leaning");
  const crossing =
    options.pairs ?? (await crossPairs(dictionary, { minimumCosine, ...sides, threads, signal }));
  if (crossing.length === 0) return [];
  const pairs = crossing.map(
    ({ finetuned, base }): LatentPair => ({
      a: { dictionary: 0, latent: finetuned },
      b: { dictionary: 0, latent: base },
    }),
  );
  const common = { ...options, dictionaries: [dictionary], pairs };
  const train = await pairFirings({
    ...common,
    store: withDocuments(store, spreadDocuments(store, "train", maxTrainRows)),
    splits: ["train"],
    stage: "twins, maxima",
  });
  const scale = train.pairs.map(({ maxA, maxB }) => Math.max(maxA, maxB));
  const firings = await pairFirings({
    ...common,
    splits: [split],
    divergence: { scale, thresholds: [TWIN_THRESHOLDS.divergencePaper, TWIN_THRESHOLDS.divergenceCode] },
    stage: "twins",
  });
  return crossing.map((pair, p) => ({
    ...pair,
    maxActivation: scale[p],
    ...describeFiring(firings, p, store.manifest.datasets),
  }));
}

/** Masks [nLatents] of the two sides, by the decoder norms. */
export function twinSides(
  dictionary: Dictionary,
  sides: TwinSides,
): { finetunedSide: Uint8Array; baseSide: Uint8Array } {
  const [base, finetuned] = decoderNorms(dictionary);
  const { candidateDeltaNorm } = CLAIM_THRESHOLDS;
  const deltaNorm = Array.from(base, (norm, latent) => deltaNormOf(norm, finetuned[latent]));
  const mask = (has: (delta: number) => boolean): Uint8Array =>
    Uint8Array.from(deltaNorm, (delta) => (has(delta) ? 1 : 0));
  return sides === "classes"
    ? {
        finetunedSide: mask((delta) => classOf(delta) === "finetuned-only"),
        baseSide: mask((delta) => classOf(delta) === "base-only"),
      }
    : {
        finetunedSide: mask((delta) => delta > candidateDeltaNorm),
        baseSide: mask((delta) => delta < 1 - candidateDeltaNorm),
      };
}

/** Row p of firings that were counted with the paper's thresholds first, then with its code's. */
function describeFiring(
  { nRows, pairs }: PairFirings,
  p: number,
  datasets: readonly string[],
): Omit<LatentTwin, "finetuned" | "base" | "cosine" | "maxActivation"> {
  const pair = pairs[p];
  const overall = (t: number): number | null =>
    divergenceOf(addCounts(pair.divergence.map((counts) => counts[t])));
  return {
    divergencePaper: overall(0),
    divergenceCode: overall(1),
    byDataset: Object.fromEntries(datasets.map((name, d) => [name, datasetDivergence(pair.divergence[d])])),
    firedFinetuned: pair.firedA,
    firedBase: pair.firedB,
    firedBoth: pair.firedBoth,
    jaccard: jaccardOf(pair),
    phi: phiOf(pair, nRows),
  };
}

/** Counts by the paper's thresholds, then by its code's: the order in which pairFirings was given them. */
function datasetDivergence([paper, code]: DivergenceCounts[]): TwinDivergence {
  return {
    paper: divergenceOf(paper),
    code: divergenceOf(code),
    highRowsPaper: highRows(paper),
    highRowsCode: highRows(code),
  };
}

const highRows = ({ highA, highB, bothHigh }: DivergenceCounts): number => highA + highB - bothHigh;

function addCounts(parts: readonly DivergenceCounts[]): DivergenceCounts {
  const total = emptyCounts();
  for (const part of parts) {
    for (const name of Object.keys(total) as (keyof DivergenceCounts)[]) total[name] += part[name];
  }
  return total;
}

/** The same store with fewer documents to go through; rows keep their numbers. */
function withDocuments(store: Store, documents: DocumentRecord[]): Store {
  return { ...store, documents, read: (from, to, target) => store.read(from, to, target) };
}

/** Whole documents of a split, spread evenly over it, of at most maxRows rows together. */
export function spreadDocuments(store: Store, split: Split, maxRows: number): DocumentRecord[] {
  const total = rowRanges(store, [split]).reduce((sum, [start, end]) => sum + end - start, 0);
  const share = Math.min(1, maxRows / total);
  let seen = 0;
  let taken = 0;
  return store.documents.filter((document) => {
    if (document.split !== split) return false;
    const nRows = document.rowEnd - document.rowStart;
    seen += nRows;
    if (taken + nRows > share * seen) return false;
    taken += nRows;
    return true;
  });
}

/** What is said of all twins together. */
export interface TwinSummary {
  nPairs: number;
  /** Mean over pairs that have one; null where none has. */
  meanDivergencePaper: number | null;
  meanDivergenceCode: number | null;
  /** Pairs without any row in which either is high, by the paper's and by its code's thresholds. */
  undefinedPaper: number;
  undefinedCode: number;
}

export function summariseTwins(twins: readonly LatentTwin[]): TwinSummary {
  const known = (values: (number | null)[]): number[] => values.filter((value) => value !== null);
  const mean = (values: number[]): number | null =>
    values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  const paper = known(twins.map(({ divergencePaper }) => divergencePaper));
  const code = known(twins.map(({ divergenceCode }) => divergenceCode));
  return {
    nPairs: twins.length,
    meanDivergencePaper: mean(paper),
    meanDivergenceCode: mean(code),
    undefinedPaper: twins.length - paper.length,
    undefinedCode: twins.length - code.length,
  };
}
