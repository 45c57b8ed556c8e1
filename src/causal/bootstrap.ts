// Intervals of means over tokens, by resampling whole conversations with replacement.
//
// The percentile bootstrap (Efron & Tibshirani 1993, ch. 13). Tokens of one conversation are not independent, conversations are: so
// conversations are what is drawn. Every quantity meets the same draws, so differences and ratios are taken inside a draw and are
// paired. A mean is Σ over tokens / number of tokens, each drawn conversation bringing its sum and its count.
//
// A draw in which a quantity does not exist (no token of the set, KL_None = 0) speaks for no value: it counts as the lowest for the lower
// limit and as the highest for the upper one, and a limit that falls on such draws is NaN, none. Fewer than two conversations: all draws,
// and all limits, are NaN.
// Not here: the published mean ± 1.96 σ/√n beside it (publishedLimits) is no bootstrap. Slow twin: bootstrap-reference.ts.

import { ShapeError } from "../errors.ts";
import { createRng } from "../numerics/rng.ts";
import type { Estimate, Limits } from "./causal-contract.ts";

export const BOOTSTRAP_SETTINGS = {
  draws: 1000,
  level: 0.95,
  /** Fewer, and no draw lies beyond a limit. */
  minimumDraws: 41,
  /** How often a conversation is drawn is kept as u16. */
  mostConversations: 65_535,
  /** z of the published interval. */
  publishedZ: 1.96,
} as const;

/** A number over all conversations, and the same number in each draw ([draws] f64, NaN where it does not exist). */
export interface Drawn {
  readonly value: number;
  readonly draws: Float64Array;
}

export interface ConversationBootstrap {
  nConversations: number;
  draws: number;
  level: number;
  seed: number;
  /**
   * Σ over conversations of values; conversations: which of them, ascending, where values lists only some (the others are 0).
   * A conversation whose value is 0 costs nothing.
   */
  sum(values: ArrayLike<number>, conversations?: Uint32Array): Drawn;
}

/** The numbers of draw `draw`: `nConversations` picks in [0, nConversations), a pure function of the arguments. */
export function* picksOfDraw(
  seed: number,
  { draw, nConversations }: { draw: number; nConversations: number },
): Generator<number> {
  const rng = createRng(seed, "causal.bootstrap");
  for (let pick = 0; pick < nConversations; pick += 1) {
    yield Math.floor(rng.uniform(draw, pick) * nConversations);
  }
}

/**
 * Draws once; everything that is compared must come from one bootstrap.
 *
 * draws: default 1,000. seed: safe non-negative integer. Holds [nConversations, draws] u16. Throws ShapeError for fewer than 41 draws
 * or more than 65,535 conversations.
 */
export function createConversationBootstrap({
  nConversations,
  draws = BOOTSTRAP_SETTINGS.draws,
  seed,
}: {
  nConversations: number;
  draws?: number;
  seed: number;
}): ConversationBootstrap {
  const { minimumDraws, mostConversations, level } = BOOTSTRAP_SETTINGS;
  if (!(nConversations >= 0 && nConversations <= mostConversations)) {
    throw new ShapeError(
      `bootstrap: expected at most ${mostConversations} conversations, got ${nConversations}`,
    );
  }
  if (!(draws >= minimumDraws)) {
    throw new ShapeError(`bootstrap: expected at least ${minimumDraws} draws, got ${draws}`, {
      hint: `leave draws out: ${BOOTSTRAP_SETTINGS.draws} are drawn`,
    });
  }
  const times = new Uint16Array(nConversations * draws);
  for (let draw = 0; draw < draws; draw += 1) {
    for (const pick of picksOfDraw(seed, { draw, nConversations })) times[pick * draws + draw] += 1;
  }
  return {
    ...{ nConversations, draws, level, seed },
    sum(values, conversations) {
      const expected = conversations?.length ?? nConversations;
      if (values.length !== expected) {
        throw new ShapeError(`bootstrap: expected ${expected} values, got ${values.length}`);
      }
      const drawn = new Float64Array(draws).fill(nConversations < 2 ? Number.NaN : 0);
      let total = 0;
      for (let i = 0; i < values.length; i += 1) {
        const value = values[i];
        if (value === 0) continue;
        total += value;
        const from = (conversations === undefined ? i : conversations[i]) * draws;
        for (let draw = 0; draw < draws; draw += 1) drawn[draw] += times[from + draw] * value;
      }
      return { value: total, draws: drawn };
    },
  };
}

/** f of the values, over all conversations and in each draw. */
export function combine(parts: readonly Drawn[], f: (...values: number[]) => number): Drawn {
  return {
    value: f(...parts.map(({ value }) => value)),
    draws: Float64Array.from(parts[0].draws, (_, draw) => f(...parts.map(({ draws }) => draws[draw]))),
  };
}

/** numerator / denominator: NaN or infinite where the denominator is 0. */
export function ratioOf(numerator: Drawn, denominator: Drawn): Drawn {
  return combine([numerator, denominator], (a, b) => a / b);
}

export function differenceOf(first: Drawn, second: Drawn): Drawn {
  return combine([first, second], (a, b) => a - b);
}

/** The value and its percentile interval; a limit is NaN where the draws give none. */
export function estimateOf(drawn: Drawn, level: number = BOOTSTRAP_SETTINGS.level): Estimate {
  const finite = drawn.draws.filter((value) => Number.isFinite(value)).sort();
  const last = drawn.draws.length - 1;
  const absent = drawn.draws.length - finite.length;
  const tail = (1 - level) / 2;
  const low = orderStatistic(finite, last * tail - absent);
  const high = orderStatistic(finite, last * (1 - tail));
  return { mean: drawn.value, interval: { low, high } };
}

/** Share of the draws in which a ≤ b; a draw in which either does not exist counts as one. NaN where none does exist. */
export function shareAtMost(a: Drawn, b: Drawn): number {
  let atMost = 0;
  let known = 0;
  for (let draw = 0; draw < a.draws.length; draw += 1) {
    const difference = a.draws[draw] - b.draws[draw];
    if (!Number.isNaN(difference)) known += 1;
    if (!(difference > 0)) atMost += 1;
  }
  return known === 0 ? Number.NaN : atMost / a.draws.length;
}

/**
 * mean ± 1.96 σ/√n over pooled tokens, σ with n − 1: as published. Tokens of one conversation count as independent, so it is too
 * narrow. NaN for fewer than two tokens.
 */
export function publishedLimits({
  sum,
  sumOfSquares,
  tokens,
}: {
  sum: number;
  sumOfSquares: number;
  tokens: number;
}): Limits {
  const mean = sum / tokens;
  const variance = tokens < 2 ? Number.NaN : Math.max(0, sumOfSquares - sum * mean) / (tokens - 1);
  const half = BOOTSTRAP_SETTINGS.publishedZ * Math.sqrt(variance / tokens);
  return { low: mean - half, high: mean + half };
}

/** Entry `at` of sorted, interpolated between neighbours; NaN outside. */
function orderStatistic(sorted: Float64Array, at: number): number {
  const below = Math.floor(at);
  const above = Math.ceil(at);
  if (below < 0 || above > sorted.length - 1) return Number.NaN;
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
