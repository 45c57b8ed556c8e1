// Half-precision formats: bfloat16 and IEEE float16, to and from float32.
//
// bf16 is the upper half of an f32; encoding rounds to nearest, ties to even, as torch does. NaN stays NaN.

const scratchF32 = new Float32Array(1);
const scratchU32 = new Uint32Array(scratchF32.buffer);

/** source: bf16 bit patterns, any length. target (optional, same length) is overwritten and returned. */
export function bf16ToF32(
  source: Uint16Array,
  target: Float32Array = new Float32Array(source.length),
): Float32Array {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i += 1) bits[i] = source[i] << 16;
  return target;
}

/** source: f32 values, any length. target (optional, same length) receives bf16 bit patterns, round to nearest even. */
export function f32ToBf16(
  source: Float32Array,
  target: Uint16Array = new Uint16Array(source.length),
): Uint16Array {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < source.length; i += 1) {
    const value = bits[i];
    const isNaNValue = (value & 0x7fffffff) >>> 0 > 0x7f800000;
    target[i] = isNaNValue ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return target;
}

/** One float16 bit pattern as a number (subnormals, infinities and NaN included). */
export function f16BitsToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** source: f16 bit patterns, any length. target (optional, same length) is overwritten and returned. */
export function f16ToF32(
  source: Uint16Array,
  target: Float32Array = new Float32Array(source.length),
): Float32Array {
  for (let i = 0; i < source.length; i += 1) target[i] = f16BitsToNumber(source[i]);
  return target;
}

/** value rounded through bf16 and back, as storing it would. */
export function roundToBf16(value: number): number {
  scratchF32[0] = value;
  const rounded = f32ToBf16(scratchF32);
  scratchU32[0] = rounded[0] << 16;
  return scratchF32[0];
}
