// Logit-difference mining: which tokens the fine-tune raises and lowers over a whole corpus, whatever the context.
//
// Diff mining (method.md section 9 row 10; arXiv:2608.26462): at every position the K tokens of greatest difference
//   d = z_finetuned − z_base, less its mean over the compared ids (a logit is defined up to a constant a position)
// are counted, and the same for −d. Compared are the ids that one of the models holds possible there: a probability of at least
// `plausible` times that of its most probable token, as in contrastive decoding (Li et al. 2022, arXiv:2210.15097). Without that, the
// lists fill with tokens that neither model ever says, whose logits nothing in training holds.
// A token that merely varies much is among the K of both signs equally often. The control is the count that the sign of d drawn at
// random a position would give, in expectation: (risen + fallen) / 2. Tokens are ordered by
//   z = (risen − fallen) / √(risen + fallen),
// share less control share in standard errors of that draw. A context that many texts share (BOS, a template) counts once. Positions of one text depend on each other: an order, not a test.
// logit-mining-reference.ts is the readable twin.

import { ShapeError } from "../errors.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { MinedToken, MiningFindings } from "./glance-contract.ts";

export const MINING_OPTIONS = {
  /** K: tokens counted a position, at most this share of the ids that are compared. */
  topK: 100,
  topShare: 0.1,
  /** Of the most probable token's probability. */
  plausible: 1e-3,
  /** Tokens reported of either sign. */
  reported: 20,
  /** Standard errors from which on a token is reported. */
  leastZ: 3,
} as const;

export interface MiningOptions {
  vocabulary: Record<ModelSide, number>;
  /** [min(vocabulary)] 1 for an id that is left out: another token in the other model, or no token at all. */
  excluded: Uint8Array;
  tokenString: (id: number) => string;
}

export interface PredictedRows {
  /** [n, vocabulary.base] and [n, vocabulary.finetuned] f32, finite. */
  logits: Record<ModelSide, Float32Array>;
  /** [n] ids that the fine-tune read at the rows. */
  tokens: Uint32Array;
  /** [n] 1: the same was read before, up to here; such a row is not counted again. */
  isRepeated: Uint8Array;
}

export interface LogitMining {
  add(rows: PredictedRows): void;
  finish(): MiningFindings;
}

/** K for a number of compared ids. */
export function miningK(nIds: number): number {
  return Math.max(1, Math.min(MINING_OPTIONS.topK, Math.floor(nIds * MINING_OPTIONS.topShare)));
}

/** Share less control share, in standard errors of a random sign; 0 for a token never counted. */
export function miningZ(risen: number, fallen: number): number {
  return risen + fallen === 0 ? 0 : (risen - fallen) / Math.sqrt(risen + fallen);
}

/** Counts over the ids that are the same token in both models, the others are left out. Memory: some 24 bytes an id. */
export function createLogitMining({ vocabulary, excluded, tokenString }: MiningOptions): LogitMining {
  const nShared = Math.min(vocabulary.base, vocabulary.finetuned);
  if (excluded.length !== nShared) {
    throw new ShapeError(`excluded: expected ${nShared} marks, got ${excluded.length}`);
  }
  const ids = Uint32Array.from({ length: nShared }, (_, id) => id).filter((id) => excluded[id] === 0);
  const topK = miningK(ids.length);
  const totals = {
    positions: 0,
    compared: new Uint32Array(ids.length),
    risen: new Uint32Array(ids.length),
    fallen: new Uint32Array(ids.length),
    positive: new Uint32Array(ids.length),
    sums: new Float64Array(ids.length),
  };
  const occurrences = new Uint32Array(vocabulary.finetuned);
  const row: PlausibleRow = {
    n: 0,
    entries: new Uint32Array(ids.length),
    differences: new Float64Array(ids.length),
  };
  const top = createTopK(topK);
  return {
    add({ logits, tokens, isRepeated }) {
      for (let i = 0; i < tokens.length; i += 1) {
        occurrences[tokens[i]] += 1;
        if (isRepeated[i] === 1) continue;
        totals.positions += 1;
        takePlausible(row, ids, {
          base: logits.base.subarray(i * vocabulary.base, (i + 1) * vocabulary.base),
          finetuned: logits.finetuned.subarray(i * vocabulary.finetuned, (i + 1) * vocabulary.finetuned),
        });
        for (let k = 0; k < row.n; k += 1) {
          totals.compared[row.entries[k]] += 1;
          totals.sums[row.entries[k]] += row.differences[k];
          if (row.differences[k] > 0) totals.positive[row.entries[k]] += 1;
        }
        top.mark(row, 1, totals.risen);
        top.mark(row, -1, totals.fallen);
      }
    },
    finish: () => ({
      positions: totals.positions,
      topK,
      ...rankMined(totals, (i) => ({
        tokenId: ids[i],
        token: tokenString(ids[i]),
        occurrences: occurrences[ids[i]],
      })),
    }),
  };
}

/** What is compared at one position: n entries of ids, ascending, and their d. Overwritten at every position. */
interface PlausibleRow {
  n: number;
  entries: Uint32Array;
  differences: Float64Array;
}

function takePlausible(row: PlausibleRow, ids: Uint32Array, logits: Record<ModelSide, Float32Array>): void {
  const { base, finetuned } = logits;
  let [leastBase, leastFinetuned] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < ids.length; i += 1) {
    if (base[ids[i]] > leastBase) leastBase = base[ids[i]];
    if (finetuned[ids[i]] > leastFinetuned) leastFinetuned = finetuned[ids[i]];
  }
  leastBase += Math.log(MINING_OPTIONS.plausible);
  leastFinetuned += Math.log(MINING_OPTIONS.plausible);
  row.n = 0;
  let sum = 0;
  for (let i = 0; i < ids.length; i += 1) {
    const [b, f] = [base[ids[i]], finetuned[ids[i]]];
    if (b < leastBase && f < leastFinetuned) continue;
    row.entries[row.n] = i;
    row.differences[row.n] = f - b;
    sum += f - b;
    row.n += 1;
  }
  const mean = sum / row.n;
  for (let k = 0; k < row.n; k += 1) row.differences[k] -= mean;
}

/** One entry an id that may be compared. */
export interface MiningTotals {
  positions: number;
  /** Positions at which a model held it possible. */
  compared: ArrayLike<number>;
  /** Positions at which it was among the K of greatest d, and of greatest −d. */
  risen: ArrayLike<number>;
  fallen: ArrayLike<number>;
  /** Positions at which d > 0, and Σd. */
  positive: ArrayLike<number>;
  sums: ArrayLike<number>;
}

/** Both lists, by falling |z|; of equal ones the more frequent, then the lower entry. */
export function rankMined(
  totals: MiningTotals,
  describe: (entry: number) => Pick<MinedToken, "token" | "tokenId" | "occurrences">,
): Pick<MiningFindings, "risen" | "fallen"> {
  const { positions, compared, risen, fallen, positive, sums } = totals;
  const list = (own: ArrayLike<number>, other: ArrayLike<number>): MinedToken[] =>
    Array.from({ length: own.length }, (_, entry) => entry)
      .filter((entry) => miningZ(own[entry], other[entry]) >= MINING_OPTIONS.leastZ)
      .sort((a, b) => miningZ(own[b], other[b]) - miningZ(own[a], other[a]) || own[b] - own[a] || a - b)
      .slice(0, MINING_OPTIONS.reported)
      .map((entry) => ({
        ...describe(entry),
        count: own[entry],
        share: own[entry] / positions,
        controlShare: (own[entry] + other[entry]) / (2 * positions),
        fractionPositive: positive[entry] / compared[entry],
        meanDifference: sums[entry] / compared[entry],
      }));
  return { risen: list(risen, fallen), fallen: list(fallen, risen) };
}

/**
 * Adds 1 in `counts` for the entries of the K greatest sign · d above 0, of equal ones the lower entries. A heap of K, its root the
 * one to go next: most values are only compared with it.
 */
function createTopK(k: number): { mark(row: PlausibleRow, sign: 1 | -1, counts: Uint32Array): void } {
  const heap = new Uint32Array(k);
  const keys = new Float64Array(k);
  let size = 0;
  /** Whether the entry at slot a goes before that at slot b. */
  const isWorse = (a: number, b: number): boolean =>
    keys[a] < keys[b] || (keys[a] === keys[b] && heap[a] > heap[b]);
  const swap = (a: number, b: number): void => {
    [heap[a], heap[b]] = [heap[b], heap[a]];
    [keys[a], keys[b]] = [keys[b], keys[a]];
  };
  const siftDown = (): void => {
    let slot = 0;
    for (;;) {
      let worst = slot;
      for (const child of [2 * slot + 1, 2 * slot + 2]) {
        if (child < size && isWorse(child, worst)) worst = child;
      }
      if (worst === slot) return;
      swap(slot, worst);
      slot = worst;
    }
  };
  const siftUp = (): void => {
    for (let slot = size - 1; slot > 0; ) {
      const parent = (slot - 1) >>> 1;
      if (!isWorse(slot, parent)) return;
      swap(slot, parent);
      slot = parent;
    }
  };
  const place = (slot: number, entry: number, key: number): void => {
    heap[slot] = entry;
    keys[slot] = key;
  };
  return {
    mark({ n, entries, differences }, sign, counts) {
      size = 0;
      for (let i = 0; i < n; i += 1) {
        const key = sign * differences[i];
        // Entries come in rising order, so an equal one that comes later never displaces.
        if (!(key > 0) || (size === k && key <= keys[0])) continue;
        if (size < k) {
          place(size, entries[i], key);
          size += 1;
          siftUp();
        } else {
          place(0, entries[i], key);
          siftDown();
        }
      }
      for (let slot = 0; slot < size; slot += 1) counts[heap[slot]] += 1;
    },
  };
}
