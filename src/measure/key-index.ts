// Numbers keys 0, 1, 2, … in the order in which they are first seen: the sparse side of the accumulators' tables.
//
// Open addressing with linear probing, key and number side by side so that a look-up touches one cache line, at most
// half full; Fibonacci hashing (Knuth, TAOCP 3, §6.4). Nothing is ever removed but by clear().

const FIRST_CAPACITY = 1024;
/** 2³² / golden ratio, odd. */
const FIBONACCI = 0x9e3779b1;

export interface KeyIndex {
  /** Keys held. */
  size(): number;
  /** The number of a key, −1 when it was never placed. key: u32. */
  find(key: number): number;
  /** The number of a key; a new key gets size(). */
  place(key: number): number;
  /** All keys, ascending. */
  sortedKeys(): Uint32Array;
  /** Forgets all keys and keeps the memory. */
  clear(): void;
}

export function createKeyIndex(): KeyIndex {
  let capacity = FIRST_CAPACITY;
  let shift = 32 - Math.log2(capacity);
  /** (key as i32, number + 1) pairs; 0 in second place marks an empty one. Signed: integers stay integers in V8. */
  let pairs = new Int32Array(2 * capacity);
  let size = 0;

  /** Where a key (as i32) stands, or the empty place where it would stand. */
  const locate = (key: number): number => {
    const wrap = pairs.length - 1;
    let at = (Math.imul(key, FIBONACCI) >>> shift) << 1;
    while (pairs[at + 1] !== 0 && pairs[at] !== key) at = (at + 2) & wrap;
    return at;
  };

  const grow = (): void => {
    const old = pairs;
    capacity *= 2;
    shift -= 1;
    pairs = new Int32Array(2 * capacity);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i + 1] === 0) continue;
      const at = locate(old[i]);
      pairs[at] = old[i];
      pairs[at + 1] = old[i + 1];
    }
  };

  return {
    size: () => size,
    find: (key) => pairs[locate(key | 0) + 1] - 1,
    place(u32) {
      const key = u32 | 0;
      let at = locate(key);
      if (pairs[at + 1] !== 0) return pairs[at + 1] - 1;
      if (2 * (size + 1) > capacity) {
        grow();
        at = locate(key);
      }
      pairs[at] = key;
      size += 1;
      pairs[at + 1] = size;
      return size - 1;
    },
    sortedKeys() {
      const keys = new Uint32Array(size);
      for (let i = 0; i < pairs.length; i += 2) if (pairs[i + 1] !== 0) keys[pairs[i + 1] - 1] = pairs[i];
      return keys.sort();
    },
    clear() {
      pairs.fill(0);
      size = 0;
    },
  };
}
