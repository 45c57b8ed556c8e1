// Which positions of a conversation are averaged over: those that predict the assistant's tokens, and which of them are the first nine.
//
// Minder et al. 2025 (arXiv:2504.02922), section 3.2; their evaluate_interventions_effects.py and mask_k_first_ones_vec. Works on masks
// alone: who is the assistant is told in conversations.ts.

import { ShapeError } from "../errors.ts";
import type { Conversation, PaperChoices, PredictedPositions } from "./causal-contract.ts";

/**
 * Predictions of an answer that may be firstNine. Ten, of which the first is made at the last token of the template's header and drops
 * out as a template token: tokens 2 to 10 of the answer are left.
 */
export const N_FIRST = 10;

export interface TokenSetOptions extends Pick<PaperChoices, "restOf"> {
  /** Default N_FIRST. */
  nFirst?: number;
}

/**
 * Positions t whose next token t + 1 is the assistant's, ascending.
 *
 * firstNine: of each run of such positions the first nFirst, without those that hold a template token. rest: with "all-but-nine" every
 * position outside firstNine (so the one that predicts an answer's first token, too), with "after-nine" those after the first nFirst.
 *
 * Position 0 is never predicted; the last one predicts nothing. Throws ShapeError for masks of different length or nFirst below 1.
 */
export function predictedPositions(
  { isAssistant, isTemplate }: Pick<Conversation, "isAssistant" | "isTemplate">,
  { restOf, nFirst = N_FIRST }: TokenSetOptions,
): PredictedPositions {
  if (isAssistant.length !== isTemplate.length) {
    throw new ShapeError(`masks: expected one length, got ${isAssistant.length} and ${isTemplate.length}`);
  }
  if (!(Number.isInteger(nFirst) && nFirst >= 1)) {
    throw new ShapeError(`nFirst: expected a whole number from 1, got ${nFirst}`);
  }
  const positions: number[] = [];
  const isFirstNine: number[] = [];
  const isRest: number[] = [];
  let nthOfRun = 0;
  for (let t = 0; t + 1 < isAssistant.length; t += 1) {
    if (isAssistant[t + 1] === 0) {
      nthOfRun = 0;
      continue;
    }
    nthOfRun += 1;
    const isEarly = nthOfRun <= nFirst;
    const isFirst = isEarly && isTemplate[t] === 0;
    positions.push(t);
    isFirstNine.push(Number(isFirst));
    isRest.push(Number(restOf === "all-but-nine" ? !isFirst : !isEarly));
  }
  return {
    positions: Uint32Array.from(positions),
    isFirstNine: Uint8Array.from(isFirstNine),
    isRest: Uint8Array.from(isRest),
  };
}
