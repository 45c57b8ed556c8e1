// Entries: what was kept of a batch, as four parallel arrays row, latent, code, activation, and their two orderings.
//
// A shard's pre-activations come tile by tile (a few hundred latents, all rows); entries of a tile are taken while it is in
// cache. Ordered by row they are decoded, ordered by latent their gradients are made (sparse.ts).

import { anyOf16 } from "./block";
import { kthLargest } from "./select";

// @ts-ignore: decorator
@inline
function putEntry(
  place: u32,
  i: u32,
  j: u32,
  f: f32,
  v: f32,
  row: usize,
  latent: usize,
  code: usize,
  activation: usize,
): void {
  const to = <usize>place << 2;
  store<u32>(row + to, i);
  store<u32>(latent + to, j);
  store<f32>(code + to, f);
  store<f32>(activation + to, v);
}

// Appends the entries of a tile with pre > 0 and v = pre · W >= bound, in row-major order.
// pre [nRows, nLatents], weight [nLatents]; firstLatent is added to the latent. Entries go to places count, count + 1, … below
// capacity. Returns the new count; more than capacity means that entries are missing.
export function collectEntries(
  pre: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  firstLatent: u32,
  bound: f32,
  row: usize,
  latent: usize,
  code: usize,
  activation: usize,
  count: u32,
  capacity: u32,
): u32 {
  const bound4 = f32x4.splat(bound);
  for (let i: u32 = 0; i < nRows; i += 1) {
    const base = pre + ((<usize>i * nLatents) << 2);
    for (let block: u32 = 0; block < nLatents; block += 16) {
      const blockEnd = min(block + 16, nLatents);
      const at16 = <usize>block << 2;
      if (blockEnd - block == 16 && !anyOf16(base + at16, weight + at16, bound4)) continue;
      for (let j = block; j < blockEnd; j += 1) {
        const at = <usize>j << 2;
        const p = load<f32>(base + at);
        const v = p * load<f32>(weight + at);
        if (!(p > 0) || !(v >= bound)) continue;
        if (count < capacity) putEntry(count, i, firstLatent + j, p, v, row, latent, code, activation);
        count += 1;
      }
    }
  }
  return count;
}

// Keeps the entries with activation >= bound, in order and in place. Returns their number.
export function filterEntries(
  row: usize,
  latent: usize,
  code: usize,
  activation: usize,
  count: u32,
  bound: f32,
): u32 {
  let kept: u32 = 0;
  for (let entry: u32 = 0; entry < count; entry += 1) {
    const from = <usize>entry << 2;
    const v = load<f32>(activation + from);
    if (!(v >= bound)) continue;
    const i = load<u32>(row + from);
    const j = load<u32>(latent + from);
    putEntry(kept, i, j, load<f32>(code + from), v, row, latent, code, activation);
    kept += 1;
  }
  return kept;
}

// Groups entries by key (their row or their latent), keeping their order inside a group: a counting sort.
// start [nKeys + 1] receives the groups' borders; other and code are carried to otherOut and codeOut.
export function groupEntries(
  key: usize,
  other: usize,
  code: usize,
  count: u32,
  nKeys: u32,
  start: usize,
  otherOut: usize,
  codeOut: usize,
): void {
  memory.fill(start, 0, (<usize>nKeys + 1) << 2);
  for (let entry: u32 = 0; entry < count; entry += 1) {
    const slot = start + (<usize>(load<u32>(key + (<usize>entry << 2)) + 1) << 2);
    store<u32>(slot, load<u32>(slot) + 1);
  }
  for (let k: u32 = 1; k <= nKeys; k += 1) {
    const slot = start + (<usize>k << 2);
    store<u32>(slot, load<u32>(slot) + load<u32>(slot - 4));
  }
  // Each border serves as its group's cursor, and stands at the group's end afterwards: shifted back below.
  for (let entry: u32 = 0; entry < count; entry += 1) {
    const from = <usize>entry << 2;
    const slot = start + (<usize>load<u32>(key + from) << 2);
    const place = load<u32>(slot);
    store<u32>(slot, place + 1);
    const to = <usize>place << 2;
    store<u32>(otherOut + to, load<u32>(other + from));
    store<f32>(codeOut + to, load<f32>(code + from));
  }
  for (let k: u32 = nKeys; k > 0; k -= 1) {
    store<u32>(start + (<usize>k << 2), load<u32>(start + ((<usize>k - 1) << 2)));
  }
  store<u32>(start, 0);
}

// Appends the entries of one row with the `most` largest activations among the listed latents; ties at the last place go to the
// latent that is listed first. Only pre > 0 and v > 0 count.
// pre: tiles of tileLatents latents (the last one narrower), each [nRows, its latents], over nLatents latents. list [nList]
// ascending u32. score and place [nList] scratch, histogram 2048 × u32 scratch. Returns the new count; entries beyond
// capacity are missing.
export function topOfRow(
  pre: usize,
  weight: usize,
  nRows: u32,
  nLatents: u32,
  tileLatents: u32,
  i: u32,
  list: usize,
  nList: u32,
  most: u32,
  score: usize,
  place: usize,
  histogram: usize,
  row: usize,
  latent: usize,
  code: usize,
  activation: usize,
  count: u32,
  capacity: u32,
): u32 {
  let found: u32 = 0;
  let tile: u32 = 0;
  let tileEnd: u32 = 0;
  let at: usize = 0;
  for (let n: u32 = 0; n < nList; n += 1) {
    const j = load<u32>(list + (<usize>n << 2));
    if (j >= tileEnd) {
      tile = (j / tileLatents) * tileLatents;
      tileEnd = min(tile + tileLatents, nLatents);
      at = pre + ((<usize>nRows * tile + <usize>i * (tileEnd - tile)) << 2);
    }
    const p = load<f32>(at + (<usize>(j - tile) << 2));
    if (!(p > 0)) continue;
    const v = p * load<f32>(weight + (<usize>j << 2));
    if (!(v > 0)) continue;
    store<f32>(score + (<usize>found << 2), v);
    store<u32>(place + (<usize>found << 2), j);
    found += 1;
  }
  let cut: f32 = 0;
  let ties: u32 = 0;
  if (found > most) {
    cut = kthLargest(score, 0, 1, found, most, histogram);
    ties = load<u32>(histogram);
  }
  for (let n: u32 = 0; n < found; n += 1) {
    const v = load<f32>(score + (<usize>n << 2));
    if (v < cut) continue;
    if (v == cut) {
      if (ties == 0) continue;
      ties -= 1;
    }
    if (count < capacity) {
      const j = load<u32>(place + (<usize>n << 2));
      const first = (j / tileLatents) * tileLatents;
      const inTile = min(tileLatents, nLatents - first);
      const f = load<f32>(pre + ((<usize>nRows * first + <usize>i * inTile + (j - first)) << 2));
      putEntry(count, i, j, f, v, row, latent, code, activation);
    }
    count += 1;
  }
  return count;
}

// For each row the number of its entries with activation >= the row's bound, as f32. Entries are in row order,
// start [nRows + 1] their borders; bound [nRows] f32, out [nRows] f32.
export function countAtLeast(start: usize, activation: usize, nRows: u32, bound: usize, out: usize): void {
  for (let i: u32 = 0; i < nRows; i += 1) {
    const at = <usize>i << 2;
    const limit = load<f32>(bound + at);
    const end = load<u32>(start + at + 4);
    let count: u32 = 0;
    for (let entry = load<u32>(start + at); entry < end; entry += 1) {
      if (load<f32>(activation + (<usize>entry << 2)) >= limit) count += 1;
    }
    store<f32>(out + at, <f32>count);
  }
}
