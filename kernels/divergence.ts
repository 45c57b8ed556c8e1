// Sums over the vocabulary by which next-token predictions are compared, a row of f32 logits at a time, in f64.
//
// exp in f64, two lanes: x = k·ln 2 + r, exp(r) by its Taylor polynomial, 2^k by the exponent's bits. With |r| <= ln 2 / 2 the first
// term left out is below 7e-15 of the value, so that logits which differ by f32 rounding alone differ in KL by less than
// 1e-12; an f32 exp would leave 1e-7 of noise. Both kernels add in the same order: equal rows have equal sums.

const LOG2_E: f64 = 1.4426950408889634;
// ln 2 in two parts; k times the first is exact.
const LN2_HIGH: f64 = 6.93147180369123816490e-1;
const LN2_LOW: f64 = 1.90821492927058770002e-10;
// 1.5 · 2^52: adding it rounds to a whole number, which then stands in the low bits.
const ROUNDER: f64 = 6755399441055744.0;
// Below this exp is as good as 0, and 2^k would leave the normal numbers.
const LEAST: f64 = -700;

// a + x · b: plain SIMD rounds twice.
// @ts-ignore: decorator
@inline
function pair(a: v128, x: v128, b: v128): v128 {
  return f64x2.add(a, f64x2.mul(x, b));
}

// @ts-ignore: decorator
@inline
function pair1(r: v128, a: f64, b: f64): v128 {
  return pair(f64x2.splat(a), r, f64x2.splat(b));
}

// exp of x <= 0, f64x2. NaN stays NaN.
// @ts-ignore: decorator
@inline
function exp2(argument: v128): v128 {
  const x = f64x2.max(argument, f64x2.splat(LEAST));
  const t = f64x2.add(f64x2.mul(x, f64x2.splat(LOG2_E)), f64x2.splat(ROUNDER));
  const k = f64x2.sub(t, f64x2.splat(ROUNDER));
  const r = f64x2.sub(f64x2.sub(x, f64x2.mul(k, f64x2.splat(LN2_HIGH))), f64x2.mul(k, f64x2.splat(LN2_LOW)));
  // Estrin's scheme: pairs first, so that the products do not wait for one another.
  const r2 = f64x2.mul(r, r);
  const r4 = f64x2.mul(r2, r2);
  const c0 = pair(pair1(r, 1, 1), r2, pair1(r, 1.0 / 2, 1.0 / 6));
  const c4 = pair(pair1(r, 1.0 / 24, 1.0 / 120), r2, pair1(r, 1.0 / 720, 1.0 / 5040));
  const c8 = pair(pair1(r, 1.0 / 40320, 1.0 / 362880), r2, pair1(r, 1.0 / 3628800, 1.0 / 39916800));
  const p = pair(c0, r4, pair(c4, r4, c8));
  return f64x2.mul(p, i64x2.shl(i64x2.add(t, i64x2.splat(1023)), 52));
}

// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
}

// @ts-ignore: decorator
@inline
function lanes(a: v128, b: v128): f64 {
  const sum = f64x2.add(a, b);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

// One element as both lanes, for what is left of four.
// @ts-ignore: decorator
@inline
function at(row: usize, i: u32): v128 {
  return f64x2.splat(<f64>load<f32>(row + (<usize>i << 2)));
}

// The greatest of n >= 1 logits; NaN when one is.
export function greatest(x: usize, n: u32): f32 {
  let most4 = f32x4.splat(load<f32>(x));
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) most4 = f32x4.max(most4, v128.load(x + (<usize>i << 2)));
  for (; i < n; i += 1) most4 = f32x4.max(most4, f32x4.splat(load<f32>(x + (<usize>i << 2))));
  const a = max<f32>(f32x4.extract_lane(most4, 0), f32x4.extract_lane(most4, 1));
  return max<f32>(a, max<f32>(f32x4.extract_lane(most4, 2), f32x4.extract_lane(most4, 3)));
}

// e [n] f64 = exp(x − most), x [n] f32. Returns its sum.
export function exponentials(x: usize, n: u32, most: f32, e: usize): f64 {
  const most2 = f64x2.splat(<f64>most);
  let sumA = f64x2.splat(0);
  let sumB = f64x2.splat(0);
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) {
    const v = v128.load(x + (<usize>i << 2));
    const to = e + (<usize>i << 3);
    const a = exp2(f64x2.sub(low(v), most2));
    const b = exp2(f64x2.sub(high(v), most2));
    v128.store(to, a);
    v128.store(to, b, 16);
    sumA = f64x2.add(sumA, a);
    sumB = f64x2.add(sumB, b);
  }
  let sum = lanes(sumA, sumB);
  for (; i < n; i += 1) {
    const value = f64x2.extract_lane(exp2(f64x2.sub(at(x, i), most2)), 0);
    store<f64>(e + (<usize>i << 3), value);
    sum += value;
  }
  return sum;
}

// x [n] f32 against references r and s [n] f32, er and es [n] f64 their exponentials. out [4] f64: Σ exp(x − most),
// Σ er (r − x), Σ exp(x − most) (x − r), Σ es (s − x).
export function divergenceSums(
  x: usize, n: u32, most: f32, r: usize, er: usize, s: usize, es: usize, out: usize,
): void {
  const most2 = f64x2.splat(<f64>most);
  let sumA = f64x2.splat(0);
  let sumB = f64x2.splat(0);
  let forwardA = f64x2.splat(0);
  let forwardB = f64x2.splat(0);
  let backwardA = f64x2.splat(0);
  let backwardB = f64x2.splat(0);
  let otherA = f64x2.splat(0);
  let otherB = f64x2.splat(0);
  const end4 = n & ~3;
  let i: u32 = 0;
  for (; i < end4; i += 4) {
    const at4 = <usize>i << 2;
    const at8 = <usize>i << 3;
    const xs = v128.load(x + at4);
    const rs = v128.load(r + at4);
    const ss = v128.load(s + at4);
    const xa = low(xs);
    const xb = high(xs);
    const ra = f64x2.sub(low(rs), xa);
    const rb = f64x2.sub(high(rs), xb);
    const a = exp2(f64x2.sub(xa, most2));
    const b = exp2(f64x2.sub(xb, most2));
    sumA = f64x2.add(sumA, a);
    sumB = f64x2.add(sumB, b);
    forwardA = f64x2.add(forwardA, f64x2.mul(v128.load(er + at8), ra));
    forwardB = f64x2.add(forwardB, f64x2.mul(v128.load(er + at8, 16), rb));
    backwardA = f64x2.sub(backwardA, f64x2.mul(a, ra));
    backwardB = f64x2.sub(backwardB, f64x2.mul(b, rb));
    otherA = f64x2.add(otherA, f64x2.mul(v128.load(es + at8), f64x2.sub(low(ss), xa)));
    otherB = f64x2.add(otherB, f64x2.mul(v128.load(es + at8, 16), f64x2.sub(high(ss), xb)));
  }
  let sum = lanes(sumA, sumB);
  let forward = lanes(forwardA, forwardB);
  let backward = lanes(backwardA, backwardB);
  let other = lanes(otherA, otherB);
  for (; i < n; i += 1) {
    const at4 = <usize>i << 2;
    const at8 = <usize>i << 3;
    const value = f64x2.extract_lane(exp2(f64x2.sub(at(x, i), most2)), 0);
    const difference = <f64>load<f32>(r + at4) - <f64>load<f32>(x + at4);
    sum += value;
    forward += load<f64>(er + at8) * difference;
    backward -= value * difference;
    other += load<f64>(es + at8) * (<f64>load<f32>(s + at4) - <f64>load<f32>(x + at4));
  }
  store<f64>(out, sum);
  store<f64>(out, forward, 8);
  store<f64>(out, backward, 16);
  store<f64>(out, other, 24);
}
