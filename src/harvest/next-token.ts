// What two models predict next, from two rows of logits: KL, NLL of the token that came, most probable tokens.
//
// Sums run in f64 over f32 logits, one row at a time; nothing of the vocabulary's size is kept. KL is that of Minder et al.
// 2025 (arXiv:2504.02922, section 4), finetuned against base. next-token-reference.ts is the same in the order of the formulas.

import { NumericsError, ShapeError } from "../errors.ts";
import { type OutputColumns, TOP_TOKENS } from "../store/outputs.ts";
import type { ModelSide } from "../store/store-contract.ts";

/** Which ids mean the same to both models: those that both have, but for the excluded ones. */
export interface CommonIds {
  vocabulary: Record<ModelSide, number>;
  /** [min(vocabulary)] 1 for an id that stands for another token in either model; undefined: none. */
  excluded?: Uint8Array | undefined;
}

export interface NextTokenInput extends CommonIds {
  /** [n, vocabulary.base] f32, [n, vocabulary.finetuned] f32. */
  logits: Record<ModelSide, Float32Array>;
  /** [n] id that this model reads next, −1 where nothing follows. */
  next: Record<ModelSide, Int32Array>;
  /** Filled from entry `at` on: all columns but `row`. */
  into: OutputColumns;
  at: number;
  /** Where entry i of the columns lies, for messages. */
  place: (entry: number) => string;
}

/** Ids that KL goes over. */
export function countCommon({ vocabulary, excluded }: CommonIds): number {
  const shared = Math.min(vocabulary.base, vocabulary.finetuned);
  return shared - (excluded?.reduce((sum, isExcluded) => sum + isExcluded, 0) ?? 0);
}

/**
 * Fills n entries and returns the sums of the probability that each model gives to ids outside the common ones.
 *
 * Probabilities and nll are over a model's whole vocabulary. KL is over the common ids, both distributions renormalised to
 * them: what one model alone can say, it cannot be compared in.
 * Throws NumericsError for logits that are not finite and where a model gives the common ids no probability at all,
 * ShapeError for arrays of other lengths and for vocabularies of fewer than TOP_TOKENS ids.
 */
export function compareNextTokens(input: NextTokenInput): Record<ModelSide, number> {
  const { logits, next, vocabulary, excluded, into, at, place } = input;
  const n = next.base.length;
  checkShapes(input);
  const outside = { base: 0, finetuned: 0 };
  const sums = { base: 0, finetuned: 0, commonBase: 0, commonFinetuned: 0, weighted: 0 };
  for (let i = 0; i < n; i += 1) {
    const entry = at + i;
    const base = logits.base.subarray(i * vocabulary.base, (i + 1) * vocabulary.base);
    const finetuned = logits.finetuned.subarray(i * vocabulary.finetuned, (i + 1) * vocabulary.finetuned);
    const top = entry * TOP_TOKENS;
    findTop(base, into.topTokenBase.subarray(top, top + TOP_TOKENS));
    findTop(finetuned, into.topTokenFinetuned.subarray(top, top + TOP_TOKENS));
    const maxBase = base[into.topTokenBase[top]];
    const maxFinetuned = finetuned[into.topTokenFinetuned[top]];
    sumRow(sums, { base, finetuned, maxBase, maxFinetuned, excluded });
    const kl =
      sums.weighted / sums.commonFinetuned -
      (maxFinetuned + Math.log(sums.commonFinetuned)) +
      (maxBase + Math.log(sums.commonBase));
    if (!Number.isFinite(kl)) throw notComparable(place(entry), { base, finetuned });
    // Never below 0 but by rounding of the sums.
    into.klFinetunedBase[entry] = Math.max(0, kl);
    outside.base += Math.max(0, 1 - sums.commonBase / sums.base);
    outside.finetuned += Math.max(0, 1 - sums.commonFinetuned / sums.finetuned);

    const [logSumBase, logSumFinetuned] = [
      maxBase + Math.log(sums.base),
      maxFinetuned + Math.log(sums.finetuned),
    ];
    for (let k = top; k < top + TOP_TOKENS; k += 1) {
      into.topProbabilityBase[k] = Math.exp(base[into.topTokenBase[k]] - logSumBase);
      into.topProbabilityFinetuned[k] = Math.exp(finetuned[into.topTokenFinetuned[k]] - logSumFinetuned);
    }
    const hasNext = next.base[i] >= 0;
    into.hasNext[entry] = hasNext ? 1 : 0;
    into.nllBase[entry] = hasNext ? logSumBase - base[next.base[i]] : 0;
    into.nllFinetuned[entry] = hasNext ? logSumFinetuned - finetuned[next.finetuned[i]] : 0;
  }
  return outside;
}

interface RowSums {
  /** Σ exp(logit − max) over the model's vocabulary. */
  base: number;
  finetuned: number;
  /** The same over the common ids. */
  commonBase: number;
  commonFinetuned: number;
  /** Σ exp(finetuned − maxFinetuned) · (finetuned − base) over the common ids. */
  weighted: number;
}

interface Row {
  base: Float32Array;
  finetuned: Float32Array;
  maxBase: number;
  maxFinetuned: number;
  excluded: Uint8Array | undefined;
}

/** One pass over both rows. Equal rows give weighted = 0 and equal sums, so a KL of exactly 0. */
function sumRow(sums: RowSums, { base, finetuned, maxBase, maxFinetuned, excluded }: Row): void {
  const nShared = Math.min(base.length, finetuned.length);
  let [commonBase, commonFinetuned, weighted] = [0, 0, 0];
  let [restBase, restFinetuned] = [0, 0];
  for (let id = 0; id < nShared; id += 1) {
    const expBase = Math.exp(base[id] - maxBase);
    const expFinetuned = Math.exp(finetuned[id] - maxFinetuned);
    if (excluded !== undefined && excluded[id] === 1) {
      restBase += expBase;
      restFinetuned += expFinetuned;
    } else {
      commonBase += expBase;
      commonFinetuned += expFinetuned;
      weighted += expFinetuned * (finetuned[id] - base[id]);
    }
  }
  for (let id = nShared; id < base.length; id += 1) restBase += Math.exp(base[id] - maxBase);
  for (let id = nShared; id < finetuned.length; id += 1) {
    restFinetuned += Math.exp(finetuned[id] - maxFinetuned);
  }
  sums.base = commonBase + restBase;
  sums.finetuned = commonFinetuned + restFinetuned;
  sums.commonBase = commonBase;
  sums.commonFinetuned = commonFinetuned;
  sums.weighted = weighted;
}

/** The ids of the greatest logits, greatest first, of equal ones the lowest first. top: [TOP_TOKENS], overwritten. */
function findTop(logits: Float32Array, top: Uint32Array): void {
  let n = 0;
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id += 1) {
    const value = logits[id];
    if (n === TOP_TOKENS && !(value > least)) continue;
    if (n < TOP_TOKENS) n += 1;
    let place = n - 1;
    while (place > 0 && value > logits[top[place - 1]]) {
      top[place] = top[place - 1];
      place -= 1;
    }
    top[place] = id;
    least = logits[top[n - 1]];
  }
}

function checkShapes({ logits, next, vocabulary, excluded, into, at }: NextTokenInput): void {
  const n = next.base.length;
  for (const side of ["base", "finetuned"] as const) {
    if (vocabulary[side] < TOP_TOKENS) {
      throw new ShapeError(
        `${side}: expected a vocabulary of at least ${TOP_TOKENS}, got ${vocabulary[side]}`,
      );
    }
    if (logits[side].length !== n * vocabulary[side] || next[side].length !== n) {
      throw new ShapeError(
        `${side}: expected logits [${n}, ${vocabulary[side]}] and ${n} next ids, got ${logits[side].length} and ${next[side].length}`,
      );
    }
    const bad = next[side].findIndex((id, i) => id >= vocabulary[side] || id >= 0 !== next.base[i] >= 0);
    if (bad !== -1) {
      throw new ShapeError(
        `${side}: expected a next id below ${vocabulary[side]} in both models or in neither, got ${next[side][bad]} at ${bad}`,
      );
    }
  }
  if (excluded !== undefined && excluded.length !== Math.min(vocabulary.base, vocabulary.finetuned)) {
    throw new ShapeError(
      `excluded: expected ${Math.min(vocabulary.base, vocabulary.finetuned)} marks, got ${excluded.length}`,
    );
  }
  if (into.row.length < at + n) {
    throw new ShapeError(`into: expected at least ${at + n} entries, got ${into.row.length}`);
  }
}

function notComparable(place: string, logits: Record<ModelSide, Float32Array>): NumericsError {
  for (const side of ["base", "finetuned"] as const) {
    const id = logits[side].findIndex((value) => !Number.isFinite(value));
    if (id === -1) continue;
    return new NumericsError(
      `outputs: ${place}: ${side}, token id ${id}: expected a finite logit, got ${logits[side][id]}`,
      {
        hint: "the model overflows on this text: check its weights and dtype, or leave that document out",
      },
    );
  }
  return new NumericsError(
    `outputs: ${place}: expected both models to give some probability to the ids they share, got 0`,
    { hint: "the models do not speak of the same tokens here: harvest without outputs" },
  );
}
