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
