// The readable twins of the WASM kernels: plain loops over typed arrays of any origin, in float32 rounding where it decides.
//
// Selections agree bit for bit with the kernels (same f32 products, same order); sums agree up to their order of addition.

import { ADAM, type Kernels, type KthLargest } from "./kernels.ts";

const f = Math.fround;

/** The rank-th largest by sorting; ties as in KthLargest. */
function kthLargestBySorting(values: number[], rank: number): KthLargest {
  const positive = values.filter((value) => value > 0).sort((a, b) => b - a);
  if (positive.length < rank) return { value: 0, ties: 0 };
  const value = positive[rank - 1];
  return { value, ties: rank - positive.filter((other) => other > value).length };
}

export const referenceKernels: Kernels = {
  adamStep(
    { parameter, gradient, firstMoment, secondMoment },
    { learningRate, gradientScale, updateNumber },
  ) {
    const stepSize = learningRate / (1 - ADAM.beta1 ** updateNumber);
    const rootCorrection = 1 / Math.sqrt(1 - ADAM.beta2 ** updateNumber);
    for (let i = 0; i < parameter.length; i += 1) {
      const g = gradient[i] * gradientScale;
      firstMoment[i] = ADAM.beta1 * firstMoment[i] + (1 - ADAM.beta1) * g;
      secondMoment[i] = ADAM.beta2 * secondMoment[i] + (1 - ADAM.beta2) * g * g;
      parameter[i] -=
        (stepSize * firstMoment[i]) / (Math.sqrt(secondMoment[i]) * rootCorrection + ADAM.epsilon);
    }
  },

  collectAbove({ pre, weight, nRows, nLatents }, bound, out) {
    let count = 0;
    for (let i = 0; i < nRows * nLatents; i += 1) {
      const v = f(pre[i] * weight[i % nLatents]);
      if (!(pre[i] > 0 && v > f(bound))) continue;
      if (count < out.length) out[count] = v;
      count += 1;
    }
    return count;
  },

  kthLargest: (values, count, rank) => kthLargestBySorting(Array.from(values.subarray(0, count)), rank),

  kthLargestActivation({ pre, weight, nRows, nLatents }, rank) {
    const activations = Array.from(pre.subarray(0, nRows * nLatents), (p, i) =>
      p > 0 ? f(p * weight[i % nLatents]) : 0,
    );
    return kthLargestBySorting(activations, rank);
  },

  keepAbove({ pre, weight, nRows, nLatents }, { value, ties }, out) {
    let count = 0;
    let tiesLeft = ties;
    for (let row = 0; row < nRows; row += 1) {
      out.rowStart[row] = count;
      for (let j = 0; j < nLatents; j += 1) {
        const p = pre[row * nLatents + j];
        const v = f(p * weight[j]);
        const isTie = v === f(value) && tiesLeft > 0;
        if (!(p > 0 && (v > f(value) || isTie))) continue;
        if (v === f(value)) tiesLeft -= 1;
        if (count < out.capacity) {
          out.latent[count] = j;
          out.code[count] = p;
        }
        count += 1;
      }
    }
    out.rowStart[nRows] = count;
    return count;
  },

  decodeSparse({ rowStart, latent, code }, { nRows, decoder, width, bias, target }) {
    for (let row = 0; row < nRows; row += 1) {
      for (let i = 0; i < width; i += 1) {
        let sum = bias === undefined ? 0 : bias[i];
        for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
          sum += code[entry] * decoder[latent[entry] * width + i];
        }
        target[row * width + i] = sum;
      }
    }
  },

  addSparseGradients(
    { rowStart, latent, code },
    { nRows, width, x, g, decoder, dEncoder, dEncoderBias, dDecoder },
  ) {
    for (let row = 0; row < nRows; row += 1) {
      for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry += 1) {
        const j = latent[entry];
        let codeGradient = 0;
        for (let i = 0; i < width; i += 1) codeGradient += g[row * width + i] * decoder[j * width + i];
        for (let i = 0; i < width; i += 1) {
          dDecoder[j * width + i] += code[entry] * g[row * width + i];
          dEncoder[j * width + i] += codeGradient * x[row * width + i];
        }
        dEncoderBias[j] += codeGradient;
      }
    }
  },

  sumOfSquares(source) {
    let sum = 0;
    for (const value of source) sum += value * value;
    return sum;
  },

  rowNorms(matrix, { nRows, width, columnStart, nColumns, out }) {
    for (let row = 0; row < nRows; row += 1) {
      const start = row * width + columnStart;
      let sum = 0;
      for (let i = start; i < start + nColumns; i += 1) sum += matrix[i] * matrix[i];
      out[row] = Math.sqrt(sum);
    }
  },
};
