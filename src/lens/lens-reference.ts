// One latent's scores in one model's vocabulary, as the formula reads: the twin that lens.ts must agree with.

import type { Unembedding } from "../lm/runner.ts";

/** direction: [dModel], any length but 0. Returns [vocab] f64: head_t · (finalNorm ⊙ d / ‖d‖). */
export function lensScoresReference(
  direction: ArrayLike<number>,
  { head, finalNorm, vocab, dModel }: Unembedding,
): Float64Array {
  let squares = 0;
  for (let i = 0; i < dModel; i += 1) squares += direction[i] ** 2;
  const scores = new Float64Array(vocab);
  for (let token = 0; token < vocab; token += 1) {
    for (let i = 0; i < dModel; i += 1) {
      scores[token] += head[token * dModel + i] * finalNorm[i] * (direction[i] / Math.sqrt(squares));
    }
  }
  return scores;
}
