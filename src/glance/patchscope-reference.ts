// One direction read through one prompt as the formulas say, the model cut in two by hand: the twin of patchscope.ts.

import type { Prefix, Suffix } from "../lm/runner.ts";

export interface PatchscopeReferenceOptions {
  /** Tokens → residual after the layer, and residual after the layer → logits, of one model. */
  prefix: Prefix;
  suffix: Suffix;
  tokens: Uint32Array;
  direction: ArrayLike<number>;
  residualNorm: number;
  scales: readonly number[];
}

/** [vocab] p̄_t · (log p̄_t − log q_t). */
export async function patchscopeReference(options: PatchscopeReferenceOptions): Promise<number[]> {
  const { prefix, suffix, tokens, direction, residualNorm, scales } = options;
  const length = tokens.length;
  const batch = { batch: 1, length, lengths: Int32Array.of(length) };
  const [residual] = await prefix.run({ ...batch, tokenIds: tokens });
  const size = Math.sqrt(Array.from(direction).reduce((sum, value) => sum + value * value, 0));
  const logProbabilities = async (scale: number | undefined): Promise<number[]> => {
    const patched = residual.slice();
    if (scale !== undefined) {
      const row = Float32Array.from(direction, (value) => (scale * residualNorm * value) / size);
      patched.set(row, (length - 1) * row.length);
    }
    const logits = await suffix.run({ ...batch, residual: patched });
    const last = Array.from(logits.subarray((length - 1) * suffix.vocabSize));
    const total = last.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return last.map((logit) => logit - Math.log(total));
  };
  const unpatched = await logProbabilities(undefined);
  const patched: number[][] = [];
  for (const scale of scales) patched.push(await logProbabilities(scale));
  return unpatched.map((logQ, token) => {
    const logP = patched.reduce((sum, own) => sum + own[token], 0) / scales.length;
    return Math.exp(logP) * (logP - logQ);
  });
}
