// Selection by activation v = f · W: which entries of [nRows, nLatents] pre-activations are above a bound.
//
// Exactness: the k-th largest value is found on the bits of positive f32 numbers, which order as unsigned integers.

import { anyOf16 } from "./block";

// Codes of the entries kept: pre > 0 and v > threshold, and of those with v = threshold the first `ties` in row-major order.
// rowStart [nRows + 1], latent and code [capacity]. Returns the count; more than capacity means incomplete lists.
export function keepAbove(
  pre: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  threshold: f32,
  ties: u32,
  rowStart: usize,
  latent: usize,
  code: usize,
  capacity: u32,
): u32 {
  const threshold4 = f32x4.splat(threshold);
  let count: u32 = 0;
  for (let row: u32 = 0; row < nRows; row += 1) {
    const base = pre + ((<usize>row * nLatents) << 2);
    store<u32>(rowStart + (<usize>row << 2), count);
    for (let block: u32 = 0; block < nLatents; block += 16) {
      const blockEnd = min(block + 16, nLatents);
      const at16 = <usize>block << 2;
      if (blockEnd - block == 16 && !anyOf16(base + at16, weight + at16, threshold4)) continue;
      for (let j = block; j < blockEnd; j += 1) {
        const at = <usize>j << 2;
        const p = load<f32>(base + at);
        const v = p * load<f32>(weight + at);
        if (!(p > 0) || !(v >= threshold)) continue;
        if (v == threshold) {
          if (ties == 0) continue;
          ties -= 1;
        }
        if (count < capacity) {
          store<u32>(latent + (<usize>count << 2), j);
          store<f32>(code + (<usize>count << 2), p);
        }
        count += 1;
      }
    }
  }
  store<u32>(rowStart + (<usize>nRows << 2), count);
  return count;
}

// Adds to histogram [2048 × u32] one for each activation v = pre · W > 0 whose bits under prefixMask are prefix, in the bin of
// its bits (v >> shift) & (bins − 1). weight = 0 means pre holds the activations themselves. One round of kthLargest.
export function countDigits(
  pre: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  prefix: u32,
  prefixMask: u32,
  shift: u32,
  bins: u32,
  histogram: usize,
): void {
  for (let row: u32 = 0; row < nRows; row += 1) {
    const base = pre + ((<usize>row * nLatents) << 2);
    for (let j: u32 = 0; j < nLatents; j += 1) {
      const at = <usize>j << 2;
      const p = load<f32>(base + at);
      if (!(p > 0)) continue;
      const v = weight == 0 ? p : p * load<f32>(weight + at);
      if (!(v > 0)) continue;
      const bits = reinterpret<u32>(v);
      if ((bits & prefixMask) != prefix) continue;
      const slot = histogram + (<usize>((bits >> shift) & (bins - 1)) << 2);
      store<u32>(slot, load<u32>(slot) + 1);
    }
  }
}

// The rank-th largest (1 = largest) of the activations that are > 0, exact, by three passes over 11, 11 and 10 bits; arrays as
// for countDigits. Afterwards histogram[0] is how many entries equal to the result belong to the `rank` largest. Returns 0
// when fewer than rank entries are positive.
export function kthLargest(
  pre: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  rank: u32,
  histogram: usize,
): f32 {
  let prefix: u32 = 0;
  let prefixMask: u32 = 0;
  let left = rank;
  for (let round = 0; round < 3; round += 1) {
    const shift: u32 = round == 0 ? 21 : round == 1 ? 10 : 0;
    const bins: u32 = round == 2 ? 1024 : 2048;
    memory.fill(histogram, 0, 8192);
    countDigits(pre, weight, nRows, nLatents, prefix, prefixMask, shift, bins, histogram);
    let bin: i32 = <i32>bins - 1;
    for (; bin >= 0; bin -= 1) {
      const inBin = load<u32>(histogram + (<usize>bin << 2));
      if (inBin >= left) break;
      left -= inBin;
    }
    if (bin < 0) {
      store<u32>(histogram, 0);
      return 0;
    }
    prefix |= <u32>bin << shift;
    prefixMask |= (bins - 1) << shift;
  }
  store<u32>(histogram, left);
  return reinterpret<f32>(prefix);
}
