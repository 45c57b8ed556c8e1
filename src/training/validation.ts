// Validation: what a dictionary does at inference on a fixed sample of held-out rows, while it is being trained and at the end.
//
// It is handed a copy of the parameters and reads the store by itself, so that no state of training can be touched: no dead
// counter, no θ, no place in the order of batches. (The reference's validation ages its dead counters.)
//
// Rows without BOS and norm outliers carry every figure; with them there is one more FVE, because a handful of rows of huge
// norm decides it. The mean h̄ is each set's own.

import type { Dictionary, Normaliser } from "../dictionary/dictionary.ts";
import { spreadSample } from "../dictionary/row-batches.ts";
import { SPLITS } from "../store/rows.ts";
import { addSums, fveOf, meanOfFigures } from "./fve.ts";
import {
  deadFractionOf,
  fitOfRows,
  judgedSplit,
  meanOfRows,
  partRows,
  type ReadOptions,
} from "./heldout-fit.ts";
import type { HeldoutFigures, NoHeldoutFigures } from "./metrics.ts";

export interface ValidatorOptions extends ReadOptions {
  /** Of the dictionaries that will be measured. */
  normaliser: Normaliser | undefined;
  /** Largest ordinary norms, as in training. */
  normLimits: readonly number[];
  /** Most rows to look at, BOS rows included. */
  mostRows: number;
  threads?: number;
}

export interface Validator {
  /** dictionary: in the validator's space; not changed. Adds its encoder's memory (a copy of the encoder's weights) meanwhile. */
  measure(dictionary: Dictionary): Promise<HeldoutFigures | NoHeldoutFigures>;
}

/**
 * Chooses the rows, evenly over the split, and takes their means: two passes over the sample, once a run.
 * Throws NumericsError for ordinary rows that are not finite, and what the store throws.
 */
export async function createValidator(options: ValidatorOptions): Promise<Validator> {
  const { store, normaliser, mostRows, threads, signal } = options;
  const { sites } = store.manifest;
  const names = sites.map(({ name }) => name);
  const split = judgedSplit(store);
  const sample = spreadSample(allRowsOf(options, SPLITS.indexOf(split)), mostRows);
  const { ordinary, leftOut } = await partRows(options, { ...options, rows: sample });
  const space = { sites, normaliser };
  const mean = await meanOfRows(options, { rows: ordinary, space });
  const meanOfAll = await meanOfRows(options, { rows: sample, space });
  return {
    async measure(dictionary) {
      const { inferenceThreshold: threshold } = dictionary;
      if (threshold < 0 && dictionary.selection !== "topK")
        return { threshold, unavailable: "no θ yet: every positive code would fire" };
      const of = { store, dictionary, threads, signal };
      const fit = await fitOfRows(of, { rows: ordinary, means: [mean, meanOfAll] });
      const [sums, sumsOfAll] = fit.sums;
      if (leftOut.length > 0) {
        addSums(sumsOfAll, (await fitOfRows(of, { rows: leftOut, means: [meanOfAll] })).sums[0]);
      }
      return {
        split,
        threshold,
        nRows: ordinary.length,
        fve: fveOf(sums, names),
        fveBatchCentred: meanOfFigures(fit.batchCentred),
        nLeftOut: leftOut.length,
        fveAllRows: leftOut.length > 0 ? fveOf(sumsOfAll, names) : undefined,
        l0: fit.nonZero / ordinary.length,
        deadFraction: deadFractionOf(fit),
      };
    },
  };
}

/** BOS rows included, ascending. */
function allRowsOf({ store }: ReadOptions, split: number): Uint32Array {
  return Uint32Array.from({ length: store.rows.nRows }, (_, row) => row).filter(
    (row) => store.rows.split[row] === split,
  );
}
