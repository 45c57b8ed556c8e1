// The readable twins of the WASM kernels: plain loops over typed arrays of any origin, in float32 rounding where it decides.
//
// Selections agree bit for bit with the kernels (same f32 products, same order); sums agree up to their order of addition.

import { ADAM, type Kernels, type KthLargest } from "./kernel-contract.ts";

const f = Math.fround;

/** The rank-th largest by sorting; ties as in KthLargest. */
function kthLargestBySorting(values: number[], rank: number): KthLargest {
  const positive = values.filter((value) => value > 0).sort((a, b) => b - a);
  if (positive.length < rank) return { value: 0, ties: 0 };
  const value = positive[rank - 1];
  return { value, ties: rank - positive.filter((other) => other > value).length };
}

export const referenceKernels: Kernels = {
  adamRows({ parameter, gradient, firstMoment, secondMoment }, options) {
    const { learningRate, gradientScale, updateNumber, touched, rowLength } = options;
    const stepSize = learningRate / (1 - ADAM.beta1 ** updateNumber);
    const rootCorrection = 1 / Math.sqrt(1 - ADAM.beta2 ** updateNumber);
    for (let i = 0; i < parameter.length; i += 1) {
      const g = touched[Math.floor(i / rowLength)] === 0 ? 0 : gradient[i] * gradientScale;
      firstMoment[i] = ADAM.beta1 * firstMoment[i] + (1 - ADAM.beta1) * g;
      secondMoment[i] = ADAM.beta2 * secondMoment[i] + (1 - ADAM.beta2) * g * g;
      parameter[i] -=
        (stepSize * firstMoment[i]) / (Math.sqrt(secondMoment[i]) * rootCorrection + ADAM.epsilon);
    }
  },

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

  latentGradients({ start, other, code }, options) {
    const { nLatents, width, x, direction, decoder, penalty, dEncoder, dEncoderBias, dDecoder } = options;
    let squares = 0;
    for (let j = 0; j < nLatents; j += 1) {
      if (start[j] === start[j + 1]) continue;
      const [ofDecoder, ofEncoder] = [new Float64Array(width), new Float64Array(width)];
      let ofBias = 0;
      for (let entry = start[j]; entry < start[j + 1]; entry += 1) {
        const row = other[entry] * width;
        let codeGradient = penalty?.[j] ?? 0;
        for (let i = 0; i < width; i += 1) codeGradient += direction[row + i] * decoder[j * width + i];
        for (let i = 0; i < width; i += 1) {
          ofDecoder[i] += code[entry] * direction[row + i];
          ofEncoder[i] += codeGradient * x[row + i];
        }
        ofBias += codeGradient;
      }
      dDecoder.set(ofDecoder, j * width);
      dEncoder.set(ofEncoder, j * width);
      dEncoderBias[j] = ofBias;
      for (const value of [...ofDecoder, ...ofEncoder, ofBias]) squares += value * value;
    }
    return squares;
  },

  countDigits(source, { prefix, prefixMask, shift, bins }, histogram) {
    const values =
      "values" in source
        ? source.values.subarray(0, source.count)
        : source.pre
            .subarray(0, source.nRows * source.nLatents)
            .map((p, i) => (p > 0 ? f(p * source.weight[i % source.nLatents]) : 0));
    const bits = new Uint32Array(values.slice().buffer);
    values.forEach((value, i) => {
      if (!(value > 0) || (bits[i] & prefixMask) >>> 0 !== prefix) return;
      histogram[(bits[i] >>> shift) & (bins - 1)] += 1;
    });
  },

  collectEntries({ pre, weight, nRows, nLatents }, { firstLatent, bound, entries, count }) {
    let at = count;
    for (let i = 0; i < nRows * nLatents; i += 1) {
      const v = f(pre[i] * weight[i % nLatents]);
      if (!(pre[i] > 0 && v >= f(bound))) continue;
      if (at < entries.capacity) {
        entries.row[at] = Math.floor(i / nLatents);
        entries.latent[at] = firstLatent + (i % nLatents);
        entries.code[at] = pre[i];
        entries.activation[at] = v;
      }
      at += 1;
    }
    return at;
  },

  filterEntries({ row, latent, code, activation }, count, bound) {
    let kept = 0;
    for (let entry = 0; entry < count; entry += 1) {
      if (!(activation[entry] >= f(bound))) continue;
      for (const array of [row, latent, code, activation]) array[kept] = array[entry];
      kept += 1;
    }
    return kept;
  },

  groupEntries({ row, latent, code }, { by, count, nKeys, out }) {
    const [key, other] = by === "row" ? [row, latent] : [latent, row];
    const order = Array.from({ length: count }, (_, entry) => entry).sort((a, b) => key[a] - key[b] || a - b);
    out.start.fill(0, 0, nKeys + 1);
    order.forEach((entry, place) => {
      out.other[place] = other[entry];
      out.code[place] = code[entry];
      for (let k = key[entry] + 1; k <= nKeys; k += 1) out.start[k] = place + 1;
    });
  },

  topOfRow({ pre, weight, nRows, nLatents, tileLatents }, { row, list, nList, most, entries, count }) {
    const found = Array.from(list.subarray(0, nList), (latent) => {
      const first = Math.floor(latent / tileLatents) * tileLatents;
      const inTile = Math.min(tileLatents, nLatents - first);
      const code = pre[nRows * first + row * inTile + latent - first];
      return { latent, code, activation: code > 0 ? f(code * weight[latent]) : 0 };
    }).filter(({ activation }) => activation > 0);
    const top = [...found].sort((a, b) => b.activation - a.activation || a.latent - b.latent).slice(0, most);
    let at = count;
    for (const { latent, code, activation } of found.filter((entry) => top.includes(entry))) {
      if (at < entries.capacity) {
        entries.row[at] = row;
        entries.latent[at] = latent;
        entries.code[at] = code;
        entries.activation[at] = activation;
      }
      at += 1;
    }
    return at;
  },

  countAtLeast(start, { activation, nRows, bound, out }) {
    for (let row = 0; row < nRows; row += 1) {
      out[row] = activation.subarray(start[row], start[row + 1]).filter((v) => v >= bound[row]).length;
    }
  },

  residualTerm({ x, residual, direction, nRows, width, from, to, share, squared }) {
    let total = 0;
    for (let row = 0; row < nRows; row += 1) {
      let squares = 0;
      for (let i = row * width + from; i < row * width + to; i += 1) {
        residual[i] = x[i] - residual[i];
        squares += residual[i] * residual[i];
      }
      const norm = Math.sqrt(squares);
      total += squared ? squares : norm;
      for (let i = row * width + from; i < row * width + to; i += 1) {
        direction[i] = squared ? -2 * share * residual[i] : norm === 0 ? 0 : (-share * residual[i]) / norm;
      }
    }
    return total;
  },

  columnSums(source, { nRows, width, out }) {
    out.fill(0);
    for (let i = 0; i < nRows * width; i += 1) out[i % width] += source[i];
  },

  centredSquares(source, { nRows, width, mean }) {
    let total = 0;
    for (let i = 0; i < nRows * width; i += 1) total += (source[i] - mean[i % width]) ** 2;
    return total;
  },

  auxiliaryTerm(residual, out, factor) {
    let squares = 0;
    for (let i = 0; i < out.length; i += 1) {
      const error = f(residual[i] - out[i]);
      squares += error * error;
      out[i] = factor * error;
    }
    return squares;
  },

  reluInPlace(pre) {
    let positive = 0;
    for (let i = 0; i < pre.length; i += 1) {
      if (pre[i] > 0) positive += 1;
      pre[i] = Math.max(pre[i], 0);
    }
    return positive;
  },

  gateCodeGradients({ code, codeGradient, weight }, { nRows, nLatents, penalty }) {
    for (let i = 0; i < nRows * nLatents; i += 1) {
      codeGradient[i] = code[i] > 0 ? codeGradient[i] + penalty * weight[i % nLatents] : 0;
    }
  },

  addScaled(target, source, factor) {
    for (let i = 0; i < target.length; i += 1) target[i] += factor * source[i];
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
