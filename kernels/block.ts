// The test that lets scans of pre-activations pass over blocks without a hit.

// Whether any of the 16 entries from `pre` and `weight` has pre > 0 and v >= bound. Almost every block of 16 has none, and
// this test is then all it costs.
// @ts-ignore: decorator
@inline
export function anyOf16(pre: usize, weight: usize, bound: v128): bool {
  const zero = f32x4.splat(0);
  const p0 = v128.load(pre);
  const p1 = v128.load(pre, 16);
  const p2 = v128.load(pre, 32);
  const p3 = v128.load(pre, 48);
  const hit0 = v128.and(f32x4.gt(p0, zero), f32x4.ge(f32x4.mul(p0, v128.load(weight)), bound));
  const hit1 = v128.and(f32x4.gt(p1, zero), f32x4.ge(f32x4.mul(p1, v128.load(weight, 16)), bound));
  const hit2 = v128.and(f32x4.gt(p2, zero), f32x4.ge(f32x4.mul(p2, v128.load(weight, 32)), bound));
  const hit3 = v128.and(f32x4.gt(p3, zero), f32x4.ge(f32x4.mul(p3, v128.load(weight, 48)), bound));
  return v128.any_true(v128.or(v128.or(hit0, hit1), v128.or(hit2, hit3)));
}
