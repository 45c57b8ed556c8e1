// The same training step, dense and in the order of the equations: the twin of engine.ts, in float32 or float64.
//
// Slow (rows × latents × width for everything), meant to be read and to be compared with. Stays for ever. Here are all
// variants (sparsity.ts, code normalisations, squared reconstruction); engine.ts refuses those that it does not know.

import { clipFactor } from "./engine.ts";
import {
  accessTo,
  type Engine,
  type EngineOptions,
  type EngineState,
  emptyState,
  parameterViews,
} from "./engine-contract.ts";
import {
  addCodeGradients,
  addDecoderBiasGradient,
  auxiliaryDirection,
  reconstructionDirection,
} from "./gradients.ts";
import {
  auxiliaryCodes,
  auxiliaryLoss,
  type BatchShape,
  type Floats,
  like,
  type Parameters,
  preActivations,
  reconstruct,
  reconstructionLoss,
  weights,
} from "./loss.ts";
import { addPenaltyGradients, codePenalty, DEFAULT_SPARSITY, sparseCodes } from "./sparsity.ts";

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/** Its arrays can be looked at and set directly. */
export interface ReferenceEngine<A extends Floats> extends Engine<A> {
  state: EngineState<A>;
  /** Views into state.parameters. */
  parameters: Parameters<A>;
  /** Of the last backward; overwritten by the next. */
  gradients: Parameters<A>;
}

/** example: an array of the wanted element type. */
export function createReferenceEngine<A extends Floats>(
  options: EngineOptions,
  example: A,
): ReferenceEngine<A> {
  const { nLatents, width, siteOffsets, auxAlpha, auxLatents, deadAfterRows } = options;
  const { kind } = options.sparsity ?? DEFAULT_SPARSITY;
  const { codeNormalisation: normalisation = "crosscoder", reconstruction: how = "norm" } = options;
  const nParameters = 2 * nLatents * width + nLatents + width;
  const state = emptyState<A>({ nParameters, nLatents, allocate: (length) => like(example, length) });
  const parameters = parameterViews(state.parameters, { nLatents, width });
  const gradient = like(example, nParameters);
  const gradients = parameterViews(gradient, { nLatents, width });
  let last = { nRows: 0, x: like(example, 0), residual: like(example, 0) };

  const engine: ReferenceEngine<A> = {
    state,
    parameters,
    gradients,
    nShards: 1,
    updates: 0,
    ...accessTo({ state, gradient }, { nLatents, width }),
    lastBatch: async () => last,

    async backward(x, level) {
      const nRows = x.length / width;
      const shape: BatchShape = { nRows, nLatents, width, siteOffsets };
      const pre = preActivations(x, parameters, shape);
      const weight = weights(parameters.decoderWeight, shape, normalisation);
      const codes = sparseCodes(pre, weight, { kind, level });

      let smallestActivation = Number.POSITIVE_INFINITY;
      let kept = 0;
      for (let j = 0; j < nLatents; j += 1) state.rowsSinceFired[j] += nRows;
      codes.forEach((code, i) => {
        if (code === 0) return;
        kept += 1;
        state.rowsSinceFired[i % nLatents] = 0;
        smallestActivation = Math.min(smallestActivation, code * weight[i % nLatents]);
      });
      const isDead = Array.from(state.rowsSinceFired, (since) => (since >= deadAfterRows ? 1 : 0));
      const nDead = isDead.filter(Boolean).length;

      const reconstruction = reconstruct(codes, parameters, shape);
      const residual = x.map((value, i) => value - reconstruction[i]) as A;
      const loss = reconstructionLoss(residual, shape, how);
      gradient.fill(0);
      const g = reconstructionDirection(residual, shape, how);
      addCodeGradients(gradients, { x, codes, g, parameters }, shape);
      addDecoderBiasGradient(gradients.decoderBias, g, shape);

      let penaltyLoss: number | undefined;
      if (kind === "reluL1") {
        penaltyLoss = codePenalty(codes, weight, shape);
        addPenaltyGradients(gradients, { x, codes, weight, parameters, normalisation, factor: level }, shape);
      }

      let auxLoss = 0;
      if (nDead > 0 && auxAlpha > 0) {
        const auxCodes = auxiliaryCodes(pre, { weight, isDead, auxLatents }, shape);
        const auxReconstruction = reconstruct(auxCodes, { decoderWeight: parameters.decoderWeight }, shape);
        auxLoss = auxiliaryLoss(residual, auxReconstruction, shape);
        const auxG = auxiliaryDirection(residual, auxReconstruction, shape);
        addCodeGradients(gradients, { x, codes: auxCodes, g: auxG, parameters, factor: auxAlpha }, shape);
      }
      let squares = 0;
      for (const value of gradient) squares += value * value;
      last = { nRows, x, residual };
      return {
        loss,
        auxLoss,
        ...(penaltyLoss === undefined ? {} : { penaltyLoss }),
        gradientNorm: Math.sqrt(squares),
        l0: kept / nRows,
        nDead,
        smallestActivation: kept === 0 || kind === "reluL1" ? 0 : smallestActivation,
      };
    },

    /** Adam (Kingma & Ba 2015) after clipping. */
    async update({ learningRate, maxGradientNorm, gradientNorm }) {
      this.updates += 1;
      const clip = clipFactor(gradientNorm, maxGradientNorm);
      const correction1 = 1 - BETA1 ** this.updates;
      const correction2 = 1 - BETA2 ** this.updates;
      for (let i = 0; i < nParameters; i += 1) {
        const g = gradient[i] * clip;
        state.firstMoment[i] = BETA1 * state.firstMoment[i] + (1 - BETA1) * g;
        state.secondMoment[i] = BETA2 * state.secondMoment[i] + (1 - BETA2) * g * g;
        const mean = state.firstMoment[i] / correction1;
        const spread = Math.sqrt(state.secondMoment[i] / correction2);
        state.parameters[i] -= (learningRate * mean) / (spread + EPSILON);
      }
    },

    dispose: async () => {},
  };
  return engine;
}
