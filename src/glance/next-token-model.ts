// A model that says what comes next at chosen places of some sequences, with the last token's residual replaced where asked for.
//
// The blocks and the head are two sessions of one model, so that logits exist for the wanted places only: a vocabulary is far
// wider than a residual. Patchscope and the check of steered text ask through it.

import { setImmediate as nextTurn } from "node:timers/promises";
import { NumericsError, throwIfInterrupted } from "../errors.ts";
import { batchClass, rightPad } from "../lm/batch.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import type { ExecutionDevice } from "../lm/device.ts";
import { createPrefix, createSuffix, type RunnerOptions } from "../lm/runner.ts";

export const NEXT_TOKEN_MODEL = {
  /** Padded tokens of a forward. */
  batchTokens: 2048,
  /** Logits that exist at a time. */
  logitBytes: 2 ** 26,
} as const;

export interface AskedSequence {
  /** At least one id. */
  tokens: ArrayLike<number>;
  /** Positions at which the next token is asked for. */
  positions: readonly number[];
  /** [dModel] f32, put in place of the last token's residual after the model's edited layer. Default: nothing is replaced. */
  lastResidual?: Float32Array | undefined;
}

/** logProbabilities: [vocab] f64 over the whole vocabulary, overwritten after the call. */
export type OnNextToken = (
  place: { sequence: number; position: number },
  logProbabilities: Float64Array,
) => void;

export interface NextTokenModel {
  /** Sequences in order, positions in order. Throws NumericsError for logits that are not finite, what the runners throw. */
  ask(
    sequences: readonly AskedSequence[],
    onNextToken: OnNextToken,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<void>;
  dispose(): Promise<void>;
}

export interface ModelUse {
  threads?: number | undefined;
  device?: ExecutionDevice | undefined;
}

/** What the runners want: options that are not given are left out. */
export function runnerOptions({ threads, device }: ModelUse): RunnerOptions {
  return { ...(threads === undefined ? {} : { threads }), ...(device === undefined ? {} : { device }) };
}

/** editLayer: the layer after which a last residual may be replaced. Loads the model; the checkpoint may be closed afterwards. */
export async function openNextTokenModel(
  checkpoint: Checkpoint,
  { editLayer, ...use }: ModelUse & { editLayer?: number },
): Promise<NextTokenModel> {
  const { config, architecture } = checkpoint;
  const lastLayer = config.nLayers - 1;
  const editLayers = editLayer === undefined ? [] : [editLayer];
  const options = runnerOptions(use);
  const prefix = await createPrefix(checkpoint, { ...options, layers: [lastLayer], editLayers });
  const head = await createSuffix(checkpoint, { ...options, layer: lastLayer }).catch(
    async (error: unknown) => {
      await prefix.dispose();
      throw error;
    },
  );
  const { dModel } = prefix;
  const { vocabSize } = head;
  const sliceRows = Math.max(1, Math.floor(NEXT_TOKEN_MODEL.logitBytes / (4 * vocabSize)));
  const logProbabilities = new Float64Array(vocabSize);

  const askBatch = async (batch: readonly AskedSequence[], first: number, onNextToken: OnNextToken) => {
    const padded = rightPad(batch.map(({ tokens }) => tokens));
    const replaced = batch.flatMap(({ lastResidual }) => (lastResidual ? [lastResidual] : []));
    const edits =
      editLayer === undefined || replaced.length === 0
        ? []
        : [
            {
              layer: editLayer,
              kind: "replace" as const,
              positions: batch.map(({ tokens, lastResidual }) => (lastResidual ? [tokens.length - 1] : [])),
              values: joinRows(replaced, dModel),
              per: "row" as const,
            },
          ];
    const [residual] = await prefix.run({ ...padded, edits });
    const places = batch.flatMap(({ positions }, row) => positions.map((position) => ({ row, position })));
    for (let from = 0; from < places.length; from += sliceRows) {
      const slice = places.slice(from, from + sliceRows);
      const rows = slice.map(({ row, position }) => {
        const at = (row * padded.length + position) * dModel;
        return residual.subarray(at, at + dModel);
      });
      // Rows are independent from here on: each is a sequence of its own.
      const logits = await head.run({
        residual: joinRows(rows, dModel),
        batch: slice.length,
        length: 1,
        lengths: new Int32Array(slice.length).fill(1),
      });
      for (const [i, { row, position }] of slice.entries()) {
        const place = { sequence: first + row, position };
        logSoftmax(logits.subarray(i * vocabSize, (i + 1) * vocabSize), logProbabilities);
        if (!logProbabilities.every(Number.isFinite)) {
          throw new NumericsError(
            `sequence ${place.sequence}, position ${position}: expected finite logits, got others`,
            { hint: "a replaced residual may be far too large, or the model overflows on this text" },
          );
        }
        onNextToken(place, logProbabilities);
      }
    }
  };

  return {
    async ask(sequences, onNextToken, { signal } = {}) {
      for (let from = 0; from < sequences.length; ) {
        throwIfInterrupted(signal);
        const classOf = ({ tokens }: AskedSequence): number => batchClass(architecture, tokens.length);
        let longest = sequences[from].tokens.length;
        let to = from + 1;
        while (to < sequences.length && classOf(sequences[to]) === classOf(sequences[from])) {
          const length = Math.max(longest, sequences[to].tokens.length);
          if ((to + 1 - from) * length > NEXT_TOKEN_MODEL.batchTokens) break;
          longest = length;
          to += 1;
        }
        await askBatch(sequences.slice(from, to), from, onNextToken);
        from = to;
        await nextTurn();
      }
    },
    async dispose() {
      await prefix.dispose();
      await head.dispose();
    },
  };
}

function joinRows(rows: readonly Float32Array[], width: number): Float32Array {
  const joined = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries()) joined.set(row, at * width);
  return joined;
}

/** target: [vocab], overwritten with log p. */
function logSoftmax(logits: Float32Array, target: Float64Array): void {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (!(logit <= max)) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const logSum = max + Math.log(sum);
  for (let id = 0; id < logits.length; id += 1) target[id] = logits[id] - logSum;
}
