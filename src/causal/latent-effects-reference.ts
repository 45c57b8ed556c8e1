// The slow twin of latent-effects.ts: one latent, one conversation, a whole prefix and a whole suffix each time.
//
// Everything dense and at every position, in the order of the definitions. `effect` shares nothing between latents but the sessions: what the
// benchmark calls "one at a time". Not here: intervals, which are bootstrap.ts.

import type { Dictionary, SparseCodes } from "../dictionary/dictionary.ts";
import { createEncoder } from "../dictionary/encode.ts";
import type { Checkpoint } from "../lm/checkpoint.ts";
import { type BatchShape, createPrefix, createSuffix } from "../lm/runner.ts";
import type { ModelSide } from "../store/store-contract.ts";
import { type Conversation, EFFECT_EDITS, type EffectEdit, type PaperChoices } from "./causal-contract.ts";
import { predictedPositions } from "./token-sets.ts";

export interface EffectReferenceOptions {
  checkpoints: Record<ModelSide, Checkpoint>;
  /** 0-based compared layers. */
  layers: Record<ModelSide, number>;
  /** In raw units. */
  dictionary: Dictionary;
  choices: PaperChoices;
  threads?: number;
}

/** Sums over the predicted tokens of a conversation, nats. */
export interface ReferenceEffect {
  tokens: number;
  /** Σ KL with the base's residual as it is. */
  klNone: number;
  /** Σ KL with the edit. */
  kl: Record<EffectEdit, number>;
  /** Whether the latent fired. */
  fired: boolean;
  /** Of every predicted token: its id and the change of its log p. */
  next: { tokenId: number; change: Record<EffectEdit, number> }[];
}

/** What does not depend on the latent. */
export interface ReferenceConversation {
  conversation: Conversation;
  base: Float32Array;
  finetuned: Float32Array;
  codes: SparseCodes;
  /** Of the finetuned suffix on either residual, [length, vocabulary]. */
  logits: Record<ModelSide, Float32Array>;
}

export interface EffectReference {
  prepare(conversation: Conversation): Promise<ReferenceConversation>;
  /** Runs the suffix for both edits. */
  effectIn(prepared: ReferenceConversation, latent: number): Promise<ReferenceEffect>;
  /** Both in one, everything anew. */
  effect(conversation: Conversation, latent: number): Promise<ReferenceEffect>;
  dispose(): Promise<void>;
}

/** Opens both prefixes, the encoder and the finetuned suffix. Throws what they throw. */
export async function createEffectReference({
  checkpoints,
  layers,
  dictionary,
  choices,
  threads,
}: EffectReferenceOptions): Promise<EffectReference> {
  const opened: { dispose(): Promise<void> }[] = [];
  const keep = <T extends { dispose(): Promise<void> }>(part: T): T => {
    opened.push(part);
    return part;
  };
  const dispose = async (): Promise<void> => {
    for (const part of opened.splice(0)) await part.dispose();
  };
  try {
    const prefixes = {
      base: keep(await createPrefix(checkpoints.base, { layers: [layers.base], threads })),
      finetuned: keep(await createPrefix(checkpoints.finetuned, { layers: [layers.finetuned], threads })),
    };
    const suffix = keep(await createSuffix(checkpoints.finetuned, { layer: layers.finetuned, threads }));
    const maxRows = checkpoints.finetuned.config.maxPositions;
    const encoder = keep(await createEncoder(dictionary, { maxRows, threads }));
    const { vocabSize } = suffix;
    const dModel = prefixes.finetuned.dModel;

    const run = (residual: Float32Array): Promise<Float32Array> =>
      suffix.run({ ...shapeOf(residual.length / dModel), residual });
    const prepare = async (conversation: Conversation): Promise<ReferenceConversation> => {
      const { tokenBase, tokenFinetuned } = conversation;
      const shape = shapeOf(tokenBase.length);
      const [base] = await prefixes.base.run({ ...shape, tokenIds: tokenBase });
      const [finetuned] = await prefixes.finetuned.run({ ...shape, tokenIds: tokenFinetuned });
      const codes = await encoder.encode(sideBySide(base, finetuned, dModel), shape.length);
      const logits = { base: await run(base), finetuned: await run(finetuned) };
      return { conversation, base, finetuned, codes, logits };
    };
    const effectIn: EffectReference["effectIn"] = async (prepared, latent) => {
      const { conversation, base, finetuned } = prepared;
      const codes = codesOf(prepared.codes, latent);
      const direction = dictionary.decoderWeight.subarray(
        (2 * latent + 1) * dModel,
        (2 * latent + 2) * dModel,
      );
      const plus = (residual: Float32Array, sign: number): Float32Array =>
        residual.map((value, i) => value + sign * codes[Math.floor(i / dModel)] * direction[i % dModel]);
      const whole = {
        finetuned: prepared.logits.finetuned,
        none: prepared.logits.base,
        add: await run(plus(base, 1)),
        remove: await run(plus(finetuned, -1)),
      };
      const result: ReferenceEffect = {
        ...{ tokens: 0, klNone: 0, kl: { add: 0, remove: 0 }, next: [] },
        fired: codes.some((value) => value > 0),
      };
      for (const position of predictedPositions(conversation, choices).positions) {
        const rowOf = (of: Float32Array): Float64Array =>
          logProbabilities(of.subarray(position * vocabSize, (position + 1) * vocabSize));
        const [own, none, add, remove] = [whole.finetuned, whole.none, whole.add, whole.remove].map(rowOf);
        const edited = { add, remove };
        const unedited = { add: none, remove: own };
        const tokenId = conversation.tokenFinetuned[position + 1];
        const change = { add: 0, remove: 0 };
        for (const edit of EFFECT_EDITS) {
          result.kl[edit] += divergence(own, edited[edit], choices);
          change[edit] = edited[edit][tokenId] - unedited[edit][tokenId];
        }
        result.tokens += 1;
        result.klNone += divergence(own, none, choices);
        result.next.push({ tokenId, change });
      }
      return result;
    };
    const effect: EffectReference["effect"] = async (conversation, latent) =>
      effectIn(await prepare(conversation), latent);
    return { prepare, effectIn, effect, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function shapeOf(length: number): BatchShape {
  return { batch: 1, length, lengths: Int32Array.of(length) };
}

/** [rows] of one latent, 0 where it is silent. */
function codesOf({ nRows, rowStart, latent: latents, code }: SparseCodes, latent: number): Float64Array {
  const codes = new Float64Array(nRows);
  for (let row = 0; row < nRows; row += 1) {
    for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1)
      if (latents[entry] === latent) codes[row] = code[entry];
  }
  return codes;
}

/** [length, 2 · dModel], base first. */
function sideBySide(base: Float32Array, finetuned: Float32Array, dModel: number): Float32Array {
  const length = base.length / dModel;
  const x = new Float32Array(2 * base.length);
  for (let row = 0; row < length; row += 1) {
    x.set(base.subarray(row * dModel, (row + 1) * dModel), 2 * row * dModel);
    x.set(finetuned.subarray(row * dModel, (row + 1) * dModel), (2 * row + 1) * dModel);
  }
  return x;
}

/** ln softmax in f64. */
function logProbabilities(logits: Float32Array): Float64Array {
  const max = logits.reduce((greatest, value) => Math.max(greatest, value), Number.NEGATIVE_INFINITY);
  const logSum = max + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - max), 0));
  return Float64Array.from(logits, (value) => value - logSum);
}

/** KL between the fine-tune's own prediction and the edited one, in the chosen direction. */
function divergence(
  own: Float64Array,
  edited: Float64Array,
  { klDirection }: Pick<PaperChoices, "klDirection">,
): number {
  const [p, q] = klDirection === "finetuned-from-hybrid" ? [own, edited] : [edited, own];
  let sum = 0;
  for (let id = 0; id < p.length; id += 1) sum += Math.exp(p[id]) * (p[id] - q[id]);
  return sum;
}
