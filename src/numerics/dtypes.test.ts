import { describe, expect, test } from "vitest";
import { bf16ToF32, f16BitsToNumber, f16ToF32, f32ToBf16, roundToBf16 } from "./dtypes.ts";

const bitsToF32 = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0];
const encode = (f32Bits: number): number => f32ToBf16(new Float32Array(Uint32Array.of(f32Bits).buffer))[0];

describe("bf16", () => {
  test.each([
    ["zero", 0x00000000, 0x0000],
    ["minus zero", 0x80000000, 0x8000],
    ["one", 0x3f800000, 0x3f80],
    ["just below half a step: down", 0x3f807fff, 0x3f80],
    ["half a step, even below: down", 0x3f808000, 0x3f80],
    ["just above half a step: up", 0x3f808001, 0x3f81],
    ["half a step, odd below: up", 0x3f818000, 0x3f82],
    ["minus, half a step, odd below: away", 0xbf818000, 0xbf82],
    ["carry into the exponent", 0x3fffffff, 0x4000],
    ["half a step below infinity, odd below: infinity", 0x7f7f8000, 0x7f80],
    ["largest f32: infinity", 0x7f7fffff, 0x7f80],
    ["largest that stays finite", 0x7f7f7fff, 0x7f7f],
    ["infinity", 0x7f800000, 0x7f80],
    ["minus infinity", 0xff800000, 0xff80],
    ["quiet NaN", 0x7fc00000, 0x7fc0],
    ["NaN whose mantissa is all in the lower half stays NaN", 0x7f800001, 0x7fc0],
    ["NaN that rounding would carry over stays NaN", 0x7fffffff, 0x7fff],
    ["minus NaN", 0xff800001, 0xffc0],
    ["smallest f32 subnormal: zero", 0x00000001, 0x0000],
    ["half the smallest bf16 subnormal: even, zero", 0x00008000, 0x0000],
    ["above half the smallest bf16 subnormal: up", 0x00008001, 0x0001],
    ["largest f32 subnormal: smallest normal", 0x007fffff, 0x0080],
  ])("%s", (_, f32Bits, bf16Bits) => {
    expect(encode(f32Bits).toString(16)).toBe(bf16Bits.toString(16));
  });

  test("every one of the 65,536 patterns is its own f32, and every one but signalling NaNs comes back", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const values = bf16ToF32(all);
    const back = f32ToBf16(values);
    for (let bits = 0; bits < 65_536; bits += 1) {
      const expected = bitsToF32((bits << 16) >>> 0);
      if (!Object.is(values[bits], expected)) throw new Error(`pattern ${bits.toString(16)}`);
      // A NaN may be quietened (bit 6), nothing else may change.
      if (back[bits] !== (Number.isNaN(expected) ? bits | 0x40 : bits))
        throw new Error(`back ${bits.toString(16)}`);
    }
  });

  test("rounding picks the nearer of the two neighbours", () => {
    for (let i = 0; i < 20_000; i += 1) {
      const value = bitsToF32((i * 2_654_435_761) >>> 0);
      if (!Number.isFinite(value) || Math.abs(value) > 3e38) continue;
      const rounded = roundToBf16(value);
      const low = bitsToF32((new Uint32Array(Float32Array.of(value).buffer)[0] & 0xffff0000) >>> 0);
      const high = bitsToF32(
        ((new Uint32Array(Float32Array.of(value).buffer)[0] & 0xffff0000) + 0x10000) >>> 0,
      );
      const best = Math.min(Math.abs(value - low), Math.abs(value - high));
      expect(Math.abs(value - rounded)).toBe(best);
    }
  });

  test("fills and returns the target it is given, inside a larger buffer too", () => {
    const target = new Float32Array(6).subarray(2, 4);
    expect(bf16ToF32(Uint16Array.of(0x3f80, 0xc000), target)).toBe(target);
    expect([...target]).toEqual([1, -2]);
    const bits = new Uint16Array(5).subarray(1, 3);
    expect(f32ToBf16(Float32Array.of(9, 1, -2).subarray(1), bits)).toBe(bits);
    expect([...bits]).toEqual([0x3f80, 0xc000]);
    expect(f32ToBf16(new Float32Array(0))).toEqual(new Uint16Array(0));
  });
});

describe("f16", () => {
  /** Widens a half to the f32 bit pattern by shifting fields: no arithmetic shared with the code under test. */
  function f16BitsByFields(bits: number): number {
    const sign = (bits & 0x8000) << 16;
    let exponent = (bits >> 10) & 31;
    let fraction = bits & 1023;
    if (exponent === 31) return bitsToF32((sign | 0x7f800000 | (fraction << 13)) >>> 0);
    if (exponent === 0) {
      if (fraction === 0) return bitsToF32(sign >>> 0);
      exponent = 1;
      while ((fraction & 1024) === 0) {
        fraction <<= 1;
        exponent -= 1;
      }
      fraction &= 1023;
    }
    return bitsToF32((sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0);
  }

  test("all 65,536 patterns agree with widening the fields of the pattern", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const values = f16ToF32(all);
    for (let bits = 0; bits < 65_536; bits += 1) {
      const expected = f16BitsByFields(bits);
      const same = Object.is(values[bits], expected) && Object.is(f16BitsToNumber(bits), expected);
      if (!same) throw new Error(`pattern ${bits.toString(16)}: ${values[bits]} against ${expected}`);
    }
  });

  test.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65_504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x3555, 0.333251953125],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0x8000, -0],
  ])("pattern %i is %d", (bits, value) => {
    expect(f16BitsToNumber(bits)).toBe(value);
  });
});
