// Random controls: latents that are not candidates, but fire as often and move the residual as far.
//
// Matched on the firing rate and on Σ f²‖d_finetuned‖² over the same conversations, by the distance between their logarithms. Within
// a draw no control serves two latents. Draws differ: in each the latents choose in another order, and each takes at random one of
// the nearest that are left for it. Where nothing is contended, the controls of a latent over all draws are its nearest ones.
// The paper's random latents are not matched. Slow twin: matched-controls-reference.ts.

import { ConfigError } from "../errors.ts";
import { createRng, keyedPermutation } from "../numerics/rng.ts";
import type { ControlMatch } from "./causal-contract.ts";
import type { FiringStats } from "./firing-stats.ts";

export const CONTROL_SETTINGS = {
  /** Draws of a subset, and controls a latent. */
  draws: 5,
} as const;

export interface ControlOptions {
  /** Latents that need controls. */
  candidates: ArrayLike<number>;
  /** Latents that may be controls; silent ones and candidates among them are passed over. */
  eligible: ArrayLike<number>;
  stats: FiringStats;
  /** Draws. */
  perLatent: number;
  /** Safe non-negative integer. */
  seed: number;
  /** Whether candidates may have the same control in one draw: where each candidate is judged by itself. Default false. */
  mayShare?: boolean;
}

/**
 * Controls of each candidate, all different; one of each draw. Fewer than perLatent where too few were left, none for a candidate that
 * never fired. Throws ConfigError for latents that do not exist.
 */
export function matchedControls(options: ControlOptions): Map<number, number[]> {
  const draws = drawControls(options);
  return new Map(
    Array.from(options.candidates, (latent, i) => [
      latent,
      draws.map((draw) => draw[i]).filter((control) => control !== undefined),
    ]),
  );
}

/** perLatent draws of [candidates]: the control, or undefined where the candidate is silent or nothing was left. */
export function drawControls(options: ControlOptions): (number | undefined)[][] {
  const { candidates, perLatent, seed, mayShare = false } = options;
  const points = controlPoints(options);
  const order = createRng(seed, "causal.controls.order");
  const pick = createRng(seed, "causal.controls.pick");
  const own = Array.from(candidates, () => new Set<number>());
  return Array.from({ length: perLatent }, (_, draw) => {
    const taken = new Set<number>();
    const controls = new Array<number | undefined>(candidates.length).fill(undefined);
    const orderOf = keyedPermutation(order, draw, candidates.length);
    for (let turn = 0; turn < candidates.length; turn += 1) {
      const i = orderOf(turn);
      const isFree = (latent: number): boolean => !own[i].has(latent) && !taken.has(latent);
      const nearest = points.nearest(candidates[i], perLatent - draw, isFree);
      if (nearest.length === 0) continue;
      const control = nearest[Math.floor(pick.uniform(draw, candidates[i]) * nearest.length)];
      controls[i] = control;
      own[i].add(control);
      if (!mayShare) taken.add(control);
    }
    return controls;
  });
}

/** Matching of the draws; totals in the numerator are of the controls found, in the denominator of the whole subset. */
export function describeMatch(
  { candidates, stats }: Pick<ControlOptions, "candidates" | "stats">,
  draws: readonly (readonly (number | undefined)[])[],
): Pick<ControlMatch, "nLatents" | "silent" | "missing" | "rateRatio" | "energyRatio"> {
  const total = (values: Float64Array, latents: ArrayLike<number | undefined>): number => {
    let sum = 0;
    for (let i = 0; i < latents.length; i += 1) {
      const latent = latents[i];
      if (latent !== undefined) sum += values[latent];
    }
    return sum;
  };
  const silent = Array.from(candidates).filter((latent) => !isMatchable(stats, latent)).length;
  const ratioTo = (values: Float64Array): number[] =>
    draws.map((controls) => total(values, controls) / total(values, candidates));
  return {
    nLatents: candidates.length,
    silent,
    missing: draws.map((controls) => controls.filter((control) => control === undefined).length - silent),
    rateRatio: ratioTo(stats.rate),
    energyRatio: ratioTo(stats.energy),
  };
}

/** Whether it has a place among the logarithms: it fired, and its finetuned row is not 0. */
export function isMatchable({ rate, energy }: FiringStats, latent: number): boolean {
  return rate[latent] > 0 && energy[latent] > 0;
}

/** Squared distance of two latents: of log rate and log energy. */
export function matchDistance({ rate, energy }: FiringStats, a: number, b: number): number {
  const byRate = Math.log(rate[a]) - Math.log(rate[b]);
  const byEnergy = Math.log(energy[a]) - Math.log(energy[b]);
  return byRate * byRate + byEnergy * byEnergy;
}

/** Eligible latents as points, in order of energy: the nearest are found by walking outwards. */
function controlPoints({ candidates, eligible, stats }: ControlOptions) {
  requireLatents("candidates", candidates, stats);
  requireLatents("eligible", eligible, stats);
  const excluded = new Set(Array.from(candidates));
  const points = Array.from(new Set(Array.from(eligible)))
    .filter((latent) => isMatchable(stats, latent) && !excluded.has(latent))
    .map((latent) => ({ latent, logEnergy: Math.log(stats.energy[latent]) }))
    .sort((a, b) => a.logEnergy - b.logEnergy || a.latent - b.latent);

  return {
    /** The `count` nearest free ones, nearest first, of equal distance the lowest latent; none for a silent candidate. */
    nearest(candidate: number, count: number, isFree: (latent: number) => boolean): number[] {
      if (!isMatchable(stats, candidate)) return [];
      const at = Math.log(stats.energy[candidate]);
      const best: { latent: number; distance: number }[] = [];
      let right = lowerBound(points, at);
      let left = right - 1;
      for (;;) {
        const toLeft = left >= 0 ? at - points[left].logEnergy : Number.POSITIVE_INFINITY;
        const toRight = right < points.length ? points[right].logEnergy - at : Number.POSITIVE_INFINITY;
        const step = Math.min(toLeft, toRight);
        if (step === Number.POSITIVE_INFINITY) break;
        if (best.length === count && step * step > best[count - 1].distance) break;
        const { latent } = toLeft <= toRight ? points[left--] : points[right++];
        if (!isFree(latent)) continue;
        const distance = matchDistance(stats, candidate, latent);
        let place = best.length;
        while (place > 0 && isBefore({ latent, distance }, best[place - 1])) place -= 1;
        best.splice(place, 0, { latent, distance });
        if (best.length > count) best.pop();
      }
      return best.map(({ latent }) => latent);
    },
  };
}

type Neighbour = { latent: number; distance: number };

function isBefore(a: Neighbour, b: Neighbour): boolean {
  return a.distance < b.distance || (a.distance === b.distance && a.latent < b.latent);
}

/** First point whose logEnergy is at least `value`. */
function lowerBound(points: readonly { logEnergy: number }[], value: number): number {
  let from = 0;
  let to = points.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (points[middle].logEnergy < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

function requireLatents(name: string, latents: ArrayLike<number>, { rate }: FiringStats): void {
  for (let i = 0; i < latents.length; i += 1) {
    if (Number.isSafeInteger(latents[i]) && latents[i] >= 0 && latents[i] < rate.length) continue;
    throw new ConfigError(
      `${name}[${i}]: expected a latent from 0 to ${rate.length - 1}, got ${latents[i]}`,
      {
        hint: "name latents of this dictionary",
      },
    );
  }
}
