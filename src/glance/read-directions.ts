// Directions of the residual stream as both models' vocabularies read them: the lens of src/lens on any vector.
//
//   score_t = head_t · (finalNorm ⊙ d / ‖d‖)
//
// nostalgebraist 2020, the logit lens. Linear, so the tokens of −d are those of the least scores. A zero direction says nothing and
// is read as nothing. lens-reference.ts of src/lens is the readable twin.

import { createGemm, type Gemm } from "../compute/gemm.ts";
import { SIDES } from "../harvest/open-pair.ts";
import { topTokens } from "../lens/top-tokens.ts";
import type { Unembedding } from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import type { ReadDirection, ReadToken } from "./glance-contract.ts";

/** Tokens a list. */
export const READ_TOKENS = 10;

export interface ReadDirectionsOptions {
  /** Each [dModel], any length. */
  directions: readonly ArrayLike<number>[];
  unembeddings: Record<ModelSide, Unembedding>;
  tokenString: (id: number) => string;
  /** Default: READ_TOKENS. */
  topK?: number | undefined;
  threads?: number | undefined;
}

/** One list a direction, base first; empty for a zero direction. */
export async function readDirections(options: ReadDirectionsOptions): Promise<ReadDirection[][]> {
  const { directions, unembeddings, tokenString, topK = READ_TOKENS, threads } = options;
  const read: ReadDirection[][] = directions.map(() => []);
  const gemm = await createGemm({ threads });
  try {
    for (const model of SIDES) {
      const scoresOf = await scoreDirections(gemm, unembeddings[model], directions);
      for (const [i, scores] of scoresOf.entries()) {
        if (scores === undefined) continue;
        const { highest, lowest } = topTokens(scores, topK);
        const token = (tokenId: number, sign: number): ReadToken => ({
          token: tokenString(tokenId),
          tokenId,
          score: sign * scores[tokenId],
        });
        read[i].push({
          model,
          by: "logit lens",
          promoted: highest.map((id) => token(id, 1)),
          suppressed: lowest.map((id) => token(id, -1)),
        });
      }
    }
  } finally {
    await gemm.dispose();
  }
  return read;
}

/** [vocab] f32 each, undefined for a zero direction. One direction at a time: scores of a large vocabulary are a megabyte. */
async function scoreDirections(
  gemm: Gemm,
  { head, finalNorm, vocab, dModel }: Unembedding,
  directions: readonly ArrayLike<number>[],
): Promise<(Float32Array | undefined)[]> {
  const scores: (Float32Array | undefined)[] = [];
  for (const direction of directions) {
    const norm = vectorNorm(direction);
    if (norm === 0) {
      scores.push(undefined);
      continue;
    }
    const x = Float32Array.from({ length: dModel }, (_, i) => (finalNorm[i] * direction[i]) / norm);
    scores.push(await gemm.multiplyTransposed(x, head, { n: 1, m: vocab, k: dModel }));
  }
  return scores;
}

export function vectorNorm(vector: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < vector.length; i += 1) squares += vector[i] * vector[i];
  return Math.sqrt(squares);
}
