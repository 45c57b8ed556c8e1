// Adam (Kingma & Ba 2015) over one flat array, betas 0.9 and 0.999, epsilon 1e-8, no weight decay.

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
// Rounded from 1 − beta, not computed in f32: 1 − 0.999 there would be off by 5e-5 of itself.
const REST1: f32 = 0.1;
const REST2: f32 = 0.001;
const EPSILON: f32 = 1e-8;

// Adam over rows [nRows, rowLength] of parameter, gradient, firstMoment and secondMoment, all but gradient updated in place; where
// touched [nRows] u8 is 0 the gradient counts as 0 and is not read. gradientScale multiplies the gradient first (clipping).
// stepSize = learningRate / (1 − beta1^t); inverseRootCorrection = 1 / sqrt(1 − beta2^t).
export function adamRows(
  parameter: usize,
  gradient: usize,
  firstMoment: usize,
  secondMoment: usize,
  touched: usize,
  nRows: u32,
  rowLength: u32,
  gradientScale: f32,
  stepSize: f32,
  inverseRootCorrection: f32,
): void {
  for (let row: u32 = 0; row < nRows; row += 1) {
    const at = (<usize>row * rowLength) << 2;
    adamRow(
      parameter + at,
      load<u8>(touched + row) == 0 ? 0 : gradient + at,
      firstMoment + at,
      secondMoment + at,
      rowLength,
      gradientScale,
      stepSize,
      inverseRootCorrection,
    );
  }
}

// gradient = 0 stands for a row of zeros.
function adamRow(
  parameter: usize,
  gradient: usize,
  firstMoment: usize,
  secondMoment: usize,
  n: u32,
  gradientScale: f32,
  stepSize: f32,
  inverseRootCorrection: f32,
): void {
  const zero4 = f32x4.splat(0);
  const scale4 = f32x4.splat(gradientScale);
  const beta1 = f32x4.splat(BETA1);
  const rest1 = f32x4.splat(REST1);
  const beta2 = f32x4.splat(BETA2);
  const rest2 = f32x4.splat(REST2);
  const epsilon = f32x4.splat(EPSILON);
  const size = f32x4.splat(stepSize);
  const correction = f32x4.splat(inverseRootCorrection);
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) {
    const at = <usize>i << 2;
    const g = gradient == 0 ? zero4 : f32x4.mul(v128.load(gradient + at), scale4);
    const m = f32x4.add(f32x4.mul(beta1, v128.load(firstMoment + at)), f32x4.mul(rest1, g));
    const v = f32x4.add(f32x4.mul(beta2, v128.load(secondMoment + at)), f32x4.mul(rest2, f32x4.mul(g, g)));
    v128.store(firstMoment + at, m);
    v128.store(secondMoment + at, v);
    const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(v), correction), epsilon);
    const update = f32x4.div(f32x4.mul(size, m), divisor);
    v128.store(parameter + at, f32x4.sub(v128.load(parameter + at), update));
  }
  for (; i < n; i += 1) {
    const at = <usize>i << 2;
    const g: f32 = gradient == 0 ? 0 : load<f32>(gradient + at) * gradientScale;
    const m = BETA1 * load<f32>(firstMoment + at) + REST1 * g;
    const v = BETA2 * load<f32>(secondMoment + at) + REST2 * (g * g);
    store<f32>(firstMoment + at, m);
    store<f32>(secondMoment + at, v);
    const divisor = sqrt<f32>(v) * inverseRootCorrection + EPSILON;
    store<f32>(parameter + at, load<f32>(parameter + at) - (stepSize * m) / divisor);
  }
}
