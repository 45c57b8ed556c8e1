// One training step of a BatchTopK crosscoder, fast: dense product through onnxruntime, the rest in WASM on what fired.
//
// The same equations as loss.ts and gradients.ts, which reference-engine.ts puts together densely; a test holds the two
// together. All parameters, moments and buffers lie in one WASM arena. This is one latent shard: only `reconstruction`
// (its partial sum), the batch threshold and three scalars would have to be shared with others.

import { createGemm } from "../compute/gemm.ts";
import { type CodeBuffers, createKernels } from "../compute/kernels.ts";
import { selectBatchTopK } from "../dictionary/select.ts";
import { ConfigError } from "../errors.ts";
import { auxiliarySelection } from "./auxiliary-selection.ts";
import {
  accessTo,
  type Engine,
  type EngineOptions,
  emptyState,
  parameterViews,
  type StepResult,
} from "./engine-contract.ts";
import { batchVariance } from "./loss.ts";

/** Candidates of the selection's first pass, per entry that will be kept. */
const CANDIDATES_PER_KEPT = 4;

/** Throws ConfigError for a variant that only reference-engine.ts computes. */
export function requireFastVariant({
  sparsity,
  codeNormalisation,
  reconstruction,
}: Pick<EngineOptions, "sparsity" | "codeNormalisation" | "reconstruction">): void {
  for (const [field, got, known] of [
    ["sparsity.kind", sparsity?.kind, "batchTopK"],
    ["codeNormalisation", codeNormalisation, "crosscoder"],
    ["reconstruction", reconstruction, "norm"],
  ] as const) {
    if (got === undefined || got === known) continue;
    throw new ConfigError(`dictionary.${field}: the fast engine expects ${known}, got ${got}`, {
      hint: 'set dictionary.engine to "reference", which computes every variant, slowly',
    });
  }
}

/**
 * Makes an engine with all state zero; load a state or set the parameters before the first step. Throws ConfigError for a
 * variant that it does not compute.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  requireFastVariant(options);
  const { nLatents, width, siteOffsets, batchRows, largestK, auxLatents, threads } = options;
  const nSites = siteOffsets.length - 1;
  const nParameters = 2 * nLatents * width + nLatents + width;
  const mostKept = batchRows * Math.min(largestK, nLatents);
  const mostAuxiliary = batchRows * Math.min(auxLatents, nLatents);
  const floats =
    4 * nParameters +
    batchRows * nLatents +
    3 * batchRows * width +
    (CANDIDATES_PER_KEPT + 2) * mostKept +
    2 * mostAuxiliary +
    4 * nLatents +
    2 * batchRows;
  const kernels = createKernels({ bytes: 4 * floats + 64 * 64 });

  const state = emptyState({ nParameters, nLatents, allocate: (length) => kernels.f32(length) });
  const parameters = parameterViews(state.parameters, { nLatents, width });
  const gradient = kernels.f32(nParameters);
  const gradients = parameterViews(gradient, { nLatents, width });
  const x = kernels.f32(batchRows * width);
  const residual = kernels.f32(batchRows * width);
  const direction = kernels.f32(batchRows * width);
  const pre = kernels.f32(batchRows * nLatents);
  const weight = kernels.f32(nLatents);
  const norms = kernels.f32(nLatents);
  const candidates = kernels.f32(CANDIDATES_PER_KEPT * mostKept);
  const scores = kernels.f32(nLatents);
  const buffers = (capacity: number): CodeBuffers => ({
    capacity,
    rowStart: kernels.u32(batchRows + 1),
    latent: kernels.u32(capacity),
    code: kernels.f32(capacity),
  });
  const codes = buffers(mostKept);
  const auxiliary = buffers(mostAuxiliary);
  const gemm = await createGemm({ threads });
  let nRows = 0;
  let smallestKept = 0;

  /** W = Σ_sites of the decoder rows' norms, into `weight`. */
  function updateWeights(): void {
    weight.fill(0);
    for (let site = 0; site < nSites; site += 1) {
      kernels.rowNorms(parameters.decoderWeight, {
        nRows: nLatents,
        width,
        columnStart: siteOffsets[site],
        nColumns: siteOffsets[site + 1] - siteOffsets[site],
        out: norms,
      });
      for (let j = 0; j < nLatents; j += 1) weight[j] += norms[j];
    }
  }

  /** residual = x − reconstruction (which it overwrites) and direction = −ε/‖ε‖/(rows · sites). Returns the loss. */
  function reconstructionTerm(): number {
    let sum = 0;
    const share = 1 / (nRows * nSites);
    for (let row = 0; row < nRows; row += 1) {
      for (let site = 0; site < nSites; site += 1) {
        const from = row * width + siteOffsets[site];
        const to = row * width + siteOffsets[site + 1];
        let squares = 0;
        for (let i = from; i < to; i += 1) {
          const error = x[i] - residual[i];
          residual[i] = error;
          squares += error * error;
        }
        const norm = Math.sqrt(squares);
        sum += norm;
        const factor = norm === 0 ? 0 : -share / norm;
        for (let i = from; i < to; i += 1) direction[i] = residual[i] * factor;
      }
    }
    return sum * share;
  }

  /** Loss of the auxiliary term; its gradients, times auxAlpha, are added. direction is overwritten. */
  function auxiliaryTerm(isDead: Uint8Array): number {
    const found = auxiliarySelection({
      kernels,
      pre,
      weight,
      nRows,
      nLatents,
      isDead,
      auxLatents,
      scores,
      out: auxiliary,
    });
    const variance = batchVariance(residual, { nRows, width });
    if (variance === 0) return 0;
    if (found === 0) return sumOfSquaresPerRow(residual) / variance;
    kernels.decodeSparse(auxiliary, { nRows, decoder: parameters.decoderWeight, width, target: direction });
    const factor = (-2 * options.auxAlpha) / (nRows * variance);
    let squares = 0;
    for (let i = 0; i < nRows * width; i += 1) {
      const error = residual[i] - direction[i];
      squares += error * error;
      direction[i] = factor * error;
    }
    addGradients(auxiliary);
    return squares / nRows / variance;
  }

  const sumOfSquaresPerRow = (rows: Float32Array): number =>
    kernels.sumOfSquares(rows.subarray(0, nRows * width)) / nRows;

  function addGradients(list: CodeBuffers): void {
    kernels.addSparseGradients(list, {
      nRows,
      width,
      x,
      g: direction,
      decoder: parameters.decoderWeight,
      dEncoder: gradients.encoderWeight,
      dEncoderBias: gradients.encoderBias,
      dDecoder: gradients.decoderWeight,
    });
  }

  function addDecoderBias(): void {
    const sums = new Float64Array(width);
    for (let row = 0; row < nRows; row += 1) {
      for (let i = 0; i < width; i += 1) sums[i] += direction[row * width + i];
    }
    gradients.decoderBias.set(sums);
  }

  const engine: Engine = {
    nShards: 1,
    updates: 0,
    ...accessTo({ state, gradient }, { nLatents, width }),
    lastBatch: async () => ({
      nRows,
      x: x.subarray(0, nRows * width),
      residual: residual.subarray(0, nRows * width),
    }),

    async backward(batch, k): Promise<StepResult> {
      nRows = batch.length / width;
      x.set(batch);
      updateWeights();
      await gemm.multiplyTransposed(x.subarray(0, nRows * width), parameters.encoderWeight, {
        n: nRows,
        m: nLatents,
        k: width,
        bias: parameters.encoderBias,
        target: pre.subarray(0, nRows * nLatents),
      });
      const rank = nRows * Math.min(k, nLatents);
      const rows = { pre, weight, nRows, nLatents };
      const { count, smallest } = selectBatchTopK(kernels, rows, {
        rank,
        expected: smallestKept,
        candidates,
        out: codes,
      });
      smallestKept = smallest;

      // Counters first: a latent that fires in this batch is not dead in it.
      for (let j = 0; j < nLatents; j += 1) state.rowsSinceFired[j] += nRows;
      for (let entry = 0; entry < count; entry += 1) state.rowsSinceFired[codes.latent[entry]] = 0;
      const isDead = Uint8Array.from(state.rowsSinceFired, (since) =>
        since >= options.deadAfterRows ? 1 : 0,
      );
      const nDead = isDead.reduce((sum, dead) => sum + dead, 0);

      kernels.decodeSparse(codes, {
        nRows,
        decoder: parameters.decoderWeight,
        width,
        bias: parameters.decoderBias,
        target: residual,
      });
      const loss = reconstructionTerm();
      gradient.fill(0);
      addGradients(codes);
      addDecoderBias();
      const auxLoss = nDead > 0 && options.auxAlpha > 0 ? auxiliaryTerm(isDead) : 0;
      const gradientNorm = Math.sqrt(kernels.sumOfSquares(gradient));
      return { loss, auxLoss, gradientNorm, l0: count / nRows, nDead, smallestActivation: smallest };
    },

    async update({ learningRate, maxGradientNorm, gradientNorm }) {
      this.updates += 1;
      kernels.adamStep(
        {
          parameter: state.parameters,
          gradient,
          firstMoment: state.firstMoment,
          secondMoment: state.secondMoment,
        },
        {
          learningRate,
          gradientScale: clipFactor(gradientNorm, maxGradientNorm),
          updateNumber: this.updates,
        },
      );
    },

    dispose: () => gemm.dispose(),
  };
  return engine;
}

/** Factor that brings a gradient of this norm down to the largest allowed, as torch's clip_grad_norm_. */
export function clipFactor(gradientNorm: number, maxGradientNorm: number): number {
  return Math.min(1, maxGradientNorm / (gradientNorm + 1e-6));
}
