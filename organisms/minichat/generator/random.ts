// Counter-based randomness of the generator: random(seed, purpose, index) is a stream of its own.
//
// Mixing by the 32-bit finaliser of MurmurHash3 (Appleby, public domain) over a hash of the keys and a counter.
// Not cryptographic, and not the library's generator: kept apart so that the corpus never changes with the library.

/** A stream of draws that depends on its keys alone. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, bound). */
  integer(bound: number): number;
  /** True with probability p. */
  chance(p: number): boolean;
  /** One element, uniformly. Throws RangeError when empty. */
  pick<T>(items: readonly T[]): T;
  /** `count` different elements, in random order. */
  sample<T>(items: readonly T[], count: number): T[];
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hashKeys(keys: readonly (number | string)[]): [number, number] {
  let a = 0x9e3779b9;
  let b = 0x7f4a7c15;
  for (const key of keys) {
    for (const character of `${key}|`) {
      const code = character.codePointAt(0) as number;
      a = mix(Math.imul(a, 31) + code);
      b = mix(Math.imul(b, 37) ^ code);
    }
  }
  return [a, b];
}

/** The stream named by its keys, for example `random(seed, "chats", 17)`. */
export function random(...keys: (number | string)[]): Random {
  const [a, b] = hashKeys(keys);
  let counter = 0;
  const next = (): number => {
    counter += 1;
    const high = mix(a + Math.imul(counter, 0x9e3779b1));
    return mix(high ^ (b + counter)) / 2 ** 32;
  };
  const integer = (bound: number): number => Math.floor(next() * bound);
  return {
    next,
    integer,
    chance: (p) => next() < p,
    pick: (items) => {
      if (items.length === 0) throw new RangeError("pick from an empty list");
      return items[integer(items.length)];
    },
    sample: (items, count) => {
      const pool = [...items];
      const taken = Math.min(count, pool.length);
      for (let i = 0; i < taken; i += 1) {
        const j = i + integer(pool.length - i);
        [pool[i], pool[j]] = [pool[j], pool[i]];
      }
      return pool.slice(0, taken);
    },
  };
}
