// An evaluator without models, for tests of what is done with its numbers: a prediction is a smooth function of the residuals up to its
// position, as in a causal model, and KL is the squared distance from what the fine-tune's own residuals give.

import { createRng } from "../numerics/rng.ts";
import type { Conversation, PositionMetrics } from "./causal-contract.ts";
import { CODE_CHOICES } from "./causal-contract.ts";
import type {
  Patch,
  PatchEvaluator,
  PreparedBatch,
  PreparedConversation,
  RawDecoder,
} from "./patch-evaluator.ts";
import { predictedPositions } from "./token-sets.ts";

const D_MODEL = 3;

/** A chat of one prompt (4 tokens, one of them the template's) and one answer. */
export function madeChat(id: string, answerTokens: number): Conversation {
  const length = 4 + answerTokens;
  const ids = Uint32Array.from({ length }, (_, i) => i);
  return {
    ...{ id, group: 0, tokenBase: ids, tokenFinetuned: ids },
    isTemplate: Uint8Array.from(ids, (i) => (i === 3 ? 1 : 0)),
    isAssistant: Uint8Array.from(ids, (i) => (i > 3 ? 1 : 0)),
  };
}

export interface FakeEvaluator extends PatchEvaluator {
  /** Calls of prepare, patches evaluated in all, and the most of one call. */
  calls: { prepare: number; patches: number; mostPatches: number };
}

/**
 * nLatents latents of random decoder rows; latent j fires on about one row in ten where `fires` allows it. isSame: the base is the
 * fine-tune, with one decoder row for both.
 */
export function createFakeEvaluator({
  nLatents,
  isSame = false,
  fires = () => true,
  unedited = 0,
}: {
  nLatents: number;
  isSame?: boolean;
  fires?: (latent: number) => boolean;
  unedited?: number;
}): FakeEvaluator {
  const rng = createRng(17, "fake");
  const decoderWeight = Float32Array.from(
    { length: nLatents * 2 * D_MODEL },
    (_, i) => 0.3 * rng.normal(0, i),
  );
  if (isSame) {
    for (let row = 0; row < nLatents; row += 1) {
      const base = row * 2 * D_MODEL;
      decoderWeight.copyWithin(base, base + D_MODEL, base + 2 * D_MODEL);
    }
  }
  const site = { layer: 1, width: D_MODEL } as const;
  const dictionary: RawDecoder = {
    sites: [
      { ...site, model: "base", name: "base-L1" },
      { ...site, model: "finetuned", name: "finetuned-L1" },
    ],
    ...{ nLatents, width: 2 * D_MODEL, decoderWeight, decoderBias: new Float32Array(2 * D_MODEL) },
  };
  const calls = { prepare: 0, patches: 0, mostPatches: 0 };

  const prepareOne = (conversation: Conversation): PreparedConversation => {
    const length = conversation.tokenBase.length;
    const own = createRng(length, conversation.id);
    const of = (index: number): Float32Array =>
      Float32Array.from({ length: length * D_MODEL }, (_, i) => own.normal(index, i));
    const rowStart = new Uint32Array(length + 1);
    const latents: number[] = [];
    for (let row = 0; row < length; row += 1) {
      for (let latent = 0; latent < nLatents; latent += 1) {
        if (fires(latent) && own.uniform(5 + row, latent) < 0.1) latents.push(latent);
      }
      rowStart[row + 1] = latents.length;
    }
    const code = Float32Array.from(latents, (_, i) => 0.5 + own.uniform(4, i));
    const codes = { nRows: length, rowStart, latent: Uint32Array.from(latents), code };
    const predicted = predictedPositions(conversation, { restOf: CODE_CHOICES.restOf });
    return { conversation, predicted, length, finetuned: of(1), base: of(isSame ? 1 : 0), codes };
  };

  return {
    ...{ dModel: D_MODEL, vocabSize: 10, dictionary, choices: CODE_CHOICES, unedited, calls },
    prepare(conversations) {
      calls.prepare += 1;
      return Promise.resolve({ conversations: conversations.map(prepareOne) });
    },
    evaluate(batch, patches) {
      calls.patches += patches.length;
      calls.mostPatches = Math.max(calls.mostPatches, patches.length);
      return Promise.resolve(patches.map((patch) => measure(batch, patch)));
    },
    dispose: () => Promise.resolve(),
  };
}

function measure({ conversations }: PreparedBatch, { conversation, residual, changedFrom = 0 }: Patch) {
  const { base, finetuned, predicted } = conversations[conversation];
  const positions = [...predicted.positions];
  const from = positions.filter((position) => position < changedFrom).length;
  const at = positions.slice(from);
  const distance = (a: Float32Array, b: Float32Array, position: number): number => {
    let sum = 0;
    const [x, y] = [stateAt(a, position), stateAt(b, position)];
    for (let i = 0; i < D_MODEL; i += 1) sum += (x[i] - y[i]) ** 2;
    return sum;
  };
  const metrics: PositionMetrics = {
    kl: Float64Array.from(at, (position) => distance(residual, finetuned, position)),
    nll: Float64Array.from(at, (position) => 2 + stateAt(residual, position)[0]),
    nllArgmax: Float64Array.from(at, (position) => 1 + stateAt(residual, position)[1]),
    klBase: Float64Array.from(at, (position) => distance(residual, base, position)),
  };
  return { from, metrics };
}

/** tanh of the running sums of the residuals up to a position. */
function stateAt(residual: Float32Array, position: number): number[] {
  const sums = new Array<number>(D_MODEL).fill(0);
  for (let i = 0; i < (position + 1) * D_MODEL; i += 1) sums[i % D_MODEL] += residual[i];
  return sums.map((sum) => Math.tanh(sum / 3));
}
