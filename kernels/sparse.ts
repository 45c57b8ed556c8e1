// Products that touch only the latents that fired. Codes come as compressed rows: rowStart, latent, code.

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

// Gradients of a loss whose derivative by the reconstruction is g [nRows, width], for the entries that fired:
// df_ij = <g_i, decoder_j>; dDecoder_j += f_ij g_i; dEncoder_j += df_ij x_i; dEncoderBias_j += df_ij.
// x [nRows, width]; the three targets have the parameters' shapes and are added to. Every listed code is > 0, so the
// ReLU's gate is open.
export function addSparseGradients(
  rowStart: usize,
  latent: usize,
  code: usize,
  nRows: u32,
  x: usize,
  g: usize,
  decoder: usize,
  width: u32,
  dEncoder: usize,
  dEncoderBias: usize,
  dDecoder: usize,
): void {
  const rowBytes = <usize>width << 2;
  const end4 = width & ~3;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const xRow = x + <usize>row * rowBytes;
    const gRow = g + <usize>row * rowBytes;
    const end = load<u32>(rowStart + (<usize>(row + 1) << 2));
    for (let entry = load<u32>(rowStart + (<usize>row << 2)); entry < end; entry += 1) {
      const j = load<u32>(latent + (<usize>entry << 2));
      const f = load<f32>(code + (<usize>entry << 2));
      const decoderRow = decoder + <usize>j * rowBytes;
      const dDecoderRow = dDecoder + <usize>j * rowBytes;
      const f4 = f32x4.splat(f);
      let sum4 = f32x4.splat(0);
      let i: u32 = 0;
      for (; i < end4; i += 4) {
        const at = <usize>i << 2;
        const g4 = v128.load(gRow + at);
        sum4 = f32x4.add(sum4, f32x4.mul(g4, v128.load(decoderRow + at)));
        v128.store(dDecoderRow + at, f32x4.add(v128.load(dDecoderRow + at), f32x4.mul(f4, g4)));
      }
      let sum =
        f32x4.extract_lane(sum4, 0) +
        f32x4.extract_lane(sum4, 1) +
        (f32x4.extract_lane(sum4, 2) + f32x4.extract_lane(sum4, 3));
      for (; i < width; i += 1) {
        const at = <usize>i << 2;
        const gi = load<f32>(gRow + at);
        sum += gi * load<f32>(decoderRow + at);
        store<f32>(dDecoderRow + at, load<f32>(dDecoderRow + at) + f * gi);
      }
      addScaled(dEncoder + <usize>j * rowBytes, xRow, sum, width);
      const biasAt = dEncoderBias + (<usize>j << 2);
      store<f32>(biasAt, load<f32>(biasAt) + sum);
    }
  }
}
