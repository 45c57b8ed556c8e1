// What an accumulator of the measurement pass gives away and takes back: a handful of named typed arrays.
//
// One document group is measured at a time, perhaps on another thread; its accumulators become arrays, the arrays a
// part file, and the part files are merged in order of group. A part is written in a canonical order (by latent, then
// by a stated rule), so that equal contents are equal bytes. Not here: the file (the pass writes it).

import { FormatError, MismatchError } from "../errors.ts";

export type PartArray = Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array;

/** By name, prefixed with the accumulator's: "histogram.latent". Arrays may be empty. */
export type PartArrays = Record<string, PartArray>;

export interface Accumulator {
  /** Everything seen so far; leaves the accumulator empty (its memory is kept for the next group). */
  takeArrays(): PartArrays;
  /** Adds what a part holds; names that are not this accumulator's are passed over. The part is not kept. */
  merge(part: PartArrays): void;
}

/** Counts are u32, as row numbers are: a store cannot have more rows than this. */
export const LARGEST_COUNT = 0xffffffff;

const AGAIN = "the part was written by another version or for another dictionary: measure again";

type PartArrayKind<T extends PartArray> = { readonly name: string; new (length: number): T };

/** The named array of a part. Throws FormatError when it is missing, of another kind or of another length. */
export function partArray<T extends PartArray>(
  part: PartArrays,
  name: string,
  kind: PartArrayKind<T>,
  length?: number,
): T {
  const found = part[name];
  if (!(found instanceof kind)) {
    const got = found === undefined ? "nothing" : found.constructor.name;
    throw new FormatError(`part: expected ${name} as ${kind.name}, got ${got}`, { hint: AGAIN });
  }
  if (length !== undefined && found.length !== length) {
    throw new FormatError(`part: expected ${length} entries in ${name}, got ${found.length}`, {
      hint: AGAIN,
    });
  }
  return found;
}

/** The named u32 array of latents, each below nLatents. Throws FormatError. */
export function partLatents(part: PartArrays, name: string, nLatents: number): Uint32Array {
  const latents = partArray(part, name, Uint32Array);
  for (let i = 0; i < latents.length; i += 1) {
    if (latents[i] >= nLatents) {
      throw new FormatError(`part: expected ${name}[${i}] below ${nLatents}, got ${latents[i]}`, {
        hint: AGAIN,
      });
    }
  }
  return latents;
}

/** Throws MismatchError when a part was made with other settings: then merging would not equal one pass. */
export function checkSettings(part: PartArrays, name: string, expected: readonly number[]): void {
  const found = Array.from(partArray(part, name, Float64Array));
  if (found.length === expected.length && found.every((value, i) => value === expected[i])) return;
  throw new MismatchError(`part: expected ${name} [${expected.join(", ")}], got [${found.join(", ")}]`, {
    hint: AGAIN,
  });
}

/** A longer copy, zeros behind. */
export function enlarge<T extends PartArray>(old: T, length: number): T {
  const longer = new (old.constructor as unknown as PartArrayKind<T>)(length);
  longer.set(old);
  return longer;
}
