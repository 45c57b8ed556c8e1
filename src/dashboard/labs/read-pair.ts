// Both models and the dictionary over one text: what fires at each token, what each model expects next, and how far apart they are.
//
// The very pieces of the causal experiments (causal/pair-forward.ts) and of the harvest's outputs (harvest/next-token.ts), so that a
// reading says what the tables would. Rows that the measurement leaves out (BOS, norm outliers) have no firings here either.

import { setImmediate as nextTurn } from "node:timers/promises";
import { type EncodePair, runSide, type Side } from "../../causal/pair-forward.ts";
import type { Dictionary } from "../../dictionary/dictionary.ts";
import { throwIfInterrupted } from "../../errors.ts";
import { type CommonIds, compareNextTokens } from "../../harvest/next-token.ts";
import { isNormOutlier } from "../../store/norm-outliers.ts";
import { makeOutputColumns, TOP_TOKENS } from "../../store/outputs.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { RawReading } from "./lab-protocol.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";
import type { LabText } from "./lab-tokens.ts";

export interface PairReader {
  sides: Record<ModelSide, Side>;
  ids: CommonIds;
  dictionary: Dictionary;
  /** [nLatents] W: activation = code × W. */
  weights: Float32Array;
  encode: EncodePair;
  tokenString: (id: number) => string;
}

export interface ReadOptions extends Pick<LabText, "tokens" | "roles"> {
  normLimits?: readonly number[] | undefined;
  report: (words: string, done: number) => void;
  signal?: AbortSignal | undefined;
}

export type PairReading = Pick<
  RawReading,
  "tokens" | "kl" | "next" | "rowStart" | "latent" | "activation" | "warnings"
>;

/** Steps that report counts. */
export const READING_STEPS = 4;

/** Throws NumericsError for logits that are not finite, InterruptedError, and what the runners throw. */
export async function readPair(reader: PairReader, options: ReadOptions): Promise<PairReading> {
  const { tokens, report, signal } = options;
  const n = tokens.finetuned.length;
  const run = (side: ModelSide) => runWhole(reader.sides[side], { side, tokens, signal });
  report("the base reads", 0);
  const base = await run("base");
  report("the fine-tune reads", 1);
  const finetuned = await run("finetuned");
  report("both say what comes next", 2);
  const outputs = await compareOutputs(reader, { base: base.last, finetuned: finetuned.last }, options);
  throwIfInterrupted(signal);
  report("the dictionary encodes", 3);
  const codes = await reader.encode({ base: base.residual, finetuned: finetuned.residual }, n);
  const leftOut = rowsLeftOut(reader, { base: base.residual, finetuned: finetuned.residual }, options);
  const nOutliers = leftOut.reduce((sum, why) => sum + (why === OUTLIER ? 1 : 0), 0);
  return {
    tokens: Array.from(tokens.finetuned, reader.tokenString),
    ...outputs,
    ...activationsOf(codes, { leftOut, weights: reader.weights }),
    warnings:
      nOutliers === 0
        ? []
        : [
            `${nOutliers} tokens have residuals far longer than others; as in the measurement, no latent is read there.`,
          ],
  };
}

async function runWhole(
  side: Side,
  { side: name, tokens, signal }: { side: ModelSide } & Pick<ReadOptions, "tokens" | "signal">,
): Promise<{ residual: Float32Array; last: Float32Array }> {
  const n = tokens.finetuned.length;
  const conversation = {
    ...{ id: "lab", group: 0, isTemplate: new Uint8Array(n), isAssistant: new Uint8Array(n) },
    ...{ tokenBase: tokens.base, tokenFinetuned: tokens.finetuned },
  };
  const at = [Uint32Array.from({ length: n }, (_, i) => i)];
  const [outcome] = await runSide(side, { side: name, conversations: [conversation], at, signal });
  return outcome;
}

/** KL and most probable next tokens at every token; logits are held a slice at a time. */
async function compareOutputs(
  { sides, ids, tokenString }: PairReader,
  last: Record<ModelSide, Float32Array>,
  { tokens, signal }: ReadOptions,
): Promise<Pick<RawReading, "kl" | "next">> {
  const n = tokens.finetuned.length;
  const columns = makeOutputColumns(n);
  const { vocabulary } = ids;
  const sliceRows = Math.max(
    1,
    Math.floor(LAB_SETTINGS.logitBytes / (4 * (vocabulary.base + vocabulary.finetuned))),
  );
  const nextIds = (side: ModelSide): Int32Array => Int32Array.from([...tokens[side].subarray(1), -1]);
  const next = { base: nextIds("base"), finetuned: nextIds("finetuned") };
  for (let from = 0; from < n; from += sliceRows) {
    throwIfInterrupted(signal);
    const to = Math.min(n, from + sliceRows);
    const logits = (side: ModelSide): Promise<Float32Array> => {
      const width = last[side].length / n;
      // Rows are independent from here on: each is a sequence of its own.
      const lengths = new Int32Array(to - from).fill(1);
      const residual = last[side].slice(from * width, to * width);
      return sides[side].head.run({ residual, batch: to - from, length: 1, lengths });
    };
    compareNextTokens({
      ...ids,
      logits: { base: await logits("base"), finetuned: await logits("finetuned") },
      next: { base: next.base.subarray(from, to), finetuned: next.finetuned.subarray(from, to) },
      into: columns,
      at: from,
      place: (entry) => `token ${entry + 1} of the prompt`,
    });
    await nextTurn();
  }
  const top = (topTokens: Uint32Array, probabilities: Float32Array) =>
    Array.from({ length: n }, (_, i) =>
      Array.from({ length: TOP_TOKENS }, (__, k) => ({
        token: tokenString(topTokens[i * TOP_TOKENS + k]),
        probability: probabilities[i * TOP_TOKENS + k],
      })),
    );
  return {
    kl: columns.klFinetunedBase,
    next: {
      base: top(columns.topTokenBase, columns.topProbabilityBase),
      finetuned: top(columns.topTokenFinetuned, columns.topProbabilityFinetuned),
    },
  };
}

const BOS = 1;
const OUTLIER = 2;

/** [n] BOS, OUTLIER or 0. */
function rowsLeftOut(
  { dictionary: { sites, width } }: PairReader,
  residual: Record<ModelSide, Float32Array>,
  { roles, normLimits }: ReadOptions,
): Uint8Array {
  const row = new Float32Array(width);
  return Uint8Array.from(roles, (role, i) => {
    if (role === "bos") return BOS;
    if (normLimits === undefined) return 0;
    let at = 0;
    for (const { model, width: dModel } of sites) {
      row.set(residual[model].subarray(i * dModel, (i + 1) * dModel), at);
      at += dModel;
    }
    return isNormOutlier(row, 0, { sites, limits: normLimits }) ? OUTLIER : 0;
  });
}

/** Codes × W without the rows that are left out. */
function activationsOf(
  { rowStart, latent, code }: Awaited<ReturnType<EncodePair>>,
  { leftOut, weights }: { leftOut: Uint8Array; weights: Float32Array },
): Pick<RawReading, "rowStart" | "latent" | "activation"> {
  const starts = new Uint32Array(leftOut.length + 1);
  const latents: number[] = [];
  const activations: number[] = [];
  for (let row = 0; row < leftOut.length; row += 1) {
    for (let entry = rowStart[row]; leftOut[row] === 0 && entry < rowStart[row + 1]; entry += 1) {
      latents.push(latent[entry]);
      activations.push(code[entry] * weights[latent[entry]]);
    }
    starts[row + 1] = latents.length;
  }
  return {
    rowStart: starts,
    latent: Uint32Array.from(latents),
    activation: Float32Array.from(activations),
  };
}
