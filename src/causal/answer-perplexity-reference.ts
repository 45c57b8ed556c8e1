// The perplexity of an answer in the order of the formula: one answer, one forward, all logits, a softmax a token.
//
// The slow twin of answer-perplexity.ts, for its test.

import type { FullModel } from "../lm/runner.ts";

/** exp(−1/n Σ log p(answer_i | prompt, answer_<i)). prompt and answer: ids, at least one each. */
export async function answerPerplexity(
  model: FullModel,
  { prompt, answer }: { prompt: ArrayLike<number>; answer: ArrayLike<number> },
): Promise<number> {
  const ids = [...Array.from(prompt), ...Array.from(answer)];
  const { logits } = await model.run({
    tokenIds: Uint32Array.from(ids),
    batch: 1,
    length: ids.length,
    lengths: Int32Array.of(ids.length),
  });
  let sum = 0;
  for (let position = prompt.length; position < ids.length; position += 1) {
    const row = logits.subarray((position - 1) * model.vocabSize, position * model.vocabSize);
    const total = row.reduce((mass, logit) => mass + Math.exp(logit), 0);
    sum -= Math.log(Math.exp(row[ids[position]]) / total);
  }
  return Math.exp(sum / answer.length);
}
