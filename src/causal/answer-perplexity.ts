// How likely a model finds given answers to prompts: one forward of prompt and answer, as it is, without any edit.
//
// perplexity = exp(mean over the answer's tokens of −log p(token | all before)). The blocks and the head are two sessions of the
// same model, so that logits exist for the answers' positions only, a slice at a time: a vocabulary is far wider than a residual.

import { setImmediate as nextTurn } from "node:timers/promises";
import { NumericsError, ShapeError, throwIfInterrupted } from "../errors.ts";
import { planBatches } from "../harvest/plan-batches.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { createPrefix, createSuffix, type RunnerOptions } from "../lm/runner.ts";

/** Padded tokens of a forward, and bytes of logits that exist at a time. */
const BATCH_TOKENS = 2048;
const MAX_LOGIT_BYTES = 2 ** 26;

export interface AnsweredPrompt {
  /** At least one id. */
  prompt: ArrayLike<number>;
  /** At least one id, the stop id included. */
  answer: ArrayLike<number>;
}

export interface AnswerScorer {
  /** [answers] perplexity, ≥ 1. Throws NumericsError where a logit is not finite, ConfigError for a text beyond the positions. */
  score(
    answers: readonly AnsweredPrompt[],
    options?: { signal?: AbortSignal | undefined },
  ): Promise<Float64Array>;
  dispose(): Promise<void>;
}

/** Loads the model; the checkpoint may be closed afterwards. */
export async function createAnswerScorer(
  checkpoint: Checkpoint,
  options: Pick<RunnerOptions, "threads" | "device"> = {},
): Promise<AnswerScorer> {
  const lastLayer = checkpoint.config.nLayers - 1;
  const { architecture } = checkpoint;
  const prefix = await createPrefix(checkpoint, { ...options, layers: [lastLayer] });
  const head = await createSuffix(checkpoint, { ...options, layer: lastLayer }).catch(
    async (error: unknown) => {
      await prefix.dispose();
      throw error;
    },
  );
  const { dModel } = prefix;
  const { vocabSize } = head;
  const sliceRows = Math.max(1, Math.floor(MAX_LOGIT_BYTES / (4 * vocabSize)));

  /** Σ −log p(token) of rows [from, to) of a sequence's answer, whose residuals are given. */
  const sliceNll = async (residual: Float32Array, next: Uint32Array): Promise<number> => {
    // Rows are independent from here on: each is a sequence of its own.
    const lengths = new Int32Array(next.length).fill(1);
    const logits = await head.run({ residual, batch: next.length, length: 1, lengths });
    let sum = 0;
    for (const [row, id] of next.entries()) {
      const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      sum += logSumExp(own) - own[id];
    }
    return sum;
  };

  return {
    async score(answers, { signal } = {}) {
      const perplexities = new Float64Array(answers.length);
      const sequences = answers.map(({ prompt, answer }, index) => {
        if (prompt.length === 0 || answer.length === 0) {
          throw new ShapeError(
            `answer ${index}: expected tokens in prompt and answer, got ${prompt.length} and ${answer.length}`,
          );
        }
        const ids = Uint32Array.from([...Array.from(prompt), ...Array.from(answer)]);
        // The last token is predicted, never read.
        return { ids, first: prompt.length - 1, length: ids.length - 1, rowStart: index, rowEnd: index + 1 };
      });
      const batches = planBatches(sequences, {
        batchTokens: BATCH_TOKENS,
        lengthOf: ({ length }) => length,
        classOf: (length) => batchClass(architecture, length),
      });
      for (const batch of batches) {
        throwIfInterrupted(signal);
        const padded = rightPad(batch.map(({ ids, length }) => ids.subarray(0, length)));
        const [residual] = await prefix.run(padded);
        for (const [row, { ids, first, length, rowStart: index }] of batch.entries()) {
          let sum = 0;
          for (let from = first; from < length; from += sliceRows) {
            const to = Math.min(length, from + sliceRows);
            const start = row * padded.length;
            sum += await sliceNll(
              residual.slice((start + from) * dModel, (start + to) * dModel),
              ids.subarray(from + 1, to + 1),
            );
          }
          perplexities[index] = Math.exp(sum / (length - first));
          if (Number.isNaN(perplexities[index])) {
            throw new NumericsError(`answer ${index}: expected finite logits, got ${sum} as sum of −log p`, {
              hint: "the model overflows on this text: check its weights and dtype",
            });
          }
        }
        await nextTurn();
      }
      return perplexities;
    },
    async dispose() {
      await Promise.all([prefix.dispose(), head.dispose()]);
    },
  };
}

/** log Σ exp, f64. */
function logSumExp(logits: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (!(logit <= max)) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}
