// Sums over long arrays, accumulated in f64.

// Σ source_i², source n × f32.
export function sumOfSquares(source: usize, n: u32): f64 {
  let sumA = f64x2.splat(0);
  let sumB = f64x2.splat(0);
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) {
    const v = v128.load(source + (<usize>i << 2));
    const a = f64x2.promote_low_f32x4(v);
    const b = f64x2.promote_low_f32x4(i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
    sumA = f64x2.add(sumA, f64x2.mul(a, a));
    sumB = f64x2.add(sumB, f64x2.mul(b, b));
  }
  const sums = f64x2.add(sumA, sumB);
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < n; i += 1) {
    const v = <f64>load<f32>(source + (<usize>i << 2));
    sum += v * v;
  }
  return sum;
}

// L2 norms of the rows' columns [columnStart, columnStart + nColumns): matrix [nRows, width], out [nRows] f32.
export function rowNorms(
  matrix: usize,
  nRows: u32,
  width: u32,
  columnStart: u32,
  nColumns: u32,
  out: usize,
): void {
  for (let row: u32 = 0; row < nRows; row += 1) {
    const at = matrix + ((<usize>row * width + columnStart) << 2);
    store<f32>(out + (<usize>row << 2), <f32>sqrt<f64>(sumOfSquares(at, nColumns)));
  }
}

// residual = x − residual in columns [from, to) of every row, in place of the reconstruction; direction = the derivative of
// share · Σ_rows ‖residual‖ (or, squared, its square) by the reconstruction: −share · residual / norm, or −2 share · residual; 0
// where the norm is 0. x, residual, direction [nRows, width]. Returns Σ_rows of the norms (or their squares), without share.
export function residualTerm(
  x: usize,
  residual: usize,
  direction: usize,
  nRows: u32,
  width: u32,
  from: u32,
  to: u32,
  share: f64,
  squared: bool,
): f64 {
  let total: f64 = 0;
  const n = to - from;
  const end4 = n & ~3;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const start = (<usize>row * width + from) << 2;
    const xAt = x + start;
    const residualAt = residual + start;
    const directionAt = direction + start;
    let i: u32 = 0;
    for (; i < end4; i += 4) {
      const at = <usize>i << 2;
      v128.store(residualAt + at, f32x4.sub(v128.load(xAt + at), v128.load(residualAt + at)));
    }
    for (; i < n; i += 1) {
      const at = <usize>i << 2;
      store<f32>(residualAt + at, load<f32>(xAt + at) - load<f32>(residualAt + at));
    }
    const squares = sumOfSquares(residualAt, n);
    const norm = sqrt<f64>(squares);
    total += squared ? squares : norm;
    const factor = <f32>(squared ? -2 * share : norm == 0 ? 0 : -share / norm);
    const factor4 = f32x4.splat(factor);
    for (i = 0; i < end4; i += 4) {
      const at = <usize>i << 2;
      v128.store(directionAt + at, f32x4.mul(factor4, v128.load(residualAt + at)));
    }
    for (; i < n; i += 1) {
      const at = <usize>i << 2;
      store<f32>(directionAt + at, factor * load<f32>(residualAt + at));
    }
  }
  return total;
}

// out [width] f64 = Σ over rows of source [nRows, width].
export function columnSums(source: usize, nRows: u32, width: u32, out: usize): void {
  memory.fill(out, 0, <usize>width << 3);
  for (let row: u32 = 0; row < nRows; row += 1) {
    const at = source + ((<usize>row * width) << 2);
    for (let i: u32 = 0; i < width; i += 1) {
      const to = out + (<usize>i << 3);
      store<f64>(to, load<f64>(to) + <f64>load<f32>(at + (<usize>i << 2)));
    }
  }
}

// Σ over rows and columns of (source − mean)²; source [nRows, width] f32, mean [width] f64.
export function centredSquares(source: usize, nRows: u32, width: u32, mean: usize): f64 {
  let total: f64 = 0;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const at = source + ((<usize>row * width) << 2);
    for (let i: u32 = 0; i < width; i += 1) {
      const value = <f64>load<f32>(at + (<usize>i << 2)) - load<f64>(mean + (<usize>i << 3));
      total += value * value;
    }
  }
  return total;
}

// The auxiliary loss's direction: out = factor · (residual − out), out holding the auxiliary reconstruction. n × f32. Returns
// Σ (residual − out)².
export function auxiliaryTerm(residual: usize, out: usize, n: u32, factor: f32): f64 {
  let squares: f64 = 0;
  for (let i: u32 = 0; i < n; i += 1) {
    const at = <usize>i << 2;
    const error = load<f32>(residual + at) - load<f32>(out + at);
    squares += <f64>error * <f64>error;
    store<f32>(out + at, factor * error);
  }
  return squares;
}
