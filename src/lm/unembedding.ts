// The linear end of a model: what its final norm and head make of a direction in the residual stream.
//
// The lens reads directions through it. The division by rms or standard deviation and the soft-cap of the logits are left
// out: neither changes the order of tokens.

import type { Checkpoint } from "./checkpoint.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** unembed(x) = head · (finalNorm ⊙ x) up to a positive factor and, where the norm has a bias, a constant. */
export interface Unembedding {
  /** [dModel] f32: what multiplies a normalised residual: w, 1 + w for Gemma, ones where the head holds it all. */
  finalNorm: Float32Array;
  /** [vocab, dModel] f32. */
  head: Float32Array;
  vocab: number;
  dModel: number;
}

/** Throws FormatError or NumericsError for an unreadable tensor. */
export async function loadUnembedding(checkpoint: Checkpoint): Promise<Unembedding> {
  const { architecture, config } = checkpoint;
  const read = (spec: TensorSpec): Promise<Float32Array> => checkpoint.readTensor(spec.name, spec.shape);
  const { kind, weight } = architecture.finalNorm;
  const finalNorm = await read(weight);
  const head = await read(checkpoint.head);
  const { vocabSize: vocab, dModel } = config;
  if (kind === "rmsPlusOne") for (let i = 0; i < dModel; i += 1) finalNorm[i] += 1;
  if (kind === "layerNorm") foldCentredNorm(head, finalNorm);
  return { finalNorm, head, vocab, dModel };
}

/** head_t · (w ⊙ (x − mean x)) = (head_t ⊙ w − its mean) · x: both into the head, in place. */
function foldCentredNorm(head: Float32Array, weight: Float32Array): void {
  const dModel = weight.length;
  for (let start = 0; start < head.length; start += dModel) {
    let sum = 0;
    for (let i = 0; i < dModel; i += 1) sum += head[start + i] * weight[i];
    const mean = sum / dModel;
    for (let i = 0; i < dModel; i += 1) head[start + i] = head[start + i] * weight[i] - mean;
  }
  weight.fill(1);
}
