// Products that touch only the latents that fired. Codes come as compressed rows: rowStart, latent, code; or by latent.

import { sumOfSquares } from "./reduce";

// target += factor · source, n × f32.
// @ts-ignore: decorator
@inline
function addScaled(target: usize, source: usize, factor: f32, n: u32): void {
  const factor4 = f32x4.splat(factor);
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) {
    const at = <usize>i << 2;
    v128.store(target + at, f32x4.add(v128.load(target + at), f32x4.mul(factor4, v128.load(source + at))));
  }
  for (; i < n; i += 1) {
    const at = <usize>i << 2;
    store<f32>(target + at, load<f32>(target + at) + factor * load<f32>(source + at));
  }
}

// reconstruction[i] = bias + Σ_j code_ij · decoder_j. decoder [nLatents, width], bias [width] or 0 for none,
// reconstruction [nRows, width] overwritten.
export function decodeSparse(
  rowStart: usize,
  latent: usize,
  code: usize,
  nRows: u32,
  decoder: usize,
  width: u32,
  bias: usize,
  reconstruction: usize,
): void {
  const rowBytes = <usize>width << 2;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const target = reconstruction + <usize>row * rowBytes;
    if (bias == 0) memory.fill(target, 0, rowBytes);
    else memory.copy(target, bias, rowBytes);
    const end = load<u32>(rowStart + (<usize>(row + 1) << 2));
    for (let entry = load<u32>(rowStart + (<usize>row << 2)); entry < end; entry += 1) {
      const j = load<u32>(latent + (<usize>entry << 2));
      addScaled(target, decoder + <usize>j * rowBytes, load<f32>(code + (<usize>entry << 2)), width);
    }
  }
}

// Gradients of a loss whose derivative by the reconstruction is g [nRows, width], latent by latent: for latent j with entries
// (i, f), df_i = <g_i, decoder_j>; dDecoder_j = Σ f g_i; dEncoder_j = Σ df_i x_i; dEncoderBias_j = Σ df_i. Rows of latents
// without entries are left as they are. start [nLatents + 1], row and code by latent; x [nRows, width]; the targets have the
// parameters' shapes. Every listed code is > 0, so the ReLU's gate is open. The latent's own rows stay in the first-level
// cache while x and g (much smaller than the parameters) are gathered. penalty [nLatents] (0: none) is added to each df_i: the
// derivative of a penalty on codes. Returns Σ of the squares of what was written.
export function latentGradients(
  start: usize,
  row: usize,
  code: usize,
  nLatents: u32,
  x: usize,
  g: usize,
  decoder: usize,
  width: u32,
  penalty: usize,
  dEncoder: usize,
  dEncoderBias: usize,
  dDecoder: usize,
): f64 {
  const rowBytes = <usize>width << 2;
  const end4 = width & ~3;
  let squares: f64 = 0;
  for (let j: u32 = 0; j < nLatents; j += 1) {
    const first = load<u32>(start + (<usize>j << 2));
    const end = load<u32>(start + ((<usize>j + 1) << 2));
    if (first == end) continue;
    const decoderRow = decoder + <usize>j * rowBytes;
    const dDecoderRow = dDecoder + <usize>j * rowBytes;
    const dEncoderRow = dEncoder + <usize>j * rowBytes;
    memory.fill(dDecoderRow, 0, rowBytes);
    memory.fill(dEncoderRow, 0, rowBytes);
    const penaltyOfCode: f32 = penalty == 0 ? 0 : load<f32>(penalty + (<usize>j << 2));
    let biasSum: f32 = 0;
    for (let entry = first; entry < end; entry += 1) {
      const i = load<u32>(row + (<usize>entry << 2));
      const f = load<f32>(code + (<usize>entry << 2));
      const gRow = g + <usize>i * rowBytes;
      const f4 = f32x4.splat(f);
      let sumA = f32x4.splat(0);
      let sumB = f32x4.splat(0);
      let c: u32 = 0;
      const end8 = width & ~7;
      for (; c < end8; c += 8) {
        const at = <usize>c << 2;
        const gA = v128.load(gRow + at);
        const gB = v128.load(gRow + at, 16);
        sumA = f32x4.add(sumA, f32x4.mul(gA, v128.load(decoderRow + at)));
        sumB = f32x4.add(sumB, f32x4.mul(gB, v128.load(decoderRow + at, 16)));
        v128.store(dDecoderRow + at, f32x4.add(v128.load(dDecoderRow + at), f32x4.mul(f4, gA)));
        v128.store(dDecoderRow + at, f32x4.add(v128.load(dDecoderRow + at, 16), f32x4.mul(f4, gB)), 16);
      }
      for (; c < end4; c += 4) {
        const at = <usize>c << 2;
        const g4 = v128.load(gRow + at);
        sumA = f32x4.add(sumA, f32x4.mul(g4, v128.load(decoderRow + at)));
        v128.store(dDecoderRow + at, f32x4.add(v128.load(dDecoderRow + at), f32x4.mul(f4, g4)));
      }
      const sum4 = f32x4.add(sumA, sumB);
      let sum =
        f32x4.extract_lane(sum4, 0) +
        f32x4.extract_lane(sum4, 1) +
        (f32x4.extract_lane(sum4, 2) + f32x4.extract_lane(sum4, 3));
      for (; c < width; c += 1) {
        const at = <usize>c << 2;
        const gi = load<f32>(gRow + at);
        sum += gi * load<f32>(decoderRow + at);
        store<f32>(dDecoderRow + at, load<f32>(dDecoderRow + at) + f * gi);
      }
      sum += penaltyOfCode;
      addScaled(dEncoderRow, x + <usize>i * rowBytes, sum, width);
      biasSum += sum;
    }
    store<f32>(dEncoderBias + (<usize>j << 2), biasSum);
    squares += sumOfSquares(dDecoderRow, width) + sumOfSquares(dEncoderRow, width) + <f64>biasSum * <f64>biasSum;
  }
  return squares;
}
