// Counter-based randomness: every number is a pure function of (seed, purpose, step, index).
//
// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Nothing is ever saved to resume:
// asking again gives the same number. Also a keyed permutation of [0, n) by a Feistel network with cycle walking.

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const cross = aHigh * bLow + (low >>> 16);
  const crossLow = (cross & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(cross / 65536) + Math.floor(crossLow / 65536)) >>> 0;
}

/** One Philox4x32-10 block. counter: 4 × u32. key: 2 × u32. Returns 4 × u32, written into `out`. */
export function philox4x32(counter: Uint32Array, key0: number, key1: number, out: Uint32Array): Uint32Array {
  let [c0, c1, c2, c3] = [counter[0], counter[1], counter[2], counter[3]];
  let [k0, k1] = [key0 >>> 0, key1 >>> 0];
  for (let round = 0; round < 10; round += 1) {
    const high0 = highProduct(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = highProduct(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/** FNV-1a of a UTF-16 string, u32: turns a purpose such as "init.encoder" into a key. */
export function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

export interface Rng {
  /** u32, uniform. step and index: non-negative safe integers. */
  uint32(step: number, index: number): number;
  /** In [0, 1) with 32 random bits. */
  uniform(step: number, index: number): number;
  /** Standard normal (Box–Muller on one Philox block). */
  normal(step: number, index: number): number;
}

/** Generator for one purpose of one seeded run. seed: safe non-negative integer. purpose: any name, e.g. "init". */
export function createRng(seed: number, purpose: string): Rng {
  const key0 = (seed ^ hashString(purpose)) >>> 0;
  const key1 = (Math.floor(seed / 2 ** 32) ^ hashString(`${purpose}#`)) >>> 0;
  const counter = new Uint32Array(4);
  const out = new Uint32Array(4);
  const block = (step: number, index: number): Uint32Array => {
    counter[0] = index >>> 0;
    counter[1] = Math.floor(index / 2 ** 32);
    counter[2] = step >>> 0;
    counter[3] = Math.floor(step / 2 ** 32);
    return philox4x32(counter, key0, key1, out);
  };
  return {
    uint32: (step, index) => block(step, index)[0],
    uniform: (step, index) => block(step, index)[0] / 2 ** 32,
    normal: (step, index) => {
      const words = block(step, index);
      const radius = Math.sqrt(-2 * Math.log((words[0] + 1) / (2 ** 32 + 1)));
      return radius * Math.cos((2 * Math.PI * words[1]) / 2 ** 32);
    },
  };
}

/**
 * Keyed permutation of [0, n): a bijection computed point by point, no table.
 *
 * Four-round Feistel network on the smallest even number of bits that holds n, walking cycles until the image is
 * below n (Black & Rogaway 2002). n ≤ 2^40. Returns i ↦ π(i).
 */
export function keyedPermutation(rng: Rng, step: number, n: number): (i: number) => number {
  if (n <= 1) return (i) => i;
  const halfBits = Math.max(1, Math.ceil(Math.log2(n) / 2));
  const half = 2 ** halfBits;
  const roundKeys = [0, 1, 2, 3].map((round) => rng.uint32(step, round));
  const mix = (value: number, key: number): number => {
    let x = (value ^ key) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) % half;
  };
  const once = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (const key of roundKeys) [left, right] = [right, left ^ mix(right, key)];
    return left * half + right;
  };
  return (i) => {
    let image = once(i);
    while (image >= n) image = once(image);
    return image;
  };
}
