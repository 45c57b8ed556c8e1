// A direction as a model itself reads it: put in place of the last token of a prompt that asks to repeat (patchscope).
//
// Ghandeharioun et al. 2024 (arXiv:2401.06102), the identity prompt, as used for activation differences by Minder et al. 2025
// (arXiv:2510.13900). The direction is scaled to the model's mean residual norm times each of PATCHSCOPE.scales. A grader chooses the
// scale there; here no scale is chosen: a token counts by its probability's geometric mean over all of them, weighed with
// how much that is above the same prompt's without the direction:
//
//   score_t = p̄_t · (log p̄_t − log q_t),   log p̄_t = mean over scales of log p_t,   q: nothing replaced
//
// A model that does not complete the pattern of the prompt by itself reads nothing through it, and is not asked.
// patchscope-reference.ts is the readable twin.

import { topTokens } from "../lens/top-tokens.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ReadDirection, ReadToken } from "./glance-contract.ts";
import type { AskedSequence, NextTokenModel } from "./next-token-model.ts";
import { READ_TOKENS, vectorNorm } from "./read-directions.ts";

export const PATCHSCOPE = {
  prompt: "man -> man\n1135 -> 1135\nhello -> hello\n?",
  /** The word of the prompt that a model must be able to repeat. */
  repeated: "hello",
  /** Multiples of the mean residual norm. */
  scales: [0.5, 1, 2, 4],
} as const;

export interface IdentityPrompt {
  /** Ids with BOS where the tokenizer has one. */
  tokens: Uint32Array;
  /** Positions whose next token is part of the repeated word's second writing. */
  repeats: number[];
}

/** The prompt's ids, or why the tokenizer cannot write it. */
export async function writeIdentityPrompt(
  tokenizer: Pick<Tokenizer, "encode" | "bosId" | "unknownId">,
): Promise<IdentityPrompt | { leftOut: string }> {
  const { prompt, repeated } = PATCHSCOPE;
  const { ids, start, end } = await tokenizer.encode(prompt);
  if (tokenizer.unknownId !== undefined && ids.includes(tokenizer.unknownId)) {
    return { leftOut: "Patchscope was left out: the tokenizer cannot write its prompt." };
  }
  const isOutsideWord = (i: number, from: number): boolean =>
    end[i] <= from || start[i] >= from + repeated.length;
  const from = prompt.lastIndexOf(repeated);
  const nBefore = tokenizer.bosId === undefined ? 0 : 1;
  const tokens = Uint32Array.from([...(tokenizer.bosId === undefined ? [] : [tokenizer.bosId]), ...ids]);
  const repeats = Array.from(ids, (_, i) => i).filter((i) => !isOutsideWord(i, from));
  return { tokens, repeats: repeats.map((i) => i + nBefore - 1) };
}

export interface PatchscopeOptions {
  /** With editLayer at the compared layer. */
  model: NextTokenModel;
  prompt: IdentityPrompt;
  /** Each [dModel], none of them zero. */
  directions: readonly ArrayLike<number>[];
  /** Mean norm of the model's residuals at that layer, without BOS. */
  residualNorm: number;
  tokenString: (id: number) => string;
  topK?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** One reading a direction, or why there is none. Throws what the model throws. */
export async function patchscope(options: PatchscopeOptions): Promise<ReadDirection[] | { leftOut: string }> {
  const { model, prompt, directions, residualNorm, tokenString, topK = READ_TOKENS, signal } = options;
  const last = prompt.tokens.length - 1;
  let isRepeated = true;
  let unpatched = new Float64Array();
  await model.ask(
    [{ tokens: prompt.tokens, positions: [...prompt.repeats, last] }],
    ({ position }, logProbabilities) => {
      if (position === last) unpatched = logProbabilities.slice();
      else if (indexOfMost(logProbabilities) !== prompt.tokens[position + 1]) isRepeated = false;
    },
    { signal },
  );
  if (!isRepeated) {
    return {
      leftOut: `Patchscope was left out: the fine-tune does not repeat "${PATCHSCOPE.repeated}" in its prompt, so it would not repeat a direction either.`,
    };
  }
  const signs = directions.flatMap((direction) => [1, -1].map((sign) => ({ direction, sign })));
  const sequences = signs.flatMap(({ direction, sign }) =>
    PATCHSCOPE.scales.map((scale): AskedSequence => {
      const factor = (sign * scale * residualNorm) / vectorNorm(direction);
      return {
        tokens: prompt.tokens,
        positions: [last],
        lastResidual: Float32Array.from(direction, (value) => factor * value),
      };
    }),
  );
  const means = signs.map(() => new Float64Array(unpatched.length));
  await model.ask(
    sequences,
    ({ sequence }, logProbabilities) => {
      const mean = means[Math.floor(sequence / PATCHSCOPE.scales.length)];
      for (let id = 0; id < mean.length; id += 1) mean[id] += logProbabilities[id] / PATCHSCOPE.scales.length;
    },
    { signal },
  );
  const read = means.map((mean): ReadToken[] => {
    const scores = Float32Array.from(mean, (value, id) => Math.exp(value) * (value - unpatched[id]));
    return topTokens(scores, topK)
      .highest.filter((id) => scores[id] > 0)
      .map((tokenId) => ({ token: tokenString(tokenId), tokenId, score: scores[tokenId] }));
  });
  return directions.map((_, i) => ({
    model: "finetuned",
    by: "patchscope",
    promoted: read[2 * i],
    suppressed: read[2 * i + 1],
  }));
}

function indexOfMost(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}
