// The next token from one row of logits: the highest, or a draw at a temperature from the top-p nucleus.
//
// Holtzman et al. 2019 (arXiv:1904.09751); order and meaning as in transformers: temperature first, then the smallest set of
// most probable tokens whose mass reaches topP. The draw walks the kept tokens in the order of their ids, so a number in
// [0, 1) names the same token whatever the sort. Knows no generator of random numbers: the caller brings the draw.

import { ConfigError, NumericsError } from "../errors.ts";

export interface SamplingOptions {
  /** 0: the highest logit, the first of equals. */
  temperature: number;
  /** In (0, 1]; 1 keeps every token. */
  topP: number;
}

/** Throws ConfigError naming the option. */
export function checkSampling({ temperature, topP }: SamplingOptions): void {
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new ConfigError(`temperature: expected a number from 0 (greedy), got ${temperature}`);
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new ConfigError(`topP: expected a number above 0 and up to 1, got ${topP}`);
  }
}

/**
 * Index into logits [vocab]. draw: in [0, 1); not looked at when greedy.
 *
 * Throws NumericsError when a logit is NaN or +∞; −∞ never wins a draw.
 */
export function chooseToken(
  logits: Float32Array,
  { temperature, topP, draw }: SamplingOptions & { draw: number },
): number {
  let best = 0;
  for (let id = 0; id < logits.length; id += 1) {
    if (!(logits[id] < Number.POSITIVE_INFINITY)) {
      throw new NumericsError(`logits: expected finite numbers, got ${logits[id]} for token ${id}`, {
        hint: "a residual edit may be far too large",
      });
    }
    if (logits[id] > logits[best]) best = id;
  }
  if (temperature === 0) return best;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id += 1) {
    weights[id] = Math.exp((logits[id] - logits[best]) / temperature);
    total += weights[id];
  }
  if (topP < 1) total = keepNucleus(weights, topP * total);
  let rest = draw * total;
  let last = best;
  for (let id = 0; id < weights.length; id += 1) {
    if (weights[id] === 0) continue;
    rest -= weights[id];
    if (rest < 0) return id;
    last = id;
  }
  return last;
}

/** Sets all but the heaviest tokens that together reach `mass` to 0 (equals: lower id first); returns what is kept. */
function keepNucleus(weights: Float64Array, mass: number): number {
  // Only tokens above a floor are sorted; it is lowered until they hold the mass. The heaviest weighs 1.
  let ids: number[] = [];
  for (const floor of [1e-2, 1e-4, 1e-6, 1e-9, 0]) {
    ids = [];
    let sum = 0;
    for (let id = 0; id < weights.length; id += 1) {
      if (weights[id] < floor) continue;
      ids.push(id);
      sum += weights[id];
    }
    if (sum >= mass * (1 + 1e-9)) break;
  }
  ids.sort((a, b) => weights[b] - weights[a] || a - b);
  let kept = 0;
  let count = 0;
  while (count < ids.length && (count === 0 || kept < mass)) {
    kept += weights[ids[count]];
    count += 1;
  }
  const nucleus = ids.slice(0, count).map((id) => [id, weights[id]] as const);
  weights.fill(0);
  for (const [id, weight] of nucleus) weights[id] = weight;
  return kept;
}
