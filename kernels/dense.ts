// Elementwise parts of the dense route of ReLU + L1, whose codes are not few at the start.

// pre = max(pre, 0), n × f32, in place; NaN stays. Returns how many are > 0.
export function reluInPlace(pre: usize, n: u32): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < n; i += 1) {
    const at = <usize>i << 2;
    const p = load<f32>(pre + at);
    if (p > 0) count += 1;
    else if (p <= 0) store<f32>(pre + at, 0);
  }
  return count;
}

// Derivative by the pre-activations: codeGradient = code > 0 ? codeGradient + penalty · weight : 0, in place.
// code, codeGradient [nRows, nLatents], weight [nLatents].
export function gateCodeGradients(
  code: usize,
  codeGradient: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  penalty: f32,
): void {
  const zero = f32x4.splat(0);
  const penalty4 = f32x4.splat(penalty);
  const end4 = nLatents & ~3;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const start = (<usize>row * nLatents) << 2;
    let j: u32 = 0;
    for (; j < end4; j += 4) {
      const at = <usize>j << 2;
      const open = f32x4.gt(v128.load(code + start + at), zero);
      const sum = f32x4.add(v128.load(codeGradient + start + at), f32x4.mul(penalty4, v128.load(weight + at)));
      v128.store(codeGradient + start + at, v128.and(open, sum));
    }
    for (; j < nLatents; j += 1) {
      const at = <usize>j << 2;
      const isOpen = load<f32>(code + start + at) > 0;
      const to = codeGradient + start + at;
      store<f32>(to, isOpen ? load<f32>(to) + penalty * load<f32>(weight + at) : 0);
    }
  }
}

// target += factor · source, n × f32.
export function addScaledRow(target: usize, source: usize, factor: f32, n: u32): void {
  for (let i: u32 = 0; i < n; i += 1) {
    const at = <usize>i << 2;
    store<f32>(target + at, load<f32>(target + at) + factor * load<f32>(source + at));
  }
}
