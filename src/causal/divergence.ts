// What an edit does to one prediction: KL and NLL of a row of logits against both models' own at the same position.
//
// Minder et al. 2025 (arXiv:2504.02922), section 3.2: KL to the fine-tune, in either direction, over its whole vocabulary. KL to the base
// goes over the ids that mean the same to both models, renormalised, as harvest/next-token.ts does. Sums in f64 by the kernel
// kernels/divergence.ts; divergence-reference.ts is the same in the order of the formulas.

import { createKernels, type KernelArena } from "../compute/kernels.ts";
import { NumericsError, ShapeError } from "../errors.ts";
import type { CommonIds } from "../harvest/next-token.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { PaperChoices, PositionMetrics } from "./causal-contract.ts";

export interface Divergence {
  /**
   * Takes both models' own logits at a position, [vocabulary] f32 each (copied), for the rows measured next. Throws NumericsError naming
   * the place and token for a logit that is not finite.
   */
  setReference(logits: Record<ModelSide, Float32Array>, place: () => string): void;
  /**
   * Writes entry `at` of every metric for a row of the edited fine-tune's logits [vocabulary.finetuned] f32. A row equal to the
   * fine-tune's own gives a kl of exactly 0. Throws NumericsError likewise.
   */
  measure(row: Float32Array, entry: MeasuredEntry): void;
}

export interface MeasuredEntry {
  /** Id that came, in the fine-tune's vocabulary. */
  next: number;
  into: PositionMetrics;
  at: number;
  place: () => string;
}

/** A model's own prediction in the arena: logits [n] f32, their exponentials less the greatest [n] f64, and ln Σ exp(logit). */
interface Reference {
  logits: Float32Array;
  exponentials: Float64Array;
  max: number;
  sum: number;
  logSum: number;
}

/** One position's references at a time: 24 bytes a token id, whatever is measured. */
export function createDivergence({
  vocabulary,
  excluded,
  klDirection,
}: CommonIds & Pick<PaperChoices, "klDirection">): Divergence {
  const common = commonIds({ vocabulary, excluded });
  const nCommon = common?.length ?? vocabulary.finetuned;
  if (nCommon === 0) throw new ShapeError("excluded: expected some ids that both models share, got none");
  const kernels = createKernels({
    bytes: 20 * (vocabulary.finetuned + nCommon) + 4 * vocabulary.finetuned + 4096,
  });
  const finetuned = makeReference(kernels, vocabulary.finetuned);
  const base = makeReference(kernels, nCommon);
  const whole = kernels.f32(vocabulary.finetuned);
  const shared = common === undefined ? whole : kernels.f32(nCommon);
  const sums = kernels.f64(4);
  let argmax = 0;

  const fill = (reference: Reference): void => {
    const { max, sum } = kernels.exponentials(reference.logits, reference.exponentials);
    reference.max = max;
    reference.sum = sum;
    reference.logSum = max + Math.log(sum);
  };
  /** What made a number not finite: the first bad logit, of the row or of a reference. */
  const failure = (place: string, row?: Float32Array): NumericsError => {
    const { logits } = base;
    const named: [string, Float32Array, (i: number) => number][] = [
      ["the fine-tune's own prediction", finetuned.logits, (i) => i],
      ["the base's own prediction", logits, (i) => common?.[i] ?? i],
      ["the edited prediction", row ?? logits, (i) => i],
    ];
    for (const [name, values, idOf] of named) {
      const at = values.findIndex((value) => !Number.isFinite(value));
      if (at === -1) continue;
      return new NumericsError(
        `${place}: ${name}, token id ${idOf(at)}: expected a finite logit, got ${values[at]}`,
        {
          hint: "the model overflows on this text: check its weights and dtype, or leave that conversation out",
        },
      );
    }
    return new NumericsError(`${place}: expected logits whose differences have a finite sum`);
  };
  return {
    setReference(logits, place) {
      for (const side of ["base", "finetuned"] as const) {
        if (logits[side].length === vocabulary[side]) continue;
        throw new ShapeError(`${side}: expected ${vocabulary[side]} logits, got ${logits[side].length}`);
      }
      finetuned.logits.set(logits.finetuned);
      choose(logits.base, common, base.logits);
      fill(finetuned);
      fill(base);
      argmax = finetuned.logits.indexOf(finetuned.max);
      if (!Number.isFinite(finetuned.logSum + base.logSum)) throw failure(place());
    },
    measure(row, { next, into, at, place }) {
      if (row.length !== vocabulary.finetuned || !(next < row.length)) {
        throw new ShapeError(
          `row: expected ${vocabulary.finetuned} logits and an id below, got ${row.length} and ${next}`,
        );
      }
      whole.set(row);
      const max = kernels.divergenceSums(whole, finetuned, common === undefined ? base : finetuned, sums);
      const [sum, forward, backward, toBase] = sums;
      const logSum = max + Math.log(sum);
      const kl =
        klDirection === "finetuned-from-hybrid"
          ? forward / finetuned.sum - finetuned.logSum + logSum
          : backward / sum - logSum + finetuned.logSum;
      let klBase = toBase / base.sum - base.logSum + logSum;
      if (common !== undefined) {
        choose(row, common, shared);
        const sharedMax = kernels.divergenceSums(shared, base, base, sums);
        klBase = sums[1] / base.sum - base.logSum + (sharedMax + Math.log(sums[0]));
      }
      if (!Number.isFinite(kl + klBase)) throw failure(place(), row);
      // Never below 0 but by rounding of the sums.
      into.kl[at] = Math.max(0, kl);
      into.klBase[at] = Math.max(0, klBase);
      into.nll[at] = logSum - row[next];
      into.nllArgmax[at] = logSum - row[argmax];
    },
  };
}

function makeReference(kernels: KernelArena, n: number): Reference {
  return { logits: kernels.f32(n), exponentials: kernels.f64(n), max: 0, sum: 1, logSum: 0 };
}

/** Ids that mean the same to both, ascending; undefined: every id of both. */
function commonIds({ vocabulary, excluded }: CommonIds): Uint32Array | undefined {
  const nShared = Math.min(vocabulary.base, vocabulary.finetuned);
  if (excluded !== undefined && excluded.length !== nShared) {
    throw new ShapeError(`excluded: expected ${nShared} marks, got ${excluded.length}`);
  }
  if (vocabulary.base === vocabulary.finetuned && !excluded?.includes(1)) return undefined;
  const ids: number[] = [];
  for (let id = 0; id < nShared; id += 1) if (excluded?.[id] !== 1) ids.push(id);
  return Uint32Array.from(ids);
}

function choose(row: Float32Array, ids: Uint32Array | undefined, into: Float32Array): void {
  if (ids === undefined) into.set(row);
  else for (let i = 0; i < ids.length; i += 1) into[i] = row[ids[i]];
}
